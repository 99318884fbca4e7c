//! All AWS systems together: what the binary plugs into the engine and into the plan's catalogue.

use std::{collections::HashMap, sync::Arc};

use belay_plan::{
    catalogue::{ActionSpec, SignalSpec},
    model::AwsTarget,
};
use belay_ports::{AccountError, Actuator, Actuators, Check, Clock, Fut, Permission, Sensor, Sensors, Typed};

use jiff::Timestamp;

use crate::{
    cloudwatch, elbv2, iam,
    jobs::{automation, function, state_machine},
    rds::{
        self,
        moves::{backtrack, failover, switch_back},
    },
    route53,
    session::Aws,
};

/// The actions that plans may use.
pub fn action_specs() -> Vec<ActionSpec> {
    vec![
        route53::spec(),
        elbv2::spec(),
        elbv2::targets_spec(),
        rds::spec(),
        backtrack::spec(),
        failover::spec(),
        switch_back::spec(),
        automation::spec(),
        state_machine::spec(),
        function::spec(),
    ]
}

/// The signals that plans may use.
pub fn signal_specs() -> Vec<SignalSpec> {
    vec![cloudwatch::alarm_spec(), cloudwatch::metric_spec(), elbv2::signal_spec(), rds::signal_spec()]
}

/// The actuators and sensors over one [`Aws`]: what that may do, they may do. Each is made once: what a system has learned
/// holds for all who use it.
#[derive(Clone)]
pub struct AwsSystems {
    aws: Aws,
    actuators: Arc<HashMap<&'static str, Arc<dyn Actuator>>>,
    sensors: Arc<HashMap<&'static str, Arc<dyn Sensor>>>,
}

impl AwsSystems {
    pub fn new(aws: Aws, clock: Arc<dyn Clock>) -> Self {
        let (actuators, sensors) = (actuators(&aws, &clock), sensors(&aws, &clock));
        Self { aws, actuators: Arc::new(actuators.into()), sensors: Arc::new(sensors.into()) }
    }
}

fn actuators(aws: &Aws, clock: &Arc<dyn Clock>) -> [(&'static str, Arc<dyn Actuator>); 10] {
    let (aws, clock) = (|| aws.clone(), || clock.clone());
    [
        (route53::ACTION, Arc::new(Typed(route53::Route53Weights::new(aws(), clock())))),
        (elbv2::ACTION, Arc::new(Typed(elbv2::AlbForward::new(aws(), clock())))),
        (elbv2::TARGETS, Arc::new(Typed(elbv2::AlbTargets::new(aws(), clock())))),
        (rds::ACTION, Arc::new(Typed(rds::RdsRestore::new(aws(), clock())))),
        (backtrack::ACTION, Arc::new(Typed(backtrack::RdsBacktrack::new(aws(), clock())))),
        (failover::ACTION, Arc::new(Typed(failover::RdsFailover::new(aws(), clock())))),
        (switch_back::ACTION, Arc::new(Typed(switch_back::RdsSwitchBack::new(aws(), clock())))),
        (automation::ACTION, Arc::new(Typed(automation::Automation::new(aws(), clock())))),
        (state_machine::ACTION, Arc::new(Typed(state_machine::StateMachine::new(aws(), clock())))),
        (function::ACTION, Arc::new(Typed(function::Invocation::new(aws())))),
    ]
}

fn sensors(aws: &Aws, clock: &Arc<dyn Clock>) -> [(&'static str, Arc<dyn Sensor>); 4] {
    let (aws, clock) = (|| aws.clone(), || clock.clone());
    [
        (cloudwatch::ALARM, Arc::new(cloudwatch::Alarm::new(aws(), clock()))),
        (cloudwatch::METRIC, Arc::new(cloudwatch::Metric::new(aws(), clock()))),
        (elbv2::TARGET_HEALTH, Arc::new(elbv2::TargetHealth::new(aws(), clock()))),
        (rds::STATUS, Arc::new(rds::RdsStatus::new(aws(), clock()))),
    ]
}

impl Actuators for AwsSystems {
    fn actuator(&self, action: &str) -> Option<Arc<dyn Actuator>> {
        self.actuators.get(action).cloned()
    }

    fn verify_account<'a>(&'a self, target: &'a AwsTarget) -> Fut<'a, Result<String, AccountError>> {
        Box::pin(self.aws.verify_account(target))
    }

    fn readiness<'a>(
        &'a self,
        target: &'a AwsTarget,
        permissions: &'a [Permission],
        until: Timestamp,
    ) -> Fut<'a, Vec<Check>> {
        Box::pin(async move {
            let mut checks = vec![self.aws.credentials(target, until).await];
            checks.extend(iam::simulation::checks(&self.aws, target, permissions).await);
            checks
        })
    }

    fn permissions(&self, target: &AwsTarget) -> Vec<Permission> {
        iam::permissions(target)
    }

    fn detours(&self) -> Vec<String> {
        self.aws.detours()
    }
}

impl Sensors for AwsSystems {
    fn sensor(&self, kind: &str) -> Option<Arc<dyn Sensor>> {
        self.sensors.get(kind).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Still, nowhere};

    #[test]
    fn there_is_something_behind_every_spec() {
        let systems = AwsSystems::new(nowhere(), Arc::new(Still { wakes: false }));
        for spec in action_specs() {
            assert!(systems.actuator(spec.name).is_some(), "{}", spec.name);
        }
        for spec in signal_specs() {
            assert!(systems.sensor(spec.key).is_some(), "{}", spec.key);
        }
        assert!(systems.actuator("manual").is_none());
        assert!(systems.sensor("http").is_none());
    }
}
