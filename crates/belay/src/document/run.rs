//! A run as the daemon and the engine describe it: the parts that people get to see.

use std::time::Duration;

use belay_core::change::{Effect, Progress, Proof, Report};
use belay_engine::DryRun;
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::read;
use crate::{
    exit::{Exit, Failure},
    text,
};

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) migration: String,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) reason: String,
    pub(crate) actor: String,
    pub(crate) why: String,
    pub(crate) aborting: bool,
    pub(crate) started: Timestamp,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) expected_left_s: Option<u64>,
    pub(crate) steps: IndexMap<String, Step>,
    pub(crate) confirm: Vec<Gate>,
    pub(crate) waiting_for: Vec<Waiting>,
    /// The verbs that move the run as a whole now.
    #[serde(default)]
    pub(crate) possible: Vec<String>,
    /// Of an undo: what stays as it is, each with the reason.
    #[serde(default)]
    pub(crate) left: Vec<String>,
    /// The whole document, for `--json`.
    #[serde(skip)]
    pub(crate) document: Value,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Step {
    pub(crate) phase: String,
    pub(crate) action: String,
    pub(crate) needs: Vec<String>,
    pub(crate) why: String,
    /// The part of the traffic that it is at, where it moves in parts.
    #[serde(default)]
    pub(crate) stage: Option<Stage>,
    #[serde(default)]
    pub(crate) throttled: Option<Throttled>,
    pub(crate) waiting_for: Vec<Waiting>,
    /// The verbs that move it now; none: the daemon is of a version that does not list them.
    #[serde(default)]
    pub(crate) possible: Option<Vec<String>>,
    pub(crate) changes: Vec<Change>,
    /// What its job has left to read.
    #[serde(default)]
    pub(crate) report: Option<Report>,
    pub(crate) require: Vec<Gate>,
    pub(crate) verify: Vec<Gate>,
    /// Who has to approve it, while it waits for that.
    pub(crate) approval: Option<Approval>,
    pub(crate) progress: Option<Progress>,
    pub(crate) since: Timestamp,
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
}

/// What throttling has cost.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Throttled {
    pub(crate) sends: u32,
    pub(crate) seconds: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Stage {
    pub(crate) number: usize,
    pub(crate) of: usize,
    pub(crate) percent: u32,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Change {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) after: Value,
    /// What of the state before is kept beside the new one, under which name.
    #[serde(default)]
    pub(crate) keeps: Option<String>,
    #[serde(default)]
    pub(crate) effects: Vec<Effect>,
    pub(crate) effective: bool,
    #[serde(default = "yes")]
    pub(crate) sent: bool,
}

