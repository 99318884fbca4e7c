//! What follows from looking at a step's resource, and from the answers to its sends.

use std::{sync::Arc, time::Duration};

use belay_plan::model::{PastWindow, Retry};
use sha2::{Digest, Sha256};

use crate::{
    change::{Assessment, Change, Doc, Outcome, Receipt, Repeats, Report},
    decide::Deciding,
    drift,
    event::{Event, FailureCode, StepEvent},
    id::RunId,
    input::{ErrorClass, Look, LookFailure, SendFailure},
    proof::{self, Interlocks, Verdict},
    run::{Fate, Phase, Run, RunState, StepState},
    window::{loses_data, past_point, refused_past_point},
};

/// An intent that could not be sent within this time is not sent: what it was based on may have changed.
const SEND_WITHIN_MS: u64 = 30_000;

/// What passes by itself is tried again at least this often: nobody is served meanwhile.
const TRANSIENT_PAUSE_MAX: Duration = Duration::from_secs(10);

/// A contradiction that lasts this long over two looks is no stale answer.
const DOUBT_LASTS: Duration = Duration::from_secs(5);

/// A send that so many restarts in a row have interrupted is left to a person.
const INTERRUPTIONS_MAX: u32 = 10;

/// AWS shows an accepted change within this time, or somebody has reverted it.
const VISIBLE_WITHIN: Duration = Duration::from_secs(60);

impl Deciding {
    pub(crate) fn looked(&mut self, name: &str, result: &Result<Look, LookFailure>) {
        let Some((run, state)) = self.run().and_then(|run| Some((run, run.steps.get(name)?))) else {
            return;
        };
        if !wants_look(run, name, state) {
            return;
        }
        if state.may_arrive() {
            let held = |look: &Look| {
                matches!(look.assessment, Assessment::InPlace | Assessment::Over(Outcome { failure: None, .. }))
            };
            if result.as_ref().is_ok_and(held) {
                self.step(name, StepEvent::Arrived);
            }
            return;
        }
        let guarding = matches!(state.phase, Phase::Verifying | Phase::Done | Phase::Unchanged);
        if result.as_ref().is_ok_and(|look| look.stage != state.stage) {
            return; // the gates of its stage have passed meanwhile
        }
        match result {
            Err(_) if guarding => {} // its gates tell; a look that fails proves nothing against it
            Err(failure) if failure.permanent => {
                let why = failure.why.clone();
                self.fail(name, FailureCode::Unreadable, why);
            }
            Err(failure) if state.why != failure.why => {
                let why = failure.why.clone();
                self.step(name, StepEvent::LookFailed { why });
            }
            Err(_) => {}
            Ok(look) if guarding => self.guard(name, &look.assessment),
            Ok(look) => self.assessed(name, look),
        }
    }

    /// A step whose target held once: anything else now is somebody else's doing.
    fn guard(&mut self, name: &str, found: &Assessment) {
        match found {
            Assessment::Remaining(changes) => {
                let titles: Vec<&str> = changes.iter().map(|change| change.title.as_str()).collect();
                let titles = titles.join("; ");
                self.doubt(name, format!("it was in place and is not any more; somebody else changed it ({titles})"));
            }
            Assessment::InPlace | Assessment::Over(Outcome { failure: None, .. }) => self.trust(name),
            _ => {}
        }
    }

    /// AWS may answer a single look from a copy that lags behind, so a contradiction has to last.
    fn doubt(&mut self, name: &str, why: String) {
        match self.state_of(name).map(|state| state.doubted) {
            Some(None) => self.step(name, StepEvent::Doubted { why }),
            Some(Some(since)) if self.now >= since + DOUBT_LASTS => self.fail(name, FailureCode::Contested, why),
            _ => {}
        }
    }

    fn trust(&mut self, name: &str) {
        if self.state_of(name).is_some_and(|state| state.doubted.is_some()) {
            self.step(name, StepEvent::Trusted);
        }
    }

    fn assessed(&mut self, name: &str, look: &Look) {
        match &look.assessment {
            Assessment::InPlace => self.in_place(name),
            Assessment::Differs { why } => self.differs(name, why),
            Assessment::Over(outcome) => self.over(name, outcome),
            Assessment::Settling(_) => {}
            Assessment::Failed { why } => self.fail(name, FailureCode::Verdict, why.clone()),
            Assessment::Ambiguous { why } => self.fail(name, FailureCode::Ambiguous, why.clone()),
            Assessment::Remaining(changes) => self.remaining(name, changes, &look.doc),
        }
    }

    fn in_place(&mut self, name: &str) {
        self.trust(name);
        self.note_effect(name, &[]);
        self.holds(name);
    }

