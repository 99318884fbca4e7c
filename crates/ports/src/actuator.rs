//! The code behind an action: observe, assess, apply.

use std::{sync::Arc, time::Duration};

use belay_core::{
    change::{Assessment, BaselineEntry, Change, Doc, Key, Receipt, Sent},
    id::RunId,
    input::ErrorClass,
};
use belay_plan::model::{AwsTarget, Objectives, Others, Target};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{Check, Fut};

/// Everything an actuator is told of the step it works for.
#[derive(Debug, Clone, PartialEq)]
pub struct Scope {
    pub migration: String,
    pub step: String,
    /// None when a baseline is captured or nothing runs yet.
    pub run: Option<RunId>,
    /// How often the step was begun in this run; a person's `retry` begins it anew. 0 where nothing runs.
    pub tries: u32,
    /// When the step times out, if it does.
    pub deadline: Option<Timestamp>,
    pub aws: AwsTarget,
    /// The step's `with:` in normal form.
    pub with: Value,
    pub to: Target,
    pub others: Option<Others>,
    pub baseline: Option<BaselineEntry>,
    /// When the cutover was marked.
    pub cutover: Option<Timestamp>,
    /// None: all the traffic moves at once.
    pub stages: Option<Stages>,
    /// From observing to settled: what takes longer fails.
    pub timeout: Duration,
    /// What the plan as a whole is to keep.
    pub objectives: Objectives,
    /// The signals of the step's interlocks (`require`): they have to hold before anything is sent, so they stand for a proof of health
    /// where the system itself has none.
    pub interlocks: Vec<String>,
    /// What was observed right before the step's first send in this run, kept over retries. None as long as nothing was
    /// sent: then the resource is as it is now.
    pub before: Option<Arc<Doc>>,
    /// What has become of what was sent in this run. Kept over retries, but for what was declined.
    pub sent: Vec<Sent>,
    /// What the look right before this one has found, where nothing was sent in between. While nothing runs, only where what
    /// would be lost is watched: then whatever a [`RestorePoint`] does not depend on may be taken over from it.
    pub previous: Option<Arc<Doc>>,
}

impl Scope {
    /// The resource before the step's first send, where something was sent.
    ///
    /// # Errors
    /// [`Corrupt`] when it is not what this actuator writes down.
    pub fn before<S: DeserializeOwned>(&self) -> Result<Option<S>, Corrupt> {
        let decoded = self.before.as_deref().map(S::deserialize).transpose();
        decoded.map_err(|error| Corrupt(format!("the before-image cannot be understood: {error}")))
    }

    /// What the look before this one has found.
    ///
    /// # Errors
    /// [`Corrupt`] when it is not what this actuator writes down.
    pub fn previous<S: DeserializeOwned>(&self) -> Result<Option<S>, Corrupt> {
        let decoded = self.previous.as_deref().map(S::deserialize).transpose();
        decoded.map_err(|error| Corrupt(format!("the last look cannot be understood: {error}")))
    }
}

/// The parts in which a step moves traffic. An assessment is in place where the present stage is; what remains is one change
/// for each stage that is ahead, each under an id of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Stages {
    /// Percent of the way from the before-image to the target, rising; the present stage first, the last is 100.
    pub ahead: Vec<u32>,
}

