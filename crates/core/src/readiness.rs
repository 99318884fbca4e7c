//! Readiness on record: whether a rollback would go through now, by what the engine has checked. Only a change of the verdict is an
//! event; the checks themselves are live.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{decide::Deciding, event::Event};

/// Findings that an event contains; more are counted.
const FINDINGS_MAX: usize = 20;

/// The result of one check, and of all together: the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckVerdict {
    /// As it should be.
    Go,
    /// The rollback can be carried out, and a person should know this before.
    Warn,
    /// It could not be found out; `found` says why.
    Unknown,
    /// The rollback could not be carried out now: a dry run answers no, and the plan is not armed.
    NoGo,
}

impl CheckVerdict {
    /// A rollback can be carried out, as far as the checks show.
    pub fn holds(self) -> bool {
        matches!(self, Self::Go | Self::Warn)
    }

    pub const ALL: [Self; 4] = [Self::Go, Self::Warn, Self::Unknown, Self::NoGo];

    /// As JSON and metrics write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::Warn => "warn",
            Self::Unknown => "unknown",
            Self::NoGo => "no_go",
        }
    }

    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::NoGo => "no-go",
            other => other.name(),
        }
    }

    /// `no-go: step db_back: checkout: is stopped (wanted: available); and 3 more`
    pub fn with_findings(self, findings: &[String], left_out: usize) -> String {
        const SHOWN: usize = 3;
        let more = findings.len().saturating_sub(SHOWN) + left_out;
        let shown = findings.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        if shown.is_empty() { self.word().to_owned() } else { format!("{shown}{more}") }
    }
}

/// The verdict on record of an armed migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    pub verdict: CheckVerdict,
    pub since: Timestamp,
}

/// The verdict of an evaluation, with a line for each check that is not [`Go`](CheckVerdict::Go), the worst first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    pub verdict: CheckVerdict,
    pub findings: Vec<String>,
}

impl Deciding {
    /// An evaluation is over. The first one after arming is on record, then each with another verdict. While an incident is open,
    /// or steps run, it shows what these do to the system: what is then still so is on record after them.
    pub(crate) fn checked(&mut self, Checked { verdict, findings }: &Checked) {
        let known = self.state.readiness.as_ref().map(|ready| ready.verdict);
        let busy = self.state.incident.is_some() || self.state.open_run().is_some();
        if self.state.armed.is_none() || busy || known == Some(*verdict) {
            return;
        }
        let left_out = findings.len().saturating_sub(FINDINGS_MAX);
        let findings = findings.iter().take(FINDINGS_MAX).cloned().collect();
        self.emit(Event::ReadinessChanged { from: known, verdict: *verdict, findings, left_out });
    }
}
