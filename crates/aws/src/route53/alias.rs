//! Whether the load balancer that an alias leads to is still there: of an alias whose target is gone, Route 53 gives no address.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_elasticloadbalancingv2::Client;
use belay_aws_catalogue::route53::normal_name;
use belay_ports::ReadError;

use super::record::RecordSet;
use crate::{errors, resolver::Resolver};

pub(super) const BALANCERS: &str = "elasticloadbalancing:DescribeLoadBalancers";

/// What an alias leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Led {
    There,
    Gone,
    Untold(String),
}

/// The load balancers of this region that aliases lead to, by the alias's DNS name. `region`: which the client asks.
pub(super) async fn look(
    client: &Client,
    region: &str,
    resolver: &dyn Resolver,
    records: &[RecordSet],
) -> BTreeMap<String, Led> {
    let names: BTreeSet<&str> = records.iter().filter_map(|record| of_balancer(record, region)).collect();
    if names.is_empty() {
        return BTreeMap::new();
    }
    let listed = match listed(client).await {
        Ok(listed) => listed,
        Err(error) => return names.iter().map(|name| ((*name).to_owned(), Led::Untold(error.why.clone()))).collect(),
    };
    let mut found = BTreeMap::new();
    for name in names {
        // A Classic Load Balancer has such a name too, and is listed by another API: its name resolves.
        let led = match listed.contains(balancer(name).as_str()) || resolver.addresses(name).await.is_ok() {
            true => Led::There,
            false => Led::Gone,
        };
        found.insert(name.to_owned(), led);
    }
    found
}

async fn listed(client: &Client) -> Result<BTreeSet<String>, ReadError> {
    let mut pages = client.describe_load_balancers().into_paginator().send();
    let mut names = BTreeSet::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| errors::read(error, BALANCERS, "the load balancers that aliases lead to"))?;
        names.extend(page.load_balancers().iter().filter_map(|one| Some(balancer(one.dns_name()?))));
    }
    Ok(names)
}

/// The name of the load balancer that an alias leads to, where it is one of this region.
pub(super) fn of_balancer<'r>(record: &'r RecordSet, region: &str) -> Option<&'r str> {
    let name = record.alias.as_ref()?.dns_name.as_str();
    let normal = normal_name(name);
    let of_region = [format!(".{region}.elb.amazonaws.com"), format!(".elb.{region}.amazonaws.com")];
    of_region.iter().any(|suffix| normal.trim_end_matches(".cn").ends_with(suffix.as_str())).then_some(name)
}

/// Both versions of the Internet Protocol have the one load balancer.
fn balancer(name: &str) -> String {
    let normal = normal_name(name);
    normal.strip_prefix("dualstack.").unwrap_or(&normal).to_owned()
}
