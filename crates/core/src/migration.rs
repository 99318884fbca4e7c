//! The state of one migration: a pure fold over its records, the same live and on replay.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use belay_plan::model::{Name, Plan};
use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    change::Baseline,
    checklist::Ticks,
    drift::Expected,
    drill::Drill,
    event::{EVENT_VERSION, Event, Record, RunKind, RunOutcome},
    gate::GateState,
    id::RunId,
    incident::Incident,
    input::CommandKey,
    mute::Mute,
    notice::Outbox,
    order,
    past::{Forgotten, Summary},
    phase::PhaseState,
    readiness::Ready,
    relations::Relations,
    restore_test::RestoreTests,
    run::{Pause, Run, RunState, StepState},
    series::Kept,
    watch::{SignalState, TriggerState},
    window::PointTold,
};

/// After an outage longer than this in the middle of a run, what is found must be explainable before anything is sent.
pub const LONG_OUTAGE_S: u64 = 600;

/// From this version on people are reminded of an incident without a run. Of those before it, which can be years old, they are not.
const VERSION_INCIDENT_POSTMORTEMS: u32 = 6;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Migration {
    pub name: Name,
    /// The last record's sequence and hash.
    pub seq: u64,
    pub head: String,
    /// When the last record was written.
    pub at: Option<Timestamp>,
    pub plan: Option<Arc<Plan>>,
    pub plan_sha256: String,
    pub baseline: Option<Arc<Baseline>>,
    pub armed: Option<Timestamp>,
    /// When it was armed last, also when it is not any more.
    pub armed_last: Option<Timestamp>,
    /// When it was disarmed last, by a person or the end of a rollback.
    pub(crate) disarmed_last: Option<Timestamp>,
    pub cutover: Option<Timestamp>,
    /// The next arming begins another attempt. Until then a run without a daemon and an undo still go by this one.
    pub(crate) attempt_over: bool,
    /// How far the wall clock was set since the cutover was marked: the point of no return moves with it.
    pub(crate) cutover_shift: SignedDuration,
    pub phase: Option<PhaseState>,
    pub muted: Option<Mute>,
    pub point_told: PointTold,
    pub outbox: Arc<Outbox>,
    /// Of the armed plan; none until the first evaluation.
    pub readiness: Option<Ready>,
    /// What the resources of the steps should be until a rollback.
    pub expected: Arc<Expected>,
    /// What people have ticked on the checklist, for this attempt.
    pub ticks: Arc<Ticks>,
    /// What the last restore test of each step has shown.
    pub restore_tests: Arc<RestoreTests>,
    /// The chunks of readings that are on record of the last incident or run.
    pub kept: Option<Kept>,
    /// Signals of the armed plan, or of the plan of the run under way.
    pub signals: IndexMap<Name, SignalState>,
    pub triggers: IndexMap<Name, TriggerState>,
    /// Sources from which everything turned unknown together, and since when.
    pub blind: BTreeMap<String, Timestamp>,
    pub incident: Option<Incident>,
    pub drill: Option<Drill>,
    /// The run under way, or the last one.
    pub run: Option<Run>,
    /// Those that are kept, the latest last; see [`past`](crate::past).
    pub past_incidents: Vec<Arc<Incident>>,
    pub past_runs: Vec<Arc<Run>>,
    /// What is known of those that are not kept.
    pub forgotten: Arc<Summary>,
    /// Commands that came with an idempotency key, the latest last, for [`KEYS_KEPT`] and up to [`KEYS_MAX`].
    pub keys: Arc<Vec<Arc<KeyRecord>>>,
}

/// How long an idempotency key is remembered.
pub const KEYS_KEPT: Duration = Duration::from_secs(24 * 3600);

/// How many are remembered at most: state is copied for each decision, and it is to stay small.
pub const KEYS_MAX: usize = 10_000;

/// A command that was carried out under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    pub at: Timestamp,
    pub actor: String,
    pub key: CommandKey,
    /// The run that came of it.
    pub run: Option<RunId>,
}

/// What the outside calls the state of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MigrationState {
    Disarmed,
    Armed,
    Incident,
    RollingBack,
    Confirming,
    Halted,
    RolledBack,
    Aborted,
}

/// A record that cannot be folded: the journal and this state do not belong together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {seq} of {stream} cannot be understood: {why}")]
pub struct Corrupt {
    pub stream: String,
    pub seq: u64,
    pub why: String,
}

