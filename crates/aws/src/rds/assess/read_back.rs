//! The restored database, read back: is it what was wanted?

use std::collections::{BTreeMap, BTreeSet};

use belay_core::change::Assessment;

use super::{
    LISTED_WITHIN, STATUS_LAGS, View,
    changes::{CARRY, CARRY_AFTER, RESTORE},
};
use crate::rds::{
    Observed,
    behind::Replaced,
    carry, fields,
    owner::BELAY_TAGS,
    refused::Without,
    sent::{reporting, settling},
    source::Kind,
    spec::KeepEndpoint,
    state::Instance,
};

impl View<'_> {
    /// The restored instance has its place: does it have its settings and tags too? They hold up nothing before, since
    /// the data matters more; here a difference becomes a gate that a person passes.
    pub(super) fn read_back(&self, new: &Instance, model: Option<&Instance>) -> Assessment {
        let Some(model) = model else { return Assessment::InPlace };
        let coming = &new.pending;
        if !coming.is_empty() && self.sent.lately(LISTED_WITHIN) {
            return settling(format!("{} is back; {} to come into force", new.name, coming.join(", ")));
        }
        let mut differences = self.differences(model, new);
        differences.extend(coming.iter().map(|what| format!("pending: {what}")));
        if !differences.is_empty() && self.sent.lately(STATUS_LAGS) {
            return settling(format!("{} is back, and read until its settings show", new.name));
        }
        differences.extend(self.proxies(&new.name).differences(&self.now.proxied));
        differences.extend(self.left_behind(new));
        if differences.is_empty() {
            return self.told(new);
        }
        let refused = [CARRY, CARRY_AFTER]
            .into_iter()
            .flat_map(|base| carry::refused(&self.sent, base))
            .chain(Without::of(&self.sent, RESTORE).reasons());
        let refused = refused_words(refused);
        let source =
            if self.known_good.is_some() { "in the baseline".to_owned() } else { format!("on {}", model.name) };
        Assessment::Differs {
            why: format!(
                "{} has its data back, but is not set as {source}: {}{refused}. Set it by hand and retry, or skip; what need not be \
                 as it was may be named in `with.without`",
                new.name,
                differences.join("; ")
            ),
        }
    }

    fn differences(&self, model: &Instance, new: &Instance) -> Vec<String> {
        let settings = fields::told(&self.wanted(model), &new.settings);
        // Where no tags are kept at all, Belay's own are not missed.
        let tags = self.tags(model).into_iter().filter(|(key, _)| !new.tags.is_empty() || !key.starts_with(BELAY_TAGS));
        let tags = if self.with.without.contains("tags") { Vec::new() } else { tags_told(tags, &new.tags) };
        let roles = self.missing_roles(model, new).into_iter().map(|role| format!("role {}: missing", role.arn));
        let roles: Vec<String> = roles.collect();
        settings.into_iter().chain(tags).chain(roles).collect()
    }

    /// What no call carries over, as far as clients find the restored instance in the place of the other.
    fn left_behind(&self, new: &Instance) -> Vec<String> {
        if self.with.keep_endpoint == KeepEndpoint::None {
            return Vec::new();
        }
        let before = self.scope.before::<Observed>().ok().flatten();
        let (before, links) = match &before {
            Some(Observed::Instance(before)) => (before.instance.as_ref(), before.links.as_ref()),
            _ => (None, None),
        };
        let old = self.now.failed.as_ref().or(before).or(self.known_good);
        let Some(old) = old else { return Vec::new() };
        let of = Replaced {
            kind: Kind::Instance,
            name: &old.name,
            kept_as: &old.name,
            by: &new.name,
            resource_id: old.resource_id.as_deref(),
            attached: &old.attached,
            proxies: links
                .filter(|_| self.with.keep_endpoint == KeepEndpoint::Cname)
                .map_or(&[], |links| &links.proxies),
            custom_endpoints: &[],
            authenticates_by_iam: old.settings.iam_database_authentication == Some(true),
        };
        of.left_behind(new.resource_id.as_deref(), &self.with.without)
    }

    /// It is as it was; what is new about it goes on record.
    fn told(&self, new: &Instance) -> Assessment {
        match &new.attached.secret {
            Some(secret) if self.wanted(new).managed_password.is_some() => {
                reporting(format!("{} is back; its master password is in a new secret: {secret}", new.name))
            }
            _ => Assessment::InPlace,
        }
    }
}

/// For people: each setting that RDS refused, once for each reason.
pub(in crate::rds) fn refused_words(refused: impl Iterator<Item = (String, String)>) -> String {
    let why: BTreeSet<String> = refused.map(|(_, why)| why).collect();
    match why.is_empty() {
        true => String::new(),
        false => format!(" (RDS refused: {})", why.into_iter().collect::<Vec<_>>().join("; ")),
    }
}

/// For people: each tag that differs, wanted and found.
pub(in crate::rds) fn tags_told(
    wanted: impl Iterator<Item = (String, String)>,
    has: &BTreeMap<String, String>,
) -> Vec<String> {
    let told = wanted.filter_map(|(key, value)| match has.get(&key) {
        Some(found) if *found == value => None,
        Some(found) => Some(format!("tag {key}: wanted {value}, found {found}")),
        None => Some(format!("tag {key}: wanted {value}, found none")),
    });
    told.collect()
}
