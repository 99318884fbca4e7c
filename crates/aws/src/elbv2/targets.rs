//! `alb.targets`: which targets a target group has, where a migration moved instances and not groups.
//!
//! Missing targets are registered first. The others are deregistered only when those are healthy, and the step is settled
//! when they have drained: the group is never without a healthy target.

mod assess;
mod described;
mod readiness;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aws_sdk_elasticloadbalancingv2::Client;
use belay_aws_catalogue::elbv2::{group_name, target::Registration, targets::With};
use belay_core::{
    change::{Assessment, Change, Key, Receipt},
    input::ErrorClass,
};
use belay_plan::model::AwsTarget;
use belay_ports::{ApplyError, Check, Clock, Corrupt, Fut, Permission, ReadError, Scope, System};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    health::{self, GroupHealth},
    statement,
};
use crate::{errors, place, session::Aws};

const GROUPS: &str = "elasticloadbalancing:DescribeTargetGroups";
pub(super) const ATTRIBUTES: &str = "elasticloadbalancing:DescribeTargetGroupAttributes";
const HEALTH: &str = "elasticloadbalancing:DescribeTargetHealth";
const REGISTER: &str = "elasticloadbalancing:RegisterTargets";
const DEREGISTER: &str = "elasticloadbalancing:DeregisterTargets";

const DELAY: &str = "deregistration_delay.timeout_seconds";
/// Below so many healthy targets the load balancer sends to all of them.
const LEAST_HEALTHY: &str = "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count";

/// The action `alb.targets`.
#[derive(Clone)]
pub struct AlbTargets {
    aws: Aws,
    clock: Arc<dyn Clock>,
}

/// A target group as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Only where something was sent: two looks at a world that stands still see the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    looked: Option<Timestamp>,
    arn: String,
    /// What it takes: `instance`, `ip`, `lambda` or `alb`.
    kind: String,
    /// Of the targets that are registered without one.
    port: Option<u16>,
    /// Without a single healthy check a target is not healthy before this is over.
    checks_s: u64,
    /// The deregistration delay, 0-3,600.
    delay_s: u64,
    least_healthy: usize,
    targets: Vec<Target>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Target {
    #[serde(flatten)]
    registration: Registration,
    /// As [`GroupHealth`] has it.
    state: String,
}

/// What a change sends.
#[derive(Debug, Serialize, Deserialize)]
struct Args {
    group: String,
    targets: Vec<Registration>,
}

impl State {
    /// Of the group with this name or ARN.
    pub(super) fn is_of(&self, group: &str) -> bool {
        self.arn == group || group_name(&self.arn) == group
    }

    pub(super) fn health(&self) -> GroupHealth {
        GroupHealth::of_states(self.targets.iter().map(|target| target.state.as_str()))
    }
}

impl AlbTargets {
    pub fn new(aws: Aws, clock: Arc<dyn Clock>) -> Self {
        Self { aws, clock }
    }

    async fn look(&self, scope: &Scope, with: &With, receipts: &[Receipt]) -> Result<State, ReadError> {
        let client = &self.aws.clients(&scope.aws).await?.elbv2.read;
        let looked = (!receipts.is_empty()).then(|| self.clock.now());
        let missing = || ReadError { why: format!("there is no {}", with.title()), permanent: true };
        let group = health::find_group(client, &with.target_group).await?.ok_or_else(missing)?;
        let arn = group.target_group_arn.ok_or_else(missing)?;
        let port = group.port.and_then(|port| u16::try_from(port).ok());
        let attributes = attributes(client, &arn).await?;
        let targets = health::targets(client, &arn).await?.ok_or_else(missing)?;
        let targets = targets.into_iter().filter_map(|(target, state)| {
            let mut registration = described::from_aws(target.target?)?;
            registration.address.port = registration.address.port.or(port);
            Some(Target { registration, state })
        });
        let number = |key: &str, usual: u64| attributes.get(key).and_then(|value| value.parse().ok()).unwrap_or(usual);
        let times = |interval: Option<i32>, threshold: Option<i32>| {
            u64::try_from(interval.unwrap_or(0)).unwrap_or(0) * u64::try_from(threshold.unwrap_or(0)).unwrap_or(0)
        };
        Ok(State {
            looked,
            arn,
            kind: group.target_type.map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
            port,
            checks_s: times(group.health_check_interval_seconds, group.healthy_threshold_count),
            delay_s: number(DELAY, 300),
            least_healthy: usize::try_from(number(LEAST_HEALTHY, 1)).unwrap_or(1),
            targets: targets.collect(),
        })
    }