impl Migration {
    pub fn new(name: impl Into<Name>) -> Self {
        Self {
            name: name.into(),
            seq: 0,
            head: "0".repeat(64),
            at: None,
            plan: None,
            plan_sha256: String::new(),
            baseline: None,
            armed: None,
            armed_last: None,
            disarmed_last: None,
            cutover: None,
            attempt_over: false,
            cutover_shift: SignedDuration::ZERO,
            phase: None,
            muted: None,
            point_told: PointTold::default(),
            outbox: Arc::default(),
            readiness: None,
            expected: Arc::default(),
            ticks: Arc::default(),
            restore_tests: Arc::default(),
            kept: None,
            signals: IndexMap::new(),
            triggers: IndexMap::new(),
            blind: BTreeMap::new(),
            incident: None,
            drill: None,
            run: None,
            past_incidents: Vec::new(),
            past_runs: Vec::new(),
            forgotten: Arc::default(),
            keys: Arc::default(),
        }
    }

    /// Folds one record. The only way that state changes.
    ///
    /// # Errors
    /// [`Corrupt`] when the record does not follow the last one, is of a newer version, does not fit the state, or names what is
    /// not there. Nothing has changed then.
    pub fn evolve(&mut self, record: &Record) -> Result<(), Corrupt> {
        self.evolve_and_forget(record).map(drop)
    }

    /// Folds one record, and gives out what the state keeps no longer since then.
    ///
    /// # Errors
    /// As [`Migration::evolve`].
    pub fn evolve_and_forget(&mut self, record: &Record) -> Result<Forgotten, Corrupt> {
        let corrupt = |why: String| Corrupt { stream: record.stream.clone(), seq: record.seq, why };
        if record.version > EVENT_VERSION {
            return Err(corrupt(format!(
                "it has version {}; this Belay understands up to {EVENT_VERSION}",
                record.version
            )));
        }
        if record.seq != self.seq + 1 || record.prev != self.head {
            return Err(corrupt(format!("it does not follow record {}", self.seq)));
        }
        let forgotten = self.apply(record.at, &record.actor, &record.event).map_err(corrupt)?;
        if record.version < VERSION_INCIDENT_POSTMORTEMS && matches!(record.event, Event::IncidentClosed { .. }) {
            Arc::make_mut(&mut self.outbox).incident_postmortems.clear();
        }
        self.seq = record.seq;
        self.head.clone_from(&record.hash);
        Ok(forgotten)
    }

    /// The fold itself, also used on a scratch copy while deciding.
    pub(crate) fn apply(&mut self, at: Timestamp, actor: &str, event: &Event) -> Result<Forgotten, String> {
        order::fits(self, event)?;
        let before = (self.past_runs.len(), self.past_incidents.len());
        self.fold(at, actor, event)?;
        self.at = Some(at);
        let is_more = (self.past_runs.len(), self.past_incidents.len()) != before;
        Ok(if is_more { self.forget_past() } else { Forgotten::default() })
    }

