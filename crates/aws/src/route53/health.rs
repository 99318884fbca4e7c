//! What Route 53's health checkers say of a record.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_sdk_route53::{
    Client,
    types::{HealthCheckConfig, HealthCheckObservation, HealthCheckType},
};
use belay_core::change::Proof;
use belay_plan::model::AwsTarget;
use belay_ports::{Clock, ReadError};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::record::RecordSet;
use crate::{errors, place};

/// The health of one health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CheckHealth {
    /// So many of its checkers reach the endpoint.
    Checkers { healthy: usize, of: usize },
    /// It proves nothing about the endpoint.
    Untold { why: String },
    /// There is no such health check.
    Missing,
}

/// An endpoint is healthy while more than this share of the checkers says so ("How Route 53 determines whether a health
/// check is healthy", developer guide).
const HEALTHY_PERCENT: usize = 18;

/// A checker reports every 10 or 30 seconds (developer guide, "Request interval"); nothing newer is to be had sooner.
const KEPT_FOR: Duration = Duration::from_secs(20);

/// What a checker has seen before that says nothing of now: it has stopped to report.
const FRESH_FOR: SignedDuration = SignedDuration::from_mins(5);

/// Beside the looks of other steps, which draw from the same quota.
const READS_AT_ONCE: usize = 4;

/// What was read of health checks a moment ago. A look that follows a refused send (the zone was busy) reads no more than
/// what has aged meanwhile; else a record of many members would use up the account's quota.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<HashMap<(AwsTarget, String), Kept>>>);

#[derive(Debug)]
struct Kept {
    /// By the monotonic clock.
    read: Duration,
    health: CheckHealth,
}

impl Memory {
    /// Reads the health checks of all records, each one once, some at a time.
    ///
    /// # Errors
    /// [`ReadError`] when another look may help. A refusal is not an error: the check then proves nothing, and says why.
    pub(crate) async fn observe(
        &self,
        client: &Client,
        clock: &dyn Clock,
        target: &AwsTarget,
        records: &[RecordSet],
    ) -> Result<BTreeMap<String, CheckHealth>, ReadError> {
        let ids: BTreeSet<String> = records.iter().filter_map(|record| record.health_check.clone()).collect();
        let reads = ids.into_iter().map(|id| async move {
            if let Some(health) = self.kept(clock.monotonic(), target, &id) {
                return Ok((id, health));
            }
            let health = match observe_one(client, &place::partition(target), &id, clock.now()).await {
                Err(error) if error.permanent => CheckHealth::Untold { why: error.why },
                health => health?,
            };
            self.keep(clock.monotonic(), target, &id, &health);
            Ok((id, health))
        });
        stream::iter(reads).buffer_unordered(READS_AT_ONCE).try_collect().await
    }

    fn kept(&self, now: Duration, target: &AwsTarget, id: &str) -> Option<CheckHealth> {
        let mut all = self.0.lock().expect("nothing panics while it holds this lock");
        all.retain(|_, kept| now.saturating_sub(kept.read) < KEPT_FOR);
        Some(all.get(&(target.clone(), id.to_owned()))?.health.clone())
    }

    fn keep(&self, now: Duration, target: &AwsTarget, id: &str, health: &CheckHealth) {
        let mut all = self.0.lock().expect("nothing panics while it holds this lock");
        all.insert((target.clone(), id.to_owned()), Kept { read: now, health: health.clone() });
    }
}

async fn observe_one(client: &Client, partition: &str, id: &str, now: Timestamp) -> Result<CheckHealth, ReadError> {
    let arn = format!("arn:{partition}:route53:::healthcheck/{id}");
    let check = match client.get_health_check().health_check_id(id).send().await {
        Err(error) if errors::code(&error) == Some("NoSuchHealthCheck") => return Ok(CheckHealth::Missing),
        check => check,
    };
    let check = check.map_err(|error| errors::read(error, "route53:GetHealthCheck", &arn))?.health_check;
    if let Some(why) = check.and_then(|check| check.health_check_config).and_then(|config| proves_nothing(&config)) {
        return Ok(CheckHealth::Untold { why });
    }
    let status = client.get_health_check_status().health_check_id(id).send().await;
    let status = status.map_err(|error| errors::read(error, "route53:GetHealthCheckStatus", &arn))?;
    Ok(count(&status.health_check_observations, now))
}

/// Why a health check says nothing about an endpoint, if so.
fn proves_nothing(config: &HealthCheckConfig) -> Option<String> {
    use HealthCheckType::{Http, HttpStrMatch, Https, HttpsStrMatch, Tcp};
    if config.disabled == Some(true) {
        return Some("its health check is disabled, and a disabled check counts as healthy".to_owned());
    }
    if config.inverted == Some(true) {
        return Some("its health check is inverted".to_owned());
    }
    match config.r#type {
        Http | Https | HttpStrMatch | HttpsStrMatch | Tcp => None,
        ref other => Some(format!("its health check is of type {other}, which has no checkers")),
    }
}

