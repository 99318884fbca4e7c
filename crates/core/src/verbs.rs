//! What operators ask for, and when it is refused.

use std::sync::Arc;

use belay_plan::model::{Name, Plan, RedAtArm, Target};
use serde_json::json;

use crate::{
    change::{Baseline, Effect},
    decide::Deciding,
    event::{Event, FailureCode, IncidentOutcome, RunKind, StepEvent},
    id::{RunId, id_text},
    input::{Command, Pin, Refusal, RefusalKind, Verb},
    reading::Reading,
    run::{Phase, Run, RunState, missing_baseline},
    support::{self, For},
    watch::{Truth, truth},
};

type Outcome = Result<(), Refusal>;

impl Deciding {
    pub(crate) fn command(&mut self, command: &Command) -> Outcome {
        let reason = command.reason.as_str();
        match &command.verb {
            Verb::Arm { plan, plan_sha256, baseline, readings } => {
                self.arm(plan, plan_sha256, baseline.as_ref(), readings, reason)
            }
            Verb::Disarm => self.disarm(reason),
            Verb::Cutover => self.cutover(reason),
            Verb::Rollback { kind, only, pin } => self.rollback(*kind, only, pin.as_ref(), reason),
            Verb::Decide { roll_back } => self.decide_incident(*roll_back, reason),
            Verb::Approve { run, step, approve } => self.approve(run, step, *approve, reason),
            Verb::Override { run, step, subject } => self.override_interlock(run, step, subject, reason),
            Verb::Retry { run, step } => self.retry(run, step, reason),
            Verb::Skip { run, step } => self.skip(run, step, reason),
            Verb::Hold { run } => self.hold(run, reason),
            Verb::Resume { run } => self.resume(run, reason),
            Verb::Abort { run } => self.abort(run, reason),
            Verb::Rehearsed { plan, plan_sha256, only, report } => {
                self.commanded("dry_run", reason, json!({ "only": only }));
                self.emit(Event::Rehearsed {
                    run: RunId(id_text(self.now, self.entropy)),
                    reason: reason.to_owned(),
                    plan: plan.clone(),
                    plan_sha256: plan_sha256.clone(),
                    report: report.clone(),
                });
                Ok(())
            }
        }
    }

    fn commanded(&mut self, verb: &str, reason: &str, detail: serde_json::Value) {
        self.emit(Event::Commanded { verb: verb.to_owned(), reason: reason.to_owned(), detail });
    }

    fn arm(
        &mut self,
        plan: &Arc<Plan>,
        sha256: &str,
        baseline: Option<&Arc<Baseline>>,
        readings: &[Reading],
        reason: &str,
    ) -> Outcome {
        self.refuse_while_running("arm")?;
        if self.state.incident.is_some() {
            return Err(wrong_state("an incident is open", "decide it, or disarm, which closes it"));
        }
        refuse_unsupported(plan, For::Guarding)?;
        self.commanded("arm", reason, json!({ "plan_sha256": sha256 }));
        self.pin(plan, sha256, baseline);
        self.refuse_without_baseline(plan, &[])?;
        let health = |name: &str| {
            let reading = readings.iter().find(|reading| reading.signal == name);
            reading.map_or(crate::reading::Health::Unknown, |reading| reading.health)
        };
        let red: Vec<&Name> = plan
            .triggers
            .iter()
            .filter(|(_, trigger)| truth(&trigger.when, &health) == Truth::True)
            .map(|(name, _)| name)
            .collect();
        if let Some(name) = red.iter().find(|name| plan.triggers[**name].red_at_arm == RedAtArm::Refuse) {
            let evidence: Vec<&str> = crate::watch::signals_of(&plan.triggers[*name].when)
                .into_iter()
                .filter_map(|signal| readings.iter().find(|reading| reading.signal == *signal))
                .filter(|reading| reading.health == crate::reading::Health::Unhealthy)
                .map(|reading| reading.evidence.as_str())
                .collect();
            return Err(Refusal {
                kind: RefusalKind::RedAtArm,
                why: format!("trigger {name} is red already ({})", evidence.join("; ")),
                help: "wait until it is green, or set `red_at_arm: wait_for_green` on the trigger".to_owned(),
            });
        }
        self.emit(Event::Armed { waits_for_green: red.into_iter().cloned().collect() });
        for reading in readings {
            self.reading_at_arm(reading);
        }
        Ok(())
    }

