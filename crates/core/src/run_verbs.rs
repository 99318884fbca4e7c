//! Verbs that move a run or one of its steps.

use std::sync::Arc;

use belay_plan::model::Name;
use serde_json::json;

use crate::{
    change::Effect,
    decide::Deciding,
    event::{Event, FailureCode, StepEvent},
    id::{IncidentId, RunId, id_text},
    input::{Asked, Refusal, RefusalKind},
    migration::Migration,
    possible::{self, VerbWord, armed_since, is_stopped_by_the_point},
    run::{Phase, Run, RunState},
    undo::{Undoing, has_way_back, left, undoing},
};

type Outcome = Result<(), Refusal>;

impl Deciding {
    pub(crate) fn override_interlock(&mut self, run: &RunId, step: &str, subject: &str, asked: &Asked) -> Outcome {
        self.step_allows(run, step, VerbWord::Override)?;
        self.refuse_strange_subject(step, subject)?;
        self.commanded("override", asked, json!({ "step": step, "subject": subject }));
        if self.state_of(step).is_some_and(|state| state.phase == Phase::Failed) {
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
            why: format!("step {step} is not blocked by `{subject}`"),
            help: format!("what can be overridden there: {}", known.join(", ")),
        })
    }

    pub(crate) fn retry(&mut self, run: &RunId, step: &str, asked: &Asked) -> Outcome {
        self.step_allows(run, step, VerbWord::Retry)?;
        self.commanded("retry", asked, json!({ "step": step }));
        self.reset(step);
        Ok(())
    }

    pub(crate) fn skip(&mut self, run: &RunId, step: &str, asked: &Asked) -> Outcome {
        self.step_allows(run, step, VerbWord::Skip)?;
        self.commanded("skip", asked, json!({ "step": step }));
        self.go_on();
        self.step(step, StepEvent::Skipped { why: format!("skipped: {}", asked.reason) });
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

    /// It moves nothing, so it is possible whatever becomes of the migration since.
    pub(crate) fn postmortem_held(&mut self, run: &RunId, link: &str, asked: &Asked) -> Outcome {
        let found = self.state.find_run(run).ok_or_else(|| Refusal {
            kind: RefusalKind::NotFound,
            why: format!("there is no run {run}"),
            help: "`belay status` names the last one".to_owned(),
        })?;
        if !found.state.is_over() {
            return Err(Refusal {
                kind: RefusalKind::WrongState,
                why: format!("run {run} is {}", found.state.as_str()),
                help: "when it has ended, it can be talked over".to_owned(),
            });
        }
        self.commanded("postmortem", asked, json!({ "run": run, "link": link }));
        self.emit(Event::PostmortemHeld { run: run.clone(), link: link.to_owned() });
        Ok(())
    }

    pub(crate) fn incident_postmortem_held(&mut self, incident: &IncidentId, link: &str, asked: &Asked) -> Outcome {
        let found = self.state.find_incident(incident).ok_or_else(|| Refusal {
            kind: RefusalKind::NotFound,
            why: format!("there is no incident {incident}"),
            help: "`belay status` names the last one".to_owned(),
        })?;
        if let Some(run) = found.run.clone() {
            return self.postmortem_held(&run, link, asked);
        }
        if found.closed.is_none() {
            return Err(Refusal {
                kind: RefusalKind::WrongState,
                why: format!("incident {incident} is open"),
                help: "when it has ended, it can be talked over".to_owned(),
            });
        }
        self.commanded("postmortem", asked, json!({ "incident": incident, "link": link }));
        self.emit(Event::IncidentPostmortemHeld { incident: incident.clone(), link: link.to_owned() });
        Ok(())
    }

    pub(crate) fn hold(&mut self, run: &RunId, asked: &Asked) -> Outcome {
        self.run_allows(run, VerbWord::Hold)?;
        self.commanded("hold", asked, json!({}));
        self.emit(Event::RunHeld { why: asked.reason.clone() });
        Ok(())
    }

    /// Goes on: with a held run where it was, with a halted one by trying again what failed, or the confirmation.
    pub(crate) fn resume(&mut self, run: &RunId, asked: &Asked) -> Outcome {
        self.run_allows(run, VerbWord::Resume)?;
        self.commanded("resume", asked, json!({}));
        let halted = self.run().filter(|run| run.state == RunState::Halted);
        let failed: Vec<Name> = halted.into_iter().flat_map(Run::broken).map(|(name, _)| name.clone()).collect();
        self.emit(Event::RunResumed);
        for step in failed {
            self.step(&step, StepEvent::Reset);
        }
        Ok(())
    }

    pub(crate) fn abort(&mut self, run: &RunId, asked: &Asked) -> Outcome {
        self.run_allows(run, VerbWord::Abort)?;
        self.commanded("abort", asked, json!({}));
        self.emit(Event::RunAborting { why: asked.reason.clone() });
        Ok(())
    }

    pub(crate) fn undo(&mut self, id: &RunId, asked: &Asked) -> Outcome {
        self.run_allows(id, VerbWord::Undo)?;
        let found = self.state.find_run(id).and_then(|run| undoing(run, self.now));
        let found = found.ok_or_else(|| Refusal {
            kind: RefusalKind::WrongState,
            why: format!("nothing of run {id} can be put back"),
            help: "the run's steps show what was changed".to_owned(),
        })?;
        let Undoing { plan, baseline, left } = found;
        let (plan, baseline) = (Arc::new(plan), Arc::new(baseline));
        let (run, undoes) = (RunId(id_text(self.now, self.entropy.rotate_left(16))), id.clone());
        self.commanded("undo", asked, json!({ "run": id }));
        let reason = asked.reason.clone();
        self.emit(Event::UndoStarted { run, undoes, reason, plan, baseline, left });
        Ok(())
    }

    // --- refusals ------------------------------------------------------------------------------------------------

    fn run_allows(&self, id: &RunId, verb: VerbWord) -> Outcome {
        let run = self.find_run(id)?;
        let possible = possible::of_run(&self.state, run);
        if possible.contains(&verb) {
            return Ok(());
        }
        let why = match verb {
            VerbWord::Undo => not_undoable(&self.state, run),
            _ if run.aborting && !run.state.is_over() => format!("run {id} is being aborted"),
            VerbWord::Resume if is_stopped_by_the_point(run) => {
                format!("what has failed in run {id} loses data past the point of no return, which the plan refuses")
            }
            _ => format!("run {id} is {}, so {verb} is not possible", run.state.as_str()),
        };
        Err(Refusal {
            kind: RefusalKind::WrongState,
            why,
            help: possible_text("the run", run.state.as_str(), &possible),
        })
    }

    pub(crate) fn step_allows(&self, id: &RunId, step: &str, verb: VerbWord) -> Outcome {
        let run = self.find_run(id)?;
        let state = run.steps.get(step).ok_or_else(|| Refusal {
            kind: RefusalKind::NotFound,
            why: format!("run {id} has no step {step}"),
            help: format!("its steps are: {}", run.steps.keys().cloned().collect::<Vec<_>>().join(", ")),
        })?;
        let possible = possible::of_step(run, state);
        if possible.contains(&verb) {
            return Ok(());
        }
        let why = match () {
            () if run.state.is_over() => format!("run {id} is {}: it is over", run.state.as_str()),
            () if run.aborting => format!("run {id} is being aborted"),
            () if state.in_flight() => {
                format!("a call of step {step} is under way; {verb} is possible when it is answered")
            }
            () if verb == VerbWord::Retry && state.failure == Some(FailureCode::PastPoint) => {
                format!(
                    "step {step} loses data past the point of no return, which the plan refuses, so it can only fail again"
                )
            }
            () => format!("step {step} is {}, so {verb} is not possible", state.phase.as_str()),
        };
        Err(Refusal {
            kind: RefusalKind::WrongState,
            why,
            help: possible_text("the step", state.phase.as_str(), &possible),
        })
    }

    fn find_run(&self, id: &RunId) -> Result<&Run, Refusal> {
        self.state.find_run(id).ok_or_else(|| Refusal {
            kind: RefusalKind::NotFound,
            why: format!("there is no run {id}"),
            help: "`belay status` shows the runs".to_owned(),
        })
    }
}

