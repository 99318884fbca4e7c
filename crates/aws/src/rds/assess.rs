//! How far a restore has come, read off what is there. Pure.
//!
//! ```text
//! INSTANCE   -restored-RUN   -failed-RUN
//! old        -               -              restore
//! old        new             -              carry, if settings differ; then rename_failed
//! -          new             old            rename_restored: nothing answers to the name until it is done
//! new        -               old            in place
//! ```

mod changes;

use std::time::Duration;

use belay_core::change::{Assessment, Progress, Receipt};
use belay_plan::duration::format as duration_format;
use belay_ports::Scope;
use jiff::Timestamp;

use self::changes::{CARRY, RENAME_FAILED, RENAME_RESTORED, RESTORE};
use super::{
    Settings, Source, Time, With,
    state::{Instance, Names, State},
    status::{Phase, phase},
};

const RUN_TAG: &str = "belay:run";
const STEP_TAG: &str = "belay:step";
const MIGRATION_TAG: &str = "belay:migration";

/// An accepted restore or rename is listed within this time; usually within seconds.
const LISTED_WITHIN: Duration = Duration::from_secs(10 * 60);

/// Accepted settings show, or are listed as pending, within this time; usually in the answer to the call.
const MODIFYING_WITHIN: Duration = Duration::from_secs(15);

/// RDS ships logs about every five minutes. So much later it has stopped.
const LOGS_SHIPPED_WITHIN: Duration = Duration::from_secs(30 * 60);

pub(super) fn assess(
    scope: &Scope,
    with: &With,
    now: &State,
    baseline: Option<&State>,
    receipts: &[Receipt],
) -> Assessment {
    let names = Names::new(&with.instance, scope.run.as_ref());
    let known_good = baseline.and_then(|baseline| baseline.instance.as_ref());
    View { scope, with, now, known_good, receipts, names }.assess()
}

/// Everything that an assessment looks at.
struct View<'a> {
    scope: &'a Scope,
    with: &'a With,
    now: &'a State,
    /// The instance as it was before the cutover.
    known_good: Option<&'a Instance>,
    receipts: &'a [Receipt],
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
    /// Under way between two of these, or not to be told.
    Elsewhere(Assessment),
}

enum Owner {
    /// Made by this step in this run.
    Ours,
    Another {
        run: String,
    },
    /// It has tags, and none of them says.
    Unmarked,
    /// No tags at all: what does not keep tags cannot tell.
    Untagged,
}

impl<'a> View<'a> {
    fn assess(&self) -> Assessment {
        match self.position() {
            Position::Original { old } => self.original(old),
            Position::Restored { old, new } => self.restored(old, new),
            Position::Between { new } => self.between(new),
            Position::Swapped { new } => self.swapped(new),
            Position::Elsewhere(assessment) => assessment,
        }
    }

