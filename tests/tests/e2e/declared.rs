//! What a plan's actuators and sensors declare that they need of AWS.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use belay_aws::AwsSystems;
use belay_aws::session::{Access, Aws};
use belay_plan::catalogue::Catalogue;
use belay_plan::model::Plan;
use belay_ports::{Actuators, Clock, Fut, Permission, Query, Scope, Sensors};
use belay_probes::Probes;

/// Nothing here asks for the time: permissions are pure.
struct NoClock;

impl Clock for NoClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep<'a>(&'a self, _time: Duration) -> Fut<'a, ()> {
        Box::pin(std::future::pending())
    }
}

/// The plan as the binary reads it.
fn load(text: &str) -> Plan {
    let catalogue =
        Catalogue::new(belay_aws::action_specs(), belay_aws::signal_specs().into_iter().chain(Probes::specs()));
    let loaded = belay_plan::load("plan.yaml", text, &catalogue);
    loaded.unwrap_or_else(|errors| panic!("{}", errors[0].render(false))).plan
}

/// The permissions that the steps and the signals of a plan declare.
pub(crate) fn declared(text: &str) -> BTreeSet<Permission> {
    let plan = load(text);
    let systems =
        AwsSystems::new(Aws::new(Access::ReadOnly, Arc::new(NoClock), Arc::new(()), Vec::new()), Arc::new(NoClock));
    let steps = plan.steps.iter().filter_map(|(name, step)| {
        let scope = Scope {
            migration: plan.migration.clone(),
            step: name.clone(),
            run: None,
            tries: 0,
            deadline: None,
            aws: step.aws.clone(),
            with: step.with.clone(),
            to: step.to.clone(),
            others: step.others,
            baseline: None,
            cutover: None,
            stages: None,
            timeout: step.timeout,
            before: None,
            sent: Vec::new(),
            previous: None,
        };
        Some(systems.actuator(&step.action)?.permissions(&scope))
    });
    let signals = plan.signals.iter().filter_map(|(name, signal)| {
        let query = Query {
            signal: name.clone(),
            spec: signal.spec.clone(),
            aws: signal.aws.clone(),
            baseline: Default::default(),
        };
        Some(systems.sensor(&signal.kind)?.permissions(&query))
    });
    steps.chain(signals).flatten().collect()
}