/// One AWS system's actions: look at what is, say what remains to be done, do one thing of it.
pub trait Actuator: Send + Sync {
    /// Reads the present state. Never mutates. `receipts`: what earlier applies of this step handed back.
    fn observe<'a>(&'a self, scope: &'a Scope, receipts: &'a [Receipt]) -> Fut<'a, Result<Doc, ReadError>>;

    /// The same for one who looks again and again: what finds the same document as before may hand out that one.
    fn look<'a>(&'a self, scope: &'a Scope, receipts: &'a [Receipt]) -> Fut<'a, Result<Arc<Doc>, ReadError>> {
        Box::pin(async move { self.observe(scope, receipts).await.map(Arc::new) })
    }

    /// Pure: how far is `now` from the scope's target? With `Target::Baseline` and no baseline it is an error.
    ///
    /// # Errors
    /// [`Corrupt`] when a document or the scope cannot be understood.
    fn assess(&self, scope: &Scope, now: &Doc, receipts: &[Receipt]) -> Result<Assessment, Corrupt>;

    /// What can be told beforehand, from what was observed: whatever would stop the step in the middle, or surprise the
    /// people who call it. Pure. Beside what [`assess`](Self::assess) finds impossible, which needs no check of its own.
    ///
    /// # Errors
    /// [`Corrupt`] as for [`assess`](Self::assess).
    fn checks(&self, _scope: &Scope, _now: &Doc) -> Result<Vec<Check>, Corrupt> {
        Ok(Vec::new())
    }

    /// What the step relies on and does not write, as it was at the baseline, against `now`: where a record leads that would get the
    /// traffic. Each difference in words: `blue leads to 192.0.2.9, not to 192.0.2.1`. Pure.
    ///
    /// # Errors
    /// [`Corrupt`] as for [`assess`](Self::assess).
    fn altered(&self, _scope: &Scope, _now: &Doc) -> Result<Vec<String>, Corrupt> {
        Ok(Vec::new())
    }

    /// What a rollback needs beyond what was observed, with reads of its own: whether quotas leave room for a restore, whether
    /// its key can be used, how much a destination could carry. For the readiness of an armed migration and `belay check`, never
    /// during a run. A read that fails is a check as well: [`Unknown`](crate::CheckVerdict::Unknown), with the reason.
    fn readiness<'a>(&'a self, _scope: &'a Scope, _now: &'a Doc) -> Fut<'a, Vec<Check>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    /// To which state of the data the step would go back if it ran now, from what was observed while nothing runs. Pure. None: the
    /// actuator does not know what becomes of data.
    ///
    /// # Errors
    /// [`Corrupt`] as for [`assess`](Self::assess).
    fn restore_point(&self, _scope: &Scope, _now: &Doc) -> Result<Option<RestorePoint>, Corrupt> {
        Ok(None)
    }

    /// The `with:` by which the step restores beside what it would replace: under a name that shows that it is a test which began then,
    /// with tags that show it too, and without a change to anything that is there. Pure. None: the action restores nothing.
    ///
    /// # Errors
    /// [`Corrupt`] when the scope cannot be understood.
    fn restore_test(&self, _scope: &Scope, _began: Timestamp) -> Result<Option<Value>, Corrupt> {
        Ok(None)
    }

    /// What a step with such a `with:` has made so far, from what was observed. Pure. None: it is no restore test.
    ///
    /// # Errors
    /// [`Corrupt`] as for [`assess`](Self::assess).
    fn restored(&self, _scope: &Scope, _now: &Doc) -> Result<Option<Restored>, Corrupt> {
        Ok(None)
    }

    /// Sends one change, once: no retry of any kind below this call.
    fn apply<'a>(&'a self, scope: &'a Scope, key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>>;

    /// The least time between two looks at the same resource, where looking more often would use up what its API allows.
    fn pace(&self) -> Duration {
        Duration::ZERO
    }

    /// Returns when a look at the step may find something else than the last one, which found it in place or on its way. The API of a real
    /// system does not tell, so that is at once; a simulated world can.
    fn stirs<'a>(&'a self, _scope: &'a Scope) -> Fut<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    /// The IAM statements that observe and apply need, scoped to the resource.
    fn permissions(&self, scope: &Scope) -> Vec<Permission>;

    /// An apply of this step is under way, and is not to be waited for any longer: what can be stopped is, and the apply
    /// still answers. Called more than once. A call to AWS cannot be taken back, so most have nothing to do here.
    fn interrupt(&self, _scope: &Scope, _why: Interruption) {}
}

/// The state of the data that a step would go back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestorePoint {
    pub data: DataOf,
    /// Where that is known from, or why it is not: `snapshot shop-1128 of 2026-11-28T22:00:03Z`.
    pub basis: String,
    /// Until when the step can go back to it: a retention or a window moves on. None: nothing shows an end.
    pub until: Option<Timestamp>,
}

/// The time of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataOf {
    /// Whatever was written later is lost.
    Time(Timestamp),
    /// The step would find nothing to do, so nothing is lost.
    Now,
    Unknown,
}

impl RestorePoint {
    pub fn time(data: Timestamp, basis: impl Into<String>) -> Self {
        Self { data: DataOf::Time(data), basis: basis.into(), until: None }
    }

    pub fn unknown(why: impl Into<String>) -> Self {
        Self { data: DataOf::Unknown, basis: why.into(), until: None }
    }

    /// The step would find nothing to do.
    pub fn now(basis: impl Into<String>) -> Self {
        Self { data: DataOf::Now, basis: basis.into(), until: None }
    }

    /// So long the step can go back to it.
    #[must_use]
    pub fn until(self, until: Option<Timestamp>) -> Self {
        Self { until, ..self }
    }
}

/// What a restore test has made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// Where the database answers; none: not yet.
    pub endpoint: Option<Endpoint>,
    /// In the order in which a person deletes it.
    pub made: Vec<Made>,
}

/// Where a database answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub host: String,
    /// None: as before.
    pub port: Option<u16>,
}

/// One resource that costs money until it is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Made {
    pub name: String,
    /// False: it was asked for, and AWS does not list it (yet).
    pub listed: bool,
    /// The command that deletes it.
    pub delete: String,
}

/// Why a send is not waited for any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// The run is being aborted.
    Abort,
    /// Belay is being stopped; the run goes on at the next start.
    Stop,
}

/// One IAM statement: `route53:ChangeResourceRecordSets` on `arn:aws:route53:::hostedzone/Z...`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Permission {
    pub action: String,
    /// `*` where the API has no resource-level permissions.
    pub resource: String,
    /// Whether the call changes anything: a dry run needs only the others.
    pub mutates: bool,
    /// All of them have to hold.
    pub conditions: Vec<Condition>,
}

/// A condition of an IAM statement: `ForAllValues:StringEquals` of `route53:ChangeResourceRecordSetsActions` to `UPSERT`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Condition {
    pub operator: String,
    pub key: String,
    pub value: String,
}

/// A look that could not be completed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct ReadError {
    /// The call, the resource and what AWS said.
    pub why: String,
    /// Looking again will not help.
    pub permanent: bool,
}

/// A send that was not answered with success.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// AWS said no, or the call never left: it certainly had no effect.
    #[error("{why}")]
    NoEffect { why: String, class: ErrorClass },
    /// AWS refused it for good, and the step may have another way, which the next look finds by `body`. When that look wants
    /// the very same call, the step fails.
    #[error("{why}")]
    Declined { why: String, body: Value },
    /// The answer was lost, or it was a 5xx: it may have taken effect.
    #[error("{why}")]
    OutcomeUnknown { why: String },
}

/// A document, a scope or a change that the actuator cannot understand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Corrupt(pub String);