    fn position(&self) -> Position<'a> {
        let State { instance, restored, failed, .. } = self.now;
        let name = &self.names.instance;
        if self.scope.run.is_none() {
            return match instance {
                Some(old) => Position::Original { old },
                None => Position::Elsewhere(failed_verdict(format!("there is no instance {name}"))),
            };
        }
        if let Some(twice) = listed_twice([instance, restored, failed]) {
            return Position::Elsewhere(settling(format!("{twice} is being renamed: it is listed under two names")));
        }
        if let Some(run) = restored.as_ref().and_then(|new| self.foreign(new)) {
            let why = format!("{} is there already, and its tags say that it was made {run}", self.names.restored);
            return Position::Elsewhere(Assessment::Ambiguous { why });
        }
        match (instance, restored, failed) {
            (Some(found), None, failed) => match (self.owner(found), failed) {
                (Owner::Ours, _) | (Owner::Untagged, Some(_)) => Position::Swapped { new: found },
                (_, None) => Position::Original { old: found },
                (_, Some(_)) => Position::Elsewhere(self.somebody_elses(found)),
            },
            (Some(old), Some(new), None) => Position::Restored { old, new },
            (Some(found), Some(_), Some(_)) => Position::Elsewhere(self.somebody_elses(found)),
            (None, Some(new), _) => Position::Between { new },
            (None, None, Some(_)) if self.recent(RENAME_RESTORED, LISTED_WITHIN).is_some() => Position::Elsewhere(
                settling(format!("the restored instance is being renamed to {name}: it is listed under neither name")),
            ),
            (None, None, Some(_)) => Position::Elsewhere(failed_verdict(format!(
                "there is no {name} and no {}; the replaced instance is kept as {}",
                self.names.restored, self.names.failed
            ))),
            (None, None, None) => Position::Elsewhere(failed_verdict(format!(
                "there is no instance {name}, and neither {} nor {}",
                self.names.restored, self.names.failed
            ))),
        }
    }

    fn original(&self, old: &'a Instance) -> Assessment {
        if let Some(cluster) = &old.cluster {
            return failed_verdict(format!(
                "{} is a member of the cluster {cluster}: rds.restore restores single instances only",
                old.name
            ));
        }
        if let Some(at) = self.recent(RESTORE, LISTED_WITHIN) {
            let note = format!("AWS accepted the restore; {} is not listed yet", self.names.restored);
            return self.settling_since(Some(at), changes::RESTORE_EXPECTED, note);
        }
        match self.source(old) {
            Ok(since) => Assessment::Remaining(self.restore_onwards(old, since)),
            Err(verdict) => verdict,
        }
    }

    /// The state of the data that the restore brings back, if it can be restored now.
    fn source(&self, old: &Instance) -> Result<Option<Timestamp>, Assessment> {
        match &self.with.from {
            Source::Snapshot(name) => self.snapshot(name),
            Source::Time(time) => self.point_in_time(*time, old),
        }
    }

    fn snapshot(&self, name: &str) -> Result<Option<Timestamp>, Assessment> {
        let Some(snapshot) = &self.now.snapshot else {
            return Err(failed_verdict(format!("there is no snapshot {name}")));
        };
        match snapshot.status.as_str() {
            "available" => Ok(snapshot.taken),
            "creating" | "copying" | "modifying" => Err(Assessment::Settling(Progress {
                fraction: snapshot.percent_progress.map(|percent| f64::from(percent) / 100.0),
                note: format!("snapshot {name} is still {}", snapshot.status),
                expected_left_s: None,
            })),
            status => Err(failed_verdict(format!("snapshot {name} is {status}, not available"))),
        }
    }

    fn point_in_time(&self, time: Time, old: &Instance) -> Result<Option<Timestamp>, Assessment> {
        let Some(latest) = old.latest_restorable else {
            return Err(failed_verdict(format!(
                "{} cannot be restored to a point in time: its automated backups are off, or none is complete yet",
                old.name
            )));
        };
        let point = match (time, self.scope.cutover) {
            (Time::Latest, _) => return Ok(Some(latest)),
            // Armed, or looked at, before the cutover: it is possible now, and the mark comes later.
            (Time::Cutover, None) if self.scope.run.is_none() => return Ok(Some(latest)),
            (Time::At(point), _) | (Time::Cutover, Some(point)) => point,
            (Time::Cutover, None) => {
                return Err(failed_verdict(
                    "the cutover was not marked, so its time is not known: mark it with `belay cutover`, or restore \
                     from a timestamp"
                        .to_owned(),
                ));
            }
        };
        if point > self.now.looked {
            return Err(failed_verdict(format!("{point} lies in the future")));
        }
        if let Some(earliest) = self.now.earliest_restorable.filter(|earliest| point < *earliest) {
            return Err(failed_verdict(format!(
                "{point} is before {earliest}, the earliest time that can be restored"
            )));
        }
        if point < latest {
            return Ok(Some(point));
        }
        let note = format!("{} can be restored up to {latest}; {point} follows when its logs are shipped", old.name);
        match self.now.looked.duration_since(latest).unsigned_abs() > LOGS_SHIPPED_WITHIN {
            true => Err(failed_verdict(format!("{note}, which has not happened for 30 minutes"))),
            false => Err(settling(note)),
        }
    }

    fn restored(&self, old: &Instance, new: &Instance) -> Assessment {
        if let Some(waiting) = self.unfit(new, RESTORE, changes::RESTORE_EXPECTED) {
            return waiting;
        }
        if let Some(at) = self.recent(RENAME_FAILED, LISTED_WITHIN) {
            let note = format!("AWS accepted the new name; {} is {} and has it not yet", old.name, old.status);
            return self.settling_since(Some(at), changes::RENAME_EXPECTED, note);
        }
        let carry = self.wanted(old).missing_from(&new.settings);
        if !carry.is_empty() {
            let within = if new.modifying { LISTED_WITHIN } else { MODIFYING_WITHIN };
            match self.receipt(CARRY) {
                None => return Assessment::Remaining(self.carry_onwards(old, new, carry)),
                Some(at) if self.now.looked < at + within => {
                    let note = format!("AWS accepted the settings of {}; they do not show yet", new.name);
                    return self.settling_since(Some(at), changes::CARRY_EXPECTED, note);
                }
                // It will not take them. The data matters more: the last rename names what is missing.
                Some(_) => {}
            }
        }
        if let Some(name) = &old.renaming_to {
            return settling(format!("{} is being renamed to {name}", old.name));
        }
        if phase(&old.status) == Phase::Changing {
            return settling(format!("{} is {}, and can be renamed after that", old.name, old.status));
        }
        Assessment::Remaining(self.renames(old, new))
    }

    fn between(&self, new: &Instance) -> Assessment {
        let name = &self.names.instance;
        if self.now.failed.is_none() && self.recent(RENAME_FAILED, LISTED_WITHIN).is_some() {
            return settling(format!(
                "{name} is being renamed to {}: it is listed under neither name",
                self.names.failed
            ));
        }
        if let Some(at) = self.recent(RENAME_RESTORED, LISTED_WITHIN) {
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
        // The replaced instance is no measure any more: people may change or delete it now.
        let Some(known_good) = self.known_good else { return Assessment::InPlace };
        let missing = self.wanted(known_good).missing_from(&new.settings);
        match missing.is_empty() || self.receipt(CARRY).is_some() {
            true => Assessment::InPlace,
            false => Assessment::Remaining(vec![self.carry(known_good, Some(new), missing)]),
        }
    }

    /// Why the restored instance cannot take the next step now, if so. `sent` is the change it may still be busy with.
    fn unfit(&self, new: &Instance, sent: &str, expected: Duration) -> Option<Assessment> {
        if let Some(name) = &new.renaming_to {
            return Some(self.settling_since(
                self.receipt(sent),
                expected,
                format!("{} is being renamed to {name}", new.name),
            ));
        }
        match phase(&new.status) {
            Phase::Available => None,
            Phase::Changing => {
                let began = self.receipt(sent);
                Some(self.settling_since(began, expected, format!("{} is {}", new.name, new.status)))
            }
            Phase::Stuck { cure } => {
                Some(failed_verdict(format!("the restored instance {} is {}: {cure}", new.name, new.status)))
            }
        }
    }

    /// The settings to carry over; `old` stands in where there is no baseline.
    fn wanted(&self, old: &Instance) -> Settings {
        let from = self.known_good.unwrap_or(old);
        let settings = from.settings.clone().to_carry();
        match self.other_engine(from) {
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
        let run = self.scope.run.as_ref().map(|run| run.0.as_str());
        match (found.tags.get(RUN_TAG), found.tags.get(STEP_TAG)) {
            (Some(tag), step) if Some(tag.as_str()) == run => match step {
                Some(step) if *step != self.scope.step => Owner::Another { run: format!("by step {step} of this run") },
                _ => Owner::Ours,
            },
            (Some(tag), _) => Owner::Another { run: format!("by run {tag}") },
            (None, _) if found.tags.is_empty() => Owner::Untagged,
            (None, _) => Owner::Unmarked,
        }
    }

    /// By whom it was made, if that was not this step of this run.
    fn foreign(&self, found: &Instance) -> Option<String> {
        match self.owner(found) {
            Owner::Another { run } => Some(run),
            Owner::Ours | Owner::Unmarked | Owner::Untagged => None,
        }
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

    /// When AWS accepted a change.
    fn receipt(&self, change: &str) -> Option<Timestamp> {
        self.receipts.iter().rev().find(|receipt| receipt.change == change).map(|receipt| receipt.at)
    }

    /// The same, if that is so short ago that its effect may still come.
    fn recent(&self, change: &str, within: Duration) -> Option<Timestamp> {
        self.receipt(change).filter(|at| self.now.looked < *at + within)
    }

    fn settling_since(&self, began: Option<Timestamp>, expected: Duration, note: String) -> Assessment {
        let Some(gone) = began.map(|began| self.now.looked.duration_since(began).unsigned_abs()) else {
            return settling(note);
        };
        let gone = Duration::from_secs(gone.as_secs());
        Assessment::Settling(Progress {
            fraction: None,
            note: format!("{note} ({} of about {})", duration_format(gone), duration_format(expected)),
            expected_left_s: Some(expected.saturating_sub(gone).as_secs()),
        })
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
fn family<'v>(engine: &str, version: &'v str) -> &'v str {
    let parts = if engine.starts_with("postgres") { 1 } else { 2 };
    let end = version.match_indices('.').nth(parts - 1).map_or(version.len(), |(end, _)| end);
    &version[..end]
}

fn failed_verdict(why: String) -> Assessment {
    Assessment::Failed { why }
}

fn settling(note: String) -> Assessment {
    Assessment::Settling(Progress { fraction: None, note, expected_left_s: None })
}

#[cfg(test)]
mod tests;
