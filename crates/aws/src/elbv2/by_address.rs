//! Stickiness by the client's address: an attribute of a target group, and all that a network load balancer has of it.
//!
//! Only people are told of it, so a read of it that fails holds up nothing.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_elasticloadbalancingv2::Client;
use futures::future::try_join_all;

use super::{State, group_name, targets::attributes};

const ENABLED: &str = "stickiness.enabled";
const TYPE: &str = "stickiness.type";

/// Those of the groups that keep clients by their address. None when that could not be read.
pub(super) async fn observe(client: &Client, groups: impl Iterator<Item = &String>) -> Option<BTreeSet<String>> {
    let read = groups.map(|arn| async move { attributes(client, arn).await.map(|found| (arn, found)) });
    let read = try_join_all(read).await.ok()?;
    Some(read.into_iter().filter(|(_, found)| is_by_address(found)).map(|(arn, _)| arn.clone()).collect())
}

fn is_by_address(attributes: &BTreeMap<String, String>) -> bool {
    let is = |key: &str, wanted: &str| attributes.get(key).is_some_and(|value| value == wanted);
    is(ENABLED, "true") && is(TYPE, "source_ip")
}

/// What a network load balancer leaves where it is when weights change; None of another one.
pub(super) fn note(now: &State) -> Option<String> {
    if !now.is_network() {
        return None;
    }
    let open = "a network load balancer leaves open connections where they are";
    Some(match &now.by_address {
        None => {
            format!("{open}; whether a group keeps clients by their address (stickiness by source IP) was not read")
        }
        Some(groups) if groups.is_empty() => open.to_owned(),
        Some(groups) => {
            let names: Vec<&str> = groups.iter().map(|arn| group_name(arn)).collect();
            format!(
                "{open}, and clients that {} keeps by their address (stickiness by source IP) may stay as well",
                names.join(" or ")
            )
        }
    })
}
