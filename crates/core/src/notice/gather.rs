//! What there is to tell, gathered from the state.

use belay_plan::{
    model::{Authority, Name},
    notify::NoticeKind,
};
use jiff::Timestamp;

use crate::{
    approval::OPERATOR,
    decision::follows,
    event::RunKind,
    id::{IncidentId, RunId},
    incident::Incident,
    migration::Migration,
    notice::{Facts, IncidentFacts, RunFacts, StepFacts},
    run::{Phase, Run},
    watch::{Truth, health_in, truth},
};

/// The actor of what no person asked for.
const BELAY: &str = "belay";

/// Texts from outside are told in short: the journal has the whole of them.
const CHARS_MAX: usize = 500;
const EVIDENCE_MAX: usize = 5;
const CHANGES_MAX: usize = 3;

/// Something that people may want to hear.
#[derive(Clone)]
pub(super) struct Told {
    pub(super) kind: NoticeKind,
    /// Channels that listen to this kind hear of it, too.
    pub(super) also: Option<NoticeKind>,
    pub(super) at: Timestamp,
    pub(super) why: String,
    pub(super) by: Option<String>,
    pub(super) step: Option<Name>,
    pub(super) over: bool,
    pub(super) joined: Vec<Name>,
    /// So many more were merged into this one.
    pub(super) more: usize,
    pub(super) source: Option<String>,
    pub(super) incident: Option<IncidentId>,
    /// None: the run under way, or the last one of the incident.
    pub(super) run: Option<RunId>,
}

impl Told {
    pub(super) fn of(kind: NoticeKind, at: Timestamp) -> Self {
        Self {
            kind,
            also: None,
            at,
            why: String::new(),
            by: None,
            step: None,
            over: false,
            joined: Vec::new(),
            more: 0,
            source: None,
            incident: None,
            run: None,
        }
    }

    pub(super) fn why(self, why: &str) -> Self {
        Self { why: short(why), ..self }
    }

    /// `belay` is no person.
    pub(super) fn by(self, by: &str) -> Self {
        Self { by: Some(by.to_owned()).filter(|by| by != BELAY), ..self }
    }

    pub(super) fn step(self, step: &str, why: &str) -> Self {
        Self { step: Some(step.to_owned()), ..self.why(why) }
    }

    pub(super) fn source(self, source: &str) -> Self {
        Self { source: Some(source.to_owned()), ..self }
    }

