//! The code behind a signal.

use std::{sync::Arc, time::Duration};

use belay_core::reading::Reading;
use belay_plan::model::{AwsTarget, Name};
use serde_json::Value;

use crate::{
    Check, Fut,
    actuator::{Endpoint, Permission},
};

/// The longest that a usual read takes.
pub const READ_TIME_MAX: Duration = Duration::from_secs(10);

/// One signal to read.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    pub signal: Name,
    /// The signal's entry in normal form.
    pub spec: Value,
    pub aws: AwsTarget,
    /// A trigger goes by it.
    pub of_trigger: bool,
    /// For signals that compare with the baseline: the document of each step, by the step's resource.
    pub baseline: Arc<[(String, Value)]>,
}

/// What is known of a signal beside its readings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SignalReadiness {
    pub checks: Vec<Check>,
    pub detects: Detects,
}

/// How late a signal shows a breach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Detects {
    /// As soon as it is read.
    #[default]
    AtOnce,
    /// At most so much later.
    Within(Duration),
    Unknown,
}

/// Reads signals of one kind, many at once: a CloudWatch sensor turns a hundred alarms into one call.
pub trait Sensor: Send + Sync {
    /// One reading for each query, in the same order. A read that fails is a reading too: unknown, with the reason.
    /// It answers within [`Sensor::time_max`].
    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>>;

    /// The longest that such a read takes. More than ten seconds only where it is so large that the API's quota stretches it.
    fn time_max(&self, _queries: &[Query]) -> Duration {
        READ_TIME_MAX
    }

    /// The least time between two routine reads of a signal, where reading more often cannot tell more and costs money
    /// (CloudWatch metrics: their period). A reading that somebody needs fresh is taken all the same.
    fn pace(&self, _query: &Query) -> Duration {
        Duration::ZERO
    }

    /// What a person should know of the signals beside what they read: how late each would show a breach, whether data
    /// arrives. For the readiness of an armed migration and `belay check`, never during a run. A read that fails is a check as well.
    /// One for each query, in the same order.
    fn readiness<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<SignalReadiness>> {
        Box::pin(std::future::ready(vec![SignalReadiness::default(); queries.len()]))
    }

    /// The same query, of the same data in a database that answers elsewhere. Pure; what is permitted, the read decides.
    ///
    /// # Errors
    /// Why that is not possible.
    fn redirected(&self, _query: &Query, _to: &Endpoint) -> Result<Query, String> {
        Err("it is no query of a database".to_owned())
    }

    fn permissions(&self, query: &Query) -> Vec<Permission>;
}
