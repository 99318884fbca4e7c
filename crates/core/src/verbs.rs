//! What operators ask for, and when it is refused.

use std::sync::Arc;

use belay_plan::model::{Name, Plan, RedAtArm, Target};
use serde_json::{Value, json};

use crate::{
    change::Baseline,
    decide::Deciding,
    event::{Event, IncidentOutcome, RunKind},
    id::{RunId, id_text},
    input::{Asked, Command, Pin, Refusal, RefusalKind, Verb},
    phase::refuse_unknown_phase,
    reading::Reading,
    run::{RunState, missing_baseline},
    watch::red,
};

type Outcome = Result<(), Refusal>;

impl Deciding {
    pub(crate) fn command(&mut self, command: &Command) -> Outcome {
        let asked = &command.asked;
        match &command.verb {
            Verb::Arm { plan, plan_sha256, baseline, readings, wait_for_green, detours } => {
                let mut detail = json!({ "plan_sha256": plan_sha256 });
                if !detours.is_empty() {
                    detail["detours"] = json!(detours);
                }
                self.arm(plan, plan_sha256, baseline.as_ref(), readings, *wait_for_green, (asked, detail))
            }
            Verb::Disarm => self.disarm(asked),
            Verb::Cutover => self.cutover(asked),
            Verb::Phase { phase } => self.phase(phase, asked),
            Verb::Mute { time } => self.mute(*time, asked),
            Verb::Unmute => self.unmute(asked),
            Verb::Rollback { kind, only, pin } => self.rollback(*kind, only, pin.as_ref(), asked),
            Verb::Decide { roll_back } => self.decide_incident(*roll_back, asked),
            Verb::Approve { run, step, approve } => self.approve(run, step, *approve, asked),
            Verb::Override { run, step, subject } => self.override_interlock(run, step, subject, asked),
            Verb::Retry { run, step } => self.retry(run, step, asked),
            Verb::Skip { run, step } => self.skip(run, step, asked),
            Verb::Hold { run } => self.hold(run, asked),
            Verb::Resume { run } => self.resume(run, asked),
            Verb::Abort { run } => self.abort(run, asked),
            Verb::Undo { run } => self.undo(run, asked),
            Verb::Drill { trigger } => self.drill(trigger.as_ref(), asked),
            Verb::PostmortemHeld { run, link } => self.postmortem_held(run, link, asked),
            Verb::IncidentPostmortemHeld { incident, link } => self.incident_postmortem_held(incident, link, asked),
            Verb::Tick { item, part } => self.tick(item, *part, asked),
            Verb::Untick { item } => self.untick(item, asked),
            Verb::RestoreTested { step, tested } => self.restore_tested(step, tested, asked),
            Verb::DrillOver { verdict, report } => self.drill_over(*verdict, report),
            Verb::Rehearsed { plan, plan_sha256, only, report } => {
                self.commanded("dry_run", asked, json!({ "only": only }));
                self.emit(Event::Rehearsed {
                    run: RunId(id_text(self.now, self.entropy)),
                    reason: asked.reason.clone(),
                    plan: plan.clone(),
                    plan_sha256: plan_sha256.clone(),
                    report: report.clone(),
                });
                Ok(())
            }
        }
    }

    pub(crate) fn commanded(&mut self, verb: &str, asked: &Asked, detail: Value) {
        let (reason, key) = (asked.reason.clone(), asked.key.clone());
        self.emit(Event::Commanded { verb: verb.to_owned(), reason, detail, key });
    }

