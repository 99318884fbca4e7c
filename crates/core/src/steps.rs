//! What follows in a run: steps start, gates pass or run out, the run ends.

use std::{sync::Arc, time::Duration};

use belay_plan::model::{Name, OnFailure, PastWindow, counts_during};
use jiff::Timestamp;

use crate::{
    change::Change,
    decide::Deciding,
    event::{Event, FailureCode, GateEvent, RunOutcome, StepEvent},
    gate::GateState,
    migration::Migration,
    reading::Reading,
    run::{Phase, Run, RunState, Standing, StepState, always_halts},
    window::{past_point, refused_past_point},
};

/// The two actions that involve nothing outside Belay: core does them itself.
pub(crate) const MANUAL: &str = "manual";
pub(crate) const WAIT: &str = "wait";

/// Why a time-out does not end a step.
const GOES_ON: &str = "Belay goes on, because an outage that the step has begun is running and nothing is back under its name; \
                       only `belay abort` ends it before";

impl Deciding {
    pub(crate) fn step(&mut self, step: &str, what: StepEvent) {
        self.emit(Event::Step { step: step.to_owned(), what });
    }

    pub(crate) fn fail(&mut self, step: &str, code: FailureCode, why: impl Into<String>) {
        self.step(step, StepEvent::Failed { code, why: why.into() });
    }

    pub(crate) fn run(&self) -> Option<&Run> {
        self.state.open_run()
    }

    /// One pass over the run under way; called until nothing more follows.
    pub(crate) fn follow_run(&mut self) {
        let Some(run) = self.run() else { return };
        if run.aborting {
            return self.follow_abort();
        }
        match run.state {
            RunState::Running => {
                for index in 0..run.steps.len() {
                    if std::mem::take(&mut self.due[index]) {
                        self.follow_step(index);
                    }
                }
                self.follow_end();
            }
            RunState::Confirming => self.follow_confirm(),
            _ => {}
        }
    }

    fn follow_step(&mut self, index: usize) {
        let Some((run, (name, state))) = self.run().and_then(|run| Some((run, run.steps.get_index(index)?))) else {
            return;
        };
        if state.phase.is_over() && state.phase != Phase::Blocked {
            return;
        }
        let name = &name.clone();
        match state.phase {
            Phase::Pending => {
                if let Some(event) = start_event(run, name) {
                    let starts = matches!(event, StepEvent::Started { .. });
                    self.step(name, event);
                    if starts {
                        self.enter_builtin(name);
                    }
                }
            }
            Phase::Blocked if is_unblocked(run, name) => self.step(name, StepEvent::Reset),
            Phase::AwaitingApproval => self.follow_approval(name),
            Phase::Requiring => self.follow_gates(name, true),
            Phase::Verifying => self.follow_gates(name, false),
            Phase::Settling if state.wait_until.is_some_and(|until| self.now >= until) => {
                let changed = state.has_begun();
                self.settled(name, changed);
            }
            Phase::Observing | Phase::Applying | Phase::Settling if self.timed_out(state) => {
                let why = self.why_timed_out(name, state, run.plan.steps[name].timeout);
                match state.outage_runs() {
                    true => self.step(name, StepEvent::Overdue { why: format!("{why}. {GOES_ON}") }),
                    false => self.fail(name, FailureCode::TimedOut, why),
                }
            }
            _ => {}
        }
    }

    /// With all that is known of the cause: what the last look showed, the last error, the last call.
    fn why_timed_out(&self, name: &str, state: &StepState, timeout: Duration) -> String {
        let timeout = belay_plan::duration::format(timeout);
        let mut causes: Vec<String> = Vec::new();
        causes.extend(self.notes.get(name).filter(|note| !note.is_empty()).cloned());
        causes.extend((!state.why.is_empty()).then(|| state.why.clone()));
        let last = state.intent.as_ref().map(|intent| format!("the last call was: {}", intent.change.title));
        causes.extend(last.filter(|_| state.why.is_empty()));
        match causes.is_empty() {
            true => format!("not settled within {timeout}"),
            false => format!("not settled within {timeout}: {}", causes.join("; ")),
        }
    }

    /// A call under way is waited for: its own time-out is short, and its outcome matters more than the deadline.
    fn timed_out(&self, state: &StepState) -> bool {
        state.deadline.is_some_and(|deadline| self.now >= deadline) && !state.in_flight()
    }

    /// `manual` and `wait` have nothing to observe.
    fn enter_builtin(&mut self, name: &Name) {
        let Some(run) = self.run() else { return };
        let plan = &run.plan.steps[name];
        if plan.action == MANUAL || plan.action == WAIT {
            if plan.require.is_empty() || self.is_refused_past_point(name) {
                self.begin_builtin(name);
            } else {
                self.step(name, StepEvent::RequireOpened);
            }
        }
    }

