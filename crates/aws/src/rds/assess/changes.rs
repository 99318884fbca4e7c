//! The changes of a restore, as a person reads them and as they are sent.

use std::{collections::BTreeMap, time::Duration};

use belay_core::change::{Change, Effect, Repeats};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::View;
use crate::rds::{
    KeepEndpoint, Settings, Source, Time,
    calls::Call,
    carry::Phase,
    cname::{self, Pointing},
    owner, proxies,
    refused::Without,
    settings::RestoreKind,
    source::bound,
    spec::Cname,
    state::{Attached, Instance, Role},
};

pub(in crate::rds) const RESTORE: &str = "restore";
pub(in crate::rds) const CARRY: &str = "carry";
pub(in crate::rds) const CARRY_AFTER: &str = "carry_after";
pub(in crate::rds) const ADD_ROLE: &str = "add_role";
pub(in crate::rds) const RENAME_FAILED: &str = "rename_failed";
pub(in crate::rds) const RENAME_RESTORED: &str = "rename_restored";

/// Typical of a small instance; AWS gives no figures, and it grows with the engine and with Multi-AZ.
pub(in crate::rds) const RESTORE_EXPECTED: Duration = Duration::from_secs(15 * 60);
pub(in crate::rds) const CARRY_EXPECTED: Duration = Duration::from_secs(5 * 60);
/// Typical: the rename and the reboot that it brings.
pub(in crate::rds) const RENAME_EXPECTED: Duration = Duration::from_secs(3 * 60);

/// Told with a rename, whose end RDS shows earlier.
pub(in crate::rds) const NAME_SERVERS: &str = "where the name leads for clients with another resolver than this host's: RDS takes up to about ten minutes until all its name \
     servers have the restored one, and a client that keeps addresses has to resolve anew";

/// Until all name servers of Route 53 know a change.
pub(in crate::rds) const POINT_EXPECTED: Duration = Duration::from_secs(60);

/// The change that sets the settings of a phase; see [`carry`](crate::rds::carry).
pub(in crate::rds) fn carry_id(phase: Phase) -> &'static str {
    match phase {
        Phase::BeforeTheSwap => CARRY,
        Phase::AfterTheSwap => CARRY_AFTER,
    }
}

