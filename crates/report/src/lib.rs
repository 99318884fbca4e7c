//! The report of a run, made of the records of its migration alone.
//!
//! [`report`] gathers it; [`RunReport`] is what it contains, and JSON as it is; [`markdown`] and [`html`] render it. The lines
//! of its timeline are those that people read elsewhere ([`belay_narrate`]).

mod chart;
mod checklist;
mod compared;
mod course;
pub mod listing;
mod measures;
pub mod model;
mod people;
mod render;
mod shown;
mod signals;
mod steps;
mod strip;
mod summary;
mod unknown;
pub mod words;

pub use course::Gathering;
pub use model::RunReport;
pub use render::{html, markdown};
pub use shown::Shown;
pub(crate) use shown::shown;

use std::collections::BTreeSet;

use belay_core::{
    event::{Event, Record, RunKind},
    evidence::EvidenceSource,
    id::{IncidentId, NoticeId, RunId},
    incident::Incident,
    migration::Corrupt,
};
use belay_narrate::Audience;

use crate::{
    course::Course,
    model::{Listing, Postmortem, ReportFinding, ReportIncident, ReportSource, TimelineEntry},
};

/// Lines of a timeline; of a longer one the first and the last.
const LINES_MAX: usize = 1000;

/// Gathers what `records`, the whole stream of a migration, show of one run. None: they do not show it.
///
/// # Errors
/// [`Corrupt`] when the records cannot be folded.
pub fn report(records: &[Record], run: &RunId) -> Result<Option<RunReport>, Corrupt> {
    let Some(first) = records.first() else { return Ok(None) };
    let mut gathering = Gathering::of_run(&first.stream, run);
    records.iter().cloned().try_for_each(|record| gathering.take(record))?;
    Ok(gathering.report())
}

/// Gathers what `records`, the whole stream of a migration, show of one incident: the report of its run, or of the incident alone
/// where nothing was rolled back. None: they do not show it.
///
/// # Errors
/// [`Corrupt`] when the records cannot be folded.
pub fn report_of_incident(records: &[Record], incident: &IncidentId) -> Result<Option<RunReport>, Corrupt> {
    let Some(first) = records.first() else { return Ok(None) };
    let mut gathering = Gathering::of_incident(&first.stream, incident);
    records.iter().cloned().try_for_each(|record| gathering.take(record))?;
    match gathering.rolled_back() {
        Some(run) => report(records, run),
        None => Ok(gathering.report()),
    }
}

impl Gathering {
    /// The report of what the records show. None: they do not show it. Of an incident that was rolled back, that of the incident alone.
    pub fn report(&self) -> Option<RunReport> {
        self.course().map(|course| gather(&course))
    }
}

fn gather(course: &Course) -> RunReport {
    let run = &course.run;
    // A dry run changes nothing: there is nothing to measure, and nothing to check afterwards.
    let changes = run.kind != RunKind::Dry;
    let measures = if changes { measures::measures(course) } else { Vec::new() };
    let data_loss = measures::losses(course);
    let strip = signals::strip(course);
    let mut report = RunReport {
        migration: shown(&run.plan.migration),
        run: course.has_run.then(|| shown(&run.id.0)),
        kind: course.has_run.then_some(run.kind),
        state: course.has_run.then_some(run.state),
        over: run.state.is_over(),
        as_of: course.as_of,
        timezone: run.plan.notify.timezone.as_ref().map(shown),
        plan_summary: run.plan.summary.as_ref().map(shown),
        plan_sha256: shown(&run.plan_sha256),
        phase: run.phase.as_ref().map(shown),
        cutover: run.cutover,
        started: run.started,
        ended: course.ended(),
        actor: shown(&run.actor),
        reason: shown(&run.reason),
        why: shown(&run.why),
        summary: Vec::new(),
        incident: incident(course),
        goals: if changes { measures::goals(course, &measures, &data_loss) } else { Vec::new() },
        measures,
        data_loss,
        decisions: people::decisions(course),
        steps: steps::steps(course),
        confirm: steps::confirm(course),
        unknown: unknown::unknown(course, &strip),
        signals: strip,
        notices: people::notices(course),
        checklist: Vec::new(),
        postmortem: Postmortem::default(),
        timeline: timeline(course),
    };
    report.summary = summary::summary(course, &report);
    report.postmortem = summary::postmortem(course, &report);
    if changes {
        report.checklist = checklist::checklist(course, &report);
    }
    report
}

fn incident(course: &Course) -> Option<ReportIncident> {
    let incident = course.incident.as_ref()?;
    let triggers = || incident.triggers.iter().filter_map(|name| course.plan().triggers.get(name));
    let evidence = course.told().iter().filter_map(|record| match &record.event {
        Event::TriggerFired { trigger, evidence } if incident.triggers.contains(trigger) => Some(evidence),
        _ => None,
    });
    Some(ReportIncident {
        id: shown(&incident.id.0),
        opened: incident.opened,
        closed: incident.closed,
        outcome: incident.outcome,
        severity: measures::severity(course)?,
        // In a drill, customers feel nothing.
        customer_facing: course.run.kind != RunKind::Drill && triggers().any(|trigger| trigger.is_customer_facing()),
        triggers: incident.triggers.iter().map(shown).collect(),
        breach: course.breach.unwrap_or(incident.opened),
        evidence: evidence.flatten().take(LINES_MAX).map(shown).collect(),
        sources: sources(course, incident),
    })
}

/// They may have answered after the run was over.
fn sources(course: &Course, about: &Incident) -> Vec<ReportSource> {
    let mut found: Vec<ReportSource> = Vec::new();
    for record in course.records {
        let Event::EvidenceGathered { incident, source, findings, notes } = &record.event else { continue };
        if *incident != about.id {
            continue;
        }
        if found.last().is_none_or(|last| last.source != *source) {
            found.push(ReportSource { source: *source, findings: Vec::new(), notes: Vec::new() });
        }
        let Some(last) = found.last_mut() else { continue };
        last.findings.extend(findings.iter().map(|finding| ReportFinding {
            at: finding.at,
            what: shown(&finding.what),
            resource: shown(&finding.resource),
            who: finding.who.as_ref().map(shown),
        }));
        last.notes.extend(notes.iter().map(shown));
    }
    // The second look at CloudTrail lists all of it again.
    let first = found.iter().find(|one| one.source == EvidenceSource::Cloudtrail).map(|one| one.findings.clone());
    for later in found.iter_mut().filter(|one| one.source == EvidenceSource::CloudtrailLater) {
        later.findings.retain(|finding| first.as_ref().is_none_or(|known| !known.contains(finding)));
    }
    found
}

fn timeline(course: &Course) -> Listing<TimelineEntry> {
    // How often a notice was tried, the list of notices shows: here stands the first failure, and what became of it.
    let mut failed: BTreeSet<NoticeId> = BTreeSet::new();
    let is_told = |record: &&Record| match &record.event {
        Event::NoticeFailed { notice, again_at: Some(_), .. } => failed.insert(notice.clone()),
        _ => true,
    };
    let told = course.told().iter().filter(is_told);
    let lines = course.before().into_iter().chain(told).map(|record| (record.at, course.narrated(record)));
    let lines = lines.filter(|(_, told)| told.audience >= Audience::Followers);
    let entries = lines.map(|(at, told)| TimelineEntry {
        at,
        subject: shown(&told.subject),
        text: shown(&told.text),
        tone: told.tone,
    });
    Listing::of(entries.collect(), LINES_MAX)
}