    fn fold(&mut self, at: Timestamp, actor: &str, event: &Event) -> Result<(), String> {
        match event {
            Event::Commanded { key, .. } => self.remember(at, actor, key.as_ref()),
            Event::PlanPinned { plan, plan_sha256 } => self.pin(at, plan, plan_sha256),
            Event::BaselineCaptured { baseline } => self.baseline = Some(baseline.clone()),
            Event::AttemptBegun => self.begin_attempt(),
            Event::Armed { waits_for_green } => self.arm(at, waits_for_green),
            Event::Disarmed { .. } => self.disarm(at),
            Event::CutoverMarked => self.set_cutover(Some(at)),
            Event::PhaseBegun { phase } => {
                self.forget_expected();
                self.begin_phase(at, phase);
            }
            Event::Muted { until, by, reason } => {
                self.muted = Some(Mute { since: at, until: *until, by: by.clone(), reason: reason.clone() });
            }
            Event::Unmuted { .. } => self.muted = None,
            Event::PointOfNoReturnNear { .. } => self.point_told.near = true,
            Event::PointOfNoReturnPassed { .. } => self.point_told.passed = true,
            Event::ExpectedCaptured { step, doc } => {
                Arc::make_mut(&mut self.expected).insert(step.clone(), doc.clone());
            }
            Event::ReadinessChanged { verdict, .. } => self.readiness = Some(Ready { verdict: *verdict, since: at }),
            Event::WatchResumed { outage_s, asleep, clock_set_s, .. } => {
                self.resume_watch(at, &Pause { outage_s: *outage_s, asleep: *asleep, clock_set_s: *clock_set_s });
            }
            Event::IncidentOpened { .. }
            | Event::IncidentJoined { .. }
            | Event::Decided { .. }
            | Event::WordGiven { .. }
            | Event::IncidentClosed { .. } => self.apply_incident(at, event)?,
            Event::EvidenceGathered { incident, source, findings, .. } => {
                self.apply_evidence(incident, *source, findings)?;
            }
            Event::ReadingsKept { begun, .. } => self.apply_kept(at, *begun),
            Event::NoticeDue { .. }
            | Event::NoticeSent { .. }
            | Event::NoticeFailed { .. }
            | Event::NoticeDropped { .. }
            | Event::NoticeLate { .. }
            | Event::PostmortemDue { .. }
            | Event::PostmortemHeld { .. }
            | Event::IncidentPostmortemDue { .. }
            | Event::IncidentPostmortemHeld { .. } => self.apply_notice(at, event)?,
            Event::RestoreTested { step, tested } => self.apply_restore_test(at, actor, step, tested),
            Event::ItemTicked { .. } | Event::ItemUnticked { .. } => self.apply_tick(at, actor, event),
            Event::DrillStarted { .. } | Event::DrillEnded { .. } => self.apply_drill(at, actor, event)?,
            Event::RunStarted { .. }
            | Event::UndoStarted { .. }
            | Event::RunHeld { .. }
            | Event::RunResumed
            | Event::RunAborting { .. }
            | Event::RunHalted { .. }
            | Event::ConfirmOpened
            | Event::RunEnded { .. }
            | Event::Rehearsed { .. }
            | Event::Step { .. }
            | Event::Confirm { .. } => self.apply_run(at, actor, event)?,
            _ => self.apply_watch(at, event)?,
        }
        Ok(())
    }

    fn remember(&mut self, at: Timestamp, actor: &str, key: Option<&CommandKey>) {
        let Some(key) = key else { return };
        let kept = SignedDuration::try_from(KEYS_KEPT).unwrap_or(SignedDuration::MAX);
        let keys = Arc::make_mut(&mut self.keys);
        keys.retain(|known| at.duration_since(known.at) < kept);
        if keys.len() >= KEYS_MAX {
            keys.remove(0);
        }
        keys.push(Arc::new(KeyRecord { at, actor: actor.to_owned(), key: key.clone(), run: None }));
    }

    /// What a key of this actor was used for in the last [`KEYS_KEPT`].
    pub fn find_key(&self, actor: &str, key: &str) -> Option<&KeyRecord> {
        self.keys.iter().rev().find(|known| known.actor == actor && known.key.key == key).map(AsRef::as_ref)
    }

    /// The command of the same append led to this run.
    fn note_run(&mut self, at: Timestamp, run: &RunId) {
        if self.keys.last().is_some_and(|last| last.at == at && last.run.is_none())
            && let Some(last) = Arc::make_mut(&mut self.keys).last_mut()
        {
            Arc::make_mut(last).run = Some(run.clone());
        }
    }

    fn pin(&mut self, at: Timestamp, plan: &Arc<Plan>, sha256: &str) {
        if self.plan_sha256 != sha256 {
            self.forget_expected();
        }
        self.signals = plan.signals.keys().map(|name| (name.clone(), SignalState::unread(at))).collect();
        self.triggers = plan.triggers.keys().map(|name| (name.clone(), TriggerState::quiet())).collect();
        self.blind.clear();
        let before = self.plan.as_ref().map(|before| before.notify.clone()).unwrap_or_default();
        if before != plan.notify {
            Arc::make_mut(&mut self.outbox).forget_changed(&before, &plan.notify);
        }
        self.plan = Some(plan.clone());
        sha256.clone_into(&mut self.plan_sha256);
    }

    fn arm(&mut self, at: Timestamp, waits_for_green: &[Name]) {
        self.attempt_over = false;
        self.begin_list();
        Arc::make_mut(&mut self.outbox).seen();
        (self.armed, self.armed_last) = (Some(at), Some(at));
        self.readiness = None;
        self.forget_drill();
        if let Some(run) = self.run.take_if(|run| run.state.is_over()) {
            self.past_runs.push(Arc::new(run));
        }
        for name in waits_for_green {
            if let Some(trigger) = self.triggers.get_mut(name) {
                trigger.waits_for_green = true;
            }
        }
    }

