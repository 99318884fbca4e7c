//! Each step: what was there before and after, what was sent, and what came of it.

use std::{collections::BTreeMap, sync::Arc};

use belay_core::{
    event::{Event, GateEvent, StepEvent},
    gate::{self, GateStatus},
    run::StepState,
};
use belay_plan::model::Name;

use crate::{
    course::Course,
    measures::seconds,
    model::{
        GateState, Listing, ReportApproval, ReportChange, ReportGate, ReportSend, ReportStep, SendOutcome, StepFailure,
    },
    shown, words,
};

const SENDS_MAX: usize = 50;

/// What the events of one step show beyond its state.
#[derive(Default)]
struct Past {
    sends: Vec<ReportSend>,
    /// The change of each send.
    changes: Vec<String>,
    failures: Vec<StepFailure>,
    approvals: Vec<ReportApproval>,
    broken: BTreeMap<Name, usize>,
}

pub(crate) fn steps(course: &Course) -> Vec<ReportStep> {
    let mut pasts: BTreeMap<&str, Past> = BTreeMap::new();
    for record in course.told() {
        if let Event::Step { step, what } = &record.event {
            pasts.entry(step).or_default().note(record.at, what);
        }
    }
    let step = |(name, step): (&Name, &Arc<StepState>)| {
        report_step(course, name, step, pasts.remove(name.as_str()).unwrap_or_default())
    };
    course.run.steps.iter().map(step).collect()
}

/// The gates of the confirmation.
pub(crate) fn confirm(course: &Course) -> Vec<ReportGate> {
    let mut broken = BTreeMap::new();
    for record in course.told() {
        if let Event::Confirm { signal, what: GateEvent::Broken { .. } } = &record.event {
            *broken.entry(signal.clone()).or_default() += 1;
        }
    }
    course.run.confirm.iter().map(|gate| report_gate(gate, &broken)).collect()
}

fn report_step(course: &Course, name: &Name, step: &StepState, past: Past) -> ReportStep {
    let plan = &course.plan().steps[name];
    let planned = step.planned.iter().filter(|planned| !step.sent.iter().any(|sent| sent.id == planned.id));
    let sent = step.sent.iter().map(|change| (change, true));
    let changes = sent.chain(planned.map(|change| (change, false))).map(|(change, sent)| ReportChange {
        title: shown(&change.title),
        before: shown(words::inline(&change.before)),
        after: shown(words::inline(&change.after)),
        sent,
    });
    ReportStep {
        name: shown(name),
        action: shown(&plan.action),
        resource: shown(&plan.resource),
        phase: step.phase,
        why: shown(&step.why),
        started: step.started,
        ended: step.ended,
        took_s: step.started.zip(step.ended).map(|(started, ended)| seconds(started, ended)),
        tries: step.tries,
        fallback_for: step.fallback_for.as_ref().map(shown),
        changes: changes.collect(),
        sends: Listing::of(past.sends, SENDS_MAX),
        failures: Listing::of(past.failures, SENDS_MAX),
        approvals: Listing::of(past.approvals, SENDS_MAX),
        overrides: step.overrides.iter().map(shown).collect(),
        require: step.require.iter().map(|gate| report_gate(gate, &past.broken)).collect(),
        verify: step.verify.iter().map(|gate| report_gate(gate, &past.broken)).collect(),
        job: step.report.as_ref().map_or_else(|| shown(""), |report| shown(words::job(report))),
    }
}

fn report_gate(gate: &gate::GateState, broken: &BTreeMap<Name, usize>) -> ReportGate {
    ReportGate {
        signal: shown(&gate.gate.signal),
        within_s: gate.gate.within.as_secs(),
        for_s: gate.gate.hold.as_secs(),
        state: match gate.status {
            GateStatus::Waiting => GateState::Waiting,
            GateStatus::Holding { .. } => GateState::Holding,
            GateStatus::Broken { .. } => GateState::Broken,
            GateStatus::Passed => GateState::Passed,
            GateStatus::Failed => GateState::Failed,
        },
        evidence: shown(&gate.evidence),
        broken: broken.get(&gate.gate.signal).copied().unwrap_or_default(),
    }
}

impl Past {
    fn note(&mut self, at: jiff::Timestamp, event: &StepEvent) {
        let approval = |what: &str, text: &str| ReportApproval { at, what: shown(what), text: shown(text) };
        match event {
            StepEvent::Intended { attempt, change, .. } => {
                self.changes.push(change.id.clone());
                self.sends.push(ReportSend {
                    at,
                    attempt: *attempt,
                    title: shown(&change.title),
                    call: shown(&change.call),
                    outcome: SendOutcome::Unanswered,
                    answered: None,
                    why: shown(""),
                });
            }
            StepEvent::Accepted { .. } => self.answered(at, SendOutcome::Accepted, ""),
            StepEvent::NoEffect { why, .. } => self.answered(at, SendOutcome::NoEffect, why),
            StepEvent::OutcomeUnknown { why, .. } => self.answered(at, SendOutcome::Unknown, why),
            StepEvent::Effective { change } => {
                if let Some(last) = self.changes.iter().rposition(|sent| sent == change) {
                    self.sends[last].outcome = SendOutcome::Effective;
                }
            }
            StepEvent::Failed { code, why } => {
                self.failures.push(StepFailure { at, code: shown(words::name(code)), why: shown(why) });
            }
            StepEvent::ApprovalAwaited { why, .. } => self.approvals.push(approval("awaited", why)),
            StepEvent::ApprovalGiven { by } => self.approvals.push(approval("given", by)),
            StepEvent::Approved => self.approvals.push(approval("approved", "")),
            StepEvent::Require { signal, what: GateEvent::Broken { .. } }
            | StepEvent::Verify { signal, what: GateEvent::Broken { .. } } => {
                *self.broken.entry(signal.clone()).or_default() += 1;
            }
            _ => {}
        }
    }

    fn answered(&mut self, at: jiff::Timestamp, outcome: SendOutcome, why: &str) {
        if let Some(last) = self.sends.last_mut() {
            (last.outcome, last.answered, last.why) = (outcome, Some(at), shown(why));
        }
    }
}
