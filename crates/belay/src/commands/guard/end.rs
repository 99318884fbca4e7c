//! How guard ends: what it says, what it writes down, and with which exit code.

use std::{fs, path::Path, time::Duration};

use anyhow::Context;
use serde::Serialize;
use serde_json::json;

use super::{child::Ended, signals::Caught, tell::Tell};
use crate::{
    board::Commands,
    document::{Migration, Run},
    exit::{Exit, Failure},
    paint, text,
};

/// Why guard ends before its time.
pub(super) enum Stop {
    Failed(Failure),
    /// Somebody wants it to end.
    Signalled(Caught),
    Over(End),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// For programs; people get a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Well,
    NotWell,
    NotReady,
    RolledBack,
    Halted,
    Aborted,
    /// The command failed, and nothing was rolled back.
    CommandFailed,
    CommandNotStarted,
    /// The command failed after guard was told to end, and nothing was rolled back.
    Cancelled,
    /// A signal ended guard while no command ran.
    Left,
    /// Somebody disarmed it, or armed another plan.
    Unguarded,
    Refused,
    Unreachable,
    Failed,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) code: u8,
    pub(super) outcome: Outcome,
    /// Empty where it was said before.
    pub(super) what: String,
}

impl End {
    pub(super) fn new(code: u8, outcome: Outcome, what: impl Into<String>) -> Self {
        Self { code, outcome, what: what.into() }
    }

    pub(super) fn failed(failure: &Failure) -> Self {
        let outcome = match failure.exit {
            Exit::No => Outcome::NotReady,
            Exit::Refused => Outcome::Refused,
            Exit::Unreachable => Outcome::Unreachable,
            _ => Outcome::Failed,
        };
        Self::new(failure.exit as u8, outcome, "")
    }

    pub(super) fn signalled(caught: Caught) -> Self {
        Self::new(caught.exit_code(), Outcome::Left, format!("{} ends this process", caught.name()))
    }

    /// Of a rollback that has ended, or waits for people.
    pub(super) fn of_run(run: &Run) -> Self {
        let outcome = match run.state.as_str() {
            "rolled_back" => Outcome::RolledBack,
            "aborted" => Outcome::Aborted,
            _ => Outcome::Halted,
        };
        let took = run.took().map_or(String::new(), |took| format!(" after {}", text::duration(took)));
        let why = if run.why.is_empty() { String::new() } else { format!(": {}", run.why) };
        let what = format!("run {} of {} is {}{took}{why}", run.id, run.migration, text::words(&run.state));
        Self::new(Exit::NotRolledBack as u8, outcome, what)
    }

    /// What happened, and what still stands.
    pub(super) fn say(&self, tell: Tell, report: &Report) {
        if !self.what.is_empty() {
            let output = tell.output();
            let style = if self.outcome == Outcome::Well { output.good() } else { output.bad() };
            tell.say(style.apply_to(&self.what));
        }
        report.say_what_stands(tell, self.outcome);
    }
}

/// What is known in the end.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) migration: String,
    pub(super) plan_sha256: String,
    pub(super) commands: Commands,
    pub(super) started: bool,
    pub(super) ended: Option<Ended>,
    /// The daemon was asked for this, and no answer came.
    pub(super) unanswered: Option<&'static str>,
    /// The command ended so long after the rollback had.
    pub(super) ended_late: Option<Duration>,
    /// As it was seen last; nothing before it was armed.
    pub(super) last: Option<Migration>,
}

impl Report {
    /// An empty file in its place, before it is too late to find out that there can be none.
    pub(super) fn create(&self, file: &Path) -> Result<(), Failure> {
        fs::write(file, "").with_context(|| format!("the report {} cannot be written", file.display())).map_err(
            |error| {
                Failure::new(Exit::Usage, error)
                    .help("name a file in a folder that is there, and that you may write to")
            },
        )
    }

    pub(super) fn write(&self, file: &Path, end: &End) -> Result<(), Failure> {
        let last = self.last.as_ref();
        let command = self.started.then(|| {
            let (code, signal) = match self.ended {
                Some(Ended::Exit(code)) => (Some(code), None),
                Some(Ended::Signal(signal)) => (None, Some(signal)),
                None => (None, None),
            };
            json!({ "exit_code": code, "signal": signal })
        });
        let document = json!({
            "migration": self.migration,
            "plan_sha256": self.plan_sha256,
            "outcome": end.outcome,
            "exit_code": end.code,
            "command": command,
            "unanswered": self.unanswered,
            "command_ended_after_rollback_s": self.ended_late.map(|late| late.as_secs()),
            "state": last.map(|last| &last.state),
            "armed": last.and_then(|last| last.armed),
            "baseline": last.and_then(|last| last.baseline.as_ref()).map(|baseline| baseline.captured),
            "cutover": last.and_then(|last| last.cutover),
            "incident": last.and_then(|last| last.incident.as_ref()).map(|incident| &incident.id),
            "run": last.and_then(|last| last.run.as_ref()).map(|run| json!({ "id": run.id, "state": run.state })),
        });
        fs::write(file, paint::json(&format!("{document:#}\n")))
            .with_context(|| format!("the report {} cannot be written", file.display()))
            .map_err(|error| Failure::new(Exit::Unexpected, error))
    }

    fn say_what_stands(&self, tell: Tell, outcome: Outcome) {
        if !self.started {
            tell.say("the command was not started");
        }
        let (name, commands) = (&self.migration, &self.commands);
        let command = |line: String| tell.output().accent().apply_to(commands.line(&line)).to_string();
        let reason = "--reason \"...\"";
        if let Some(verb) = self.unanswered {
            tell.warn(format_args!(
                "the daemon was asked to `{verb}`, and its answer did not come: it may have done so. {} shows it",
                command(format!("status {name}"))
            ));
        }
        if let Some(late) = self.ended_late {
            tell.warn(format_args!(
                "the command ended {} after the rollback: it may have moved traffic again. {} shows what is not as before",
                text::duration(late),
                command(format!("rollback {name} --dry-run --wait {reason}"))
            ));
        }
        let Some(last) = &self.last else { return };
        if let Some(run) = last.open_run() {
            tell.needs(last, commands);
            if !run.has_stopped() {
                tell.say(format_args!(
                    "run {} goes on in the daemon: {}",
                    run.id,
                    command(format!("watch {}", run.id))
                ));
            }
            return;
        }
        if last.armed.is_none() {
            tell.say(format_args!(
                "nothing watches {name} any more; {} guards it again",
                command(format!("arm {name}"))
            ));
            return;
        }
        tell.say(format_args!("{name} stays armed: the daemon watches on, also without this process"));
        if last.incident.is_some() {
            return tell.needs(last, commands);
        }
        if self.started && outcome != Outcome::Well {
            tell.say(format_args!("  roll back  {}", command(format!("rollback {name} {reason} --wait"))));
        }
        tell.say(format_args!("  disarm     {}", command(format!("disarm {name} {reason}"))));
    }
}