    /// It is back, but read back it is not all that was wanted: as a gate that did not hold.
    fn differs(&mut self, name: &str, why: &str) {
        self.trust(name);
        self.note_effect(name, &[]);
        let changed = self.state_of(name).is_some_and(StepState::has_begun);
        self.step(name, StepEvent::Settled { changed });
        self.fail(name, FailureCode::Verify, why);
    }

    /// A job has ended: what it leaves to read goes on record, then what follows from it.
    fn over(&mut self, name: &str, Outcome { failure, report }: &Outcome) {
        if *report != Report::default() {
            self.step(name, StepEvent::Reported { report: report.clone() });
        }
        match failure {
            None => self.in_place(name),
            Some(why) => {
                self.note_effect(name, &[]);
                self.fail(name, FailureCode::Verdict, why.clone());
            }
        }
    }

    /// What the step, or its present stage, wants is there.
    fn holds(&mut self, name: &str) {
        let Some((run, state)) = self.run().and_then(|run| Some((run, run.steps.get(name)?))) else { return };
        let plan = &run.plan.steps[name];
        if !plan.is_last_stage(state.stage) && !state.sent_in_stage() {
            return self.pass_stage(name); // nothing had to move, so there is nothing to verify
        }
        if state.wait_until.is_some() {
            return; // what clients have kept is being waited for
        }
        if let Some(time) = state.drain() {
            let until = self.now + time;
            return self.step(name, StepEvent::DrainStarted { until });
        }
        let changed = state.has_begun();
        self.settled(name, changed);
    }

    pub(crate) fn pass_stage(&mut self, name: &str) {
        let Some((run, state)) = self.run().and_then(|run| Some((run, run.steps.get(name)?))) else { return };
        let percent = run.plan.steps[name].stages.get(state.stage).copied().unwrap_or(100);
        let stages = state.stage + 1;
        self.step(name, StepEvent::StagePassed { stages, percent });
    }

    /// Changes remain: is the last one visible, contested, to be waited for, or is the next one to be sent?
    fn remaining(&mut self, name: &str, changes: &[Change], found: &Doc) {
        let Some(next) = changes.first() else { return };
        self.note_effect(name, changes);
        let Some(state) = self.state_of(name) else { return };
        if state.effective.contains(&next.id) {
            let why = format!("somebody else reverted what Belay had put back; still to be done: {}", next.title);
            return self.doubt(name, why);
        }
        self.trust(name);
        let Some((run, state)) = self.run().and_then(|run| Some((run, run.steps.get(name)?))) else { return };
        if let Some(intent) = state.intent.as_ref().filter(|intent| intent.change.id == next.id) {
            match intent.fate {
                Fate::Accepted { at } if self.now < at + VISIBLE_WITHIN => return,
                // Nobody would be served any better by halting.
                Fate::Accepted { .. } if endures(state, next) => {}
                Fate::Accepted { .. } => {
                    let why = format!("AWS accepted it, but it does not show, or somebody reverted it: {}", next.title);
                    return self.fail(name, FailureCode::Contested, why);
                }
                // It was declined, and the actuator knows no other way.
                Fate::NoEffect if state.is_declined(next) => {
                    let why = state.why.clone();
                    return self.fail(name, FailureCode::Refused, why);
                }
                Fate::Unknown if next.repeats == Repeats::Never => {
                    let cause = if state.why.is_empty() { String::new() } else { format!(" ({})", state.why) };
                    let title = &next.title;
                    let why =
                        format!("it is not known whether this took effect, and doing it twice harms: {title}{cause}");
                    return self.fail(name, FailureCode::Ambiguous, why);
                }
                _ => {}
            }
        }
        if run.suspicious && !explainable(state, next) {
            return self.hold_unexplained(name, &next.title);
        }
        if state.planned.is_empty() {
            self.step(name, StepEvent::Planned { changes: changes.to_vec() });
        }
        self.proceed(name, next, found);
    }

    /// A held run is still observed, so this is found again at each look: it is journaled once a step, and it adds to the
    /// reason of a person's own hold, which stays.
    fn hold_unexplained(&mut self, name: &str, title: &str) {
        let Some(run) = self.run() else { return };
        let found = format!("after an outage, {name} is in a state that Belay did not create");
        let held = run.state == RunState::Held;
        if held && run.why.contains(&found) {
            return;
        }
        let before = if held { format!("{}; ", run.why) } else { String::new() };
        self.emit(Event::RunHeld { why: format!("{before}{found}: {title}. Check it, then run `belay resume`") });
    }

