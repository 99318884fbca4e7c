//! What Route 53 has under a name.

use std::collections::BTreeMap;

use aws_sdk_route53::{
    Client,
    types::{ChangeStatus, ResourceRecordSet, RrType},
};
use belay_aws_catalogue::route53::{escaped, normal_name};
use belay_plan::model::AwsTarget;
use belay_ports::ReadError;

use super::{With, arn_of, record::RecordSet};
use crate::{errors, place};

/// The record sets of a name and type.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Ordered by set identifier.
    pub(crate) members: Vec<RecordSet>,
    /// What is there that is no member, and leaves no room for one: "a simple record".
    pub(crate) instead: Option<String>,
}

/// Reads them page by page. They stand together in Route 53's order, so the first other name or type ends it.
pub(crate) async fn list(client: &Client, with: &With, zone: &str, aws: &AwsTarget) -> Result<Found, ReadError> {
    let (name, kind) = (normal_name(&with.record), RrType::from(with.kind.as_str()));
    // A CNAME stands alone: whatever else has the name is in its way.
    let every_type = kind == RrType::Cname;
    let mut start = (Some(escaped(&with.record)), (!every_type).then(|| kind.clone()), None);
    let mut found = Found::default();
    loop {
        let request = client.list_resource_record_sets().hosted_zone_id(zone);
        let request = request.set_start_record_name(start.0).set_start_record_type(start.1);
        let page = request.set_start_record_identifier(start.2).send().await;
        let page =
            page.map_err(|error| errors::read(error, "route53:ListResourceRecordSets", &arn_of(aws, Some(zone))))?;
        for set in page.resource_record_sets.into_iter().filter(|set| normal_name(&set.name) == name) {
            if set.r#type == kind {
                let what = policy(&set);
                match RecordSet::from_aws(set) {
                    Some(member) => found.members.push(member),
                    None => found.instead = Some(what.to_owned()),
                }
            } else if every_type || set.r#type == RrType::Cname {
                found.instead = Some(format!("a record of type {}", set.r#type));
            }
        }
        let goes_on = (every_type || page.next_record_type.as_ref() == Some(&kind))
            && page.next_record_name.as_deref().is_some_and(|next| normal_name(next) == name);
        if !page.is_truncated || !goes_on {
            break;
        }
        start = (page.next_record_name, page.next_record_type, page.next_record_identifier);
    }
    found.members.sort_by(|a, b| a.set_identifier.cmp(&b.set_identifier));
    Ok(found)
}

/// The routing policy of a record that is not weighted, as the console calls it.
pub(crate) fn policy(set: &ResourceRecordSet) -> &'static str {
    match set {
        ResourceRecordSet { region: Some(_), .. } => "a record with latency routing",
        ResourceRecordSet { failover: Some(_), .. } => "a record with failover routing",
        ResourceRecordSet { geo_location: Some(_), .. } => "a record with geolocation routing",
        ResourceRecordSet { geo_proximity_location: Some(_), .. } => "a record with geoproximity routing",
        ResourceRecordSet { cidr_routing_config: Some(_), .. } => "a record with IP-based routing",
        ResourceRecordSet { multi_value_answer: Some(true), .. } => "a record with multivalue answer routing",
        _ => "a simple record",
    }
}

/// The time to live of the records of the same zone that members are aliases of, by set identifier. Route 53 answers with it.
pub(crate) async fn aliased_ttls(
    client: &Client,
    zone: &str,
    members: &[RecordSet],
    aws: &AwsTarget,
) -> Result<BTreeMap<String, i64>, ReadError> {
    let mut ttls = BTreeMap::new();
    for member in members {
        let Some(alias) = member.alias.as_ref().filter(|alias| alias.zone == zone) else { continue };
        let request = client.list_resource_record_sets().hosted_zone_id(zone).max_items(1);
        let request = request.start_record_name(&alias.dns_name).start_record_type(member.kind.as_str().into());
        let page = request.send().await;
        let page =
            page.map_err(|error| errors::read(error, "route53:ListResourceRecordSets", &arn_of(aws, Some(zone))))?;
        let target = page.resource_record_sets.into_iter().next();
        let target = target.filter(|set| normal_name(&set.name) == normal_name(&alias.dns_name));
        ttls.extend(target.and_then(|set| Some((member.set_identifier.clone(), set.ttl?))));
    }
    Ok(ttls)
}

/// Whether an accepted change is still on its way to Route 53's name servers.
pub(crate) async fn is_pending(client: &Client, aws: &AwsTarget, change_id: &str) -> Result<bool, ReadError> {
    let id = change_id.trim_start_matches("/change/");
    let arn = format!("arn:{}:route53:::change/{id}", place::partition(aws));
    match client.get_change().id(id).send().await {
        Ok(answer) => Ok(answer.change_info.is_some_and(|info| info.status == ChangeStatus::Pending)),
        // Route 53 forgets changes after a while; by then they are long in sync.
        Err(error) if errors::code(&error) == Some("NoSuchChange") => Ok(false),
        Err(error) => Err(errors::read(error, "route53:GetChange", &arn)),
    }
}
