//! What Route 53's health checkers say of a record.

use std::collections::BTreeMap;

use aws_sdk_route53::{
    Client,
    types::{HealthCheckConfig, HealthCheckObservation, HealthCheckType},
};
use belay_core::change::Proof;
use belay_ports::ReadError;
use futures::{TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::record::RecordSet;
use crate::errors;

/// The health of one health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CheckHealth {
    /// So many of its checkers reach the endpoint.
    Checkers { healthy: usize, of: usize },
    /// It proves nothing about the endpoint.
    Untold { why: String },
}

/// An endpoint is healthy while more than this share of the checkers says so ("How Route 53 determines whether a health
/// check is healthy", developer guide).
const HEALTHY_PERCENT: usize = 18;

/// Reads the health checks of all records, each one once.
///
/// # Errors
/// [`ReadError`] when another look may help. A refusal is not an error: the check then proves nothing, and says why.
pub(crate) async fn observe(
    client: &Client,
    partition: &str,
    records: &[RecordSet],
) -> Result<BTreeMap<String, CheckHealth>, ReadError> {
    let ids: BTreeMap<&str, ()> =
        records.iter().filter_map(|record| Some((record.health_check.as_deref()?, ()))).collect();
    stream::iter(ids.into_keys().map(Ok))
        .and_then(|id| async move {
            let health = match observe_one(client, partition, id).await {
                Err(error) if error.permanent => CheckHealth::Untold { why: error.why },
                health => health?,
            };
            Ok((id.to_owned(), health))
        })
        .try_collect()
        .await
}

async fn observe_one(client: &Client, partition: &str, id: &str) -> Result<CheckHealth, ReadError> {
    let arn = format!("arn:{partition}:route53:::healthcheck/{id}");
    let check = client.get_health_check().health_check_id(id).send().await;
    let check = check.map_err(|error| errors::read(error, "route53:GetHealthCheck", &arn))?.health_check;
    if let Some(why) = check.and_then(|check| check.health_check_config).and_then(|config| proves_nothing(&config)) {
        return Ok(CheckHealth::Untold { why });
    }
    let status = client.get_health_check_status().health_check_id(id).send().await;
    let status = status.map_err(|error| errors::read(error, "route53:GetHealthCheckStatus", &arn))?;
    Ok(count(&status.health_check_observations))
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

fn count(observations: &[HealthCheckObservation]) -> CheckHealth {
    let succeeds = |observation: &&HealthCheckObservation| {
        let status = observation.status_report.as_ref().and_then(|report| report.status.as_deref());
        status.is_some_and(|status| status.starts_with("Success"))
    };
    match observations.len() {
        0 => CheckHealth::Untold { why: "no health checker has reported yet".to_owned() },
        of => CheckHealth::Checkers { healthy: observations.iter().filter(succeeds).count(), of },
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
        assert_eq!(count(&observations), CheckHealth::Checkers { healthy: 1, of: 3 });
        assert!(matches!(count(&[]), CheckHealth::Untold { .. }));
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
