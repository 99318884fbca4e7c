//! The changes of a cluster's restore, as a person reads them and as they are sent.

use std::{collections::BTreeMap, time::Duration};

use belay_aws_catalogue::rds::cluster_settings;
use belay_core::change::{Change, Effect};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    autoscaled,
    calls::ClusterCall,
    settings::ClusterSettings,
    state::{Cluster, Member},
    view::{MemberModel, View},
};
use crate::rds::{
    KeepEndpoint, Settings, Source, Time,
    assess::changes::{
        CARRY, CARRY_AFTER, CARRY_EXPECTED, NAME_SERVERS, POINT_EXPECTED, RENAME_EXPECTED, RENAME_FAILED,
        RENAME_RESTORED, RESTORE, applying, change, staying,
    },
    calls::Call,
    carry::Phase,
    cname::{self, Pointing},
    fields,
    names::Names,
    owner::{self, OF_INSTANCE, OF_MEMBER, REPLACES_TAG},
    proxies,
    refused::Without,
    source::bound,
    spec::Cname,
    state::Instance,
};

/// Typical of Aurora, whose volume is copied lazily; AWS gives no figures.
pub(super) const RESTORE_EXPECTED: Duration = Duration::from_secs(15 * 60);
/// Typical of an instance of any class.
pub(super) const CREATE_EXPECTED: Duration = Duration::from_secs(10 * 60);

/// The change of one member, by the name that clients know.
pub(super) fn of_member(change: &str, member: &str) -> String {
    format!("{change}:{member}")
}

/// Aurora User Guide, "Renaming a DB cluster": told with the rename.
pub(super) const CERTIFICATE: &str = "Certificates carry the names of endpoints, and those of a renamed Aurora cluster have the new ones only after a \
                                      stop and start: clients that verify the host name may refuse it until then";

pub(in crate::rds) const CREATE: &str = "create_member";
pub(super) const ENABLE_HTTP_ENDPOINT: &str = "enable_http_endpoint";