    fn reading_at_arm(&mut self, reading: &Reading) {
        if self.state.signals.contains_key(&reading.signal) {
            self.emit(Event::SignalTurned {
                signal: reading.signal.clone(),
                from: crate::reading::Health::Unknown,
                to: reading.health,
                evidence: reading.evidence.clone(),
                source: reading.source.clone(),
                unreadable: reading.unreadable,
            });
        }
    }

    fn pin(&mut self, plan: &Arc<Plan>, sha256: &str, baseline: Option<&Arc<Baseline>>) {
        self.emit(Event::PlanPinned { plan: plan.clone(), plan_sha256: sha256.to_owned() });
        if let Some(baseline) = baseline.filter(|given| self.state.baseline.as_ref() != Some(*given)) {
            self.emit(Event::BaselineCaptured { baseline: baseline.clone() });
        }
    }

    fn disarm(&mut self, reason: &str) -> Outcome {
        self.refuse_while_running("disarm")?;
        if self.state.armed.is_none() {
            return Err(wrong_state("it is not armed", "`belay arm` arms it"));
        }
        self.commanded("disarm", reason, json!({}));
        self.emit(Event::Disarmed { why: reason.to_owned() });
        if self.state.incident.is_some() {
            self.emit(Event::IncidentClosed { outcome: IncidentOutcome::Disarmed });
        }
        Ok(())
    }

    fn cutover(&mut self, reason: &str) -> Outcome {
        self.refuse_while_running("mark the cutover")?;
        if self.state.armed.is_none() {
            return Err(wrong_state(
                "it is not armed, so nothing guards the cutover",
                "`belay arm` first: that captures the baseline, which is impossible afterwards",
            ));
        }
        if let Some(at) = self.state.cutover {
            return Err(wrong_state(&format!("the cutover was marked at {at}"), "one cutover has one mark"));
        }
        self.commanded("cutover", reason, json!({}));
        self.emit(Event::CutoverMarked);
        Ok(())
    }

    fn rollback(&mut self, kind: RunKind, only: &[Name], pin: Option<&Pin>, reason: &str) -> Outcome {
        self.refuse_while_running("roll back")?;
        let plan = match pin {
            Some(pin) => pin.plan.clone(),
            None => match (&self.state.plan, self.state.armed) {
                (Some(plan), Some(_)) => plan.clone(),
                _ => {
                    return Err(wrong_state(
                        "it is not armed",
                        "`belay arm` arms it; `belay run PLAN` rolls back without a daemon",
                    ));
                }
            },
        };
        if let Some(unknown) = only.iter().find(|name| !plan.steps.contains_key(*name)) {
            let steps: Vec<&str> = plan.steps.keys().map(String::as_str).collect();
            return Err(Refusal {
                kind: RefusalKind::NotFound,
                why: format!("the plan has no step {unknown}"),
                help: format!("its steps are: {}", steps.join(", ")),
            });
        }
        refuse_unsupported(&plan, For::Running)?;
        self.commanded("rollback", reason, json!({ "only": only }));
        if let Some(pin) = pin {
            self.pin(&pin.plan, &pin.plan_sha256, pin.baseline.as_ref());
        }
        self.refuse_without_baseline(&plan, only)?;
        self.start_run(kind, reason.to_owned(), only.to_vec());
        Ok(())
    }

    fn decide_incident(&mut self, roll_back: bool, reason: &str) -> Outcome {
        self.refuse_while_running("decide")?;
        let Some(trigger) = self.state.incident.as_ref().and_then(|incident| incident.triggers.first().cloned()) else {
            return Err(wrong_state("there is no open incident", "`belay rollback` rolls back without one"));
        };
        let answer =
            if roll_back { belay_plan::model::Answer::RollBack } else { belay_plan::model::Answer::FixForward };
        self.commanded("decide", reason, json!({ "answer": answer }));
        self.emit(Event::Decided { trigger, answer, why: reason.to_owned() });
        if roll_back {
            self.start_run(RunKind::Real, reason.to_owned(), Vec::new());
        }
        Ok(())
    }

