//! How far the restore of a cluster has come, read off what is there. Pure.
//!
//! ```text
//! CLUSTER   -restored-RUN   -failed-RUN
//! old       -               -              restore
//! old       new             -              carry; create its members, the writer first; then rename_failed
//! -         new             old            rename_restored: nothing answers to the endpoints until it is done
//! new       -               old            the same dance for one member after the other, the writer last; then carry_after
//! ```

use belay_aws_catalogue::rds::cluster_settings;
use belay_aws_catalogue::rds::engines;
use belay_core::change::{Assessment, Receipt};
use belay_ports::{RestorePoint, Scope};

use super::{
    changes::{CREATE, CREATE_EXPECTED, ENABLE_HTTP_ENDPOINT, RESTORE_EXPECTED, of_member},
    state::{Cluster, ClusterState},
    view::{MemberModel, View},
};
use crate::rds::{
    assess::{
        LISTED_WITHIN, STATUS_LAGS,
        changes::{CARRY, CARRY_EXPECTED, RENAME_EXPECTED, RENAME_FAILED, RENAME_RESTORED, RESTORE, carry_id},
        showing,
    },
    carry::{self, Next, Phase as SettingsPhase},
    cname::Pointing,
    eligible, fields,
    names::Names,
    owner::{self, Owner},
    sent::{Sent, answering, failed, settling},
    source::{Kind, Sought},
    spec::{KeepEndpoint, With},
    state::Instance,
    status::{Phase, Service, phase, service},
    steady,
};

/// Changes that RDS carries out after it has accepted them.
const MODIFICATIONS: [&str; 2] = [CARRY, ENABLE_HTTP_ENDPOINT];

pub(in crate::rds) fn assess(
    scope: &Scope,
    with: &With,
    cluster: &str,
    now: &ClusterState,
    baseline: Option<&ClusterState>,
    receipts: &[Receipt],
) -> Assessment {
    let known_good = baseline.filter(|baseline| baseline.cluster.is_some());
    let sent = Sent { sends: &scope.sent, receipts, looked: now.looked };
    View { scope, with, now, known_good, sent, names: Names::new(cluster, scope.run.as_ref()) }.assess()
}

/// To which state of the data a restore would go back.
pub(in crate::rds) fn restore_point(scope: &Scope, with: &With, cluster: &str, now: &ClusterState) -> RestorePoint {
    match &now.cluster {
        Some(old) => sought(scope, with, old, now).restore_point(),
        None => RestorePoint::unknown(format!("there is no cluster {cluster}")),
    }
}

fn sought<'a>(scope: &'a Scope, with: &'a With, old: &'a Cluster, now: &'a ClusterState) -> Sought<'a> {
    Sought {
        scope,
        from: &with.from,
        kind: Kind::Cluster,
        name: &old.name,
        looked: now.looked,
        snapshot: now.snapshot.as_ref(),
        latest_restorable: old.latest_restorable,
        earliest_restorable: old.earliest_restorable,
        created: old.created,
        retention_days: old.settings.backup_retention_days,
    }
}

