//! What can be known before a rollback is needed: one finding about a step's resource, with what would be right.

pub use belay_core::readiness::CheckVerdict;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    /// What would be right. Empty where `found` says all there is.
    pub wanted: String,
    /// What a person does about it, as a sentence or a command. Empty for what is as wanted.
    pub cure: String,
}

impl Check {
    /// As it should be; `found` says what was seen.
    pub fn go(id: &str, subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(id, subject, CheckVerdict::Go, found)
    }

    /// It could not be found out, and why.
    pub fn unknown(id: &str, subject: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(id, subject, CheckVerdict::Unknown, why)
    }

    pub fn warn(id: &str, subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(id, subject, CheckVerdict::Warn, found)
    }

    pub fn no_go(id: &str, subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(id, subject, CheckVerdict::NoGo, found)
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

    #[must_use]
    pub fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = cure.into();
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
