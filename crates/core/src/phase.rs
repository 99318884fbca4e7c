//! Phases: the stage that the migration is in, and what counts in it.

use belay_plan::model::{Name, Plan, Trigger, counts_during};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    decide::Deciding,
    event::Event,
    input::{Asked, Refusal, RefusalKind},
    migration::Migration,
    verbs::wrong_state,
};

/// `belay cutover` begins the phase of this name too.
const CUTOVER: &str = "cutover";

/// The phase that the migration is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseState {
    pub name: Name,
    pub since: Timestamp,
}

impl Migration {
    pub(crate) fn begin_phase(&mut self, at: Timestamp, name: &str) {
        self.phase = Some(PhaseState { name: name.to_owned(), since: at });
    }

    pub fn phase_name(&self) -> Option<&str> {
        self.phase.as_ref().map(|phase| phase.name.as_str())
    }

    /// As people see it: after an attempt that is over, the migration is in no phase until the next arming begins one.
    pub fn present_phase(&self) -> Option<&PhaseState> {
        self.phase.as_ref().filter(|_| !self.is_attempt_over() || self.open_run().is_some())
    }

    /// A migration that comes back to its guard goes on in the phase that it was in; else it begins with the first one.
    pub(crate) fn phase_at_arming<'m>(&'m self, plan: &'m Plan) -> Option<&'m str> {
        let known = self.phase_name().filter(|name| plan.phases.contains_key(*name));
        known.or_else(|| plan.phases.keys().next().map(String::as_str))
    }

    /// Whether the trigger is in none of its phases. Once it is part of an incident, it stays awake until it has healed.
    pub fn is_asleep(&self, name: &str, trigger: &Trigger) -> bool {
        let involved = self.incident.as_ref().is_some_and(|incident| incident.is_kept_open_by(name));
        !involved && !counts_during(&trigger.during, self.phase_name())
    }

    /// Whether the plan has a point of no return that does not count, since the phase `cutover`, or a later one, has begun
    /// without the mark.
    pub fn is_unmarked(&self) -> bool {
        let plan = self.plan.as_ref().filter(|_| self.armed.is_some() && self.cutover.is_none());
        let Some(plan) =
            plan.filter(|plan| plan.window.as_ref().is_some_and(|window| window.point_of_no_return.is_some()))
        else {
            return false;
        };
        let place = |phase| plan.phases.get_index_of(phase);
        self.phase_name().and_then(place).zip(place(CUTOVER)).is_some_and(|(present, cutover)| present >= cutover)
    }

    /// The wall clock was set: what began a while ago began as long ago as before.
    pub(crate) fn shift_phase(&mut self, by: SignedDuration) {
        if let Some(phase) = &mut self.phase {
            phase.since = phase.since.saturating_add(by).unwrap_or(phase.since);
        }
    }
}

impl Deciding {
    /// Once the cutover is marked, no other plan may begin the phases anew.
    pub(crate) fn refuse_lost_phase(&self, plan: &Plan) -> Result<(), Refusal> {
        let present =
            self.state.phase_name().filter(|_| self.state.kept_cutover().is_some() && !plan.phases.is_empty());
        let Some(lost) = present.filter(|name| !plan.phases.contains_key(*name)) else { return Ok(()) };
        let known: Vec<&str> = plan.phases.keys().map(String::as_str).collect();
        Err(wrong_state(
            &format!("it is in phase {lost}, and the plan to be armed has {}", known.join(", ")),
            "call the phase what it was called, or begin one first that both plans have: `belay phase NAME --reason TEXT`",
        ))
    }

    /// At arming.
    pub(crate) fn begin_first_phase(&mut self, plan: &Plan) {
        let phase = self.state.phase_at_arming(plan).map(str::to_owned);
        if let Some(phase) = phase.filter(|phase| self.state.phase_name() != Some(phase)) {
            self.emit(Event::PhaseBegun { phase });
        }
    }

    pub(crate) fn begin_cutover_phase(&mut self) {
        let has = self.state.plan.as_ref().is_some_and(|plan| plan.phases.contains_key(CUTOVER));
        if has && self.state.phase_name() != Some(CUTOVER) {
            self.emit(Event::PhaseBegun { phase: CUTOVER.to_owned() });
        }
    }

    pub(crate) fn phase(&mut self, name: &Name, asked: &Asked) -> Result<(), Refusal> {
        self.refuse_while_running("begin a phase")?;
        let plan = self.state.plan.clone().filter(|_| self.state.armed.is_some());
        let Some(plan) = plan else {
            return Err(wrong_state("it is not armed, so it is in no phase", "`belay arm` first"));
        };
        refuse_unknown_phase(&plan, name)?;
        let from = self.state.phase_name().map(str::to_owned);
        if from.as_ref() == Some(name) {
            let known: Vec<&str> = plan.phases.keys().map(String::as_str).collect();
            let help = format!("its phases are, in order: {}", known.join(", "));
            return Err(wrong_state(&format!("it is in phase {name} already"), &help));
        }
        self.commanded("phase", asked, json!({ "phase": name, "from": from }));
        self.emit(Event::PhaseBegun { phase: name.clone() });
        Ok(())
    }
}

/// A phase that the plan does not have.
pub(crate) fn refuse_unknown_phase(plan: &Plan, name: &str) -> Result<(), Refusal> {
    if plan.phases.contains_key(name) {
        return Ok(());
    }
    let known: Vec<&str> = plan.phases.keys().map(String::as_str).collect();
    Err(Refusal {
        kind: RefusalKind::NotFound,
        why: format!("the plan has no phase {name}"),
        help: match known.as_slice() {
            [] => "it names none: `phases: { backfill: { expected: 4h }, cutover: {} }`".to_owned(),
            known => format!("its phases are, in order: {}", known.join(", ")),
        },
    })
}