impl View<'_> {
    fn assess(&self) -> Assessment {
        let ClusterState { cluster, restored, failed: moved, .. } = self.now;
        let name = &self.names.own;
        if self.scope.run.is_none() {
            return match cluster {
                Some(old) => self.original(old),
                None => failed(format!("there is no cluster {name}")),
            };
        }
        if let Some(twice) = listed_twice([cluster, restored, moved]) {
            return settling(format!("{twice} is being renamed: it is listed under two names"));
        }
        if let Some(why) = self.foreign() {
            return Assessment::Ambiguous { why };
        }
        if let (Some(new), true) = (restored, self.with.keep_endpoint != KeepEndpoint::Rename) {
            return self.restored(cluster.as_ref(), new);
        }
        match (cluster, restored, moved) {
            (Some(found), None, moved) => match (owner::of(self.scope, &found.tags), moved) {
                (Owner::Ours, _) | (Owner::Untagged, Some(_)) => self.swapped(found),
                (_, None) => self.original(found),
                (_, Some(_)) => self.somebody_elses(found),
            },
            (Some(old), Some(new), None) => self.restored(Some(old), new),
            (Some(found), Some(_), Some(_)) => self.somebody_elses(found),
            (None, Some(new), _) => self.between(new),
            (None, None, Some(_)) if self.sent.perhaps(RENAME_RESTORED, LISTED_WITHIN) => {
                settling(format!("the restored cluster is being renamed to {name}: it is listed under neither name"))
            }
            (None, None, None)
                if [RENAME_FAILED, RENAME_RESTORED].iter().any(|sent| self.sent.perhaps(sent, LISTED_WITHIN)) =>
            {
                settling(format!(
                    "the clusters {name} and {} are being renamed: neither is listed under any of its names",
                    self.names.restored
                ))
            }
            (None, None, Some(_)) => failed(format!(
                "there is no cluster {name} and no {}; the replaced cluster is kept as {}",
                self.names.restored, self.names.failed
            )),
            (None, None, None) => failed(format!(
                "there is no cluster {name}, and neither {} nor {}",
                self.names.restored, self.names.failed
            )),
        }
    }

    /// What has a name of this run, and was made by somebody else.
    fn foreign(&self) -> Option<String> {
        let members = self.now.members.iter().filter_map(|member| member.restored.as_ref());
        let members = members.map(|found| (&found.name, &found.tags));
        let clusters = self.now.restored.iter().map(|found| (&found.name, &found.tags));
        clusters.chain(members).find_map(|(name, tags)| {
            let run = owner::foreign(self.scope, tags)?;
            Some(format!("{name} is there already, and its tags say that it was made {run}"))
        })
    }

    fn somebody_elses(&self, found: &Cluster) -> Assessment {
        let by = match owner::of(self.scope, &found.tags) {
            Owner::Another { run } => format!("its tags say that it was made {run}"),
            Owner::Ours => format!("{} is still there as well", self.names.restored),
            Owner::Unmarked | Owner::Untagged => "its tags do not say that Belay made it".to_owned(),
        };
        Assessment::Ambiguous {
            why: format!(
                "the cluster {} was moved to {}, and now there is another {}: {by}",
                found.name, self.names.failed, found.name
            ),
        }
    }

    fn original(&self, old: &Cluster) -> Assessment {
        if let Some(why) = engines::engine_of_cluster(&old.name, &old.engine) {
            return failed(why);
        }
        if old.limitless {
            return failed(format!(
                "{} is an Aurora Limitless Database, whose shards `rds.restore` does not make: restore it by hand",
                old.name
            ));
        }
        if let Some(global) = &old.global_cluster {
            return failed(format!(
                "{} belongs to the global database {global}: a restored cluster cannot take its place there. Remove it first \
                 (`aws rds remove-from-global-cluster`), or fail over to another Region instead",
                old.name
            ));
        }
        if let Some(at) = self.sent.recently(RESTORE, LISTED_WITHIN) {
            let note = format!("AWS accepted the restore; {} is not listed yet", self.names.restored);
            return self.sent.settling(Some(at), RESTORE_EXPECTED, None, note);
        }
        if let Some(why) = self.held(old) {
            return failed(why);
        }
        if let Some((_, Pointing::Refused { why })) = self.pointing(None) {
            return failed(why);
        }
        if let Some(snapshot) = self.now.snapshot.as_ref().filter(|snapshot| snapshot.engine != old.engine) {
            return failed(format!(
                "snapshot {} is of {}, and the cluster {} runs {}: it cannot take its place",
                self.snapshot_name(),
                snapshot.engine,
                old.name,
                old.engine
            ));
        }
        match sought(self.scope, self.with, old, self.now).data() {
            Ok(since) => Assessment::Remaining(self.restore_onwards(old, since)),
            Err(verdict) => verdict,
        }
    }

    /// Why RDS would not rename the replaced cluster, or one of its members, if so.
    fn held(&self, old: &Cluster) -> Option<String> {
        let keep = self.with.keep_endpoint;
        let links = self.now.links.as_ref().filter(|_| keep == KeepEndpoint::Rename);
        // They keep their names.
        let left_out = self.left_out(old);
        let renamed = self.now.members.iter().filter(|member| !left_out.contains(&member.name.as_str()));
        let replaced =
            renamed.filter_map(|member| member.instance.as_ref().filter(|found| !self.has_taken_place(member, found)));
        let members = || replaced.filter_map(|found| eligible::held("member", &found.name, &found.status, keep)).next();
        let cluster = eligible::held("cluster", &old.name, &old.status, keep);
        cluster.or_else(members).or_else(|| links?.held(&old.name))
    }

    /// The restored cluster is there under its own name. `old` is None when somebody has deleted the other.
    fn restored(&self, old: Option<&Cluster>, new: &Cluster) -> Assessment {
        if let Some(waiting) = self.unfit(new, RESTORE) {
            return waiting;
        }
        if let Some(at) = self.sent.recently(RENAME_FAILED, LISTED_WITHIN) {
            let note = format!("AWS accepted the new name of the cluster {}, which it has not yet", self.names.own);
            return self.sent.settling(Some(at), RENAME_EXPECTED, None, note);
        }
        let model = old.or_else(|| self.known_good.and_then(|baseline| baseline.cluster.as_ref()));
        if let Some(building) = model.and_then(|model| self.building(model, new)) {
            return building;
        }
        if let Some(waiting) = model.and_then(|model| self.unanswering(model, new)) {
            return waiting;
        }
        let after = || model.and_then(|model| self.carrying_after(model, new));
        if let Some(carrying) = after().filter(|_| self.with.keep_endpoint != KeepEndpoint::Rename) {
            return carrying;
        }
        match (self.with.keep_endpoint, self.pointing(new.endpoint.as_deref())) {
            (KeepEndpoint::Rename, _) => self.unsteady(new).unwrap_or_else(|| self.ready_to_swap(old, new)),
            (_, None | Some((_, Pointing::There))) => match self.read_back(new, model) {
                Assessment::InPlace => answering(&new.name, new.endpoint.as_deref()),
                differs => differs,
            },
            (_, Some((_, Pointing::Refused { why }))) => failed(why),
            (_, Some((cname, Pointing::Spreading))) => {
                settling(format!("{} points to {}; not all name servers know it yet", cname.record, new.name))
            }
            (_, Some((_, Pointing::Elsewhere { .. }))) if new.endpoint.is_none() => {
                settling(format!("{} has no endpoint yet", new.name))
            }
            (_, Some((cname, Pointing::Elsewhere { before, ttl_s }))) => {
                Assessment::Remaining(vec![self.point_cname(cname, Some(new), before, ttl_s)])
            }
        }
    }

    fn ready_to_swap(&self, old: Option<&Cluster>, new: &Cluster) -> Assessment {
        let Some(old) = old else { return Assessment::Remaining(vec![self.rename_restored()]) };
        if let Some(name) = &old.renaming_to {
            return settling(format!("the cluster {} is being renamed to {name}", old.name));
        }
        if let Some(why) = self.held(old) {
            return failed(why);
        }
        if phase(&old.status) == Phase::Changing || eligible::is_going(&old.status) {
            return settling(format!("the cluster {} is {}, and can be renamed after that", old.name, old.status));
        }
        Assessment::Remaining(self.ending(old, Some(new)))
    }

    /// Clients would find an empty cluster: as many members as before have to answer. Those that Application Auto Scaling made do
    /// not count: it goes by the cluster's name, so it makes none before the restored cluster has that.
    fn unanswering(&self, model: &Cluster, new: &Cluster) -> Option<Assessment> {
        let listed = self.model(model).members.len().saturating_sub(self.left_out(model).len());
        let listed = if self.with.test.is_some() && new.is_aurora() { 0 } else { listed };
        let wanted = self.models(model).len().max(listed);
        let found = self.now.members.iter().flat_map(|member| [&member.instance, &member.restored]).flatten();
        let is_of = |found: &Instance| {
            found.cluster.as_ref() == Some(&new.name) || new.members.iter().any(|listed| listed.name == found.name)
        };
        let answering = found.filter(|found| is_of(found) && service(&found.status) == Service::Serves).count();
        (answering < wanted)
            .then(|| settling(format!("{answering} of {wanted} members of the restored cluster {} answer", new.name)))
    }

    /// Why the restored cluster is not to get its name yet, if so: see [`steady`].
    fn unsteady(&self, new: &Cluster) -> Option<Assessment> {
        let mut made = self.now.members.iter().filter_map(|member| member.restored.as_ref());
        let coming = match new.pending.is_empty() {
            true => made.find(|made| made.modifying).map(|made| made.name.clone()),
            false => Some(format!("the cluster {}", new.name)),
        };
        if let Some(name) = coming.filter(|_| self.sent.lately(LISTED_WITHIN)) {
            return Some(settling(format!("{name} has settings that are not in force yet")));
        }
        let until = steady::until(&self.sent, self.now.steady, &MODIFICATIONS)?;
        let Some(sent) = self.sent.last_of(&MODIFICATIONS).filter(|_| until > self.now.looked) else {
            return Some(settling(format!(
                "the cluster {} is {}; it is looked at once more before the names change",
                new.name, new.status
            )));
        };
        let note = format!("the cluster {} is {}, which it may be for a moment only", new.name, new.status);
        Some(self.sent.settling(Some(sent), CARRY_EXPECTED, None, note))
    }

    /// Settings and members that are still to be sent, or to be waited for.
    fn building(&self, model: &Cluster, new: &Cluster) -> Option<Assessment> {
        if let Some(carrying) = self.carrying(SettingsPhase::BeforeTheSwap, model, new) {
            return Some(carrying);
        }
        let models = self.models(model);
        for (index, member) in models.iter().enumerate() {
            let id = of_member(CREATE, &member.name);
            let made = self.member(&member.name).and_then(|found| found.restored.as_ref());
            match made {
                None if self.has_its_place(&member.name) => {}
                None => {
                    if let Some(at) = self.sent.recently(&id, LISTED_WITHIN) {
                        let note = format!("AWS accepted the new member for {}; it is not listed yet", member.name);
                        return Some(self.sent.settling(Some(at), CREATE_EXPECTED, None, note));
                    }
                    let mut changes = self.create_onwards(model);
                    changes.extend(self.ending(model, Some(new)));
                    return Some(Assessment::Remaining(changes));
                }
                // The first that is available becomes the writer: the others wait for the one that was.
                Some(made) if index == 0 => {
                    if let Some(waiting) = self.busy(made, &id) {
                        return Some(waiting);
                    }
                }
                Some(_) => {}
            }
        }
        for member in &models {
            let Some(made) = self.member(&member.name).and_then(|found| found.restored.as_ref()) else { continue };
            if let Some(waiting) = self.busy(made, &of_member(CREATE, &member.name)) {
                return Some(waiting);
            }
            match self.carrying_member(SettingsPhase::BeforeTheSwap, member, made) {
                Some(Assessment::Remaining(mut changes)) => {
                    changes.extend(self.ending(model, Some(new)));
                    return Some(Assessment::Remaining(changes));
                }
                Some(waiting) => return Some(waiting),
                None => {}
            }
        }
        self.enabling_http_endpoint(model, new)
    }

    fn enabling_http_endpoint(&self, model: &Cluster, new: &Cluster) -> Option<Assessment> {
        let wanted = self.wanted(model).http_endpoint == Some(true) && new.settings.http_endpoint != Some(true);
        if !wanted || !carry::refused(&self.sent, ENABLE_HTTP_ENDPOINT).is_empty() {
            return None;
        }
        match self.sent.at(ENABLE_HTTP_ENDPOINT) {
            None => {
                let mut changes = vec![self.enable_http_endpoint(model.arn.as_deref())];
                changes.extend(self.ending(model, Some(new)));
                Some(Assessment::Remaining(changes))
            }
            Some(at) if self.now.looked < at + STATUS_LAGS => {
                let note = format!("AWS accepted the Data API of {}; it does not show yet", new.name);
                Some(self.sent.settling(Some(at), CARRY_EXPECTED, None, note))
            }
            Some(_) => None,
        }
    }

    pub(super) fn carrying(&self, phase: SettingsPhase, model: &Cluster, new: &Cluster) -> Option<Assessment> {
        let wanted = phase.of(&fields::only(&self.wanted(model), cluster_settings::modifiable));
        match carry::next(&self.sent, carry_id(phase), &wanted, &new.settings, showing(!new.pending.is_empty())) {
            Next::Set { id, settings } => {
                let mut changes = vec![self.carry(model, Some(new), id, settings)];
                if phase == SettingsPhase::BeforeTheSwap && self.now.restored.is_some() {
                    changes.extend(self.create_onwards(model));
                    changes.extend(self.ending(model, Some(new)));
                }
                Some(Assessment::Remaining(changes))
            }
            Next::Wait { since } => {
                let note = format!("AWS accepted the settings of {}; they do not show yet", new.name);
                Some(self.sent.settling(Some(since), CARRY_EXPECTED, None, note))
            }
            Next::Done => None,
        }
    }

    fn carrying_member(&self, phase: SettingsPhase, model: &MemberModel<'_>, made: &Instance) -> Option<Assessment> {
        let wanted = phase.of(&self.member_settings(model).modifiable());
        let base = of_member(carry_id(phase), &model.name);
        match carry::next(&self.sent, &base, &wanted, &made.settings, showing(made.modifying)) {
            Next::Set { id, settings } => {
                Some(Assessment::Remaining(vec![self.carry_member(model, made, id, settings)]))
            }
            Next::Wait { since } => {
                let note = format!("AWS accepted the settings of {}; they do not show yet", made.name);
                Some(self.sent.settling(Some(since), CARRY_EXPECTED, None, note))
            }
            Next::Done => None,
        }
    }

    /// What cluster and members serve without, once they have their places.
    pub(super) fn carrying_after(&self, model: &Cluster, new: &Cluster) -> Option<Assessment> {
        if let Some(carrying) = self.carrying(SettingsPhase::AfterTheSwap, model, new) {
            return Some(carrying);
        }
        let models = self.models(model);
        let mut made = models.iter().filter_map(|member| Some((member, self.made(&member.name)?)));
        made.find_map(|(member, made)| self.carrying_member(SettingsPhase::AfterTheSwap, member, made))
    }

    fn between(&self, new: &Cluster) -> Assessment {
        let name = &self.names.own;
        if self.now.failed.is_none() && self.sent.perhaps(RENAME_FAILED, LISTED_WITHIN) {
            return settling(format!(
                "{name} is being renamed to {}: it is listed under neither name",
                self.names.failed
            ));
        }
        if let Some(at) = self.sent.recently(RENAME_RESTORED, LISTED_WITHIN) {
            let note =
                format!("AWS accepted the new name; the cluster {} is {} and has it not yet", new.name, new.status);
            return self.sent.settling(Some(at), RENAME_EXPECTED, None, note);
        }
        if let Some(waiting) = self.unfit(new, CARRY) {
            return waiting;
        }
        let mut changes = vec![self.rename_restored()];
        changes.extend(self.now.failed.as_ref().map(|old| self.member_renames(old)).unwrap_or_default());
        Assessment::Remaining(changes)
    }

    /// Why the restored cluster cannot take the next step now, if so. `sent` is the change it may still be busy with.
    pub(super) fn unfit(&self, new: &Cluster, sent: &str) -> Option<Assessment> {
        let expected = match sent {
            RESTORE => RESTORE_EXPECTED,
            CARRY => CARRY_EXPECTED,
            _ => RENAME_EXPECTED,
        };
        if let Some(name) = &new.renaming_to {
            let note = format!("the cluster {} is being renamed to {name}", new.name);
            return Some(self.sent.settling(self.sent.at(sent), expected, new.percent_progress, note));
        }
        match phase(&new.status) {
            Phase::Available => None,
            Phase::Changing => {
                let note = format!("the cluster {} is {}", new.name, new.status);
                Some(self.sent.settling(self.sent.at(sent), expected, new.percent_progress, note))
            }
            Phase::Stuck { cure } => {
                Some(failed(format!("the restored cluster {} is {}: {cure}", new.name, new.status)))
            }
        }
    }

    /// Why a restored member is not available, if so.
    pub(super) fn busy(&self, new: &Instance, sent: &str) -> Option<Assessment> {
        let expected = if sent.starts_with(CREATE) { CREATE_EXPECTED } else { RENAME_EXPECTED };
        let wait = |note: String| Some(self.sent.settling(self.sent.at(sent), expected, new.percent_progress, note));
        match phase(&new.status) {
            _ if new.renaming_to.is_some() => wait(format!("{} is being renamed", new.name)),
            Phase::Available => None,
            Phase::Changing => wait(format!("{} is {}", new.name, new.status)),
            Phase::Stuck { cure } => {
                Some(failed(format!("the restored member {} is {}: {cure}", new.name, new.status)))
            }
        }
    }
}

/// The name of a cluster that is listed under two names.
fn listed_twice(found: [&Option<Cluster>; 3]) -> Option<&str> {
    let listed: Vec<&Cluster> = found.into_iter().flatten().collect();
    let again = |one: &&Cluster| {
        let same = |other: &Cluster| other.resource_id == one.resource_id && other.created == one.created;
        one.resource_id.is_some() && listed.iter().any(|other| other.name != one.name && same(other))
    };
    listed.iter().copied().find(again).map(|cluster| cluster.name.as_str())
}
