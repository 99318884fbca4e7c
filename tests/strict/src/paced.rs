//! Actuators that are not looked through more often than is worth a test's time.

use std::{sync::Arc, time::Duration};

use belay_core::change::{Assessment, Change, Doc, Key, Receipt};
use belay_plan::model::AwsTarget;
use belay_ports::{
    AccountError, Actuator, Actuators, ApplyError, Check, Corrupt, Fut, Interruption, Permission, ReadError,
    RestorePoint, Restored, Scope,
};
use jiff::Timestamp;
use serde_json::Value;

pub(crate) struct Paced {
    pub(crate) actuators: Arc<dyn Actuators>,
    /// The least time between two looks of a step.
    pub(crate) pace: Duration,
}

impl Actuators for Paced {
    fn actuator(&self, action: &str) -> Option<Arc<dyn Actuator>> {
        let actuator = self.actuators.actuator(action)?;
        Some(Arc::new(PacedActuator { actuator, pace: self.pace }))
    }

    fn verify_account<'a>(&'a self, aws: &'a AwsTarget) -> Fut<'a, Result<String, AccountError>> {
        self.actuators.verify_account(aws)
    }

    fn readiness<'a>(
        &'a self,
        aws: &'a AwsTarget,
        permissions: &'a [Permission],
        until: Timestamp,
    ) -> Fut<'a, Vec<Check>> {
        self.actuators.readiness(aws, permissions, until)
    }

    fn permissions(&self, aws: &AwsTarget) -> Vec<Permission> {
        self.actuators.permissions(aws)
    }

    fn detours(&self) -> Vec<String> {
        self.actuators.detours()
    }
}

struct PacedActuator {
    actuator: Arc<dyn Actuator>,
    pace: Duration,
}

impl Actuator for PacedActuator {
    fn observe<'a>(&'a self, scope: &'a Scope, receipts: &'a [Receipt]) -> Fut<'a, Result<Doc, ReadError>> {
        self.actuator.observe(scope, receipts)
    }

    fn assess(&self, scope: &Scope, now: &Doc, receipts: &[Receipt]) -> Result<Assessment, Corrupt> {
        self.actuator.assess(scope, now, receipts)
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
        self.actuator.pace().max(self.pace)
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
