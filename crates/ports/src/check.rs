//! What can be known before a rollback is needed: one finding about a step's resource, with what would be right.

pub use belay_core::readiness::CheckVerdict;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The id of a check: the step counts from the cutover, which is not marked. A rollback would fail at it now, so a dry run stops there.
/// It is no reason to refuse arming, which comes before the cutover.
pub const CUTOVER_UNMARKED: &str = "cutover_unmarked";

/// One thing that bears on whether a step could be carried out, as it is now. Arming and a dry run show every check that
/// is not [`Go`](CheckVerdict::Go); `belay check` and the readiness of an armed migration show all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// Names the kind of check, the same every time: `renamable`, `iam_auth_resource_id`.
    pub id: String,
    /// The resource: `checkout`, or its ARN.
    pub subject: String,
    pub verdict: CheckVerdict,
    pub found: String,
    /// What would be right. Empty where it is so, and `found` says all there is.
    pub wanted: String,
    /// What a person does about it, as a sentence or a command. Empty for what is as wanted.
    pub cure: String,
}

/// A check with a verdict other than [`Go`](CheckVerdict::Go) that does not yet say what would be right. Only with that and a cure is
/// it a [`Check`]: a person who reads it has to know what to do.
#[derive(Debug, Clone)]
#[must_use]
pub struct Lacking(Check);

/// The same without its cure.
#[derive(Debug, Clone)]
#[must_use]
pub struct Uncured(Check);

impl Lacking {
    /// What would be right.
    pub fn wanted(self, wanted: impl Into<String>) -> Uncured {
        Uncured(self.0.wanted(wanted))
    }
}

impl Uncured {
    /// What a person does about it, as a sentence or a command.
    pub fn cure(self, cure: impl Into<String>) -> Check {
        Check { cure: cure.into(), ..self.0 }
    }
}

impl Check {
    /// As it should be; `found` says what was seen.
    pub fn go(id: &str, subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(id, subject, CheckVerdict::Go, found)
    }

    /// It could not be found out, and why.
    pub fn unknown(id: &str, subject: impl Into<String>, why: impl Into<String>) -> Lacking {
        Lacking(Self::new(id, subject, CheckVerdict::Unknown, why))
    }

    pub fn warn(id: &str, subject: impl Into<String>, found: impl Into<String>) -> Lacking {
        Lacking(Self::new(id, subject, CheckVerdict::Warn, found))
    }

    pub fn no_go(id: &str, subject: impl Into<String>, found: impl Into<String>) -> Lacking {
        Lacking(Self::new(id, subject, CheckVerdict::NoGo, found))
    }

    /// `source`: what of the step counts from the cutover. Without the mark, it is not known to which time the step goes back.
    pub fn cutover_unmarked(subject: impl Into<String>, source: &str) -> Self {
        let found = "goes back to the cutover, which is not marked: a rollback now would fail at this step";
        Self::unknown(CUTOVER_UNMARKED, subject, found)
            .wanted("a mark to go back to")
            .cure(format!("mark the cutover when it begins, with `belay cutover`, or name a time in {source}"))
    }

    fn new(id: &str, subject: impl Into<String>, verdict: CheckVerdict, found: impl Into<String>) -> Self {
        let (wanted, cure) = (String::new(), String::new());
        Self { id: id.to_owned(), subject: subject.into(), verdict, found: found.into(), wanted, cure }
    }

    #[must_use]
    pub fn wanted(mut self, wanted: impl Into<String>) -> Self {
        self.wanted = wanted.into();
        self
    }

    /// One line for a person: `checkout is stopped (wanted: available): start it`.
    pub fn line(&self) -> String {
        let mut line = format!("{}: {}", self.subject, self.found);
        if !self.wanted.is_empty() {
            line.push_str(&format!(" (wanted: {})", self.wanted));
        }
        if !self.cure.is_empty() {
            line.push_str(&format!("; {}", self.cure));
        }
        line
    }
}
