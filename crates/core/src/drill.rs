//! A drill: the plan carried out for real where nobody is hurt, and on record as what it is.

use belay_plan::model::Name;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    decide::Deciding,
    decision::{comes_to_a_rollback, rule_for},
    elapsed::is_own,
    event::{DrillVerdict, Event, RunKind},
    id::{IncidentId, RunId},
    incident::Incident,
    input::{Asked, Refusal, RefusalKind},
    migration::Migration,
    reading::Health,
    watch::{Truth, truth},
};

/// A drill under way. Runs that begin meanwhile are its runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    /// The trigger that is made to fire; none where the rollback is simply asked for.
    pub trigger: Option<Name>,
    pub reason: String,
    /// Who asked.
    pub actor: String,
    /// The breach begins here.
    pub started: Timestamp,
    /// What the trigger has opened.
    pub incident: Option<IncidentId>,
    pub run: Option<RunId>,
}

impl Migration {
    /// The trigger whose signals are to read unhealthy now: until it has opened an incident, and as long as people are asked
    /// about that. Where nobody decides, it still holds at the end of their time.
    pub fn breached(&self) -> Option<&Name> {
        let drill = self.drill.as_ref().filter(|drill| drill.run.is_none())?;
        let asking = self.incident.as_ref().is_some_and(Incident::is_asking);
        drill.trigger.as_ref().filter(|_| drill.incident.is_none() || asking)
    }

    pub(crate) fn apply_drill(&mut self, at: Timestamp, actor: &str, event: &Event) -> Result<(), String> {
        match event {
            Event::DrillStarted { trigger, reason, .. } => {
                self.drill = Some(Drill {
                    trigger: trigger.clone(),
                    reason: reason.clone(),
                    actor: actor.to_owned(),
                    started: at,
                    incident: None,
                    run: None,
                });
            }
            Event::DrillEnded { run, report, .. } => {
                let present = self.run.as_mut().filter(|present| present.id == *run);
                let past = self.past_runs.iter_mut().find(|past| past.id == *run).map(std::sync::Arc::make_mut);
                let drilled = present.or(past).ok_or("a drill of a run that is not there")?;
                drilled.drill = Some(report.clone());
                self.drill = None;
            }
            _ => {}
        }
        Ok(())
    }

    /// What a drill has led to is noted with it.
    pub(crate) fn note_in_drill(&mut self, incident: Option<&IncidentId>, run: Option<&RunId>) {
        if let Some(drill) = &mut self.drill {
            drill.incident = incident.cloned().or(drill.incident.take());
            drill.run = run.cloned().or(drill.run.take());
        }
    }

    /// A drill that nobody will finish: the migration was disarmed before a run came of it, or is armed anew.
    pub(crate) fn forget_drill(&mut self) {
        self.drill = None;
    }
}

impl Deciding {
    pub(crate) fn drill(&mut self, trigger: Option<&Name>, asked: &Asked) -> Result<(), Refusal> {
        self.refuse_while_running("begin a drill")?;
        let plan = self.state.plan.clone().filter(|_| self.state.armed.is_some());
        let Some(plan) = plan else { return Err(wrong_state("it is not armed", "arm it: that captures the baseline")) };
        if self.state.incident.is_some() {
            return Err(wrong_state("an incident is open", "decide it, or disarm, which closes it"));
        }
        if self.state.drill.is_some() {
            return Err(wrong_state("a drill is under way", "wait for its end, or disarm, which ends it"));
        }
        if let Some(name) = trigger {
            let Some(found) = plan.triggers.get(name) else {
                let known: Vec<&str> = plan.triggers.keys().map(String::as_str).collect();
                return Err(Refusal {
                    kind: RefusalKind::NotFound,
                    why: format!("the plan has no trigger {name}"),
                    help: format!("its triggers are: {}", known.join(", ")),
                });
            };
            if !comes_to_a_rollback(rule_for(&plan, found, self.state.phase_name()).1) {
                let why = format!(
                    "trigger {name} is not answered with a rollback, nor is that what follows when nobody decides"
                );
                return Err(wrong_state(&why, "fire one that is, or drill without firing any"));
            }
            // A breach makes readings up, and no sensor reads what Belay itself knows.
            let breached = |signal: &str| match plan.signals.get(signal).is_some_and(is_own) {
                true => self.state.signals.get(signal).map_or(Health::Unknown, |known| known.health),
                false => Health::Unhealthy,
            };
            if truth(&found.when, &breached) != Truth::True {
                let why =
                    format!("trigger {name} goes by time, or by what would be lost, which a drill cannot make up");
                return Err(wrong_state(&why, "fire another one, or drill without firing any"));
            }
        }
        self.commanded("drill", asked, json!({ "trigger": trigger }));
        self.emit(Event::DrillStarted {
            trigger: trigger.cloned(),
            reason: asked.reason.clone(),
            plan_sha256: self.state.plan_sha256.clone(),
            overlaid: plan.overlaid.clone(),
        });
        if trigger.is_none() {
            self.start_run(RunKind::Drill, asked.reason.clone(), Vec::new());
        }
        Ok(())
    }

    pub(crate) fn drill_over(&mut self, verdict: DrillVerdict, report: &Value) -> Result<(), Refusal> {
        let over = |run: &&RunId| self.state.find_run(run).is_some_and(|run| run.ended.is_some());
        let Some(run) = self.state.drill.as_ref().and_then(|drill| drill.run.as_ref()).filter(over).cloned() else {
            return Err(wrong_state("no drill has come to its end", "wait for the end of its run"));
        };
        self.emit(Event::DrillEnded { run, verdict, report: report.clone() });
        Ok(())
    }
}

fn wrong_state(why: &str, help: &str) -> Refusal {
    Refusal { kind: RefusalKind::WrongState, why: why.to_owned(), help: help.to_owned() }
}
