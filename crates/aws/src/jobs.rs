//! Remote jobs: an automation, a state machine, a function. Their steps have the target "execution K has succeeded"; see
//! [`belay_ports::job`] for what that means, and when there is a new K.

pub mod automation;
pub mod function;
pub mod state_machine;
#[cfg(test)]
pub(crate) mod wire;

use std::time::Duration;

use belay_core::{
    change::{Change, Effect, Repeats},
    input::ErrorClass,
};
use belay_ports::{ApplyError, Scope, job};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// How long a job is taken to run where nothing has been measured.
const EXPECTED: Duration = Duration::from_secs(60);

/// Run, step and number of an execution: its names and tokens derive from them.
#[derive(Debug, Clone, Copy)]
struct Identity<'a> {
    run: &'a str,
    step: &'a str,
    number: u32,
}

impl<'a> Identity<'a> {
    /// None where nothing runs.
    fn new(scope: &'a Scope, number: u32) -> Option<Self> {
        Some(Self { run: scope.run.as_ref()?.0.as_str(), step: &scope.step, number })
    }

    /// `belay-01k8abcd2345-fence-1`. A step's name that does not fit is cut, and ends in a hash of the whole.
    fn name(&self, chars_max: usize) -> String {
        let Self { run, step, number } = self;
        let whole = format!("belay-{run}-{step}-{number}");
        if whole.len() <= chars_max {
            return whole;
        }
        let digest = Sha256::digest(step);
        let end = format!("-{:02x}{:02x}{:02x}-{number}", digest[0], digest[1], digest[2]);
        let begin = format!("belay-{run}-{step}");
        format!("{}{end}", &begin[..chars_max.saturating_sub(end.len()).min(begin.len())])
    }

    /// The same in the form of a UUID (version 8: the bits are one's own).
    fn token(&self) -> String {
        let Self { run, step, number } = self;
        let digest = Sha256::digest(format!("belay/{run}/{step}/{number}"));
        let mut bytes: Vec<u8> = digest.iter().copied().take(16).collect();
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

/// The change that starts a job.
struct Start<'a> {
    title: String,
    /// What runs, for a person.
    job: &'a str,
    call: &'static str,
    args: Value,
    repeats: Repeats,
    expected: Duration,
}

impl Start<'_> {
    fn change(self) -> Change {
        Change {
            id: job::START.to_owned(),
            title: self.title,
            before: json!({ "execution": "none" }),
            after: json!({ "execution": "succeeded" }),
            call: self.call.to_owned(),
            args: self.args,
            effects: vec![Effect::StartsJob { name: self.job.to_owned() }],
            keeps: None,
            repeats: self.repeats,
            expected: self.expected,
        }
    }
}

/// What a change carries for its send.
fn arguments<T: DeserializeOwned>(change: &Change) -> Result<T, ApplyError> {
    T::deserialize(&change.args)
        .map_err(|error| refused(format!("the change {} cannot be understood: {error}", change.id)))
}

/// The code of an error as some of AWS's protocols write it, and not as others do: without `Exception` at its end.
fn plain(code: &str) -> &str {
    code.strip_suffix("Exception").unwrap_or(code)
}

/// Nothing was sent, and another try would end the same.
fn refused(why: String) -> ApplyError {
    ApplyError::NoEffect { why, class: ErrorClass::Permanent }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn identity(step: &str, number: u32) -> Identity<'_> {
        Identity { run: "01k8abcd2345", step, number }
    }

    #[test]
    fn names_fit_and_stay_apart() {
        assert_eq!(identity("fence", 1).name(80), "belay-01k8abcd2345-fence-1");
        let (one, other) = (format!("{}1", "a".repeat(62)), format!("{}2", "a".repeat(62)));
        let names: BTreeSet<String> = [&one, &other]
            .into_iter()
            .flat_map(|step| [1, 2, 10].map(|number| identity(step, number).name(80)))
            .collect();
        assert_eq!(names.len(), 6);
        assert!(names.iter().all(|name| name.len() <= 80), "{names:?}");
    }

    #[test]
    fn tokens_are_uuids_of_their_own() {
        let token = identity("fence", 1).token();
        assert_eq!(token, identity("fence", 1).token());
        assert_ne!(token, identity("fence", 2).token());
        assert_ne!(token, identity("fence2", 1).token());
        let parts: Vec<usize> = token.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(&token[14..15], "8");
    }
}
