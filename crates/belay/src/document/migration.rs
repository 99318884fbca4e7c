//! A migration as the daemon describes it.

use belay_core::readiness::CheckVerdict;
use belay_engine::{LossView, Snapshot, view::MigrationView};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Run, Waiting, read};
use crate::exit::Failure;

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Migration {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) plan_sha256: Option<String>,
    pub(crate) pending_plan: Option<String>,
    /// Why the plan file as it is now cannot be armed.
    pub(crate) plan_problem: Option<String>,
    /// Why nobody could approve or decide.
    #[serde(default)]
    pub(crate) people_problem: Option<String>,
    pub(crate) summary: Option<String>,
    #[serde(default)]
    pub(crate) overlay: Option<String>,
    #[serde(default)]
    pub(crate) drill: Option<Drill>,
    pub(crate) armed: Option<Timestamp>,
    pub(crate) cutover: Option<Timestamp>,
    #[serde(default)]
    pub(crate) phase: Option<String>,
    #[serde(default)]
    pub(crate) phase_since: Option<Timestamp>,
    #[serde(default)]
    pub(crate) phase_expected_s: Option<f64>,
    #[serde(default)]
    pub(crate) muted_until: Option<Timestamp>,
    #[serde(default)]
    pub(crate) muted_by: Option<String>,
    #[serde(default)]
    pub(crate) muted_reason: Option<String>,
    #[serde(default)]
    pub(crate) window: Option<Window>,
    /// What each step that loses data would lose now.
    #[serde(default)]
    pub(crate) loss: IndexMap<String, LossView>,
    /// Whether a rollback would go through now.
    #[serde(default)]
    pub(crate) readiness: Option<Ready>,
    /// Where calls to AWS go, if not straight to AWS.
    #[serde(default)]
    pub(crate) detours: Vec<String>,
    /// The `belay guard` that runs the migration's command.
    #[serde(default)]
    pub(crate) guard: Option<GuardReport>,
    /// What a rollback returns to.
    #[serde(default)]
    pub(crate) baseline: Option<Baseline>,
    pub(crate) triggers: IndexMap<String, Trigger>,
    pub(crate) signals: IndexMap<String, Signal>,
    pub(crate) blind: IndexMap<String, Timestamp>,
    pub(crate) incident: Option<Incident>,
    #[serde(rename = "run")]
    run_document: Option<Value>,
    /// The one under way, or the last.
    #[serde(skip)]
    pub(crate) run: Option<Run>,
    pub(crate) waiting_for: Vec<Waiting>,
    /// The verbs that move it now; none while a run is open.
    #[serde(default)]
    pub(crate) possible: Vec<String>,
    /// What has become of notices, by channel.
    #[serde(default)]
    pub(crate) notices: IndexMap<String, Channel>,
    pub(crate) faults: Vec<String>,
    pub(crate) poll_s: f64,
    /// The journal's last record that it shows.
    pub(crate) seq: u64,
    /// The moment that all of it is from, by the clock of whoever watches.
    pub(crate) now: Timestamp,
}

/// What `belay guard` has reported last.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct GuardReport {
    pub(crate) stage: String,
    pub(crate) lost: bool,
    pub(crate) found: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Drill {
    pub(crate) trigger: Option<String>,
    pub(crate) reason: String,
    pub(crate) actor: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Channel {
    pub(crate) sent: u64,
    pub(crate) failed: u64,
    pub(crate) waiting: u64,
    pub(crate) late: u64,
    pub(crate) failing_since: Option<Timestamp>,
    pub(crate) why: Option<String>,
    #[serde(default)]
    pub(crate) unusable: Option<String>,
    pub(crate) given_up: Option<GivenUp>,
    /// Notices that some of their recipients did not get; `why` lists these. A daemon that is older does not show it.
    #[serde(default)]
    pub(crate) refused: Option<GivenUp>,
    pub(crate) next_update: Option<Timestamp>,
}

/// What people will not be told any more.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct GivenUp {
    pub(crate) count: u64,
    pub(crate) at: Timestamp,
    pub(crate) about: String,
    pub(crate) why: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Window {
    pub(crate) opens: Option<Timestamp>,
    pub(crate) point_of_no_return: Option<Timestamp>,
    pub(crate) unmarked: bool,
}

/// One person's word on an incident.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Word {
    pub(crate) who: String,
    #[serde(default)]
    pub(crate) roles: Vec<String>,
    pub(crate) word: String,
    pub(crate) reason: String,
    /// For what is asked now. A daemon that is older does not say so.
    #[serde(default = "counts")]
    pub(crate) counts: bool,
}

fn counts() -> bool {
    true
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Baseline {
    pub(crate) captured: Timestamp,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Trigger {
    pub(crate) severity: String,
    pub(crate) state: String,
    pub(crate) signals: Vec<String>,
    pub(crate) held_s: f64,
    pub(crate) for_s: f64,
    pub(crate) fires_at: Option<Timestamp>,
    pub(crate) unknown_since: Option<Timestamp>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Signal {
    pub(crate) health: String,
    pub(crate) since: Timestamp,
    pub(crate) evidence: String,
    /// False when it has not been read since it is watched.
    pub(crate) read: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Incident {
    pub(crate) id: String,
    pub(crate) opened: Timestamp,
    pub(crate) triggers: Vec<String>,
    pub(crate) decision: Option<String>,
    pub(crate) why: String,
    #[serde(default)]
    pub(crate) timebox_ends: Option<Timestamp>,
    #[serde(default)]
    pub(crate) then: Option<String>,
    #[serde(default)]
    pub(crate) words: Vec<Word>,
}

impl Migration {
    pub(crate) fn read(document: &Value) -> Result<Self, Failure> {
        let mut migration: Self = read(document, "migration")?;
        migration.run = migration.run_document.take().map(Run::read).transpose()?;
        Ok(migration)
    }

    /// As an engine in this process has it.
    pub(crate) fn of(snapshot: &Snapshot, now: Timestamp) -> Result<Self, Failure> {
        Self::read(&json!(MigrationView::new(snapshot, None, now)))
    }

    /// The run under way, or halted.
    pub(crate) fn open_run(&self) -> Option<&Run> {
        self.run.as_ref().filter(|run| !run.is_over())
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Ready {
    pub(crate) verdict: CheckVerdict,
    pub(crate) at: Timestamp,
    pub(crate) go: usize,
    pub(crate) warn: usize,
    pub(crate) unknown: usize,
    pub(crate) no_go: usize,
    pub(crate) findings: Vec<String>,
}
