//! The traits between the engine and the outside. A new AWS system is a [`System`] beside its spec in the plan's catalogue; a new
//! signal is a [`Sensor`].

use std::{future::Future, pin::Pin};

pub mod actuator;
pub mod channel;
pub mod check;
pub mod clock;
pub mod evidence;
pub mod job;
pub mod journal;
pub mod near;
pub mod observe;
pub mod sensor;
pub mod system;

pub use actuator::{
    Actuator, ApplyError, Condition, Corrupt, DataOf, Endpoint, Interruption, Made, Permission, ReadError,
    RestorePoint, Restored, Scope, Stages,
};
pub use channel::{Channel, ChannelFault, Channels, NotSent, Notice, PlainText, Retry, Texts, Usable};
pub use check::{CUTOVER_UNMARKED, Check, CheckVerdict, Lacking, Uncured};
pub use clock::{Clock, Entropy};
pub use evidence::{Evidence, Gathered};
pub use journal::{AppendError, Head, Journal, NewRecord, Placed, ReadFailure, Rescued, Snapshot, each_record};
pub use observe::{Call, CallOutcome, Observer};
pub use sensor::{Detects, Query, Sensor, SignalReadiness};
pub use system::{System, Typed};

/// A boxed future: the traits stay dyn-compatible.
pub type Fut<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

use std::sync::Arc;

use jiff::Timestamp;

/// Everything that the engine reaches the outside through.
#[derive(Clone)]
pub struct Ports {
    pub actuators: Arc<dyn Actuators>,
    pub sensors: Arc<dyn Sensors>,
    pub channels: Arc<dyn Channels>,
    pub evidence: Arc<dyn Evidence>,
    pub journal: Arc<dyn Journal>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub observer: Arc<dyn Observer>,
}

/// Whether a set of ports may change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Every call that is not a known read is refused before it leaves the process.
    ReadOnly,
    /// Beside reads, what the actions send, and nothing else.
    ReadWrite,
}

/// Finds the actuator of an action. One set reads and writes; a dry run gets a set whose clients cannot mutate.
pub trait Actuators: Send + Sync {
    /// None for an action this build does not know, and for `manual` and `wait`, which core does by itself.
    fn actuator(&self, action: &str) -> Option<Arc<dyn Actuator>>;
    /// Verifies that the credentials belong to the account that `aws` names, before anything else is read there.
    /// Answers who we are, for the record: "arn:aws:sts::111122223333:assumed-role/belay/i-0abc".
    fn verify_account<'a>(&'a self, aws: &'a belay_plan::model::AwsTarget) -> Fut<'a, Result<String, AccountError>>;
    /// Whether the credentials would do for a rollback in the account that `aws` names: whether they last until then, and whether each of
    /// `permissions` is granted. A read that fails is a check as well. Empty where there is nothing to ask.
    fn readiness<'a>(
        &'a self,
        _aws: &'a belay_plan::model::AwsTarget,
        _permissions: &'a [Permission],
        _until: Timestamp,
    ) -> Fut<'a, Vec<Check>> {
        Box::pin(std::future::ready(Vec::new()))
    }
    /// What [`verify_account`](Self::verify_account) and [`readiness`](Self::readiness) need.
    fn permissions(&self, _aws: &belay_plan::model::AwsTarget) -> Vec<Permission> {
        Vec::new()
    }
    /// Where calls go, if not straight to AWS: "calls to AWS go to http://127.0.0.1:5000 (AWS_ENDPOINT_URL)". Whoever set that could read
    /// and change them, so a person is told.
    fn detours(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Finds the sensor of a signal's kind.
pub trait Sensors: Send + Sync {
    fn sensor(&self, kind: &str) -> Option<Arc<dyn Sensor>>;
}

/// The credentials are not of the plan's account, or could not be verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    #[error("the plan guards AWS account {expected}, but the credentials belong to {found} ({identity})")]
    Wrong { expected: String, found: String, identity: String },
    #[error("could not find out which AWS account the credentials belong to: {why}")]
    Unverified { why: String },
}