    fn begin_builtin(&mut self, name: &Name) {
        let Some(run) = self.run() else { return };
        let plan = &run.plan.steps[name];
        let past = self.builtin_past_point(name);
        let what = match plan.action.as_str() {
            MANUAL => plan.with["instructions"].as_str().unwrap_or_default().to_owned(),
            _ => "wait".to_owned(),
        };
        if let Some((PastWindow::Refuse, why)) = past {
            return self.fail(name, FailureCode::PastPoint, refused_past_point(&why, &what));
        }
        let asks = (plan.approve.is_some() || past.is_some()) && !run.steps[name].approved;
        let why = past.map(|(_, why)| format!("{why}: {what}"));
        if plan.action == WAIT && asks {
            let why = why.unwrap_or_else(|| "the plan asks for a person before the wait".to_owned());
            self.step(name, StepEvent::ApprovalAwaited { why, by_hand: false });
        } else if plan.action == MANUAL {
            self.step(name, StepEvent::ApprovalAwaited { why: why.unwrap_or(what), by_hand: true });
        } else {
            let time = plan.with["for"].as_str().and_then(|text| belay_plan::duration::parse(text).ok());
            let until = self.now + time.unwrap_or_default();
            self.step(name, StepEvent::WaitStarted { until });
        }
    }

    /// What a person does by hand can lose data, too: the plan says so.
    fn builtin_past_point(&self, name: &str) -> Option<(PastWindow, String)> {
        let run = self.run()?;
        past_point(&self.state, run, &run.plan, run.plan.steps[name].loses_data, self.now)
    }

    fn is_refused_past_point(&self, name: &str) -> bool {
        self.builtin_past_point(name).is_some_and(|(past, _)| past == PastWindow::Refuse)
    }

    /// What comes of a yes: the work of a `manual` step is done; a `wait` begins.
    pub(crate) fn go_on_with_builtin(&mut self, name: &str) {
        let action = self.run().map(|run| run.plan.steps[name].action.clone());
        match action.as_deref() {
            Some(MANUAL) => self.settled(name, true),
            Some(WAIT) => self.begin_builtin(&name.to_owned()),
            _ => {}
        }
    }

    fn follow_gates(&mut self, name: &Name, require: bool) {
        let Some((run, state)) = self.run().and_then(|run| Some((run, run.steps.get(name)?))) else {
            return;
        };
        let gates = if require { &state.require } else { &state.verify };
        if let Some(failed) = gates.iter().find(|gate| gate.status == crate::gate::GateStatus::Failed) {
            let (code, why) =
                (if require { FailureCode::Require } else { FailureCode::Verify }, failed.evidence.clone());
            return self.fail(name, code, why);
        }
        if gates.iter().all(GateState::has_passed) {
            let builtin = matches!(run.plan.steps[name].action.as_str(), MANUAL | WAIT);
            let changed = state.has_begun() || builtin;
            match (require, changed) {
                (true, _) => {
                    self.step(name, StepEvent::RequirePassed);
                    if builtin {
                        self.begin_builtin(name);
                    }
                }
                (false, _) if !run.plan.steps[name].is_last_stage(state.stage) => self.pass_stage(name),
                (false, true) => self.step(name, StepEvent::Done),
                (false, false) => self.step(name, StepEvent::Unchanged),
            }
            return;
        }
        let expired: Vec<_> =
            gates.iter().filter_map(|gate| Some((gate.gate.signal.clone(), gate.expire(self.now)?))).collect();
        for (signal, what) in expired {
            self.step(name, gate_event(require, signal, what));
        }
    }

    /// The target holds: verifying begins, or the step is over.
    pub(crate) fn settled(&mut self, name: &str, changed: bool) {
        let Some(run) = self.run() else { return };
        let has_gates = !run.plan.steps[name].verify.is_empty();
        self.step(name, StepEvent::Settled { changed });
        if has_gates {
            self.step(name, StepEvent::VerifyOpened);
        }
    }