    fn approve(&mut self, run: &RunId, step: &str, approve: bool, reason: &str) -> Outcome {
        let phase = self.phase_of(run, step)?;
        if phase != Phase::AwaitingApproval {
            return Err(wrong_phase(step, phase, "only a step in awaiting_approval can be approved"));
        }
        self.commanded(if approve { "approve" } else { "deny" }, reason, json!({ "step": step }));
        if !approve {
            self.fail(step, FailureCode::Denied, format!("denied: {reason}"));
            return Ok(());
        }
        self.step(step, StepEvent::Approved);
        let by_hand = self.run().is_some_and(|run| run.plan.steps[step].action == crate::steps::MANUAL);
        if by_hand {
            self.settled(step, true);
        }
        Ok(())
    }

    fn override_interlock(&mut self, run: &RunId, step: &str, subject: &str, reason: &str) -> Outcome {
        let phase = self.phase_of(run, step)?;
        let failure = self.state_of(step).and_then(|state| state.failure);
        let waits = matches!(failure, Some(FailureCode::Require | FailureCode::Unproven)) && phase == Phase::Failed;
        if phase != Phase::Requiring && !waits {
            return Err(wrong_phase(step, phase, "only an interlock that holds a step up can be overridden"));
        }
        self.refuse_strange_subject(step, subject)?;
        self.commanded("override", reason, json!({ "step": step, "subject": subject }));
        if waits {
            self.reset(step);
        }
        self.step(step, StepEvent::Overridden { subject: subject.to_owned() });
        Ok(())
    }

    /// Only what holds the step up can be overridden: its interlocks' signals, and the destinations of its changes.
    fn refuse_strange_subject(&self, step: &str, subject: &str) -> Outcome {
        let Some((run, state)) = self.run().and_then(|run| Some((run, run.steps.get(step)?))) else { return Ok(()) };
        let signals = run.plan.steps[step].require.iter().map(|gate| gate.signal.as_str());
        let destinations = state.planned.iter().flat_map(|change| &change.effects).flat_map(|effect| match effect {
            Effect::Traffic { shares } => shares.iter().map(|share| share.destination.as_str()).collect(),
            _ => Vec::new(),
        });
        let known: Vec<&str> = signals.chain(destinations).collect();
        if known.contains(&subject) {
            return Ok(());
        }
        Err(Refusal {
            kind: RefusalKind::NotFound,
            why: format!("nothing named {subject} holds step {step} up"),
            help: format!("what can be overridden there: {}", known.join(", ")),
        })
    }

    fn retry(&mut self, run: &RunId, step: &str, reason: &str) -> Outcome {
        let phase = self.phase_of(run, step)?;
        if phase != Phase::Failed {
            return Err(wrong_phase(step, phase, "only a failed step can be retried"));
        }
        self.commanded("retry", reason, json!({ "step": step }));
        self.reset(step);
        Ok(())
    }

    fn skip(&mut self, run: &RunId, step: &str, reason: &str) -> Outcome {
        let phase = self.phase_of(run, step)?;
        let in_flight = self.state_of(step).is_some_and(crate::run::StepState::in_flight);
        let over = matches!(phase, Phase::Done | Phase::Unchanged | Phase::Skipped);
        if over || in_flight {
            return Err(wrong_phase(step, phase, "a step that is over, or whose call is under way, cannot be skipped"));
        }
        self.commanded("skip", reason, json!({ "step": step }));
        self.go_on();
        self.step(step, StepEvent::Skipped { why: format!("skipped: {reason}") });
        Ok(())
    }

    fn reset(&mut self, step: &str) {
        self.go_on();
        self.step(step, StepEvent::Reset);
    }

    /// A halted or confirming run is a running one again as soon as a person moves one of its steps.
    fn go_on(&mut self) {
        if self.run().is_some_and(|run| matches!(run.state, RunState::Halted | RunState::Confirming)) {
            self.emit(Event::RunResumed);
        }
    }

    fn hold(&mut self, run: &RunId, reason: &str) -> Outcome {
        match self.find_run(run)? {
            RunState::Running | RunState::Confirming => {}
            state => return Err(wrong_run_state(state, "only a run under way can be held")),
        }
        self.commanded("hold", reason, json!({}));
        self.emit(Event::RunHeld { why: reason.to_owned() });
        Ok(())
    }

