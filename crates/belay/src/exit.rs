//! How a command ends: the exit codes, and the one form that failures take.

use std::fmt;

use serde::Serialize;

use crate::board::Act;

/// Every exit code of `belay`; scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// Something unexpected: a file that cannot be read, a bug.
    Unexpected = 1,
    /// Wrong usage, or a plan or configuration that is not valid.
    Usage = 2,
    /// The answer is no: a dry run that would be stopped, a counter-example, a broken audit.
    No = 3,
    /// The rollback halted, failed or was aborted.
    NotRolledBack = 4,
    /// Refused: wrong account, not allowed, wrong state, no baseline, lease held.
    Refused = 5,
    /// The daemon cannot be reached.
    Unreachable = 6,
    /// Ctrl-C while the end of a run was waited for: nobody waits any more, and the run goes on. As shells count it.
    Interrupted = 130,
}

/// A command that could not do what it was asked for. It is printed once, by `main`.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// What happened; its sources say why.
    pub(crate) error: anyhow::Error,
    /// What to do next.
    pub(crate) help: Option<String>,
    /// Commands that would do it.
    pub(crate) acts: Vec<Act>,
    pub(crate) refused: Option<Box<Refused>>,
}

/// What a daemon says beside its no.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    /// The problem's, as `server/PROBLEMS.md` lists them.
    pub(crate) kind: String,
    /// The state of what was to be moved,
    pub(crate) state: String,
    /// and the verbs that are possible there.
    pub(crate) possible: Vec<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into(), help: None, acts: Vec::new(), refused: None }
    }

    pub(crate) fn message(exit: Exit, message: impl fmt::Display) -> Self {
        Self::new(exit, anyhow::anyhow!("{message}"))
    }

    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()).filter(|help| !help.is_empty()), ..self }
    }

    /// Another try may succeed.
    pub(crate) fn passes(&self) -> bool {
        self.exit == Exit::Unreachable
    }

    /// The reasons behind it, without those that only repeat the one before.
    pub(crate) fn causes(&self) -> Vec<String> {
        let mut told = self.error.to_string();
        let mut causes = Vec::new();
        for cause in self.error.chain().skip(1).map(ToString::to_string) {
            if !told.contains(&cause) {
                causes.push(cause.clone());
                told = cause;
            }
        }
        causes
    }
}

/// What is not mapped to a code of its own is unexpected.
impl<E: std::error::Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(Exit::Unexpected, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_say_only_what_is_new() {
        let error = anyhow::anyhow!("connection refused").context("no answer: connection refused").context("it failed");
        assert_eq!(Failure::new(Exit::Unexpected, error).causes(), ["no answer: connection refused"]);
    }
}
