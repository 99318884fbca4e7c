//! All AWS systems together: what the binary plugs into the engine.

use std::{collections::HashMap, sync::Arc};

use belay_aws_catalogue as catalogue;
use belay_plan::model::AwsTarget;
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
    use catalogue::{elbv2 as balancers, jobs, rds as databases, route53 as dns};
    let (aws, clock) = (|| aws.clone(), || clock.clone());
    [
        (dns::ACTION, Arc::new(Typed(route53::Route53Weights::new(aws(), clock())))),
        (balancers::forward::ACTION, Arc::new(Typed(elbv2::AlbForward::new(aws(), clock())))),
        (balancers::targets::ACTION, Arc::new(Typed(elbv2::AlbTargets::new(aws(), clock())))),
        (databases::restore::ACTION, Arc::new(Typed(rds::RdsRestore::new(aws(), clock())))),
        (databases::backtrack::ACTION, Arc::new(Typed(backtrack::RdsBacktrack::new(aws(), clock())))),
        (databases::failover::ACTION, Arc::new(Typed(failover::RdsFailover::new(aws(), clock())))),
        (databases::switch_back::ACTION, Arc::new(Typed(switch_back::RdsSwitchBack::new(aws(), clock())))),
        (jobs::automation::ACTION, Arc::new(Typed(automation::Automation::new(aws(), clock())))),
        (jobs::state_machine::ACTION, Arc::new(Typed(state_machine::StateMachine::new(aws(), clock())))),
        (jobs::function::ACTION, Arc::new(Typed(function::Invocation::new(aws())))),
    ]
}

fn sensors(aws: &Aws, clock: &Arc<dyn Clock>) -> [(&'static str, Arc<dyn Sensor>); 4] {
    let (aws, clock) = (|| aws.clone(), || clock.clone());
    [
        (catalogue::cloudwatch::ALARM, Arc::new(cloudwatch::Alarm::new(aws(), clock()))),
        (catalogue::cloudwatch::METRIC, Arc::new(cloudwatch::Metric::new(aws(), clock()))),
        (catalogue::elbv2::target_health::KEY, Arc::new(elbv2::TargetHealth::new(aws(), clock()))),
        (catalogue::rds::status::KEY, Arc::new(rds::RdsStatus::new(aws(), clock()))),
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
        for spec in catalogue::action_specs() {
            assert!(systems.actuator(spec.name).is_some(), "{}", spec.name);
        }
        for spec in catalogue::signal_specs() {
            assert!(systems.sensor(spec.key).is_some(), "{}", spec.key);
        }
        assert!(systems.actuator("manual").is_none());
        assert!(systems.sensor("http").is_none());
    }
}
