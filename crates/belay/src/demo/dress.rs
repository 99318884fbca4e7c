//! Gives the simulated world the words of AWS, so that the demo reads like the real thing.

use std::{sync::Arc, time::Duration};

use belay_core::{
    change::{Assessment, Change, Doc, Key, Receipt},
    reading::{Health, Reading},
};
use belay_plan::model::AwsTarget;
use belay_ports::{
    AccountError, Actuator, Actuators, ApplyError, Check, Corrupt, Endpoint, Fut, Interruption, Permission, Ports,
    Query, ReadError, RestorePoint, Restored, Scope, Sensor, Sensors, SignalReadiness,
};
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) fn dress(ports: Ports) -> Ports {
    let dressed = Dressed(ports.clone());
    Ports { actuators: Arc::new(dressed), sensors: Arc::new(Dressed(ports.clone())), ..ports }
}

/// The set of a world, in other words.
struct Dressed(Ports);

impl Actuators for Dressed {
    fn actuator(&self, action: &str) -> Option<Arc<dyn Actuator>> {
        let actuator = self.0.actuators.actuator(action)?;
        Some(Arc::new(DressedActuator { actuator, action: action.to_owned() }))
    }

    fn verify_account<'a>(&'a self, aws: &'a AwsTarget) -> Fut<'a, Result<String, AccountError>> {
        self.0.actuators.verify_account(aws)
    }

    fn readiness<'a>(
        &'a self,
        aws: &'a AwsTarget,
        permissions: &'a [Permission],
        until: Timestamp,
    ) -> Fut<'a, Vec<Check>> {
        self.0.actuators.readiness(aws, permissions, until)
    }

    fn permissions(&self, aws: &AwsTarget) -> Vec<Permission> {
        self.0.actuators.permissions(aws)
    }

    fn detours(&self) -> Vec<String> {
        self.0.actuators.detours()
    }
}

impl Sensors for Dressed {
    fn sensor(&self, kind: &str) -> Option<Arc<dyn Sensor>> {
        Some(Arc::new(DressedSensor(self.0.sensors.sensor(kind)?)))
    }
}

struct DressedActuator {
    actuator: Arc<dyn Actuator>,
    action: String,
}

impl Actuator for DressedActuator {
    fn observe<'a>(&'a self, scope: &'a Scope, receipts: &'a [Receipt]) -> Fut<'a, Result<Doc, ReadError>> {
        self.actuator.observe(scope, receipts)
    }

    fn assess(&self, scope: &Scope, now: &Doc, receipts: &[Receipt]) -> Result<Assessment, Corrupt> {
        let assessment = self.actuator.assess(scope, now, receipts)?;
        let Assessment::Remaining(changes) = assessment else { return Ok(assessment) };
        Ok(Assessment::Remaining(changes.into_iter().map(|change| self.reword(scope, change)).collect()))
    }

    fn checks(&self, scope: &Scope, now: &Doc) -> Result<Vec<Check>, Corrupt> {
        self.actuator.checks(scope, now)
    }

    fn altered(&self, scope: &Scope, now: &Doc) -> Result<Vec<String>, Corrupt> {
        self.actuator.altered(scope, now)
    }

    fn readiness<'a>(&'a self, scope: &'a Scope, now: &'a Doc) -> Fut<'a, Vec<Check>> {
        self.actuator.readiness(scope, now)
    }

    fn restore_point(&self, scope: &Scope, now: &Doc) -> Result<Option<RestorePoint>, Corrupt> {
        self.actuator.restore_point(scope, now)
    }

    fn restore_test(&self, scope: &Scope, began: Timestamp) -> Result<Option<Value>, Corrupt> {
        self.actuator.restore_test(scope, began)
    }

    fn restored(&self, scope: &Scope, now: &Doc) -> Result<Option<Restored>, Corrupt> {
        self.actuator.restored(scope, now)
    }

    fn apply<'a>(&'a self, scope: &'a Scope, key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>> {
        self.actuator.apply(scope, key, change)
    }

    fn pace(&self) -> Duration {
        self.actuator.pace()
    }

    fn stirs<'a>(&'a self, scope: &'a Scope) -> Fut<'a, ()> {
        self.actuator.stirs(scope)
    }

    fn permissions(&self, scope: &Scope) -> Vec<Permission> {
        self.actuator.permissions(scope)
    }

    fn interrupt(&self, scope: &Scope, why: Interruption) {
        self.actuator.interrupt(scope, why);
    }
}

impl DressedActuator {
    fn reword(&self, scope: &Scope, change: Change) -> Change {
        let with = |key: &str| scope.with[key].as_str().unwrap_or_default();
        let weights = change.title.clone();
        match (self.action.as_str(), change.id.as_str()) {
            ("route53.weights", _) => Change {
                title: format!("{} {}: {weights}", with("record"), with("type")),
                call: "route53:ChangeResourceRecordSets".to_owned(),
                ..change
            },
            ("alb.forward", _) => Change {
                title: format!("listener shop: {weights}"),
                call: "elasticloadbalancing:ModifyListener".to_owned(),
                ..change
            },
            ("rds.restore", "copy") => Change {
                title: format!(
                    "restore {} from {}",
                    with("instance"),
                    scope.with["from"]["snapshot"].as_str().unwrap_or("")
                ),
                call: "rds:RestoreDBInstanceFromDBSnapshot".to_owned(),
                ..change
            },
            ("rds.restore", _) => {
                let run = scope.run.as_ref().map_or("RUN", |run| run.0.as_str());
                let kept = format!("{}-failed-{run}", with("instance"));
                Change {
                    id: "rename_failed".to_owned(),
                    title: format!("rename the broken {0} to {kept}, and the restored one to {0}", with("instance")),
                    after: json!({ "db_instance_identifier": kept }),
                    keeps: Some(kept),
                    call: "rds:ModifyDBInstance".to_owned(),
                    ..change
                }
            }
            _ => change,
        }
    }
}

struct DressedSensor(Arc<dyn Sensor>);

impl Sensor for DressedSensor {
    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        Box::pin(async move { self.0.read(queries).await.into_iter().map(reword).collect() })
    }

    fn time_max(&self, queries: &[Query]) -> Duration {
        self.0.time_max(queries)
    }

    fn pace(&self, query: &Query) -> Duration {
        self.0.pace(query)
    }

    fn readiness<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<SignalReadiness>> {
        self.0.readiness(queries)
    }

    fn redirected(&self, query: &Query, to: &Endpoint) -> Result<Query, String> {
        self.0.redirected(query, to)
    }

    fn permissions(&self, query: &Query) -> Vec<Permission> {
        self.0.permissions(query)
    }
}

fn reword(reading: Reading) -> Reading {
    let evidence = match (reading.signal.as_str(), reading.health) {
        ("checkout_errors", Health::Healthy) => "OK: 0.2% of the checkouts fail",
        ("checkout_errors", Health::Unhealthy) => "ALARM: 14% of the checkouts fail, more than 5%",
        ("blue_ready", Health::Healthy) => "2 of 2 targets healthy",
        ("database_ready", Health::Healthy) => "shop is available",
        ("database_ready", Health::Unhealthy) => "shop is not available",
        _ => return reading,
    };
    Reading { evidence: evidence.to_owned(), ..reading }
}