    fn follow_end(&mut self) {
        let Some(run) = self.run() else { return };
        if run.state != RunState::Running {
            return;
        }
        let idle_fallback = |name: &Name, step: &StepState| step.phase == Phase::Pending && run.is_fallback(name);
        let is_open = |step: Option<(&Name, &Arc<StepState>)>| {
            step.is_some_and(|(name, step)| !step.phase.is_over() && !idle_fallback(name, step))
        };
        if is_open(run.steps.get_index(self.first_open)) {
            return;
        }
        if let Some(first) = (0..run.steps.len()).find(|index| is_open(run.steps.get_index(*index))) {
            self.first_open = first;
            return;
        }
        if run.steps.values().any(|step| step.doubted.is_some()) {
            return; // the next look decides whether something was reverted
        }
        let broken: Vec<String> = run.broken().map(|(name, step)| format!("{name}: {}", step.why)).collect();
        if !broken.is_empty() {
            return self.emit(Event::RunHalted { why: broken.join("; ") });
        }
        let idle: Vec<Name> =
            run.steps.iter().filter(|(name, step)| idle_fallback(name, step)).map(|(name, _)| name.clone()).collect();
        let confirm = !run.plan.confirm.is_empty();
        for name in idle {
            self.step(&name, StepEvent::Skipped { why: "the step that it stands in for did not fail".to_owned() });
        }
        if confirm { self.emit(Event::ConfirmOpened) } else { self.end_rolled_back() }
    }

    fn follow_confirm(&mut self) {
        let Some(run) = self.run() else { return };
        if let Some((name, step)) = run.steps.iter().find(|(_, step)| step.failure.is_some_and(always_halts)) {
            let why = format!("{name}: {}", step.why);
            return self.emit(Event::RunHalted { why });
        }
        if let Some(failed) = run.confirm.iter().find(|gate| gate.status == crate::gate::GateStatus::Failed) {
            let why = format!("every step is over, but the confirmation did not hold: {}", failed.evidence);
            return self.emit(Event::RunHalted { why });
        }
        if run.confirm.iter().all(GateState::has_passed) {
            let doubted = run.steps.values().any(|step| step.doubted.is_some());
            return if doubted {
            } else {
                self.end_rolled_back()
            };
        }
        let expired: Vec<_> =
            run.confirm.iter().filter_map(|gate| Some((gate.gate.signal.clone(), gate.expire(self.now)?))).collect();
        for (signal, what) in expired {
            self.emit(Event::Confirm { signal, what });
        }
    }

    fn end_rolled_back(&mut self) {
        let failed: Vec<&str> = self
            .run()
            .map(|run| {
                run.steps.iter().filter(|(_, s)| s.phase == Phase::Failed).map(|(name, _)| name.as_str()).collect()
            })
            .unwrap_or_default();
        let why =
            if failed.is_empty() { String::new() } else { format!("failed, and passed over: {}", failed.join(", ")) };
        match self.run().filter(|run| run.undoes.is_some()).map(|run| run.left.join("; ")) {
            None => self.end_run(RunOutcome::RolledBack, why),
            Some(left) if left.is_empty() => self.end_run(RunOutcome::Undone, why),
            Some(left) => self.end_run(RunOutcome::Undone, format!("left as the rollback made it: {left}")),
        }
    }

    fn end_run(&mut self, outcome: RunOutcome, why: String) {
        self.emit(Event::RunEnded { outcome, why });
        if self.state.armed.is_some() {
            self.emit(Event::Disarmed {
                why: "a run has ended; arm again when the migration is to be guarded again".to_owned(),
            });
        }
        if self.state.incident.is_some() {
            let outcome = match outcome {
                RunOutcome::RolledBack => crate::event::IncidentOutcome::RolledBack,
                _ => crate::event::IncidentOutcome::Aborted,
            };
            self.emit(Event::IncidentClosed { outcome });
        }
    }

    /// Between calls, never within one.
    fn follow_abort(&mut self) {
        let Some(run) = self.run() else { return };
        if run.steps.values().any(|step| step.in_flight()) {
            return;
        }
        let open: Vec<(Name, String)> = run
            .steps
            .iter()
            .filter(|(_, step)| !step.phase.is_over())
            .map(|(name, step)| (name.clone(), abort_note(step)))
            .collect();
        let half_way: Vec<&str> =
            run.steps.iter().filter(|(_, step)| is_half_way(step)).map(|(name, _)| name.as_str()).collect();
        let why = match half_way.as_slice() {
            [] => run.why.clone(),
            steps => format!("{}; half way: {}", run.why, steps.join(", ")),
        };
        for (name, note) in open {
            self.step(&name, StepEvent::Skipped { why: note });
        }
        self.end_run(RunOutcome::Aborted, why);
    }

    /// Open gates look at every reading.
    pub(crate) fn gates_read(&mut self, reading: &Reading) {
        let Some(run) = self.run().filter(|run| !matches!(run.state, RunState::Halted)) else {
            return;
        };
        let mut events = Vec::new();
        for (name, step) in &run.steps {
            let (gates, require) = match step.phase {
                Phase::Requiring => (&step.require, true),
                Phase::Verifying => (&step.verify, false),
                _ => continue,
            };
            for gate in gates {
                let relapse =
                    || gate.relapse(reading).filter(|_| require && !step.overrides.contains(&gate.gate.signal));
                if let Some(what) = gate.react(reading).or_else(relapse) {
                    let what = gate_event(require, gate.gate.signal.clone(), what);
                    events.push(Event::Step { step: name.clone(), what });
                }
            }
        }
        if run.state == RunState::Confirming {
            for gate in &run.confirm {
                if let Some(what) = gate.react(reading) {
                    events.push(Event::Confirm { signal: gate.gate.signal.clone(), what });
                }
            }
        }
        events.dedup();
        events.into_iter().for_each(|event| self.emit(event));
    }

