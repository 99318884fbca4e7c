//! Evidence: what was changed and observed before an incident, gathered while people decide and steps run. Nothing waits for it; it goes on
//! record in bounded pieces.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use belay_plan::model::Plan;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{decide::Deciding, event::Event, id::IncidentId, incident::Incident, migration::Migration};

/// Findings that are kept of one source; the latest.
pub const FINDINGS_MAX: usize = 100;

/// Findings in one record.
const FINDINGS_A_RECORD: usize = 20;

const NOTES_MAX: usize = 10;

/// Text from outside is kept in short.
const CHARS_MAX: usize = 300;

/// CloudTrail shows a call up to 15 minutes after it.
pub const LATER_AFTER: Duration = Duration::from_secs(16 * 60);

/// Past incidents that are looked back at; the latest.
const LATER_MAX: usize = 8;

/// Findings that the state keeps, for notices. The journal has all of them.
const FIRST: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceSource {
    /// How the plan's alarms have turned, and who changed them.
    AlarmHistory,
    /// Calls that change something in the account.
    Cloudtrail,
    /// The same once more, when what CloudTrail shows late has had time to show.
    CloudtrailLater,
    /// Faults, errors and throttles of the services in X-Ray's service graph.
    Xray,
    /// Insights of DevOps Guru.
    DevopsGuru,
}

impl EvidenceSource {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AlarmHistory => "alarm_history",
            Self::Cloudtrail => "cloudtrail",
            Self::CloudtrailLater => "cloudtrail_later",
            Self::Xray => "xray",
            Self::DevopsGuru => "devops_guru",
        }
    }
}

/// What a finding is, as its source counts and calls it: the same that the words of the finding show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Detail {
    /// Requests to a service in X-Ray's service graph.
    Requests {
        total: u64,
        /// Answered with 5xx.
        faults: u64,
        /// Answered with 4xx, those that were throttled included.
        errors: u64,
        /// Answered with 429.
        throttles: u64,
    },
    /// An insight of DevOps Guru: `HIGH`, `ONGOING`.
    Insight { id: String, severity: String, status: String },
}

impl Detail {
    fn shortened(&self) -> Self {
        match self {
            Self::Insight { id, severity, status } => {
                Self::Insight { id: short(id), severity: short(severity), status: short(status) }
            }
            Self::Requests { .. } => self.clone(),
        }
    }
}

/// One thing that happened, or was observed, before the incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    #[schema(value_type = String, format = "date-time")]
    pub at: Timestamp,
    /// `ModifyListener`, `OK -> ALARM`, `3 faults (5xx) in 1200 requests to`.
    pub what: String,
    /// What it was done to, or which alarm, service or insight it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resource: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
}

impl Finding {
    fn shortened(&self) -> Self {
        Self {
            at: self.at,
            what: short(&self.what),
            resource: short(&self.resource),
            who: self.who.as_deref().map(short),
            detail: self.detail.as_ref().map(Detail::shortened),
        }
    }

    /// `02:11:30Z ModifyListener checkout by alice`
    pub fn words(&self) -> String {
        let resource = if self.resource.is_empty() { String::new() } else { format!(" {}", self.resource) };
        let who = self.who.as_ref().map(|who| format!(" by {who}")).unwrap_or_default();
        format!("{} {}{resource}{who}", self.at.strftime("%H:%M:%SZ"), self.what)
    }
}

/// What came of asking one source. A source that cannot be asked is a note, and no failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gathered {
    /// The latest first.
    pub findings: Vec<Finding>,
    /// What was left out or could not be read, and why.
    pub notes: Vec<String>,
}

impl Gathered {
    pub fn note(why: impl Into<String>) -> Self {
        Self { findings: Vec::new(), notes: vec![why.into()] }
    }
}

/// What the state keeps of the evidence of an incident.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence(BTreeMap<EvidenceSource, Vec<Finding>>);

impl Evidence {
    /// The first changes and turns of each source, the most telling source first.
    pub fn first(&self) -> impl Iterator<Item = &Finding> {
        // The second look at CloudTrail shows what the first one did.
        let twice = self.0.get(&EvidenceSource::CloudtrailLater).is_some_and(|findings| !findings.is_empty());
        let changes = if twice { EvidenceSource::CloudtrailLater } else { EvidenceSource::Cloudtrail };
        self.of([changes, EvidenceSource::AlarmHistory])
    }

