//! The restored cluster and its members, read back.

use belay_core::change::Assessment;

use super::{changes::of_member, state::Cluster, view::View};
use crate::rds::{
    assess::{LISTED_WITHIN, MODIFYING_WITHIN, changes::CARRY, read_back::tags_told},
    fields,
    names::Names,
    owner::{self, BELAY_TAGS},
    sent::settling,
    state::Instance,
};

impl View<'_> {
    /// Like that of an instance: a difference becomes a gate that a person passes.
    pub(super) fn read_back(&self, new: &Cluster, model: Option<&Cluster>) -> Assessment {
        let Some(model) = model else { return Assessment::InPlace };
        let coming = self.coming(new);
        if !coming.is_empty() && self.sent.lately(LISTED_WITHIN) {
            return settling(format!("{} is back; {} to come into force", new.name, coming.join(", ")));
        }
        let mut differences = fields::told(&self.wanted(model), &new.settings);
        differences.extend(self.tags(&self.model(model).tags, &new.tags));
        differences.extend(self.members_told(model));
        differences.extend(coming.into_iter().map(|what| format!("pending: {what}")));
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
                "the cluster {} has its data back, but is not set as {source}: {}{refused}. Set it by hand and retry, or skip",
                new.name,
                differences.join("; ")
            ),
        }
    }

    /// The restored member, under the name that it has by now.
    fn made(&self, name: &str) -> Option<&Instance> {
        let member = self.member(name)?;
        member
            .restored
            .as_ref()
            .or_else(|| member.instance.as_ref().filter(|found| self.has_taken_place(member, found)))
    }

    fn members_told(&self, model: &Cluster) -> Vec<String> {
        let mut told = Vec::new();
        for member in self.models(model) {
            let Some(made) = self.made(&member.name) else {
                told.push(format!("member {}: missing", member.name));
                continue;
            };
            let mut of_it = fields::told(&self.member_settings(&member), &made.settings);
            if member.instance.promotion_tier != made.promotion_tier {
                let tier = |tier: Option<i32>| tier.map_or_else(|| "none".to_owned(), |tier| tier.to_string());
                let (wanted, found) = (tier(member.instance.promotion_tier), tier(made.promotion_tier));
                of_it.push(format!("promotion_tier: wanted {wanted}, found {found}"));
            }
            of_it.extend(self.tags(&member.instance.tags, &made.tags));
            let refused = self.sent.refused(&of_member(CARRY, &member.name));
            of_it.extend(refused.map(|why| format!("RDS refused: {why}")));
            told.extend(of_it.into_iter().map(|what| format!("member {}: {what}", member.name)));
        }
        told
    }

    fn tags(
        &self,
        wanted: &std::collections::BTreeMap<String, String>,
        has: &std::collections::BTreeMap<String, String>,
    ) -> Vec<String> {
        let wanted = owner::tags(self.scope, wanted).into_iter();
        // Where no tags are kept at all, Belay's own are not missed.
        tags_told(wanted.filter(|(key, _)| !has.is_empty() || !key.starts_with(BELAY_TAGS)), has)
    }

    fn coming(&self, new: &Cluster) -> Vec<String> {
        let made = self.now.members.iter().filter_map(|member| self.made(&member.name));
        let of_members = made.flat_map(|made| made.pending.iter().map(|what| format!("{what}, of {}", made.name)));
        new.pending.iter().cloned().chain(of_members).collect()
    }
}

/// The names under which a member may be found in this run.
pub(super) fn names_of(member: &str, run: Option<&belay_core::id::RunId>) -> Vec<String> {
    let names = Names::new(member, run);
    match run {
        Some(_) => vec![names.restored, names.own, names.failed],
        // Placeholder names cannot be asked for.
        None => vec![names.own],
    }
}