impl View<'_> {
    /// `since`: the state of the data that is brought back.
    pub(super) fn restore_onwards(&self, old: &Instance, since: Option<Timestamp>) -> Vec<Change> {
        let (on_restore, later) = self.wanted(old).split(self.kind(), &old.engine);
        let without = Without::of(&self.sent, RESTORE);
        let class = without.class(on_restore.db_instance_class.as_ref(), old.settings.db_instance_class.as_ref());
        let given = Settings { db_instance_class: class, ..without.applied_to(&on_restore) };
        let mut changes = vec![self.restore(old, given, &without, since)];
        let before = Phase::BeforeTheSwap.of(&later);
        if !before.is_empty() {
            changes.push(self.carry(old, None, CARRY.to_owned(), before));
        }
        let roles =
            if self.with.without.contains("roles") { &[][..] } else { &self.known_good.unwrap_or(old).attached.roles };
        changes.extend(roles.iter().map(|role| self.add_role_to(&self.names.restored, role)));
        changes.extend(self.ending(old, None));
        changes
    }

    /// What follows once the restored instance has what it serves with; `new` is None before it exists.
    pub(super) fn ending(&self, old: &Instance, new: Option<&Instance>) -> Vec<Change> {
        let after = Phase::AfterTheSwap.of(&self.wanted(old).modifiable());
        let after = new.map_or(after.clone(), |new| after.missing_from(&new.settings));
        let after = (!after.is_empty()).then(|| self.carry(old, new, CARRY_AFTER.to_owned(), after));
        match (self.with.keep_endpoint, self.pointing(None)) {
            (KeepEndpoint::Rename, _) => {
                let moved = proxies::moved(self.with, self.now.links.as_ref());
                let moves = self.proxies(&self.names.own).planned(moved);
                self.renames(old, new).into_iter().chain(moves).chain(after).collect()
            }
            (KeepEndpoint::Cname, Some((cname, Pointing::Elsewhere { before, ttl_s }))) => {
                after.into_iter().chain([self.point_cname(cname, new, before, ttl_s)]).collect()
            }
            _ => after.into_iter().collect(),
        }
    }

    fn kind(&self) -> RestoreKind {
        match self.with.from {
            Source::Snapshot(_) | Source::NewestSnapshot(_) => RestoreKind::Snapshot,
            Source::Time(_) => RestoreKind::PointInTime,
        }
    }

    pub(super) fn carry_onwards(
        &self,
        phase: Phase,
        old: &Instance,
        new: &Instance,
        id: String,
        missing: Settings,
    ) -> Vec<Change> {
        let mut changes = vec![self.carry(old, Some(new), id, missing)];
        if phase == Phase::BeforeTheSwap && self.now.restored.is_some() {
            changes.extend(self.ending(old, Some(new)));
        }
        changes
    }

    pub(super) fn renames(&self, old: &Instance, new: Option<&Instance>) -> Vec<Change> {
        vec![self.rename_failed(old), self.rename_restored(Some(old), new)]
    }

    pub(super) fn add_role(&self, new: &Instance, role: &Role) -> Change {
        self.add_role_to(&new.name, role)
    }

    fn add_role_to(&self, name: &str, role: &Role) -> Change {
        let of = if role.feature.is_empty() { String::new() } else { format!(" for {}", role.feature) };
        let (arn, feature) = (role.arn.clone(), role.feature.clone());
        Change {
            id: format!("{ADD_ROLE}:{}", role.feature),
            title: format!("add the role {arn}{of} to {name}"),
            before: Value::Null,
            after: json!({ "role": arn, "feature": feature }),
            ..change(Call::AddRole { name: name.to_owned(), role: arn, feature }, CARRY_EXPECTED)
        }
    }

    fn restore(&self, old: &Instance, settings: Settings, without: &Without, since: Option<Timestamp>) -> Change {
        let name = self.names.restored.clone();
        let source = match &self.with.from {
            Source::Snapshot(_) | Source::NewestSnapshot(_) => match &self.now.snapshot {
                Some(found) if !found.instance.eq_ignore_ascii_case(&old.name) => {
                    format!("snapshot {} of {}", self.snapshot_name(), found.instance)
                }
                _ => format!("snapshot {}", self.snapshot_name()),
            },
            Source::Time(Time::Latest) => format!("the latest state of {}", old.name),
            Source::Time(_) => format!("an earlier state of {}", old.name),
        };
        let data_of = since.map(|since| format!(", data of {since}")).unwrap_or_default();
        let groups = self.other_engine(self.known_good.unwrap_or(old)).map(|engine| {
            format!("; with the default parameter and option group, since those of now do not fit {engine}")
        });
        let tags = self.tags(old);
        let beside = match (self.with.keep_endpoint, endpoint_of(&name, old)) {
            (KeepEndpoint::None, Some(endpoint)) => format!("; it stays beside {}, at {endpoint}", old.name),
            (KeepEndpoint::None, None) => format!("; it stays beside {}, under its own name", old.name),
            _ => String::new(),
        };
        Change {
            id: RESTORE.to_owned(),
            title: format!(
                "restore {name} from {source}{data_of}{}{}{}{beside}",
                groups.unwrap_or_default(),
                without.words(),
                self.tags_left_out(old)
            ),
            before: Value::Null,
            after: json!({
                "db_instance_identifier": name,
                "from": source,
                "data_of": since,
                "settings": settings,
                "tags": tags,
            }),
            // Asked for before the time that a restore takes is spent, though it comes with the rename.
            effects: self.with.test.is_none().then_some(Effect::LosesData { since }).into_iter().collect(),
            ..change(self.restore_call(old, name, settings, tags), RESTORE_EXPECTED)
        }
    }

    fn restore_call(&self, old: &Instance, name: String, settings: Settings, tags: BTreeMap<String, String>) -> Call {
        match &self.with.from {
            Source::Snapshot(_) | Source::NewestSnapshot(_) => {
                Call::RestoreFromSnapshot { snapshot: self.snapshot_name(), name, settings, tags }
            }
            Source::Time(time) => {
                let time = bound(self.scope, *time).ok().flatten();
                Call::RestoreToPointInTime { source: old.name.clone(), time, name, settings, tags }
            }
        }
    }

    /// As the plan names it, or the newest by its own name.
    fn snapshot_name(&self) -> String {
        match (&self.with.from, &self.now.snapshot) {
            (Source::Snapshot(name), _) => name.clone(),
            (_, found) => found.as_ref().map(|found| found.name.clone()).unwrap_or_default(),
        }
    }

    /// `new` is None before it exists.
    pub(super) fn point_cname(
        &self,
        cname: &Cname,
        new: Option<&Instance>,
        before: Option<String>,
        ttl_s: i64,
    ) -> Change {
        let endpoint = new.and_then(|new| new.endpoint.clone());
        let (call, words) =
            cname::change(cname, self.now.cname.as_ref(), &self.names.restored, endpoint, before, ttl_s);
        Change {
            id: cname::POINT.to_owned(),
            title: words.title,
            before: words.before,
            after: words.after,
            keeps: Some(self.names.own.clone()),
            effects: words.effects,
            ..change(call, POINT_EXPECTED)
        }
    }

    /// For the title: tags for which there is no room beside Belay's own.
    fn tags_left_out(&self, old: &Instance) -> String {
        owner::left_out_words(&self.known_good.unwrap_or(old).tags, owner::OF_INSTANCE)
    }

    /// Of the instance that is replaced.
    pub(super) fn tags(&self, old: &Instance) -> BTreeMap<String, String> {
        owner::tags(self.scope, &self.known_good.unwrap_or(old).tags, owner::OF_INSTANCE)
    }

    /// `new` is None before it exists; `settings` then are those that no restore takes.
    pub(super) fn carry(&self, old: &Instance, new: Option<&Instance>, id: String, settings: Settings) -> Change {
        let name = new.map_or(&self.names.restored, |new| &new.name).clone();
        let after = settings.fields();
        let has = new.map(|new| new.settings.fields()).unwrap_or_default();
        let before: Map<String, Value> =
            after.keys().map(|key| (key.clone(), has.get(key).cloned().unwrap_or(Value::Null))).collect();
        let fields = after.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let model = if self.known_good.is_some() { "in the baseline".to_owned() } else { format!("on {}", old.name) };
        let logs_before = new.and_then(|new| new.settings.cloudwatch_logs_exports.clone()).unwrap_or_default();
        Change {
            id,
            title: format!("set {fields} of {name} as {model}"),
            before: Value::Object(before),
            after: Value::Object(after),
            effects: Vec::new(),
            ..change(Call::Carry { name, settings, logs_before }, CARRY_EXPECTED)
        }
    }

    fn rename_failed(&self, old: &Instance) -> Change {
        let stays = staying(&old.attached);
        let title = match stays.is_empty() {
            true => format!("rename {} to {} (kept)", old.name, self.names.failed),
            false => format!("rename {} to {} (kept, with its {})", old.name, self.names.failed, stays.join(", ")),
        };
        Change {
            id: RENAME_FAILED.to_owned(),
            title,
            before: json!({ "db_instance_identifier": old.name }),
            after: json!({
                "db_instance_identifier": self.names.failed,
                "stays_with_it": stays,
            }),
            keeps: Some(self.names.failed.clone()),
            effects: applying(&old.queued),
            ..change(Call::Rename { from: old.name.clone(), to: self.names.failed.clone() }, RENAME_EXPECTED)
        }
    }

    /// `old`: None when somebody has deleted it meanwhile; `new`: None before it exists.
    pub(super) fn rename_restored(&self, old: Option<&Instance>, new: Option<&Instance>) -> Change {
        let (from, to) = (self.names.restored.clone(), self.names.own.clone());
        let missing = self.not_carried(old, new);
        let note = if missing.is_empty() { String::new() } else { format!(" (without its {})", missing.join(", ")) };
        let after = json!({ "db_instance_identifier": to, "not_carried": missing, "not_looked_up": NAME_SERVERS });
        Change {
            id: RENAME_RESTORED.to_owned(),
            title: format!("rename {from} to {to}{note}"),
            before: json!({ "db_instance_identifier": from }),
            after,
            effects: vec![Effect::Outage { expected: RENAME_EXPECTED }],
            ..change(Call::Rename { from, to }, RENAME_EXPECTED)
        }
    }

    /// Settings and tags that the restored instance does not have, though it was asked to.
    fn not_carried(&self, old: Option<&Instance>, new: Option<&Instance>) -> Vec<String> {
        let (Some(from), Some(new)) = (self.known_good.or(old), new) else { return Vec::new() };
        // Before `carry` was sent it is not known yet.
        let settings = match self.sent.at(CARRY) {
            Some(_) => Phase::BeforeTheSwap.of(&self.wanted(from).missing_from(&new.settings)),
            None => Settings::default(),
        };
        let tags = self.tags(from);
        let tags =
            tags.iter().filter(|(key, value)| new.tags.get(*key) != Some(value)).map(|(key, _)| format!("tag {key}"));
        settings.fields().keys().cloned().chain(tags).collect()
    }
}

