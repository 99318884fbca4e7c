//! The restored database, read back: is it what was wanted?

use std::collections::BTreeMap;

use belay_core::change::Assessment;

use super::{LISTED_WITHIN, MODIFYING_WITHIN, View, changes::CARRY};
use crate::rds::{fields, owner::BELAY_TAGS, sent::settling, state::Instance};

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
        if differences.is_empty() {
            return Assessment::InPlace;
        }
        if self.sent.lately(MODIFYING_WITHIN) {
            return settling(format!("{} is back, and read until its settings show", new.name));
        }
        let refused = self.sent.refused(CARRY).map(|why| format!(" (RDS refused: {why})")).unwrap_or_default();
        let source =
            if self.known_good.is_some() { "in the baseline".to_owned() } else { format!("on {}", model.name) };
        Assessment::Differs {
            why: format!(
                "{} has its data back, but is not set as {source}: {}{refused}. Set it by hand and retry, or skip",
                new.name,
                differences.join("; ")
            ),
        }
    }

    fn differences(&self, model: &Instance, new: &Instance) -> Vec<String> {
        let settings = fields::told(&self.wanted(model), &new.settings);
        // Where no tags are kept at all, Belay's own are not missed.
        let tags = self.tags(model).into_iter().filter(|(key, _)| !new.tags.is_empty() || !key.starts_with(BELAY_TAGS));
        settings.into_iter().chain(tags_told(tags, &new.tags)).collect()
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