    pub(crate) fn set_cutover(&mut self, at: Option<Timestamp>) {
        self.cutover = at;
        self.cutover_shift = SignedDuration::ZERO;
        self.forget_expected();
        self.point_told = PointTold::default();
    }

    fn disarm(&mut self, at: Timestamp) {
        self.attempt_over |= self.is_over_when_disarmed();
        (self.armed, self.disarmed_last) = (None, Some(at));
        self.muted = None;
        self.readiness = None;
        if self.drill.as_ref().is_some_and(|drill| drill.run.is_none()) {
            self.forget_drill();
        }
    }

    fn resume_watch(&mut self, at: Timestamp, pause: &Pause) {
        for signal in self.signals.values_mut() {
            *signal = SignalState::unread(at);
        }
        for trigger in self.triggers.values_mut() {
            trigger.interrupt(at);
        }
        self.blind.clear();
        let by = SignedDuration::from_secs(pause.clock_set_s);
        self.shift_phase(by);
        self.shift_mute(by);
        self.shift_window(by);
        self.shift_timebox(by);
        self.shift_notices(by);
        if let Some(run) = &mut self.run {
            run.resume_watch(at, pause, LONG_OUTAGE_S);
        }
    }

    fn start(&mut self, mut run: Run, actor: &str, reason: &str) {
        reason.clone_into(&mut run.reason);
        actor.clone_into(&mut run.actor);
        let included = crate::scope::included(&run.plan, &run.only);
        run.steps = included.into_iter().map(|name| (name, Arc::new(StepState::new(run.started)))).collect();
        run.relations = Arc::new(Relations::new(&run.plan, &run.steps));
        self.note_run(run.started, &run.id);
        if let Some(last) = self.run.replace(run) {
            self.past_runs.push(Arc::new(last));
        }
    }

    /// After a rollback: the next cutover is marked anew, and the next migration begins with its first phase.
    fn leave_phase(&mut self, ends_attempt: bool) {
        self.attempt_over = ends_attempt;
        self.phase = None;
        self.set_cutover(None);
    }