/// A daemon of an older version lists what was sent.
fn yes() -> bool {
    true
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Gate {
    pub(crate) signal: String,
    pub(crate) for_s: u64,
    pub(crate) state: String,
    /// Healthy without a break since then.
    pub(crate) holding_since: Option<Timestamp>,
    pub(crate) evidence: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Approval {
    pub(crate) role: String,
    pub(crate) quorum: usize,
    /// Who has said yes so far.
    pub(crate) given: Vec<String>,
    pub(crate) deadline: Option<Timestamp>,
    /// What follows when the deadline passes: `halt` or `skip`.
    pub(crate) otherwise: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Waiting {
    pub(crate) reason: String,
    pub(crate) verbs: Vec<String>,
    pub(crate) step: Option<String>,
}

impl Run {
    pub(crate) fn read(document: Value) -> Result<Self, Failure> {
        let run: Self = read(&document, "run")?;
        Ok(Self { document, ..run })
    }

    /// Nothing moves it any more.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "rolled_back" | "undone" | "aborted" | "rehearsed")
    }

    /// Nothing moves it but a person.
    pub(crate) fn has_stopped(&self) -> bool {
        self.is_over() || self.state == "halted"
    }

    pub(crate) fn exit(&self) -> Exit {
        match self.state.as_str() {
            "rolled_back" | "undone" | "rehearsed" => Exit::Done,
            _ => Exit::NotRolledBack,
        }
    }

    /// What a dry run found.
    pub(crate) fn dry_run(&self) -> Option<DryRun> {
        DryRun::deserialize(&self.document["report"]).ok()
    }

    pub(crate) fn took(&self) -> Option<Duration> {
        Some(text::between(self.started, self.ended?))
    }

    /// Steps that wait for a person's word.
    pub(crate) fn awaiting_approval(&self) -> impl Iterator<Item = (&str, &Step)> {
        let waiting = self.steps.iter().filter(|(_, step)| step.phase == "awaiting_approval");
        waiting.map(|(name, step)| (name.as_str(), step))
    }

    /// Steps that only a person moves on.
    pub(crate) fn needing_a_person(&self) -> impl Iterator<Item = &str> {
        let asks = |waiting: &&Waiting| self.has_failed(waiting) || waiting.verbs.iter().any(|verb| verb == "approve");
        self.waiting_for.iter().filter(asks).filter_map(|waiting| waiting.step.as_deref())
    }

    /// What waits is a step that has failed: it can be skipped at least.
    pub(crate) fn has_failed(&self, waiting: &Waiting) -> bool {
        let step = waiting.step.as_ref().and_then(|name| self.steps.get(name));
        step.is_some_and(|step| step.phase == "failed")
    }

    /// What was replaced and is still there, as each change says it.
    pub(crate) fn kept(&self) -> Vec<&str> {
        let changes = self.steps.values().flat_map(|step| &step.changes).filter(|change| change.effective);
        changes.filter_map(Change::kept).collect()
    }
}

impl Change {
    fn kept(&self) -> Option<&str> {
        // A run of a version before `keeps` says it for databases alone, by the name that they were given.
        let of_old = || self.after["db_instance_identifier"].as_str().filter(|_| self.id == "rename_failed");
        self.keeps.as_deref().or_else(of_old)
    }
}

impl Step {
    /// As far as the daemon says.
    pub(crate) fn takes(&self, verb: &str) -> bool {
        self.possible.as_ref().is_none_or(|possible| possible.iter().any(|possible| possible == verb))
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase.as_str(), "done" | "unchanged" | "failed" | "skipped" | "blocked")
    }

    /// It has begun, and goes on without a person.
    pub(crate) fn is_under_way(&self) -> bool {
        !self.is_over() && !matches!(self.phase.as_str(), "pending" | "awaiting_approval")
    }

    /// What holds it up, and can be overridden by a person: interlocks that are not healthy, or else the destinations
    /// that nothing proves healthy.
    pub(crate) fn subjects(&self) -> Vec<String> {
        let gates = self.require.iter().filter(|gate| matches!(gate.state.as_str(), "broken" | "failed" | "waiting"));
        let gates: Vec<String> = gates.map(|gate| gate.signal.clone()).collect();
        if !gates.is_empty() {
            return gates;
        }
        let effects = self.changes.iter().filter(|change| !change.effective).flat_map(|change| &change.effects);
        let shares = effects.flat_map(|effect| match effect {
            Effect::Traffic { shares } => shares.as_slice(),
            _ => &[],
        });
        let unproven = shares.filter(|share| share.after > 0 && !matches!(share.proof, Proof::Healthy { .. }));
        unproven.map(|share| share.destination.clone()).collect()
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
        if self.is_over() {
            return self.done();
        }
        let open = self.changes.iter().find(|change| !change.effective);
        open.or(self.changes.last()).map_or(String::new(), |change| change.title.clone())
    }

    /// What was sent, as far as it fits on one line: the first change and the last one.
    fn done(&self) -> String {
        let sent: Vec<&str> =
            self.changes.iter().filter(|change| change.sent).map(|change| change.title.as_str()).collect();
        match sent.as_slice() {
            [] => String::new(),
            [only] => (*only).to_owned(),
            [first, last] => format!("{first}; {last}"),
            [first, between @ .., last] => format!("{first}; {} more; {last}", between.len()),
        }
    }
}
