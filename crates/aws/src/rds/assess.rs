//! How far a restore has come, read off what is there. Pure.
//!
//! ```text
//! INSTANCE   -restored-RUN   -failed-RUN
//! old        -               -              restore
//! old        new             -              carry, if settings differ; then rename_failed
//! -          new             old            rename_restored: nothing answers to the name until it is done
//! new        -               old            carry_after, if settings differ that it serves without; in place
//! ```
//!
//! Where the names are not to change, the restored instance stays beside the other, and at most a record is pointed at it.

pub(super) mod changes;
pub(super) mod read_back;

use std::time::Duration;

use belay_aws_catalogue::rds::engines;
use belay_core::change::{Assessment, Receipt};
use belay_ports::{RestorePoint, Scope};
use jiff::Timestamp;

use self::changes::{ADD_ROLE, CARRY, RENAME_FAILED, RENAME_RESTORED, RESTORE};
use super::{
    Names, Settings, With,
    carry::{self, Next, Phase},
    cname::Pointing,
    eligible, fields,
    led::{self, Swap},
    led_earlier,
    owner::{self, Owner},
    proxies::Swapped,
    sent::{Sent, answering, failed, settling},
    source::{Kind, Sought},
    spec::{Cname, KeepEndpoint, Source},
    state::{Instance, Role, State},
    status, steady,
};

/// An accepted restore or rename is listed within this time; usually within seconds.
pub(super) const LISTED_WITHIN: Duration = Duration::from_secs(10 * 60);

/// Accepted settings show within this time, or are listed as pending; else RDS does not take them.
const SHOWING_WITHIN: Duration = Duration::from_secs(2 * 60);

/// The status stays `available` for up to half a minute after an accepted modification (the Terraform provider's waiters begin
/// with a delay for it), and what it has changed may show as late.
pub(super) const STATUS_LAGS: Duration = Duration::from_secs(30);

/// Changes that RDS carries out after it has accepted them.
const MODIFICATIONS: [&str; 2] = [CARRY, ADD_ROLE];

/// How long accepted settings are waited for.
pub(super) fn showing(is_pending: bool) -> Duration {
    if is_pending { LISTED_WITHIN } else { SHOWING_WITHIN }
}

pub(super) fn assess(
    scope: &Scope,
    with: &With,
    instance: &str,
    now: &State,
    baseline: Option<&State>,
    receipts: &[Receipt],
) -> Assessment {
    let names = Names::new(instance, scope.run.as_ref());
    let known_good = baseline.and_then(|baseline| baseline.instance.as_ref());
    View { scope, with, now, known_good, sent: Sent { sends: &scope.sent, receipts, looked: now.looked }, names }
        .assess()
}

/// To which state of the data a restore would go back.
pub(super) fn restore_point(scope: &Scope, with: &With, instance: &str, now: &State) -> RestorePoint {
    match &now.instance {
        Some(old) => sought(scope, with, old, now).restore_point(),
        None => RestorePoint::unknown(format!("there is no instance {instance}")),
    }
}

fn sought<'a>(scope: &'a Scope, with: &'a With, old: &'a Instance, now: &'a State) -> Sought<'a> {
    Sought {
        scope,
        from: &with.from,
        kind: Kind::Instance,
        name: &old.name,
        looked: now.looked,
        snapshot: now.snapshot.as_ref(),
        latest_restorable: old.latest_restorable,
        earliest_restorable: now.earliest_restorable,
        created: old.created,
        retention_days: old.settings.backup_retention_days,
    }
}

/// Everything that an assessment looks at.
struct View<'a> {
    scope: &'a Scope,
    with: &'a With,
    now: &'a State,
    /// The instance as it was before the cutover.
    known_good: Option<&'a Instance>,
    sent: Sent<'a>,
    names: Names,
}

/// Where the dance stands. `old` is the instance that is replaced, `new` the restored one.
enum Position<'a> {
    /// Nothing has been restored yet.
    Original {
        old: &'a Instance,
    },
    Restored {
        old: &'a Instance,
        new: &'a Instance,
    },
    /// Nobody has the plan's name.
    Between {
        new: &'a Instance,
    },
    Swapped {
        new: &'a Instance,
    },
    /// Restored, and meant to stay beside the other under its own name.
    Beside {
        old: Option<&'a Instance>,
        new: &'a Instance,
    },
    /// Under way between two of these, or not to be told.
    Elsewhere(Assessment),
}