    async fn send(&self, scope: &Scope, change: &Change) -> Result<Value, ApplyError> {
        let Args { group, targets } = Args::deserialize(&change.args).map_err(|error| ApplyError::NoEffect {
            why: format!("the change cannot be understood: {error}"),
            class: ErrorClass::Permanent,
        })?;
        let client = &self.aws.clients(&scope.aws).await?.elbv2.write;
        let targets = Some(targets.into_iter().map(described::into_aws).collect());
        if change.call == DEREGISTER {
            let sent = client.deregister_targets().target_group_arn(&group).set_targets(targets).send().await;
            sent.map(drop).map_err(|error| errors::apply(error, DEREGISTER, &group))?;
        } else {
            let sent = client.register_targets().target_group_arn(&group).set_targets(targets).send().await;
            sent.map(drop).map_err(|error| errors::apply(error, REGISTER, &group))?;
        }
        Ok(json!({ "modified": group }))
    }
}

/// The attributes of a target group, by their keys.
///
/// # Errors
/// [`ReadError`] of `DescribeTargetGroupAttributes`.
pub(super) async fn attributes(client: &Client, arn: &str) -> Result<BTreeMap<String, String>, ReadError> {
    let answer = client.describe_target_group_attributes().target_group_arn(arn).send().await;
    let answer = answer.map_err(|error| errors::read(error, ATTRIBUTES, arn))?;
    Ok(answer.attributes.unwrap_or_default().into_iter().filter_map(|one| Some((one.key?, one.value?))).collect())
}

impl System for AlbTargets {
    type With = With;
    type State = State;

    fn observe<'a>(
        &'a self,
        scope: &'a Scope,
        with: With,
        receipts: &'a [Receipt],
    ) -> Fut<'a, Result<State, ReadError>> {
        Box::pin(async move { self.look(scope, &with, receipts).await })
    }

    fn assess(
        &self,
        scope: &Scope,
        with: &With,
        now: &State,
        baseline: Option<&State>,
        receipts: &[Receipt],
    ) -> Result<Assessment, Corrupt> {
        assess::assess(scope, with, now, baseline, receipts)
    }

    fn readiness<'a>(
        &'a self,
        scope: &'a Scope,
        with: With,
        now: State,
        baseline: Option<State>,
    ) -> Fut<'a, Vec<Check>> {
        let checks = readiness::check(scope, &with, &now, baseline.as_ref());
        Box::pin(std::future::ready(checks.into_iter().collect()))
    }

    fn apply<'a>(&'a self, scope: &'a Scope, _key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>> {
        Box::pin(self.send(scope, change))
    }

    /// Load balancing has no resource-level permissions for what only describes.
    fn permissions(&self, scope: &Scope, with: &With) -> Vec<Permission> {
        let arn = arn(with, &scope.aws);
        let reads = [GROUPS, ATTRIBUTES, HEALTH].map(|action| statement(action, "*", false));
        let writes = [REGISTER, DEREGISTER].map(|action| statement(action, &arn, true));
        reads.into_iter().chain(writes).collect()
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The group, as IAM takes it.
fn arn(with: &With, target: &AwsTarget) -> String {
    let group = &with.target_group;
    if group.starts_with("arn:") {
        return group.clone();
    }
    let (partition, any) = (place::partition(target), "*".to_owned());
    let (region, account) = (target.region.as_ref().unwrap_or(&any), target.account.as_ref().unwrap_or(&any));
    format!("arn:{partition}:elasticloadbalancing:{region}:{account}:targetgroup/{group}/*")
}

#[cfg(test)]
mod tests;