    /// The first findings of the sources that show how the system was, and not what was done to it.
    pub fn observed(&self) -> impl Iterator<Item = &Finding> {
        self.of([EvidenceSource::Xray, EvidenceSource::DevopsGuru])
    }

    fn of(&self, sources: [EvidenceSource; 2]) -> impl Iterator<Item = &Finding> {
        sources.into_iter().filter_map(|source| self.0.get(&source)).flatten()
    }
}

/// The sources that a plan wants to be asked.
pub fn sources(plan: &Plan) -> Vec<EvidenceSource> {
    let Some(wanted) = &plan.evidence else { return Vec::new() };
    let cloudtrail = wanted.cloudtrail.map(|_| EvidenceSource::Cloudtrail);
    let xray = wanted.xray.as_ref().map(|_| EvidenceSource::Xray);
    let devops_guru = wanted.devops_guru.then_some(EvidenceSource::DevopsGuru);
    std::iter::once(EvidenceSource::AlarmHistory).chain(cloudtrail).chain(xray).chain(devops_guru).collect()
}

impl Migration {
    /// The open incident and the sources that have not answered yet. After a restart they are asked again.
    pub(crate) fn wanted_evidence(&self) -> Option<(IncidentId, Vec<EvidenceSource>)> {
        let (incident, plan) = (self.incident.as_ref()?, self.plan.as_ref()?);
        let mut sources = sources(plan);
        sources.retain(|source| !incident.evidence.0.contains_key(source));
        (!sources.is_empty()).then(|| (incident.id.clone(), sources))
    }

    /// Incidents about which CloudTrail is to be asked once more, each with the time, also after they and the rollback are over.
    pub fn later_evidence(&self) -> Vec<(IncidentId, Timestamp)> {
        let wanted = self.plan.as_ref().and_then(|plan| plan.evidence.as_ref()?.cloudtrail);
        if wanted.is_none() {
            return Vec::new();
        }
        let past = self.past_incidents.iter().rev().take(LATER_MAX).map(AsRef::as_ref);
        let incidents = self.incident.iter().chain(past).filter(|incident| {
            let has = |source| incident.evidence.0.contains_key(&source);
            has(EvidenceSource::Cloudtrail) && !has(EvidenceSource::CloudtrailLater)
        });
        incidents.map(|incident| (incident.id.clone(), incident.opened + LATER_AFTER)).collect()
    }

    fn incident_mut(&mut self, id: &IncidentId) -> Option<&mut Incident> {
        match &mut self.incident {
            Some(open) if open.id == *id => Some(open),
            _ => self.past_incidents.iter_mut().rev().find(|past| past.id == *id).map(Arc::make_mut),
        }
    }

    pub(crate) fn apply_evidence(
        &mut self,
        id: &IncidentId,
        source: EvidenceSource,
        found: &[Finding],
    ) -> Result<(), String> {
        let incident = self.incident_mut(id).ok_or("evidence of an incident that is not there")?;
        let kept = incident.evidence.0.entry(source).or_default();
        kept.extend(found.iter().take(FIRST.saturating_sub(kept.len())).cloned());
        Ok(())
    }
}

impl Deciding {
    /// A source has answered, perhaps after the incident was closed.
    pub(crate) fn gathered(&mut self, id: &IncidentId, source: EvidenceSource, gathered: &Gathered) {
        let known = self.state.find_incident(id).is_some_and(|incident| !incident.evidence.0.contains_key(&source));
        if !known {
            return;
        }
        let mut notes: Vec<String> = gathered.notes.iter().take(NOTES_MAX).map(|note| short(note)).collect();
        let left_out = gathered.findings.len().saturating_sub(FINDINGS_MAX);
        if left_out > 0 {
            notes.push(format!("{left_out} earlier ones are left out"));
        }
        let findings: Vec<Finding> = gathered.findings.iter().take(FINDINGS_MAX).map(Finding::shortened).collect();
        let mut parts: Vec<Vec<Finding>> = findings.chunks(FINDINGS_A_RECORD).map(<[Finding]>::to_vec).collect();
        if parts.is_empty() {
            parts.push(Vec::new());
        }
        for findings in parts {
            let (incident, notes) = (id.clone(), std::mem::take(&mut notes));
            self.emit(Event::EvidenceGathered { incident, source, findings, notes });
        }
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