impl View<'_> {
    /// `since`: the state of the data that is brought back.
    pub(super) fn restore_onwards(&self, old: &Cluster, since: Option<Timestamp>) -> Vec<Change> {
        let wanted = self.wanted(old);
        let on_restore = |name: &str| cluster_settings::on_restore(name, old.is_aurora());
        let later = fields::only(&wanted, |name| !on_restore(name) && cluster_settings::modifiable(name));
        let later = Phase::BeforeTheSwap.of(&later);
        let without = Without::of(&self.sent, RESTORE);
        let wanted_class = wanted.db_cluster_instance_class.as_ref();
        let class = without.class(wanted_class, old.settings.db_cluster_instance_class.as_ref());
        let class = class.or_else(|| wanted_class.cloned());
        let given = ClusterSettings {
            db_cluster_instance_class: class,
            ..without.applied_to(&fields::only(&wanted, on_restore))
        };
        let mut changes = vec![self.restore(old, given, &without, since)];
        if later != ClusterSettings::default() {
            changes.push(self.carry(old, None, CARRY.to_owned(), later));
        }
        changes.extend(self.create_onwards(old));
        changes.extend(wanted.http_endpoint.map(|_| self.enable_http_endpoint(old.arn.as_deref())));
        changes.extend(self.ending(old, None));
        changes
    }

    /// The members that are still to be made, the writer first.
    pub(super) fn create_onwards(&self, old: &Cluster) -> Vec<Change> {
        let models = self.models(old);
        models.iter().filter(|model| !self.is_made(&model.name)).map(|model| self.create(old, model)).collect()
    }

    /// What follows once the restored cluster and its members are as they were; `new` is None before it exists.
    pub(super) fn ending(&self, old: &Cluster, new: Option<&Cluster>) -> Vec<Change> {
        let after = self.carry_after(old, new);
        match (self.with.keep_endpoint, self.pointing(None)) {
            (KeepEndpoint::Rename, _) => {
                let mut changes = vec![self.rename_failed(old), self.rename_restored()];
                changes.extend(self.member_renames(old));
                let moved = proxies::moved(self.with, self.now.links.as_ref());
                changes.extend(self.proxies(&self.names.own).planned(moved));
                changes.into_iter().chain(after).collect()
            }
            (KeepEndpoint::Cname, Some((cname, Pointing::Elsewhere { before, ttl_s }))) => {
                after.into_iter().chain([self.point_cname(cname, new, before, ttl_s)]).collect()
            }
            _ => after.into_iter().collect(),
        }
    }

    /// What the cluster serves without, as far as it is missing; `new` is None before it exists.
    pub(super) fn carry_after(&self, old: &Cluster, new: Option<&Cluster>) -> Option<Change> {
        let wanted = fields::only(&self.wanted(old), cluster_settings::modifiable);
        let after = Phase::AfterTheSwap.of(&wanted);
        let after = new.map_or(after.clone(), |new| fields::missing(&after, &new.settings));
        (after != ClusterSettings::default()).then(|| self.carry(old, new, CARRY_AFTER.to_owned(), after))
    }

    /// `arn`: of the cluster that is replaced; the restored one's has its name in its place.
    pub(super) fn enable_http_endpoint(&self, arn: Option<&str>) -> Change {
        let name = &self.names.restored;
        let arn = arn.and_then(|arn| arn.rsplit_once(':')).map(|(begin, _)| format!("{begin}:{name}"));
        Change {
            id: ENABLE_HTTP_ENDPOINT.to_owned(),
            title: format!("enable the Data API of {name}"),
            before: json!({ "http_endpoint": false }),
            after: json!({ "http_endpoint": true }),
            ..change(Call::Cluster(ClusterCall::EnableHttpEndpoint { arn: arn.unwrap_or_default() }), CARRY_EXPECTED)
        }
    }

    /// All that is left of the members' dance.
    pub(super) fn member_renames(&self, old: &Cluster) -> Vec<Change> {
        let mut changes = Vec::new();
        for model in self.models(old).iter().rev() {
            let found = self.member(&model.name);
            if self.has_its_place(&model.name) {
                continue;
            }
            if found.is_none_or(|found| found.instance.is_some()) && model.old.is_some() {
                changes.push(self.rename_member_failed(&model.name));
            }
            changes.push(self.rename_member_restored(&model.name));
        }
        changes
    }

    fn restore(&self, old: &Cluster, settings: ClusterSettings, without: &Without, since: Option<Timestamp>) -> Change {
        let name = self.names.restored.clone();
        let source = match &self.with.from {
            Source::Snapshot(_) | Source::NewestSnapshot(_) => format!("snapshot {}", self.snapshot_name()),
            Source::Time(Time::Latest) => format!("the latest state of {}", old.name),
            Source::Time(_) => format!("an earlier state of {}", old.name),
        };
        let data_of = since.map(|since| format!(", data of {since}")).unwrap_or_default();
        let groups = self
            .other_version(old)
            .map(|engine| format!("; with the default parameter groups, since those of now do not fit {engine}"));
        let beside = match self.with.keep_endpoint {
            KeepEndpoint::None => format!("; it stays beside {}, under its own name", old.name),
            KeepEndpoint::Rename | KeepEndpoint::Cname => String::new(),
        };
        let left_out = match self.left_out(old).len() {
            0 => String::new(),
            count => format!("; {}", autoscaled::told(count, &self.names.own, self.with.keep_endpoint)),
        };
        let tags = owner::tags(self.scope, &self.model(old).tags, OF_INSTANCE);
        let fewer = owner::left_out_words(&self.model(old).tags, OF_INSTANCE);
        Change {
            id: RESTORE.to_owned(),
            title: format!(
                "restore cluster {name} from {source}{data_of}{}{}{fewer}{beside}{left_out}",
                groups.unwrap_or_default(),
                without.words()
            ),
            before: Value::Null,
            after: json!({
                "db_cluster_identifier": name,
                "from": source,
                "data_of": since,
                "settings": settings,
                "tags": tags,
            }),
            // Asked for before the time that a restore takes is spent, though it comes with the rename.
            effects: self.with.test.is_none().then_some(Effect::LosesData { since }).into_iter().collect(),
            ..change(Call::Cluster(self.restore_call(old, name, settings, tags)), RESTORE_EXPECTED)
        }
    }

    fn restore_call(
        &self,
        old: &Cluster,
        name: String,
        settings: ClusterSettings,
        tags: BTreeMap<String, String>,
    ) -> ClusterCall {
        match (&self.with.from, &self.now.snapshot) {
            (Source::Time(time), _) => {
                let time = bound(self.scope, *time).ok().flatten();
                ClusterCall::RestoreToPointInTime { source: old.name.clone(), time, name, settings, tags }
            }
            (_, found) => ClusterCall::RestoreFromSnapshot {
                snapshot: self.snapshot_name(),
                engine: found.as_ref().map_or(&old.engine, |found| &found.engine).clone(),
                engine_version: found.as_ref().map_or(&old.engine_version, |found| &found.engine_version).clone(),
                name,
                settings,
                tags,
            },
        }
    }

    /// `new` is None before it exists; `settings` then are those that no restore takes.
    pub(super) fn carry(&self, old: &Cluster, new: Option<&Cluster>, id: String, settings: ClusterSettings) -> Change {
        let name = new.map_or(&self.names.restored, |new| &new.name).clone();
        let has = new.map(|new| fields::fields(&new.settings)).unwrap_or_default();
        let logs_before = new.and_then(|new| new.settings.cloudwatch_logs_exports.clone()).unwrap_or_default();
        let (title, before, after) = self.set(&name, &old.name, &has, fields::fields(&settings));
        Change {
            id,
            title,
            before,
            after,
            ..change(Call::Cluster(ClusterCall::Carry { name, settings, logs_before }), CARRY_EXPECTED)
        }
    }

    pub(super) fn carry_member(
        &self,
        model: &MemberModel<'_>,
        new: &Instance,
        id: String,
        settings: Settings,
    ) -> Change {
        let (title, before, after) = self.set(&new.name, &model.name, &new.settings.fields(), settings.fields());
        let call = Call::Carry { name: new.name.clone(), settings, logs_before: Vec::new() };
        Change { id, title, before, after, ..change(call, CARRY_EXPECTED) }
    }

    /// The words and images of a change that sets settings.
    fn set(&self, name: &str, of: &str, has: &Map<String, Value>, after: Map<String, Value>) -> (String, Value, Value) {
        let before: Map<String, Value> =
            after.keys().map(|key| (key.clone(), has.get(key).cloned().unwrap_or(Value::Null))).collect();
        let names = after.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let model = if self.known_good.is_some() { "in the baseline".to_owned() } else { format!("on {of}") };
        (format!("set {names} of {name} as {model}"), Value::Object(before), Value::Object(after))
    }

    pub(super) fn create(&self, old: &Cluster, model: &MemberModel<'_>) -> Change {
        let name = Names::new(&model.name, self.scope.run.as_ref()).restored;
        let without = Without::of(&self.sent, &of_member(CREATE, &model.name));
        let wanted = self.member_settings(model);
        // None is made without a class, whatever the plan does without.
        let as_it_was = model.instance.settings.db_instance_class.as_ref();
        let present = model.old.and_then(|old| old.settings.db_instance_class.as_ref());
        let class = without.class(wanted.db_instance_class.as_ref().or(as_it_was), present);
        let class = class.or_else(|| as_it_was.cloned());
        let settings = Settings { db_instance_class: class, ..without.applied_to(&wanted) };
        let mut tags = owner::tags(self.scope, &model.instance.tags, OF_MEMBER);
        tags.insert(REPLACES_TAG.to_owned(), model.name.clone());
        let role = if model.writer { "writer" } else { "reader" };
        let call = ClusterCall::CreateMember {
            cluster: self.names.restored.clone(),
            name: name.clone(),
            engine: old.engine.clone(),
            settings: settings.clone(),
            promotion_tier: model.instance.promotion_tier,
            tags: tags.clone(),
        };
        Change {
            id: of_member(CREATE, &model.name),
            title: format!(
                "create {name} in {} as {} was, its {role}{}",
                self.names.restored,
                model.name,
                without.words()
            ),
            before: Value::Null,
            after: json!({
                "db_instance_identifier": name,
                "settings": settings,
                "promotion_tier": model.instance.promotion_tier,
                "tags": tags,
            }),
            ..change(Call::Cluster(call), CREATE_EXPECTED)
        }
    }

    fn rename_failed(&self, old: &Cluster) -> Change {
        let endpoints = old.custom_endpoints.iter().map(|name| format!("custom endpoint {name}"));
        let stays: Vec<String> = staying(&old.attached).into_iter().chain(endpoints).collect();
        let (from, to) = (old.name.clone(), self.names.failed.clone());
        let title = match stays.is_empty() {
            true => format!("rename cluster {from} to {to} (kept)"),
            false => format!("rename cluster {from} to {to} (kept, with its {})", stays.join(", ")),
        };
        Change {
            id: RENAME_FAILED.to_owned(),
            title,
            before: json!({ "db_cluster_identifier": from }),
            after: json!({
                "db_cluster_identifier": to,
                "stays_with_it": stays,
            }),
            keeps: Some(format!("cluster {to}")),
            effects: applying(&old.queued),
            ..change(Call::Cluster(ClusterCall::Rename { from, to }), RENAME_EXPECTED)
        }
    }

    pub(super) fn rename_restored(&self) -> Change {
        let (from, to) = (self.names.restored.clone(), self.names.own.clone());
        let found = [&self.now.restored, &self.now.cluster].into_iter().flatten().next();
        let certificate = found.filter(|found| found.is_aurora()).map(|_| CERTIFICATE);
        Change {
            id: RENAME_RESTORED.to_owned(),
            title: format!("rename cluster {from} to {to}: its writer and reader endpoints are back"),
            before: json!({ "db_cluster_identifier": from }),
            after: json!({ "db_cluster_identifier": to, "not_looked_up": NAME_SERVERS, "certificate": certificate }),
            effects: vec![Effect::Outage { expected: RENAME_EXPECTED }],
            ..change(Call::Cluster(ClusterCall::Rename { from, to }), RENAME_EXPECTED)
        }
    }

    pub(super) fn rename_member_failed(&self, member: &str) -> Change {
        let names = Names::new(member, self.scope.run.as_ref());
        let old = self.member(member).and_then(|found| found.instance.as_ref());
        let queued = old.map(|old| old.queued.as_slice()).unwrap_or_default();
        let kept = names.failed.clone();
        let rename = rename_instance(of_member(RENAME_FAILED, member), names.own, names.failed, " (kept)", queued);
        Change { keeps: Some(kept), ..rename }
    }

    pub(super) fn rename_member_restored(&self, member: &str) -> Change {
        let names = Names::new(member, self.scope.run.as_ref());
        rename_instance(of_member(RENAME_RESTORED, member), names.restored, names.own, "", &[])
    }

    /// `new` is None before it exists.
    pub(super) fn point_cname(
        &self,
        cname: &Cname,
        new: Option<&Cluster>,
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
            keeps: Some(format!("cluster {}", self.names.own)),
            effects: words.effects,
            ..change(call, POINT_EXPECTED)
        }
    }

    /// One member as it is found under its names.
    pub(super) fn member(&self, name: &str) -> Option<&Member> {
        self.now.members.iter().find(|member| member.name == name)
    }
}

fn rename_instance(id: String, from: String, to: String, note: &str, queued: &[String]) -> Change {
    Change {
        id,
        title: format!("rename {from} to {to}{note}"),
        before: json!({ "db_instance_identifier": from }),
        after: json!({ "db_instance_identifier": to }),
        effects: applying(queued),
        ..change(Call::Rename { from, to }, RENAME_EXPECTED)
    }
}
