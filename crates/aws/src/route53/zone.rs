//! The hosted zone that a plan names.

use aws_sdk_route53::{Client, types::HostedZone};
use belay_aws_catalogue::route53::{normal_name, zone_id};
use belay_ports::ReadError;

use crate::errors;

/// The id of the one zone of this name. An account may have a public one and any number of private ones.
///
/// # Errors
/// [`ReadError`], permanent where there is no such zone, or more than one.
pub(crate) async fn find(client: &Client, name: &str, private: Option<bool>) -> Result<String, ReadError> {
    let named = named(client, name).await?;
    let is_private = |zone: &HostedZone| zone.config.as_ref().is_some_and(|config| config.private_zone);
    let fits = |zone: &&HostedZone| private.is_none_or(|private| private == is_private(zone));
    let found: Vec<&HostedZone> = named.iter().filter(fits).collect();
    let permanent = |why: String| Err(ReadError { why, permanent: true });
    let listed = |zones: &mut dyn Iterator<Item = &HostedZone>| {
        let each = zones
            .map(|zone| format!("{} ({})", zone_id(&zone.id), if is_private(zone) { "private" } else { "public" }));
        each.collect::<Vec<_>>().join(", ")
    };
    match found.as_slice() {
        [zone] => Ok(zone_id(&zone.id).to_owned()),
        [] if named.is_empty() => permanent(format!(
            "route53:ListHostedZonesByName: this account has no hosted zone {name}; name the zone that the record is in, or \
             its id"
        )),
        [] => permanent(format!(
            "route53:ListHostedZonesByName: no hosted zone {name} fits `private: {}`; there is {}",
            private.unwrap_or_default(),
            listed(&mut named.iter())
        )),
        several => permanent(format!(
            "route53:ListHostedZonesByName: there are {} hosted zones {name}: {}; give `zone` the id of one of them, or tell \
             them apart with `private`",
            several.len(),
            listed(&mut several.iter().copied())
        )),
    }
}

/// All zones of this name, page by page. They stand together, so the first other name ends it.
async fn named(client: &Client, name: &str) -> Result<Vec<HostedZone>, ReadError> {
    let mut found = Vec::new();
    let mut start = (Some(name.to_owned()), None);
    loop {
        let page = client.list_hosted_zones_by_name().set_dns_name(start.0).set_hosted_zone_id(start.1).send().await;
        let page = page.map_err(|error| errors::read(error, "route53:ListHostedZonesByName", "*"))?;
        found.extend(page.hosted_zones.into_iter().filter(|zone| normal_name(&zone.name) == name));
        let goes_on = page.next_dns_name.as_deref().is_some_and(|next| normal_name(next) == name);
        if !page.is_truncated || !goes_on {
            return Ok(found);
        }
        start = (page.next_dns_name, page.next_hosted_zone_id.map(|next| zone_id(&next).to_owned()));
    }
}
