//! The account's budget: how many calls Belay makes of one API, all its steps and signals together.
//!
//! Other tools live on the same quota, so Belay allows itself half of it. A call that finds no token waits for one before
//! it leaves; calls of the rollback go before reads. When AWS throttles nevertheless, the rate is halved, and comes back
//! within a minute.

mod bucket;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use belay_plan::model::AwsTarget;
use belay_ports::{Clock, Observer};
use tokio::sync::Mutex as Queue;

use self::bucket::Bucket;
pub(crate) use self::bucket::{Quota, Urgency};
use crate::{
    place,
    services::{Granted, Service},
};

/// Of a service of which AWS publishes nothing: below what is known to be throttled.
const UNKNOWN: Granted = Granted::all(20.0, 40.0);

/// The part of a quota that Belay uses.
const SHARE: f64 = 0.5;

/// A read that gets no token by then fails: the next one is due soon.
const READ_WAITS: Duration = Duration::from_secs(20);

/// A send that gets none by then was not sent, and is decided anew. Short against the time within which an intent may be
/// sent.
const WRITE_WAITS: Duration = Duration::from_secs(5);

/// Calls that draw from one bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Family {
    service: &'static str,
    operation: &'static str,
    /// An account and a region.
    place: String,
}

/// Who waits for a token of one family: in the order of asking, reads and writes each for themselves.
struct Line {
    bucket: Mutex<Bucket>,
    reads: Queue<()>,
    writes: Queue<()>,
}

/// All buckets. Cheap to clone; clones share them.
#[derive(Clone)]
pub(crate) struct Budget(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    lines: Mutex<HashMap<Family, Arc<Line>>>,
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Budget").finish_non_exhaustive()
    }
}

/// The call was not sent.
#[derive(Debug, thiserror::Error)]
#[error(
    "it was not sent: Belay's own share of the {service} API's quota in {place} was used up for {} s",
    waited.as_secs()
)]
pub(crate) struct UsedUp {
    service: String,
    place: String,
    waited: Duration,
}

impl Budget {
    pub(crate) fn new(clock: Arc<dyn Clock>, observer: Arc<dyn Observer>) -> Self {
        Self(Arc::new(Inner { clock, observer, lines: Mutex::default() }))
    }

    /// What the calls to one service in one place go through.
    pub(crate) fn of(&self, target: &AwsTarget, region: &str, service: &'static Service) -> ServiceBudget {
        let region = if service.global { "global" } else { region };
        let target = AwsTarget { region: Some(region.to_owned()), ..target.clone() };
        ServiceBudget { budget: self.clone(), service, place: place::name(&target) }
    }

    fn line(&self, family: Family, quota: Quota) -> Arc<Line> {
        let mut lines = self.0.lines.lock().expect("nothing panics while it holds this lock");
        let now = self.0.clock.monotonic();
        let line = || {
            let ours = Quota { rate: quota.rate * SHARE, burst: quota.burst * SHARE };
            Arc::new(Line {
                bucket: Mutex::new(Bucket::full(ours, now)),
                reads: Queue::default(),
                writes: Queue::default(),
            })
        };
        lines.entry(family.clone()).or_insert_with(line).clone()
    }
}

/// The time from one call of an operation to the next, when there are many.
pub(crate) fn pace(service: &Service, operation: &str) -> Duration {
    Duration::from_secs_f64(1.0 / (granted(service, operation).quota.rate * SHARE))
}

/// The quota that an operation draws from.
fn granted(service: &Service, operation: &str) -> &'static Granted {
    let mut quotas = service.quotas.iter();
    quotas.find(|granted| granted.operation.is_empty() || granted.operation == operation).unwrap_or(&UNKNOWN)
}

/// The budget of one service in one account and region.
#[derive(Debug, Clone)]
pub(crate) struct ServiceBudget {
    budget: Budget,
    service: &'static Service,
    place: String,
}

impl ServiceBudget {
    fn line(&self, operation: &str) -> Arc<Line> {
        let Granted { operation, quota } = granted(self.service, operation);
        self.budget.line(Family { service: self.service.name, operation, place: self.place.clone() }, *quota)
    }

    /// Waits for a token.
    ///
    /// # Errors
    /// [`UsedUp`] when there is none for long.
    pub(crate) async fn take(&self, operation: &str, urgency: Urgency) -> Result<(), UsedUp> {
        let Inner { clock, observer, .. } = &*self.budget.0;
        let line = self.line(operation);
        let ask =
            || line.bucket.lock().expect("nothing panics while it holds this lock").take(clock.monotonic(), urgency);
        let (queue, patience) = match urgency {
            Urgency::Read => (&line.reads, READ_WAITS),
            Urgency::Write => (&line.writes, WRITE_WAITS),
        };
        let began = clock.monotonic();
        let granted = async {
            let _turn = queue.lock().await;
            while let Err(wait) = ask() {
                clock.sleep(wait).await;
            }
        };
        let granted = tokio::select! {
            biased;
            () = granted => true,
            () = clock.sleep(patience) => false,
        };
        let waited = clock.monotonic().saturating_sub(began);
        if !waited.is_zero() {
            observer.waited(self.service.name, waited);
        }
        match granted {
            true => Ok(()),
            false => Err(UsedUp { service: self.service.name.to_owned(), place: self.place.clone(), waited }),
        }
    }

    /// AWS has throttled a call.
    pub(crate) fn throttled(&self, operation: &str) {
        let now = self.budget.0.clock.monotonic();
        self.line(operation).bucket.lock().expect("nothing panics while it holds this lock").throttled(now);
    }

    /// An HTTP client through which every attempt of every call takes a token first.
    pub(crate) fn guard(&self, inner: SharedHttpClient, urgency: Urgency) -> SharedHttpClient {
        SharedHttpClient::new(Budgeted { budget: self.clone(), inner, urgency })
    }
}

#[derive(Debug)]
struct Budgeted<T> {
    budget: ServiceBudget,
    inner: T,
    urgency: Urgency,
}

impl HttpClient for Budgeted<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Budgeted { budget: self.budget.clone(), inner, urgency: self.urgency })
    }
}

impl HttpConnector for Budgeted<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (budget, inner, urgency) = (self.budget.clone(), self.inner.clone(), self.urgency);
        HttpConnectorFuture::new(async move {
            // Only CloudWatch, which names the operation in the path, has quotas by operation.
            let operation = request.uri().rsplit('/').next().unwrap_or_default().to_owned();
            let granted = budget.take(&operation, urgency).await;
            granted.map_err(|error| ConnectorError::other(Box::new(error), None))?;
            inner.call(request).await
        })
    }
}

#[cfg(test)]
mod tests;
