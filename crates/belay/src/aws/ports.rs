//! What the engine reaches the outside through.

use std::sync::Arc;

use belay_aws::{AwsEvidence, AwsSystems, channels::AwsChannels, session::Aws};
use belay_channels::{Channels, Texts};
use belay_local::{Programs, permit::Gate};
use belay_plan::model::AwsTarget;
use belay_ports::{
    Access, AccountError, Actuator, Actuators, Channel, Check, Clock, Fut, Journal, Observer, Permission, Ports,
    Sensor, Sensors,
};
use belay_probes::Probes;
use jiff::Timestamp;

use crate::{
    clock::{SystemClock, SystemEntropy},
    exit::Failure,
};

/// The real world. `access` decides whether anything can be changed in it; `observer` sees what is done in it; `gate` knows
/// what plans may do beyond AWS.
pub(crate) fn ports(
    access: Access,
    journal: Arc<dyn Journal>,
    observer: Arc<dyn Observer>,
    gate: Gate,
) -> Result<Ports, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let aws = Aws::new(access, clock.clone(), observer.clone(), gate.plain_http());
    let evidence = Arc::new(AwsEvidence::new(aws.clone(), clock.clone()));
    let aws_channels = AwsChannels::new(aws.clone(), clock.clone(), Arc::new(Texts));
    let aws = AwsSystems::new(aws, clock.clone());
    // A set that only reads sends no notice.
    let channels = if access == Access::ReadOnly { gate.asked() } else { gate.clone() };
    let programs = Programs::new(clock.clone(), access == Access::ReadWrite, gate.clone());
    Ok(Ports {
        sensors: Arc::new(EverySensor { aws: aws.clone(), probes: Probes::new(clock.clone(), gate.clone()) }),
        actuators: Arc::new(EveryActuator { aws, programs }),
        channels: Arc::new(EveryChannel { aws: aws_channels, others: Channels::new(clock.clone(), channels) }),
        evidence,
        journal,
        clock,
        entropy: Arc::new(SystemEntropy),
        observer,
    })
}

struct EveryActuator {
    aws: AwsSystems,
    programs: Programs,
}

impl Actuators for EveryActuator {
    fn actuator(&self, action: &str) -> Option<Arc<dyn Actuator>> {
        self.aws.actuator(action).or_else(|| self.programs.actuator(action))
    }

    fn verify_account<'a>(&'a self, aws: &'a AwsTarget) -> Fut<'a, Result<String, AccountError>> {
        self.aws.verify_account(aws)
    }

    fn readiness<'a>(
        &'a self,
        aws: &'a AwsTarget,
        permissions: &'a [Permission],
        until: Timestamp,
    ) -> Fut<'a, Vec<Check>> {
        self.aws.readiness(aws, permissions, until)
    }

    fn permissions(&self, aws: &AwsTarget) -> Vec<Permission> {
        self.aws.permissions(aws)
    }

    fn detours(&self) -> Vec<String> {
        self.aws.detours()
    }
}

struct EverySensor {
    aws: AwsSystems,
    probes: Probes,
}

impl Sensors for EverySensor {
    fn sensor(&self, kind: &str) -> Option<Arc<dyn Sensor>> {
        self.aws.sensor(kind).or_else(|| self.probes.sensor(kind))
    }
}

struct EveryChannel {
    aws: AwsChannels,
    others: Channels,
}

impl belay_ports::Channels for EveryChannel {
    fn channel(&self, kind: &str) -> Option<Arc<dyn Channel>> {
        self.aws.channel(kind).or_else(|| self.others.channel(kind))
    }
}