    pub(super) fn over(self) -> Self {
        Self { over: true, ..self }
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

impl Migration {
    pub(super) fn facts(&self, told: &Told, update: u32) -> Facts {
        let incident = told.incident.as_ref().and_then(|incident| self.find_incident(incident));
        let run = match (&told.run, incident) {
            (Some(run), _) => self.find_run(run),
            (None, Some(incident)) => incident.run.as_ref().and_then(|run| self.find_run(run)),
            (None, None) => self.run.as_ref().filter(|run| told.kind.is_of_incident() && run.kind != RunKind::Dry),
        };
        let drilled = self.drill.is_some() || run.is_some_and(|run| run.kind == RunKind::Drill);
        let point = self.point_of_no_return().filter(|_| told.kind == NoticeKind::PointOfNoReturn);
        Facts {
            kind: told.kind,
            update,
            migration: self.name.clone(),
            summary: self.plan.as_ref().and_then(|plan| plan.summary.clone()),
            drill: drilled || incident.is_some_and(|incident| self.is_of_drill(incident)),
            over: told.over,
            at: told.at,
            why: told.why.clone(),
            by: told.by.clone(),
            joined: told.joined.clone(),
            more: told.more,
            source: told.source.clone(),
            incident: incident.and_then(|incident| self.incident_facts(incident)),
            run: run.map(run_facts),
            step: told.step.as_ref().zip(run).map(|(step, run)| step_facts(step, run, told)),
            phase: self.phase_name().map(ToOwned::to_owned),
            muted_until: self.muted.as_ref().filter(|_| told.kind == NoticeKind::Muted).map(|mute| mute.until),
            point_of_no_return: point,
            readiness: self
                .readiness
                .as_ref()
                .filter(|_| told.kind == NoticeKind::Readiness)
                .map(|ready| ready.verdict),
        }
    }

    fn incident_facts(&self, incident: &Incident) -> Option<IncidentFacts> {
        let plan = self.plan.as_ref()?;
        let triggers = || incident.triggers.iter().filter_map(|name| Some((name, plan.triggers.get(name)?)));
        let health = health_in(&self.signals);
        let truths: Vec<_> = triggers().map(|(name, trigger)| (name, truth(&trigger.when, &health))).collect();
        let asks = incident.asks.as_ref();
        // Once it is answered nobody is asked any more.
        let open = asks.filter(|_| incident.is_asking());
        let evidence = triggers().flat_map(|(_, trigger)| crate::watch::signals_of(&trigger.when));
        let evidence = evidence.filter_map(|signal| {
            let state = self.signals.get(signal).filter(|state| state.health == crate::reading::Health::Unhealthy)?;
            Some(short(&format!("{signal}: {}", state.evidence)))
        });
        let mut shown: Vec<String> = Vec::new();
        evidence.for_each(|line| {
            if shown.len() < EVIDENCE_MAX && !shown.contains(&line) {
                shown.push(line);
            }
        });
        let authority = |authority: &Authority| match authority.roles() {
            [] => vec![OPERATOR.to_owned()],
            roles => roles.to_vec(),
        };
        Some(IncidentFacts {
            id: incident.id.clone(),
            opened: incident.opened,
            felt_since: self.felt_since(incident),
            severity: self.worst_severity(&incident.triggers)?,
            customer_facing: self.is_felt_by_customers(&incident.id),
            triggers: incident.triggers.clone(),
            firing: truths.iter().filter(|(_, truth)| *truth == Truth::True).map(|(name, _)| (*name).clone()).collect(),
            healthy: truths.iter().all(|(_, truth)| *truth == Truth::False),
            evidence: shown,
            changes: incident.evidence.first().take(CHANGES_MAX).map(|finding| short(&finding.words())).collect(),
            observed: incident.evidence.observed().map(|finding| short(&finding.words())).collect(),
            problem: asks.and_then(|asks| asks.problem.clone()),
            answer: incident.answer,
            why: short(&incident.why),
            timebox_ends: open.and_then(|asks| asks.timebox_ends),
            then: open.and_then(|_| follows(self, incident)),
            authority: open.map(|asks| authority(&asks.authority)).unwrap_or_default(),
            all: open.is_some_and(|asks| matches!(asks.authority, Authority::AllOf { .. })),
            outcome: incident.outcome,
        })
    }
}

fn run_facts(run: &Run) -> RunFacts {
    let named = |wanted: &dyn Fn(Phase) -> bool| -> Vec<Name> {
        run.steps.iter().filter(|(_, step)| wanted(step.phase)).map(|(name, _)| name.clone()).collect()
    };
    RunFacts {
        id: run.id.clone(),
        kind: run.kind,
        state: run.state,
        started: run.started,
        ended: run.ended,
        reason: short(&run.reason),
        by: run.actor.clone(),
        steps: run.steps.len(),
        over: run.steps.values().filter(|step| step.phase.is_over()).count(),
        done: Some(run.steps.values().filter(|step| matches!(step.phase, Phase::Done | Phase::Unchanged)).count()),
        confirmed: run.is_confirmed(),
        now: named(&|phase| !phase.is_over() && phase != Phase::Pending),
        failed: named(&|phase| phase == Phase::Failed),
        alerted: run.alerted.clone(),
    }
}

fn step_facts(name: &str, run: &Run, told: &Told) -> StepFacts {
    let planned = run.plan.steps.get(name);
    let approve = planned.and_then(|step| step.approve.as_ref()).filter(|_| told.kind == NoticeKind::Approval);
    let asked = (told.kind == NoticeKind::Approval).then(|| OPERATOR.to_owned());
    StepFacts {
        name: name.to_owned(),
        action: planned.map(|step| step.action.clone()).unwrap_or_default(),
        why: told.why.clone(),
        role: approve.map(|approve| approve.role.clone()).or(asked),
        quorum: approve.map(|approve| approve.quorum),
        until: run.steps.get(name).and_then(|step| step.approval_until),
        overdue: run.steps.get(name).is_some_and(|step| step.overdue.is_some()),
    }
}