/// As of `now`.
fn count(observations: &[HealthCheckObservation], now: Timestamp) -> CheckHealth {
    let succeeds = |observation: &&HealthCheckObservation| {
        let status = observation.status_report.as_ref().and_then(|report| report.status.as_deref());
        status.is_some_and(|status| status.starts_with("Success"))
    };
    let checked = |observation: &HealthCheckObservation| {
        let at = observation.status_report.as_ref().and_then(|report| report.checked_time.as_ref());
        at.and_then(|at| Timestamp::from_second(at.secs()).ok())
    };
    let is_fresh = |at: Option<Timestamp>| at.is_none_or(|at| now.duration_since(at) <= FRESH_FOR);
    let fresh: Vec<_> = observations.iter().filter(|observation| is_fresh(checked(observation))).collect();
    match (fresh.len(), observations.iter().filter_map(checked).max()) {
        (0, Some(last)) => {
            CheckHealth::Untold { why: format!("its health checkers have reported nothing since {last:.0}") }
        }
        (0, None) => CheckHealth::Untold { why: "no health checker has reported yet".to_owned() },
        (of, _) => CheckHealth::Checkers { healthy: fresh.into_iter().filter(succeeds).count(), of },
    }
}

/// Of the records whose health check proves nothing: its id, and why. Route 53 goes by that check all the same.
pub(crate) fn untold<'c>(record: &RecordSet, checks: &'c BTreeMap<String, CheckHealth>) -> Option<&'c str> {
    match checks.get(record.health_check.as_deref()?)? {
        CheckHealth::Untold { why } => Some(why),
        CheckHealth::Missing => Some("it does not exist"),
        CheckHealth::Checkers { .. } => None,
    }
}

/// Whether a record's destination was seen to be healthy.
pub(crate) fn proof(record: &RecordSet, checks: &BTreeMap<String, CheckHealth>) -> Proof {
    let Some(id) = &record.health_check else {
        let why = match &record.alias {
            Some(alias) if alias.evaluate_target_health => {
                "an alias whose target's health Route 53 evaluates but does not tell"
            }
            _ => "no health check on this record",
        };
        return Proof::None { why: why.to_owned() };
    };
    match checks.get(id) {
        Some(CheckHealth::Checkers { healthy, of }) => {
            let evidence = format!("{healthy} of {of} health checkers reach it");
            match healthy * 100 > of * HEALTHY_PERCENT {
                true => Proof::Healthy { evidence },
                false => Proof::Unhealthy { evidence },
            }
        }
        Some(CheckHealth::Untold { why }) => Proof::None { why: why.clone() },
        Some(CheckHealth::Missing) => Proof::None { why: format!("its health check {id} does not exist") },
        None => Proof::None { why: format!("health check {id} was not read") },
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_route53::types::StatusReport;

    use super::*;

    fn observation(status: &str) -> HealthCheckObservation {
        HealthCheckObservation::builder().status_report(StatusReport::builder().status(status).build()).build()
    }

    #[test]
    fn checkers_are_counted() {
        let observations = [
            observation("Success: HTTP Status Code 200, OK"),
            observation("Failure: Connection timed out"),
            HealthCheckObservation::builder().build(),
        ];
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        assert_eq!(count(&observations, now), CheckHealth::Checkers { healthy: 1, of: 3 });
        assert!(matches!(count(&[], now), CheckHealth::Untold { .. }));
    }

    /// Six hours ago all was well.
    #[test]
    fn a_checker_that_has_stopped_to_report_is_not_counted() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let seen = |status: &str, minutes_ago: i64| {
            let at = aws_sdk_route53::primitives::DateTime::from_secs(now.as_second() - 60 * minutes_ago);
            let report = StatusReport::builder().status(status).checked_time(at).build();
            HealthCheckObservation::builder().status_report(report).build()
        };
        let stale = [seen("Success: HTTP Status Code 200, OK", 360), seen("Success: HTTP Status Code 200, OK", 361)];
        let why = "its health checkers have reported nothing since 2026-03-01T06:00:00Z".to_owned();
        assert_eq!(count(&stale, now), CheckHealth::Untold { why });
        let some = [stale[0].clone(), seen("Failure: Connection timed out", 1)];
        assert_eq!(count(&some, now), CheckHealth::Checkers { healthy: 0, of: 1 });
    }

    #[test]
    fn some_checks_prove_nothing() {
        let config = |kind: HealthCheckType| HealthCheckConfig::builder().r#type(kind);
        assert_eq!(proves_nothing(&config(HealthCheckType::Https).build().unwrap()), None);
        assert!(proves_nothing(&config(HealthCheckType::Https).disabled(true).build().unwrap()).is_some());
        assert!(proves_nothing(&config(HealthCheckType::Https).inverted(true).build().unwrap()).is_some());
        assert!(proves_nothing(&config(HealthCheckType::Calculated).build().unwrap()).is_some());
    }
}