    /// Goes on: with a held run where it was, with a halted one by trying again what failed, or the confirmation.
    fn resume(&mut self, run: &RunId, reason: &str) -> Outcome {
        let state = self.find_run(run)?;
        if !matches!(state, RunState::Held | RunState::Halted) {
            return Err(wrong_run_state(state, "only a held or halted run can be resumed"));
        }
        self.commanded("resume", reason, json!({}));
        let halted = self.run().filter(|run| run.state == RunState::Halted);
        let failed: Vec<Name> = halted.into_iter().flat_map(Run::broken).map(|(name, _)| name.clone()).collect();
        self.emit(Event::RunResumed);
        for step in failed {
            self.step(&step, StepEvent::Reset);
        }
        Ok(())
    }

    fn abort(&mut self, run: &RunId, reason: &str) -> Outcome {
        let state = self.find_run(run)?;
        if state.is_over() {
            return Err(wrong_run_state(state, "a run that is over cannot be aborted"));
        }
        self.commanded("abort", reason, json!({}));
        self.emit(Event::RunAborting { why: reason.to_owned() });
        Ok(())
    }

    // --- refusals ------------------------------------------------------------------------------------------------

    fn refuse_while_running(&self, what: &str) -> Outcome {
        let Some(run) = self.run() else { return Ok(()) };
        let state = json!(run.state);
        Err(Refusal {
            kind: RefusalKind::AlreadyRunning { run: run.id.clone() },
            why: format!("cannot {what}: run {} is {}", run.id, state.as_str().unwrap_or_default()),
            help: match run.state {
                RunState::Halted => "resume, retry, skip or abort it first".to_owned(),
                _ => "wait for it, or hold or abort it".to_owned(),
            },
        })
    }

    fn refuse_without_baseline(&self, plan: &Plan, only: &[Name]) -> Outcome {
        let included = crate::scope::included(plan, only);
        let missing =
            missing_baseline(plan, self.state.baseline.as_deref(), &|name| included.iter().any(|n| n == name));
        if missing.is_empty() {
            return Ok(());
        }
        Err(Refusal {
            kind: RefusalKind::NoBaseline,
            why: format!("there is no baseline to return to for: {}", missing.join(", ")),
            help:
                "arm before the cutover, or give one with --baseline FILE (see `belay capture`); a step with its own \
                   `to: {...}` needs none"
                    .to_owned(),
        })
    }

    fn find_run(&self, id: &RunId) -> Result<RunState, Refusal> {
        match self.state.find_run(id) {
            Some(run) => Ok(run.state),
            None => Err(Refusal {
                kind: RefusalKind::NotFound,
                why: format!("there is no run {id}"),
                help: "`belay status` shows the runs".to_owned(),
            }),
        }
    }

    fn phase_of(&self, run: &RunId, step: &str) -> Result<Phase, Refusal> {
        let state = self.find_run(run)?;
        if state.is_over() || self.run().is_none_or(|open| open.id != *run) {
            return Err(wrong_run_state(state, "it is over"));
        }
        self.state_of(step).map(|state| state.phase).ok_or_else(|| Refusal {
            kind: RefusalKind::NotFound,
            why: format!("run {run} has no step {step}"),
            help: "`belay status` shows its steps".to_owned(),
        })
    }
}

/// True when some step goes back to what was before.
pub fn needs_baseline(plan: &Plan) -> bool {
    plan.steps.values().any(|step| step.to == Target::Baseline)
}

fn refuse_unsupported(plan: &Plan, purpose: For) -> Outcome {
    let unsupported = support::unsupported(plan, purpose);
    if unsupported.is_empty() {
        return Ok(());
    }
    Err(Refusal {
        kind: RefusalKind::Unsupported,
        why: format!("this version of Belay cannot honour parts of the plan yet: {}", unsupported.join("; ")),
        help: "take them out of the plan, or use a version that executes them".to_owned(),
    })
}

fn wrong_state(why: &str, help: &str) -> Refusal {
    Refusal { kind: RefusalKind::WrongState, why: why.to_owned(), help: help.to_owned() }
}

fn wrong_run_state(state: RunState, help: &str) -> Refusal {
    let state = json!(state);
    wrong_state(&format!("the run is {}", state.as_str().unwrap_or_default()), help)
}

fn wrong_phase(step: &str, phase: Phase, help: &str) -> Refusal {
    let phase = json!(phase);
    wrong_state(&format!("step {step} is {}", phase.as_str().unwrap_or_default()), help)
}
