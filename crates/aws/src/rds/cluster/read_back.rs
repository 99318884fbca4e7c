//! The restored cluster and its members, read back.

use belay_aws_catalogue::rds::restore::AUTOSCALED_READERS;
use belay_core::change::Assessment;

use super::{
    autoscaled,
    changes::{CREATE, ENABLE_HTTP_ENDPOINT, of_member},
    state::Cluster,
    view::View,
};
use crate::rds::{
    Observed,
    assess::{
        LISTED_WITHIN, STATUS_LAGS,
        changes::{CARRY, CARRY_AFTER, RESTORE},
        read_back::{refused_words, tags_told},
    },
    behind::Replaced,
    carry, fields,
    names::Names,
    owner::{self, BELAY_TAGS, OF_INSTANCE, OF_MEMBER},
    refused::Without,
    sent::{reporting, settling},
    source::Kind,
    spec::KeepEndpoint,
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
        differences.extend(self.tags(&self.model(model).tags, &new.tags, OF_INSTANCE));
        differences.extend(self.members_told(model));
        differences.extend(coming.into_iter().map(|what| format!("pending: {what}")));
        if !differences.is_empty() && self.sent.lately(STATUS_LAGS) {
            return settling(format!("{} is back, and read until its settings show", new.name));
        }
        differences.extend(self.proxies(&new.name).differences(&self.now.proxied));
        differences.extend(self.left_behind(new));
        let readers = self.left_out(model).len();
        let readers = (readers > 0).then(|| autoscaled::told(readers, &self.names.own, self.with.keep_endpoint));
        let is_missed =
            self.with.keep_endpoint == KeepEndpoint::Cname && !self.with.without.contains(AUTOSCALED_READERS);
        differences.extend(readers.iter().filter(|_| is_missed).map(|what| format!("{AUTOSCALED_READERS}: {what}")));
        if differences.is_empty() {
            return self.told(new, readers.filter(|_| self.with.keep_endpoint == KeepEndpoint::Rename));
        }
        let refused = [CARRY, CARRY_AFTER, ENABLE_HTTP_ENDPOINT]
            .into_iter()
            .flat_map(|base| carry::refused(&self.sent, base))
            .chain(Without::of(&self.sent, RESTORE).reasons());
        let refused = refused_words(refused);
        let source =
            if self.known_good.is_some() { "in the baseline".to_owned() } else { format!("on {}", model.name) };
        Assessment::Differs {
            why: format!(
                "the cluster {} has its data back, but is not set as {source}: {}{refused}. Set it by hand and retry, or skip; \
                 what need not be as it was may be named in `with.without`",
                new.name,
                differences.join("; ")
            ),
        }
    }

    /// What no call carries over, as far as clients find the restored cluster in the place of the other.
    fn left_behind(&self, new: &Cluster) -> Vec<String> {
        if self.with.keep_endpoint == KeepEndpoint::None {
            return Vec::new();
        }
        let before = self.scope.before::<Observed>().ok().flatten();
        let (before, links) = match &before {
            Some(Observed::Cluster(before)) => (before.cluster.as_ref(), before.links.as_ref()),
            _ => (None, None),
        };
        let known = self.known_good.and_then(|baseline| baseline.cluster.as_ref());
        let Some(old) = self.now.failed.as_ref().or(before).or(known) else { return Vec::new() };
        let of = Replaced {
            kind: Kind::Cluster,
            name: &old.name,
            kept_as: &old.name,
            by: &new.name,
            resource_id: old.resource_id.as_deref(),
            attached: &old.attached,
            proxies: links
                .filter(|_| self.with.keep_endpoint == KeepEndpoint::Cname)
                .map_or(&[], |links| &links.proxies),
            custom_endpoints: &old.custom_endpoints,
            authenticates_by_iam: old.settings.iam_database_authentication == Some(true),
        };
        of.left_behind(new.resource_id.as_deref(), &self.with.without)
    }

    /// It is as it was; what is new about it goes on record.
    fn told(&self, new: &Cluster, readers: Option<String>) -> Assessment {
        let managed = new.attached.secret.as_ref().filter(|_| self.wanted(new).managed_password.is_some());
        let managed = managed.map(|secret| format!("its master password is in a new secret: {secret}"));
        let told: Vec<String> = managed.into_iter().chain(readers).collect();
        match told.is_empty() {
            true => Assessment::InPlace,
            false => reporting(format!("{} is back; {}", new.name, told.join("; "))),
        }
    }

    /// The restored member, under the name that it has by now.
    pub(super) fn made(&self, name: &str) -> Option<&Instance> {
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
            of_it.extend(self.tags(&member.instance.tags, &made.tags, OF_MEMBER));
            if !of_it.is_empty() {
                let base = |change: &str| of_member(change, &member.name);
                let carried = [CARRY, CARRY_AFTER].into_iter().flat_map(|of| carry::refused(&self.sent, &base(of)));
                let words = refused_words(carried.chain(Without::of(&self.sent, &base(CREATE)).reasons()));
                of_it.extend(Some(words.trim().to_owned()).filter(|words| !words.is_empty()));
            }
            told.extend(of_it.into_iter().map(|what| format!("member {}: {what}", member.name)));
        }
        told
    }

    fn tags(
        &self,
        wanted: &std::collections::BTreeMap<String, String>,
        has: &std::collections::BTreeMap<String, String>,
        own: usize,
    ) -> Vec<String> {
        if self.with.without.contains("tags") {
            return Vec::new();
        }
        let wanted = owner::tags(self.scope, wanted, own).into_iter();
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
