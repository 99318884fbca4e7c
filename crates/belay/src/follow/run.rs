//! A run as the daemon and the engine describe it: the parts that people get to see.

use std::time::Duration;

use belay_core::change::Progress;
use belay_engine::{DryRun, Snapshot, view::RunView};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) migration: String,
    pub(crate) state: String,
    pub(crate) reason: String,
    pub(crate) why: String,
    pub(crate) started: Timestamp,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) expected_left_s: Option<u64>,
    pub(crate) steps: IndexMap<String, Step>,
    pub(crate) confirm: Vec<Gate>,
    pub(crate) waiting_for: Vec<Waiting>,
    /// The whole document, for `--json`.
    #[serde(skip)]
    pub(crate) document: Value,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Step {
    pub(crate) phase: String,
    pub(crate) attempt: u32,
    pub(crate) why: String,
    pub(crate) waiting_for: Vec<Waiting>,
    pub(crate) changes: Vec<Change>,
    pub(crate) progress: Option<Progress>,
    pub(crate) since: Timestamp,
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Change {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) after: Value,
    pub(crate) effective: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Gate {
    pub(crate) signal: String,
    pub(crate) for_s: u64,
    pub(crate) state: String,
    pub(crate) evidence: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Waiting {
    pub(crate) reason: String,
    pub(crate) verbs: Vec<String>,
}

impl Run {
    pub(crate) fn read(document: Value) -> Result<Self, Failure> {
        let run = Self::deserialize(&document).map_err(|error| {
            let error = anyhow::Error::new(error).context("what the daemon says of its run cannot be understood");
            Failure::new(Exit::Unexpected, error).help("the daemon and this command should be of the same version")
        })?;
        Ok(Self { document, ..run })
    }

    /// The run of this id in a snapshot.
    pub(crate) fn of(snapshot: &Snapshot, id: &str, now: Timestamp) -> Option<Self> {
        let state = &snapshot.state;
        let run = state.run.as_ref().filter(|run| run.id.0 == id)?;
        Self::read(json!(RunView::new(state, run, Some(snapshot), now))).ok()
    }

    /// Nothing moves it but a person.
    pub(crate) fn has_stopped(&self) -> bool {
        matches!(self.state.as_str(), "rolled_back" | "halted" | "aborted" | "rehearsed")
    }

    pub(crate) fn exit(&self) -> Exit {
        match self.state.as_str() {
            "rolled_back" | "rehearsed" => Exit::Done,
            _ => Exit::NotRolledBack,
        }
    }

    /// What a dry run found.
    pub(crate) fn dry_run(&self) -> Option<DryRun> {
        DryRun::deserialize(&self.document["report"]).ok()
    }

    pub(crate) fn took(&self) -> Option<Duration> {
        Some(crate::text::between(self.started, self.ended?))
    }

    /// Steps that wait for a person's word.
    pub(crate) fn awaiting_approval(&self) -> impl Iterator<Item = (&str, &Step)> {
        let waiting = self.steps.iter().filter(|(_, step)| step.phase == "awaiting_approval");
        waiting.map(|(name, step)| (name.as_str(), step))
    }

    /// Databases that were replaced: they are still there, under these names.
    pub(crate) fn kept_databases(&self) -> Vec<&str> {
        let changes = self.steps.values().flat_map(|step| &step.changes);
        let renamed = changes.filter(|change| change.id == "rename_failed" && change.effective);
        renamed.filter_map(|change| change.after["db_instance_identifier"].as_str()).collect()
    }
}

impl Step {
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase.as_str(), "done" | "unchanged" | "failed" | "skipped" | "blocked")
    }

    /// What is to be said of it now, on one line.
    pub(crate) fn what(&self) -> String {
        if let Some(progress) = self.progress.as_ref().filter(|progress| !progress.note.is_empty()) {
            return progress.note.clone();
        }
        if !self.why.is_empty() {
            return self.why.clone();
        }
        if let Some(waiting) = self.waiting_for.first() {
            return waiting.reason.clone();
        }
        let open = self.changes.iter().find(|change| !change.effective);
        open.or(self.changes.last()).map_or(String::new(), |change| change.title.clone())
    }
}
