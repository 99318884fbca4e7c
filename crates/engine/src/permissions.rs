//! What a plan needs of AWS.

use std::collections::BTreeSet;

use belay_core::change::Baseline;
use belay_plan::model::{AwsTarget, Plan};
use belay_ports::{Actuators, Channels, Evidence, Permission, Sensors};
use indexmap::IndexMap;

use crate::scope;

/// What the steps, signals, channels and evidence of a plan declare, and what it takes to verify and check an account, by the account
/// that it is needed in: the order is the plan's. `baseline`: with it, keys, roles and members are known by name. Pure.
pub fn permissions(
    actuators: &dyn Actuators,
    sensors: &dyn Sensors,
    (channels, evidence): (&dyn Channels, &dyn Evidence),
    plan: &Plan,
    baseline: Option<&Baseline>,
) -> IndexMap<AwsTarget, BTreeSet<Permission>> {
    let mut found: IndexMap<AwsTarget, BTreeSet<Permission>> = IndexMap::new();
    let mut add = |target: &AwsTarget, needed: Vec<Permission>| {
        if !needed.is_empty() {
            found.entry(target.clone()).or_default().extend(needed);
        }
    };
    for (name, step) in &plan.steps {
        let entry = baseline.and_then(|baseline| baseline.steps.get(name)).filter(|entry| {
            // As a run does: the baseline of another resource is none.
            entry.action == step.action && entry.resource == step.resource
        });
        if let (Some(actuator), Some(scope)) =
            (actuators.actuator(&step.action), scope::of_step(plan, name, None, entry.cloned(), None))
        {
            add(&step.aws, actuator.permissions(&scope));
        }
    }
    let documents = scope::documents(baseline.into_iter().flat_map(|baseline| baseline.steps.values()));
    for name in plan.signals.keys() {
        let Some((kind, query)) = scope::query(plan, &documents, name) else { continue };
        add(&query.aws, sensors.sensor(&kind).map(|sensor| sensor.permissions(&query)).unwrap_or_default());
    }
    for (name, entry) in &plan.notify.channels {
        let channel = channels.channel(&entry.kind);
        add(&entry.aws, channel.map(|channel| channel.permissions(&plan.notify, name)).unwrap_or_default());
    }
    let asked = evidence.permissions(plan);
    for target in scope::targets(plan, actuators).iter().filter(|_| !asked.is_empty()) {
        found.entry(target.clone()).or_default().extend(asked.iter().cloned());
    }
    for (target, needed) in &mut found {
        needed.extend(actuators.permissions(target));
    }
    found
}