fn not_undoable(state: &Migration, run: &Run) -> String {
    let id = &run.id;
    match () {
        () if !run.state.is_over() => {
            format!("run {id} is {}: only a run that is over can be undone", run.state.as_str())
        }
        () if run.undoes.is_some() => {
            format!("run {id} is an undo itself; arm and roll back to return to the known-good state")
        }
        () if !run.has_changed_anything() => format!("run {id} changed nothing"),
        () if !has_way_back(run) => format!(
            "nothing of run {id} can be put back: {}",
            match left(run) {
                left if left.is_empty() => "what was there before is not known".to_owned(),
                left => left.join(", "),
            }
        ),
        () if armed_since(state, run) => {
            format!("the migration was armed again after run {id}; what was there before it counts no more")
        }
        () if state.open_run().is_some() => format!("a run is under way; it has to end before run {id} is undone"),
        () => format!("run {id} was undone already, or a later run has changed things since"),
    }
}

fn possible_text(of: &str, state: &str, verbs: &[VerbWord]) -> String {
    match verbs {
        [] => format!("no command is possible while {of} is in state {state}"),
        verbs => {
            let verbs: Vec<&str> = verbs.iter().map(|verb| verb.as_str()).collect();
            format!("possible for {of} now: {}", verbs.join(", "))
        }
    }
}