    fn apply_run(&mut self, at: Timestamp, actor: &str, event: &Event) -> Result<(), String> {
        match event {
            Event::RunStarted { run, kind, reason, only, incident, phase } => {
                let plan = self.plan.clone().ok_or("a run started without a plan")?;
                if let Some(open) = &mut self.incident {
                    open.run = Some(run.clone());
                }
                let mut started = Run::new(run, *kind, at, &plan, &self.plan_sha256);
                started.only.clone_from(only);
                started.incident.clone_from(incident);
                started.baseline.clone_from(&self.baseline);
                started.cutover = self.cutover;
                started.expected = self.expected.clone();
                started.phase.clone_from(phase);
                started.phase_before.clone_from(&self.phase);
                self.note_in_drill(None, Some(run));
                self.forget_aftermath();
                self.start(started, actor, reason);
            }
            Event::UndoStarted { run, undoes, reason, plan, baseline, left } => {
                let undone = self.find_run(undoes).ok_or("an undo of a run that is not there")?;
                let mut started = Run::new(run, RunKind::Undo, at, plan, &undone.plan_sha256);
                started.undoes = Some(undoes.clone());
                started.left.clone_from(left);
                started.baseline = Some(baseline.clone());
                started.cutover = undone.cutover;
                started.phase_before.clone_from(&undone.phase_before);
                // What it goes back to: the phase and the mark of before the rollback.
                self.phase.clone_from(&started.phase_before);
                self.set_cutover(started.cutover);
                self.attempt_over = false;
                self.start(started, actor, reason);
            }
            Event::Rehearsed { run, reason, plan, plan_sha256, report } => {
                let mut rehearsal = Run::new(run, RunKind::Dry, at, plan, plan_sha256);
                rehearsal.reason.clone_from(reason);
                actor.clone_into(&mut rehearsal.actor);
                rehearsal.report = Some(report.clone());
                rehearsal.end(at, RunOutcome::Rehearsed, "");
                self.note_run(at, run);
                self.past_runs.push(Arc::new(rehearsal));
            }
            _ => {
                let run = self.run.as_mut().ok_or("there is no run")?;
                match event {
                    Event::RunHeld { why } => {
                        run.state = RunState::Held;
                        run.why.clone_from(why);
                    }
                    Event::RunResumed => {
                        run.state = RunState::Running;
                        run.ended = None;
                        run.suspicious = false;
                        run.confirm.clear();
                        run.why.clear();
                        run.restart_clocks(at);
                    }
                    Event::RunAborting { why } => {
                        run.aborting = true;
                        run.aborted_by = Some(actor.to_owned());
                        run.why.clone_from(why);
                    }
                    Event::RunHalted { why } => {
                        run.state = RunState::Halted;
                        run.ended = Some(at);
                        run.why.clone_from(why);
                    }
                    Event::ConfirmOpened => {
                        run.state = RunState::Confirming;
                        run.confirm = run.plan.confirm.iter().map(|gate| GateState::open(gate, at)).collect();
                    }
                    Event::RunEnded { outcome, why } => {
                        run.end(at, *outcome, why);
                        let (id, kind, ends_attempt) = (run.id.clone(), run.kind, run.ends_attempt());
                        let without_effect = run.undoes.clone().filter(|_| !run.has_changed_anything());
                        match outcome {
                            RunOutcome::RolledBack => self.leave_phase(ends_attempt),
                            // Nothing was taken back: it is where the rollback has left it.
                            RunOutcome::Aborted => {
                                let undone = without_effect.and_then(|undone| self.find_run(&undone));
                                let undone = undone.filter(|run| run.state == RunState::RolledBack);
                                if let Some(ends_attempt) = undone.map(Run::ends_attempt) {
                                    self.leave_phase(ends_attempt);
                                }
                            }
                            RunOutcome::Undone | RunOutcome::Rehearsed => {}
                        }
                        self.expect_postmortem(at, &id, kind, *outcome);
                    }
                    Event::Step { step, what } => run.apply_step(at, step, what)?,
                    Event::Confirm { signal, what } => run.apply_confirm(at, signal, what),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// What the outside calls the present state.
    pub fn state(&self) -> MigrationState {
        match self.run.as_ref().map(|run| run.state) {
            Some(RunState::Running | RunState::Held) => return MigrationState::RollingBack,
            Some(RunState::Confirming) => return MigrationState::Confirming,
            Some(RunState::Halted) => return MigrationState::Halted,
            _ => {}
        }
        match (self.armed, &self.incident, self.run.as_ref().map(|run| run.state)) {
            (Some(_), Some(_), _) => MigrationState::Incident,
            (Some(_), None, _) => MigrationState::Armed,
            (None, _, Some(RunState::RolledBack)) => MigrationState::RolledBack,
            (None, _, Some(RunState::Aborted)) => MigrationState::Aborted,
            (None, ..) => MigrationState::Disarmed,
        }
    }

    /// The run under way or halted, if there is one.
    pub fn open_run(&self) -> Option<&Run> {
        self.run.as_ref().filter(|run| !run.state.is_over())
    }

    /// The runs that began after this one.
    pub(crate) fn runs_after(&self, run: &Run) -> impl Iterator<Item = &Run> {
        let started = run.started;
        let id = run.id.clone();
        let runs = self.run.iter().chain(self.past_runs.iter().map(AsRef::as_ref));
        runs.filter(move |other| other.started >= started && other.id != id)
    }

    /// A run of this migration, the present one or one that is kept.
    pub fn find_run(&self, id: &RunId) -> Option<&Run> {
        self.run.iter().chain(self.past_runs.iter().map(AsRef::as_ref)).find(|run| run.id == *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_remembered_for_a_day_and_not_without_end() {
        let mut migration = Migration::new("m");
        let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let key = |number: usize| CommandKey { key: format!("key-{number}"), fingerprint: String::new() };
        for number in 0..KEYS_MAX + 5 {
            migration.remember(begin, "ana", Some(&key(number)));
        }
        assert_eq!(migration.keys.len(), KEYS_MAX);
        assert!(migration.find_key("ana", "key-4").is_none() && migration.find_key("ana", "key-5").is_some());
        migration.remember(begin + KEYS_KEPT, "ana", Some(&key(0)));
        assert_eq!(migration.keys.len(), 1);
    }
}
