//! Which hosted zone a plan means: by its id, or by its name.

use aws_sdk_route53::{Client, types::HostedZone};
use belay_ports::ReadError;

use super::record::normal_name;
use crate::errors;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Zone {
    Id(String),
    /// In its normal form.
    Name(String),
}

impl Zone {
    /// An id has capitals and digits alone, and a name at least one dot.
    pub(crate) fn of(written: &str) -> Self {
        match id(written) {
            id if id.contains('.') => Self::Name(normal_name(id)),
            id => Self::Id(id.to_owned()),
        }
    }
}

/// `Z123` of `/hostedzone/Z123`, as Route 53 answers.
pub(crate) fn id(written: &str) -> &str {
    written.strip_prefix("/hostedzone/").unwrap_or(written)
}

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
        let each =
            zones.map(|zone| format!("{} ({})", id(&zone.id), if is_private(zone) { "private" } else { "public" }));
        each.collect::<Vec<_>>().join(", ")
    };
    match found.as_slice() {
        [zone] => Ok(id(&zone.id).to_owned()),
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
        start = (page.next_dns_name, page.next_hosted_zone_id.map(|next| id(&next).to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_told_from_a_name() {
        assert_eq!(Zone::of("Z0123ABC"), Zone::Id("Z0123ABC".to_owned()));
        assert_eq!(Zone::of("/hostedzone/Z0123ABC"), Zone::Id("Z0123ABC".to_owned()));
        assert_eq!(Zone::of("Example.com."), Zone::Name("example.com".to_owned()));
        assert_eq!(Zone::of("internal."), Zone::Name("internal".to_owned()));
    }
}