    /// Approval, interlocks, proof; then the intent.
    fn proceed(&mut self, name: &str, next: &Change, found: &Doc) {
        let Some((run, state)) = self.run().and_then(|run| Some((run, run.steps.get(name)?))) else {
            return;
        };
        let plan = &run.plan.steps[name];
        let refused =
            self.past_point(run, name, next).filter(|(past, _)| *past == PastWindow::Refuse && !state.touched);
        if let Some((_, why)) = refused {
            return self.fail(name, FailureCode::PastPoint, refused_past_point(&why, &next.title));
        }
        if let Some(why) = self.wants_approval(run, name, next).filter(|_| !state.approved) {
            return self.step(name, StepEvent::ApprovalAwaited { why, by_hand: false });
        }
        if !plan.require.is_empty() && !state.require_passed {
            return self.step(name, StepEvent::RequireOpened);
        }
        if run.state != RunState::Running || run.aborting || state.again_at.is_some_and(|at| self.now < at) {
            return; // looked at again when it is resumed, or when the back-off is over
        }
        if state.failures >= plan.retry.attempts && !endures(state, next) {
            let why =
                format!("{} attempts did not get through: {}; the last one: {}", state.failures, next.title, state.why);
            return self.fail(name, FailureCode::Refused, why);
        }
        if state.interruptions >= INTERRUPTIONS_MAX {
            let why = format!("Belay was restarted {} times while it sent this: {}", state.interruptions, next.title);
            return self.fail(name, FailureCode::Refused, why);
        }
        let undone = run.undoes.as_ref().and_then(|undone| self.state.find_run(undone)?.plan.steps.get(name));
        let interlocks = undone.map_or_else(|| Interlocks::of(plan), |undone| Interlocks::OtherSide(&undone.require));
        match proof::check(next, &state.overrides, interlocks) {
            Verdict::Fine => {}
            Verdict::AllZero { why } => return self.fail(name, FailureCode::AllZero, why),
            Verdict::Unproven { destination, why } => {
                self.step(name, StepEvent::Unproven { destination, why: why.clone() });
                return self.fail(name, FailureCode::Unproven, why);
            }
        }
        let attempt = state.attempt + 1;
        let found = state.before.is_none().then(|| Arc::new(found.clone()));
        let change = next.clone();
        self.step(name, StepEvent::Intended { attempt, change, send_within_ms: SEND_WITHIN_MS, found });
    }

    /// Why a person has to agree before a change is sent.
    fn wants_approval(&self, run: &Run, name: &str, next: &Change) -> Option<String> {
        let (plan, state) = (&run.plan.steps[name], run.steps.get(name)?);
        let begins = state.receipts.is_empty();
        let past = || {
            let (_, why) = self.past_point(run, name, next).filter(|(past, _)| *past == PastWindow::RequireApproval)?;
            begins.then(|| format!("{why}: {}", next.title))
        };
        let loses = proof::loses_too_much(&run.plan.objectives, next, self.now)
            .or_else(|| proof::loses_untold(&run.plan.objectives, plan, &state.planned).filter(|_| begins));
        let asked = || plan.approve.is_some().then(|| format!("the plan asks for a person's word: {}", next.title));
        // Asked for at the beginning: nobody is to be waited for in the middle.
        let planned = state.planned.iter().filter(|_| begins);
        let applies = || proof::applies_queued(planned.chain([next]));
        let planned = state.planned.iter().filter(|_| begins);
        let overwrites = || drift::overwrites(planned.chain([next]));
        loses
            .or_else(past)
            .or_else(applies)
            .or_else(overwrites)
            .or_else(|| self.drifted_before_undo(run, name, next))
            .or_else(asked)
    }

    /// The step loses data, and begins past the point of no return.
    fn past_point(&self, run: &Run, name: &str, next: &Change) -> Option<(PastWindow, String)> {
        let (plan, state) = (&run.plan.steps[name], run.steps.get(name)?);
        let loses = plan.loses_data || loses_data(state.planned.iter().chain([next]));
        past_point(&self.state, run, &run.plan, loses, self.now)
    }

    /// An undo puts back what was there before a rollback; what somebody has changed since then is not to be lost unseen.
    fn drifted_before_undo(&self, run: &Run, name: &str, next: &Change) -> Option<String> {
        let rollback = self.state.find_run(run.undoes.as_ref()?)?;
        let state = rollback.steps.get(name)?;
        let untouched = run.steps.get(name).is_some_and(|step| !step.touched);
        let left = state.sent.iter().any(|sent| sent.after == next.before);
        (untouched && !left)
            .then(|| format!("it is not as the rollback left it; somebody has changed it since: {}", next.title))
    }

    /// A sent change that does not remain has taken effect.
    fn note_effect(&mut self, name: &str, remaining: &[Change]) {
        let Some(intent) = self.state_of(name).and_then(|state| state.intent.as_ref()) else {
            return;
        };
        let sent = matches!(intent.fate, Fate::Accepted { .. } | Fate::Unknown);
        if sent && remaining.iter().all(|change| change.id != intent.change.id) {
            let change = intent.change.id.clone();
            self.step(name, StepEvent::Effective { change });
        }
    }