impl<'a> View<'a> {
    fn assess(&self) -> Assessment {
        match self.position() {
            Position::Original { old } => self.original(old),
            Position::Restored { old, new } => self.restored(old, new),
            Position::Between { new } => self.between(new),
            Position::Swapped { new } => self.swapped(new),
            Position::Beside { old, new } => self.beside(old, new),
            Position::Elsewhere(assessment) => assessment,
        }
    }

    fn position(&self) -> Position<'a> {
        let State { instance, restored, failed: moved, .. } = self.now;
        let name = &self.names.own;
        if self.scope.run.is_none() {
            return match instance {
                Some(old) => Position::Original { old },
                None => Position::Elsewhere(failed(format!("there is no instance {name}"))),
            };
        }
        if let Some(twice) = listed_twice([instance, restored, moved]) {
            return Position::Elsewhere(settling(format!("{twice} is being renamed: it is listed under two names")));
        }
        if let Some(run) = restored.as_ref().and_then(|new| owner::foreign(self.scope, &new.tags)) {
            let why = format!("{} is there already, and its tags say that it was made {run}", self.names.restored);
            return Position::Elsewhere(Assessment::Ambiguous { why });
        }
        if let (Some(new), true) = (restored, self.with.keep_endpoint != KeepEndpoint::Rename) {
            return Position::Beside { old: instance.as_ref(), new };
        }
        match (instance, restored, moved) {
            (Some(found), None, moved) => match (self.owner(found), moved) {
                (Owner::Ours, _) | (Owner::Untagged, Some(_)) => Position::Swapped { new: found },
                (_, None) => Position::Original { old: found },
                (_, Some(_)) => Position::Elsewhere(self.somebody_elses(found)),
            },
            (Some(old), Some(new), None) => Position::Restored { old, new },
            (Some(found), Some(_), Some(_)) => Position::Elsewhere(self.somebody_elses(found)),
            (None, Some(new), _) => Position::Between { new },
            (None, None, Some(_)) if self.sent.perhaps(RENAME_RESTORED, LISTED_WITHIN) => Position::Elsewhere(
                settling(format!("the restored instance is being renamed to {name}: it is listed under neither name")),
            ),
            (None, None, None)
                if [RENAME_FAILED, RENAME_RESTORED].iter().any(|sent| self.sent.perhaps(sent, LISTED_WITHIN)) =>
            {
                Position::Elsewhere(settling(format!(
                    "{name} and {} are being renamed: neither is listed under any of its names",
                    self.names.restored
                )))
            }
            (None, None, Some(_)) => Position::Elsewhere(failed(format!(
                "there is no {name} and no {}; the replaced instance is kept as {}",
                self.names.restored, self.names.failed
            ))),
            (None, None, None) => Position::Elsewhere(failed(format!(
                "there is no instance {name}, and neither {} nor {}",
                self.names.restored, self.names.failed
            ))),
        }
    }

    fn original(&self, old: &'a Instance) -> Assessment {
        let is_aurora = old.engine.starts_with("aurora");
        if let Some(why) = engines::engine_of_instance(&old.name, &old.engine).filter(|_| !is_aurora) {
            return failed(why);
        }
        if let Some(cluster) = &old.cluster {
            return failed(format!(
                "{} is a member of the cluster {cluster}, which is restored as a whole: name it in `with: {{ cluster: {cluster} }}`",
                old.name
            ));
        }
        if let Some(at) = self.sent.recently(RESTORE, LISTED_WITHIN) {
            let note = format!("AWS accepted the restore; {} is not listed yet", self.names.restored);
            return self.settling_since(Some(at), changes::RESTORE_EXPECTED, note);
        }
        if let Some(why) = self.held(old) {
            return failed(why);
        }
        if let Some((_, Pointing::Refused { why })) = self.pointing(None) {
            return failed(why);
        }
        match sought(self.scope, self.with, old, self.now).data() {
            Ok(since) => Assessment::Remaining(self.restore_onwards(old, since)),
            Err(verdict) => verdict,
        }
    }

    /// Where the plan's record points, beside where it should.
    fn pointing(&self, endpoint: Option<&str>) -> Option<(&Cname, Pointing)> {
        let cname = self.with.cname.as_ref()?;
        let found = self.now.cname.as_ref()?;
        Some((cname, found.against(cname, endpoint)))
    }

    fn restored(&self, old: &Instance, new: &Instance) -> Assessment {
        if let Some(waiting) = self.unfit(new, RESTORE, changes::RESTORE_EXPECTED) {
            return waiting;
        }
        if let Some(at) = self.sent.recently(RENAME_FAILED, LISTED_WITHIN) {
            let note = format!("AWS accepted the new name; {} is {} and has it not yet", old.name, old.status);
            return self.settling_since(Some(at), changes::RENAME_EXPECTED, note);
        }
        if let Some(carrying) = self.carrying(Phase::BeforeTheSwap, old, new) {
            return carrying;
        }
        if let Some(adding) = self.adding_roles(old, new) {
            return adding;
        }
        if let Some(waiting) = self.unsteady(new) {
            return waiting;
        }
        if let Some(name) = &old.renaming_to {
            return settling(format!("{} is being renamed to {name}", old.name));
        }
        if let Some(why) = self.held(old) {
            return failed(why);
        }
        if status::phase(&old.status) == status::Phase::Changing || eligible::is_going(&old.status) {
            return settling(format!("{} is {}, and can be renamed after that", old.name, old.status));
        }
        Assessment::Remaining(self.ending(old, Some(new)))
    }

    /// Why RDS would not rename the replaced instance, if so.
    fn held(&self, old: &Instance) -> Option<String> {
        let keep = self.with.keep_endpoint;
        let links = self.now.links.as_ref().filter(|_| keep == KeepEndpoint::Rename);
        eligible::held("instance", &old.name, &old.status, keep).or_else(|| links?.held(&old.name))
    }

    /// Settings that are not as wanted, if something of them is still to be sent or to be waited for.
    fn carrying(&self, phase: Phase, model: &Instance, new: &Instance) -> Option<Assessment> {
        let wanted = phase.of(&self.wanted(model).modifiable());
        let base = changes::carry_id(phase);
        match carry::next(&self.sent, base, &wanted, &new.settings, showing(new.modifying)) {
            Next::Set { id, settings } => {
                let settings = settings.with_whole_storage(&new.settings);
                Some(Assessment::Remaining(self.carry_onwards(phase, model, new, id, settings)))
            }
            Next::Wait { since } => {
                let note = format!("AWS accepted the settings of {}; they do not show yet", new.name);
                Some(self.settling_since(Some(since), changes::CARRY_EXPECTED, note))
            }
            Next::Done => None,
        }
    }

    /// Roles that the replaced instance reaches other services by, and that the restored one does not have yet.
    fn adding_roles(&self, old: &Instance, new: &Instance) -> Option<Assessment> {
        let missing = self.missing_roles(self.known_good.unwrap_or(old), new);
        for role in missing {
            let id = format!("{ADD_ROLE}:{}", role.feature);
            let refused = !carry::refused(&self.sent, &id).is_empty();
            match self.sent.at(&id) {
                _ if refused => {}
                None => {
                    let mut changes = vec![self.add_role(new, role)];
                    changes.extend(self.ending(old, Some(new)));
                    return Some(Assessment::Remaining(changes));
                }
                Some(at) if self.now.looked < at + STATUS_LAGS => {
                    let note = format!("AWS accepted the role {}; {} does not show it yet", role.arn, new.name);
                    return Some(self.settling_since(Some(at), changes::CARRY_EXPECTED, note));
                }
                Some(_) => {}
            }
        }
        None
    }

    fn missing_roles<'b>(&self, model: &'b Instance, new: &Instance) -> Vec<&'b Role> {
        if self.with.without.contains("roles") {
            return Vec::new();
        }
        model.attached.roles.iter().filter(|role| !new.attached.roles.contains(role)).collect()
    }

    /// Why the restored instance is not to get a name yet, if so: see [`steady`].
    fn unsteady(&self, new: &Instance) -> Option<Assessment> {
        if new.modifying && self.sent.lately(LISTED_WITHIN) {
            return Some(settling(format!("{} has settings that are not in force yet", new.name)));
        }
        let until = steady::until(&self.sent, self.now.steady, &MODIFICATIONS)?;
        let Some(sent) = self.sent.last_of(&MODIFICATIONS).filter(|_| until > self.now.looked) else {
            let note = format!("{} is {}; it is looked at once more before the names change", new.name, new.status);
            return Some(settling(note));
        };
        let note = format!("{} is {}, which it may be for a moment only", new.name, new.status);
        Some(self.settling_since(Some(sent), changes::CARRY_EXPECTED, note))
    }

    /// The names stay as they are; clients are told where it is, or find it themselves.
    fn beside(&self, old: Option<&Instance>, new: &Instance) -> Assessment {
        if let Some(waiting) = self.unfit(new, RESTORE, changes::RESTORE_EXPECTED) {
            return waiting;
        }
        let model = self.known_good.or(old);
        for phase in [Phase::BeforeTheSwap, Phase::AfterTheSwap] {
            if let Some(carrying) = model.and_then(|model| self.carrying(phase, model, new)) {
                return carrying;
            }
        }
        if let Some(adding) = old.and_then(|old| self.adding_roles(old, new)) {
            return adding;
        }
        match self.pointing(new.endpoint.as_deref()) {
            None | Some((_, Pointing::There)) => match self.read_back(new, model) {
                Assessment::InPlace => answering(&new.name, new.endpoint.as_deref()),
                differs => differs,
            },
            Some((_, Pointing::Refused { why })) => failed(why),
            Some((cname, Pointing::Spreading)) => {
                settling(format!("{} points to {}; not all name servers know it yet", cname.record, new.name))
            }
            Some((_, Pointing::Elsewhere { .. })) if new.endpoint.is_none() => {
                settling(format!("{} has no endpoint yet", new.name))
            }
            Some((cname, Pointing::Elsewhere { before, ttl_s })) => {
                Assessment::Remaining(vec![self.point_cname(cname, Some(new), before, ttl_s)])
            }
        }
    }

    fn between(&self, new: &Instance) -> Assessment {
        let name = &self.names.own;
        if self.now.failed.is_none() && self.sent.perhaps(RENAME_FAILED, LISTED_WITHIN) {
            return settling(format!(
                "{name} is being renamed to {}: it is listed under neither name",
                self.names.failed
            ));
        }
        if let Some(at) = self.sent.recently(RENAME_RESTORED, LISTED_WITHIN) {
            let note = format!("AWS accepted the new name; {} is {} and has it not yet", new.name, new.status);
            return self.settling_since(Some(at), changes::RENAME_EXPECTED, note);
        }
        if let Some(waiting) = self.unfit(new, CARRY, changes::CARRY_EXPECTED) {
            return waiting;
        }
        Assessment::Remaining(vec![self.rename_restored(self.now.failed.as_ref(), Some(new))])
    }

    fn swapped(&self, new: &Instance) -> Assessment {
        if let Some(waiting) = self.unfit(new, RENAME_RESTORED, changes::RENAME_EXPECTED) {
            return waiting;
        }
        if let Some(moving) = self.proxies(&new.name).remaining(&self.now.proxied, &self.sent) {
            return moving;
        }
        let model = self.known_good.or(self.now.failed.as_ref());
        if let Some(model) = model {
            // What the baseline says, somebody may have changed since.
            let known = self.known_good.filter(|_| self.sent.at(CARRY).is_none());
            let phases = known.map(|_| Phase::BeforeTheSwap).into_iter().chain([Phase::AfterTheSwap]);
            if let Some(carrying) = phases.filter_map(|phase| self.carrying(phase, model, new)).next() {
                return carrying;
            }
        }
        let settled = self.read_back(new, model);
        let swap = Swap { rename: RENAME_RESTORED, by: "the restored one", more: "" };
        led::confirmed(&self.sent, &swap, &led_earlier(self.scope), self.now.led.as_ref(), settled)
    }

    fn proxies<'n>(&'n self, restored: &'n str) -> Swapped<'n> {
        Swapped { kind: Kind::Instance, replaced: &self.names.failed, restored }
    }

    fn settling_since(&self, began: Option<Timestamp>, expected: Duration, note: String) -> Assessment {
        let busy = [&self.now.restored, &self.now.instance].into_iter().flatten();
        let percent = busy.into_iter().find_map(|found| found.percent_progress);
        self.sent.settling(began, expected, percent, note)
    }

    /// Why the restored instance cannot take the next step now, if so. `sent` is the change it may still be busy with.
    fn unfit(&self, new: &Instance, sent: &str, expected: Duration) -> Option<Assessment> {
        if let Some(name) = &new.renaming_to {
            return Some(self.settling_since(
                self.sent.at(sent),
                expected,
                format!("{} is being renamed to {name}", new.name),
            ));
        }
        match status::phase(&new.status) {
            status::Phase::Available => None,
            status::Phase::Changing => {
                let began = self.sent.at(sent);
                Some(self.settling_since(began, expected, format!("{} is {}", new.name, new.status)))
            }
            status::Phase::Stuck { cure } => {
                Some(failed(format!("the restored instance {} is {}: {cure}", new.name, new.status)))
            }
        }
    }

    /// The settings to carry over; `old` stands in where there is no baseline.
    fn wanted(&self, old: &Instance) -> Settings {
        let from = self.known_good.unwrap_or(old);
        let snapshot = self.now.snapshot.as_ref();
        // A point in time is restored as large as the instance is now.
        let source_gib = match self.with.from {
            Source::Time(_) => old.settings.allocated_storage,
            Source::Snapshot(_) | Source::NewestSnapshot(_) => snapshot.and_then(|found| found.allocated_storage),
        };
        let settings = fields::wanted(self.with, &from.settings.clone().to_carry().growing_from(source_gib));
        match self.other_engine(from) {
            Some(_) if snapshot.is_some_and(|found| found.engine != from.engine) => settings.for_another_engine(),
            Some(_) => settings.without_groups(),
            None => settings,
        }
    }

    /// The snapshot's engine and version, if parameter and option groups of `from` do not fit it.
    fn other_engine(&self, from: &Instance) -> Option<String> {
        let snapshot = self.now.snapshot.as_ref()?;
        let same = snapshot.engine == from.engine
            && family(&from.engine, &snapshot.engine_version) == family(&from.engine, &from.engine_version);
        (!same).then(|| format!("{} {}", snapshot.engine, snapshot.engine_version))
    }

    fn owner(&self, found: &Instance) -> Owner {
        owner::of(self.scope, &found.tags)
    }

    /// The plan's name is taken, though the instance that had it was moved away.
    fn somebody_elses(&self, found: &Instance) -> Assessment {
        let by = match self.owner(found) {
            Owner::Another { run } => format!("its tags say that it was made {run}"),
            Owner::Ours => format!("{} is still there as well", self.names.restored),
            Owner::Unmarked | Owner::Untagged => "its tags do not say that Belay made it".to_owned(),
        };
        Assessment::Ambiguous {
            why: format!(
                "{} was moved to {}, and now there is another {}: {by}",
                found.name, self.names.failed, found.name
            ),
        }
    }
}

/// The name of an instance that is listed under two names.
fn listed_twice(found: [&Option<Instance>; 3]) -> Option<&str> {
    let listed: Vec<&Instance> = found.into_iter().flatten().collect();
    let again = |one: &&Instance| {
        let same = |other: &Instance| other.resource_id == one.resource_id && other.created == one.created;
        one.resource_id.is_some() && listed.iter().any(|other| other.name != one.name && same(other))
    };
    listed.iter().copied().find(again).map(|instance| instance.name.as_str())
}

/// What parameter and option groups belong to: the major version.
pub(super) fn family<'v>(engine: &str, version: &'v str) -> &'v str {
    let parts = if engine.contains("postgres") { 1 } else { 2 };
    let end = version.match_indices('.').nth(parts - 1).map_or(version.len(), |(end, _)| end);
    &version[..end]
}

#[cfg(test)]
mod tests;