/// Where an instance of this name will answer: all instances of an account and region share what follows the name.
fn endpoint_of(name: &str, other: &Instance) -> Option<String> {
    let (first, rest) = other.endpoint.as_deref()?.split_once('.')?;
    first.eq_ignore_ascii_case(&other.name).then(|| format!("{name}.{rest}"))
}

/// For people.
pub(in crate::rds) fn staying(attached: &Attached) -> Vec<String> {
    let replicas = attached.read_replicas.iter().map(|name| format!("read replica {name}"));
    let roles = attached.roles.iter().map(|role| format!("IAM role {}", role.arn));
    let password = attached.secret.iter().map(|arn| format!("secret {arn}"));
    let source = attached.replicates_from.iter().map(|name| format!("replication from {name}"));
    let backups = attached.replicated_backups.iter().map(|arn| format!("replicated backups {arn}"));
    let stream = attached.activity_stream.then(|| "activity stream".to_owned());
    replicas.chain(roles).chain(password).chain(source).chain(backups).chain(stream).collect()
}

/// Of a rename, which takes along what is queued on the database.
pub(in crate::rds) fn applying(queued: &[String]) -> Vec<Effect> {
    let outage = Effect::Outage { expected: RENAME_EXPECTED };
    match queued.is_empty() {
        true => vec![outage],
        false => vec![outage, Effect::Applies { queued: queued.to_vec() }],
    }
}

/// What all changes have in common; what people read is filled in by each.
pub(in crate::rds) fn change(call: Call, expected: Duration) -> Change {
    Change {
        id: String::new(),
        title: String::new(),
        before: Value::Null,
        after: Value::Null,
        call: call.action().to_owned(),
        args: serde_json::to_value(&call).expect("a call is plain data with text keys"),
        effects: Vec::new(),
        keeps: None,
        repeats: Repeats::Converges,
        expected,
    }
}