    pub(crate) fn applied(&mut self, name: &str, attempt: u32, result: &Result<serde_json::Value, SendFailure>) {
        let Some((run, state)) = self.run().and_then(|run| Some((run, run.steps.get(name)?))) else {
            return;
        };
        let Some(intent) = state.intent.as_ref().filter(|i| i.attempt == attempt && i.fate == Fate::InFlight) else {
            return;
        };
        let retry = &run.plan.steps[name].retry;
        let pause = backoff(retry, &run.id, name, attempt, state.setbacks);
        match result {
            Ok(body) => {
                let receipt = Receipt { change: intent.change.id.clone(), at: self.now, body: body.clone() };
                self.step(name, StepEvent::Accepted { attempt, receipt });
            }
            Err(SendFailure::NoEffect { why, class }) => {
                // What passes by itself is bounded by the step's time-out, not by a count of attempts: how long a
                // database is busy has nothing to do with how often it is asked.
                let (throttled, transient) = (*class == ErrorClass::Throttled, *class == ErrorClass::Transient);
                let pause = if transient { pause.min(TRANSIENT_PAUSE_MAX) } else { pause };
                let again_at = (throttled || transient).then(|| self.now + pause);
                let why = why.clone();
                let declined = None;
                let refused =
                    StepEvent::NoEffect { attempt, why: why.clone(), throttled, transient, declined, again_at };
                self.step(name, refused);
                if again_at.is_none() {
                    self.fail(name, FailureCode::Refused, why);
                }
            }
            Err(SendFailure::Declined { why, body }) => {
                let (why, declined, again_at) = (why.clone(), Some(body.clone()), Some(self.now));
                let refused =
                    StepEvent::NoEffect { attempt, why, throttled: false, transient: false, declined, again_at };
                self.step(name, refused);
            }
            Err(SendFailure::OutcomeUnknown { why }) => {
                // The next look tells, after the last attempt too.
                let pause = if state.outage_runs() { pause.min(TRANSIENT_PAUSE_MAX) } else { pause };
                let (why, again_at) = (why.clone(), self.now + pause);
                self.step(name, StepEvent::OutcomeUnknown { attempt, why, again_at });
            }
        }
    }

    pub(crate) fn state_of(&self, name: &str) -> Option<&StepState> {
        self.run()?.steps.get(name).map(AsRef::as_ref)
    }
}

/// Whether somebody should look at this step's resource now.
pub(crate) fn wants_look(run: &Run, name: &str, state: &StepState) -> bool {
    let plan = &run.plan.steps[name];
    if plan.action == crate::steps::MANUAL || plan.action == crate::steps::WAIT {
        return false;
    }
    match (run.state, state.phase) {
        (RunState::Running | RunState::Held, Phase::Observing | Phase::Settling) => true,
        (RunState::Running | RunState::Held, Phase::Applying) => !state.in_flight(),
        (
            RunState::Running | RunState::Held | RunState::Confirming,
            Phase::Verifying | Phase::Done | Phase::Unchanged,
        ) => run.is_guarded(name),
        (RunState::Running | RunState::Held | RunState::Halted, Phase::Failed) => state.may_arrive(),
        _ => false,
    }
}

/// It is sent until it has taken effect: the step has begun an outage, this ends it, and twice is the same as once.
fn endures(state: &StepState, next: &Change) -> bool {
    next.repeats == Repeats::Converges && state.outage_runs_beside(Some(next))
}

/// After a long outage: before-image, target or own intermediate?
fn explainable(state: &StepState, next: &Change) -> bool {
    let known = state.planned.iter().find(|planned| planned.id == next.id);
    match (&state.intent, known) {
        (None, None) => true,
        (Some(intent), _) if intent.change.id == next.id => intent.change.before == next.before,
        // The next stage begins where the last one ended.
        (Some(intent), Some(_)) if state.stage > 0 => intent.change.after == next.before,
        (Some(_), Some(_)) => state.effective.iter().all(|done| *done != next.id),
        (None, Some(planned)) => planned.before == next.before,
        // Found on the way, after something of its own took effect: settings that a restore did not take.
        (Some(intent), None) => intent.fate == Fate::Effective,
    }
}

/// Exponential, with jitter between one half and the whole, derived from the attempt so that replay and simulation see
/// the same.
fn backoff(retry: &Retry, run: &RunId, step: &str, attempt: u32, setbacks: u32) -> Duration {
    let base = retry.backoff_min.saturating_mul(1 << setbacks.min(16)).min(retry.backoff_max);
    let digest = Sha256::digest(format!("{run}/{step}/{attempt}"));
    let half = base / 2;
    half + half.mul_f64(f64::from(digest[0]) / 255.0)
}