    /// When the run next wants a tick.
    pub(crate) fn run_deadline(state: &Migration) -> Option<Timestamp> {
        let run = state.open_run()?;
        let steps = run.steps.values().filter(|_| run.state == RunState::Running).flat_map(|step| {
            let gates: &[GateState] = match step.phase {
                Phase::Requiring => &step.require,
                Phase::Verifying => &step.verify,
                _ => &[],
            };
            let deadline = step.deadline.filter(|_| !step.in_flight()).or(step.approval_until);
            let wait = step.wait_until.filter(|_| step.phase == Phase::Settling);
            gates.iter().filter(|gate| gate.is_open()).map(GateState::deadline).chain(deadline).chain(wait)
        });
        let confirm = run
            .confirm
            .iter()
            .filter(|gate| run.state == RunState::Confirming && gate.is_open())
            .map(GateState::deadline);
        steps.chain(confirm).min()
    }
}

fn gate_event(require: bool, signal: Name, what: GateEvent) -> StepEvent {
    if require { StepEvent::Require { signal, what } } else { StepEvent::Verify { signal, what } }
}

fn is_unblocked(run: &Run, name: &str) -> bool {
    run.plan.steps[name].needs.iter().all(|need| run.standing(need) != Standing::Broken)
}

/// Starts a pending step when its needs allow it, or says what blocks it.
fn start_event(run: &Run, name: &Name) -> Option<StepEvent> {
    let during = &run.plan.steps[name].during;
    if !counts_during(during, run.phase.as_deref()) {
        let phase = run.phase.as_deref().unwrap_or("none");
        return Some(StepEvent::Skipped { why: format!("it serves {}, and the phase is {phase}", during.join(", ")) });
    }
    let mut standings = run.plan.steps[name].needs.iter().map(|need| (need, run.standing(need)));
    if let Some((by, _)) = standings.clone().find(|(_, standing)| *standing == Standing::Broken) {
        return Some(StepEvent::Blocked { by: by.clone() });
    }
    if standings.any(|(_, standing)| standing == Standing::Open) {
        return None;
    }
    if !run.is_fallback(name) {
        return Some(StepEvent::Started { fallback_for: None });
    }
    let stands_in_for = run.plan.steps.iter().find(|(failed, step)| {
        matches!(&step.on_failure, OnFailure::Fallback(fallback) if fallback == name)
            && run
                .steps
                .get(*failed)
                .is_some_and(|state| state.phase == Phase::Failed && !state.failure.is_some_and(always_halts))
    });
    stands_in_for.map(|(failed, _)| StepEvent::Started { fallback_for: Some(failed.clone()) })
}

/// Something of the step was sent, and something of it is missing.
fn is_half_way(step: &StepState) -> bool {
    step.touched && !matches!(step.phase, Phase::Done | Phase::Unchanged | Phase::Skipped)
}

/// What a person has to know of a step that an abort leaves, and how to finish it.
fn abort_note(step: &StepState) -> String {
    if !step.touched {
        return match step.phase {
            Phase::Pending | Phase::Blocked => "aborted before it began".to_owned(),
            _ => "aborted; nothing of it was changed".to_owned(),
        };
    }
    let last =
        step.intent.as_ref().map_or_else(String::new, |intent| format!("; the last call: {}", intent.change.title));
    // What has an answer has taken effect or is about to, also where a later change of the step has hidden it from the looks.
    let is_accepted = |change: &&Change| step.receipts.iter().any(|receipt| receipt.change == change.id);
    let unseen = step.planned.iter().filter(|change| !step.effective.contains(&change.id));
    let (accepted, open): (Vec<&Change>, Vec<&Change>) = unseen.partition(is_accepted);
    let list = |what: &str, changes: &[&Change]| {
        let titles: Vec<&str> = changes.iter().map(|change| change.title.as_str()).collect();
        if titles.is_empty() { String::new() } else { format!("; {what}: {}", titles.join("; ")) }
    };
    let rest = match step.phase {
        Phase::Verifying if accepted.is_empty() && open.is_empty() => "; it is in place, but not verified".to_owned(),
        _ => list("accepted, not seen in effect yet", &accepted) + &list("not seen done", &open),
    };
    format!("aborted half way{last}{rest}. To finish: arm and roll back again, which does only what is missing")
}