    fn arm(
        &mut self,
        plan: &Arc<Plan>,
        sha256: &str,
        baseline: Option<&Arc<Baseline>>,
        readings: &[Reading],
        wait_for_green: bool,
        (asked, detail): (&Asked, Value),
    ) -> Outcome {
        self.refuse_while_running("arm")?;
        if self.state.incident.is_some() {
            return Err(wrong_state("an incident is open", "decide it, or disarm, which closes it"));
        }
        self.refuse_lost_phase(plan)?;
        self.commanded("arm", asked, detail);
        if self.state.is_attempt_over() {
            self.emit(Event::AttemptBegun);
        }
        self.pin(plan, sha256, baseline);
        self.refuse_without_baseline(plan, &[])?;
        let health = |name: &str| {
            let reading = readings.iter().find(|reading| reading.signal == name);
            reading.map_or(crate::reading::Health::Unknown, |reading| reading.health)
        };
        let phase = self.state.phase_at_arming(plan);
        // What sleeps in the phase that begins is looked at when it wakes up.
        let red = red(plan, phase, &health);
        let refuses = |name: &&&Name| !wait_for_green && plan.triggers[**name].red_at_arm == RedAtArm::Refuse;
        if let Some(name) = red.iter().find(refuses) {
            let evidence: Vec<&str> = crate::watch::signals_of(&plan.triggers[*name].when)
                .into_iter()
                .filter_map(|signal| readings.iter().find(|reading| reading.signal == *signal))
                .filter(|reading| reading.health == crate::reading::Health::Unhealthy)
                .map(|reading| reading.evidence.as_str())
                .collect();
            return Err(Refusal {
                kind: RefusalKind::RedAtArm,
                why: format!("trigger {name} is red already ({})", evidence.join("; ")),
                help: "wait until it is green, or arm all the same with `--wait-for-green`: it fires only after it has been \
                       green, and `belay rollback` rolls back at once"
                    .to_owned(),
            });
        }
        self.emit(Event::Armed { waits_for_green: red.into_iter().cloned().collect() });
        self.begin_first_phase(plan);
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

    fn disarm(&mut self, asked: &Asked) -> Outcome {
        self.refuse_while_running("disarm")?;
        if self.state.armed.is_none() {
            return Err(wrong_state("it is not armed", "`belay arm` arms it"));
        }
        self.commanded("disarm", asked, json!({}));
        self.emit(Event::Disarmed { why: asked.reason.clone() });
        if self.state.incident.is_some() {
            self.emit(Event::IncidentClosed { outcome: IncidentOutcome::Disarmed });
        }
        Ok(())
    }

    fn cutover(&mut self, asked: &Asked) -> Outcome {
        self.refuse_while_running("mark the cutover")?;
        if self.state.armed.is_none() {
            return Err(wrong_state(
                "it is not armed, so nothing guards the cutover",
                "`belay arm` first: that captures the baseline, which is impossible afterwards",
            ));
        }
        if let Some(at) = self.state.cutover {
            return Err(wrong_state(&format!("the cutover was marked at {at:.0}"), "one cutover has one mark"));
        }
        self.commanded("cutover", asked, json!({}));
        self.emit(Event::CutoverMarked);
        self.begin_cutover_phase();
        Ok(())
    }

    fn rollback(&mut self, kind: RunKind, only: &[Name], pin: Option<&Pin>, asked: &Asked) -> Outcome {
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
        let phase = match pin.and_then(|pin| pin.phase.as_ref()) {
            Some(phase) => Some(phase.as_str()),
            None => self.state.phase_name(),
        };
        refuse_idle(&plan, only, phase)?;
        let (phase, asked_for) = (phase.map(str::to_owned), pin.and_then(|pin| pin.phase.clone()));
        self.commanded("rollback", asked, json!({ "only": only }));
        if let Some(pin) = pin {
            self.pin(&pin.plan, &pin.plan_sha256, pin.baseline.as_ref());
        }
        if let Some(asked_for) = asked_for.filter(|_| phase.as_deref() != self.state.phase_name()) {
            self.emit(Event::PhaseBegun { phase: asked_for });
        }
        self.refuse_without_baseline(&plan, only)?;
        if kind != RunKind::Dry {
            self.answer_by_rollback(asked);
        }
        self.start_run(kind, asked.reason.clone(), only.to_vec());
        Ok(())
    }

    // --- refusals ------------------------------------------------------------------------------------------------

    pub(crate) fn refuse_while_running(&self, what: &str) -> Outcome {
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
}

/// True when some step goes back to what was before.
pub fn needs_baseline(plan: &Plan) -> bool {
    plan.steps.values().any(|step| step.to == Target::Baseline)
}

/// A rollback that would do nothing: no step of it serves the phase.
pub(crate) fn refuse_idle(plan: &Plan, only: &[Name], phase: Option<&str>) -> Outcome {
    if let Some(phase) = phase {
        refuse_unknown_phase(plan, phase)?;
    } else if plan.steps.values().any(|step| !step.during.is_empty()) {
        let phases: Vec<&str> = plan.phases.keys().map(String::as_str).collect();
        return Err(wrong_state(
            "the plan has steps for some phases only, and the phase of the migration is not known",
            &format!("say it with `--phase`: {}", phases.join(", ")),
        ));
    }
    let included = crate::scope::included(plan, only);
    if included.iter().any(|name| plan.serves(name, phase)) {
        return Ok(());
    }
    let phase = phase.unwrap_or("none");
    let serving: Vec<&str> = plan.phases.keys().map(String::as_str).collect();
    let serving: Vec<&str> =
        serving.into_iter().filter(|phase| included.iter().any(|name| plan.serves(name, Some(phase)))).collect();
    let what = match serving.as_slice() {
        [] => "what was asked for only stands in for other steps".to_owned(),
        serving => format!("what was asked for serves {}", serving.join(", ")),
    };
    Err(wrong_state(
        &format!("no step is left to roll back: {what}, and the phase is {phase}"),
        "`belay phase NAME --reason TEXT` begins another phase; without a daemon, `--phase NAME` chooses it",
    ))
}

pub(crate) fn wrong_state(why: &str, help: &str) -> Refusal {
    Refusal { kind: RefusalKind::WrongState, why: why.to_owned(), help: help.to_owned() }
}
