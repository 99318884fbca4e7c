//! The health of a target group's targets.

use std::collections::BTreeMap;

use aws_sdk_elasticloadbalancingv2::{
    Client,
    types::{TargetHealthDescription, TargetHealthReasonEnum, TargetHealthStateEnum},
};
use belay_core::change::Proof;
use belay_ports::ReadError;
use serde::{Deserialize, Serialize};

use crate::errors;

/// How many targets of a group are in which state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupHealth {
    /// By state (`healthy`, `unhealthy`, `initial`, `draining`, `unavailable`, `unused`), the latter told apart.
    pub(crate) states: BTreeMap<String, usize>,
}

/// No listener or rule forwards to the group, so nothing checks its targets.
const NOT_ATTACHED: &str = "unused: no listener forwards to the group";
/// The same reason code says this too; only the description tells them apart.
const ZONE_NOT_ENABLED: &str = "unused: zone not enabled for the load balancer";
const NOT_CHECKED: &str = "unavailable: health checks are off";
const HEALTHY: &str = "healthy";

impl GroupHealth {
    pub(crate) fn healthy(&self) -> usize {
        self.states.get(HEALTHY).copied().unwrap_or(0)
    }

    pub(crate) fn of(&self) -> usize {
        self.states.values().sum()
    }

    /// `2 of 3 targets healthy (1 draining)`
    pub(crate) fn evidence(&self) -> String {
        let others = self.states.iter().filter(|(state, _)| *state != HEALTHY);
        let others: Vec<String> = others.map(|(state, count)| format!("{count} {state}")).collect();
        let others = if others.is_empty() { String::new() } else { format!(" ({})", others.join(", ")) };
        match self.of() {
            0 => "the target group has no targets".to_owned(),
            of => format!("{} of {of} targets healthy{others}", self.healthy()),
        }
    }

    /// Whether the group was seen to be able to take traffic: one healthy target is enough.
    pub(crate) fn proof(&self) -> Proof {
        let all_are = |state| self.of() > 0 && self.states.get(state) == Some(&self.of());
        if self.healthy() > 0 {
            return Proof::Healthy { evidence: self.evidence() };
        }
        let why = match () {
            () if all_are(NOT_ATTACHED) => {
                "no listener forwards to the target group, so nothing checks its targets; keep it attached at weight 0"
            }
            () if all_are(NOT_CHECKED) => "health checks of the target group are off",
            () => return Proof::Unhealthy { evidence: self.evidence() },
        };
        Proof::None { why: why.to_owned() }
    }
}

/// The health of a group; None when there is no such group.
///
/// # Errors
/// [`ReadError`] of `DescribeTargetHealth`.
pub(crate) async fn observe(client: &Client, arn: &str) -> Result<Option<GroupHealth>, ReadError> {
    match client.describe_target_health().target_group_arn(arn).send().await {
        Ok(answer) => Ok(Some(count(&answer.target_health_descriptions.unwrap_or_default()))),
        Err(error) if is_not_found(errors::code(&error)) => Ok(None),
        Err(error) => Err(errors::read(error, "elasticloadbalancing:DescribeTargetHealth", arn)),
    }
}

/// The ARN of the group with a name; None when there is no such group.
///
/// # Errors
/// [`ReadError`] of `DescribeTargetGroups`.
pub(crate) async fn find(client: &Client, name: &str) -> Result<Option<String>, ReadError> {
    match client.describe_target_groups().names(name).send().await {
        // A name is unique in its account and region.
        Ok(answer) => Ok(answer.target_groups.unwrap_or_default().into_iter().find_map(|group| group.target_group_arn)),
        Err(error) if is_not_found(errors::code(&error)) => Ok(None),
        Err(error) => {
            let group = format!("target group {name}");
            Err(errors::read(error, "elasticloadbalancing:DescribeTargetGroups", &group))
        }
    }
}

fn is_not_found(code: Option<&str>) -> bool {
    matches!(code, Some("TargetGroupNotFound" | "TargetGroupNotFoundException"))
}

fn count(targets: &[TargetHealthDescription]) -> GroupHealth {
    let mut states = BTreeMap::new();
    for target in targets {
        *states.entry(state(target).to_owned()).or_insert(0) += 1;
    }
    GroupHealth { states }
}

fn state(target: &TargetHealthDescription) -> &str {
    let Some(health) = &target.target_health else { return "unknown" };
    let Some(state) = &health.state else { return "unknown" };
    match (state, &health.reason) {
        (TargetHealthStateEnum::Unused, Some(TargetHealthReasonEnum::NotInUse)) => {
            let description = health.description.as_deref().unwrap_or_default().to_ascii_lowercase();
            if description.contains("zone") { ZONE_NOT_ENABLED } else { NOT_ATTACHED }
        }
        (_, Some(TargetHealthReasonEnum::HealthCheckDisabled)) => NOT_CHECKED,
        _ => state.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_elasticloadbalancingv2::types::TargetHealth;

    use super::*;

    fn target(state: &str, reason: Option<&str>, description: &str) -> TargetHealthDescription {
        let health = TargetHealth::builder()
            .state(TargetHealthStateEnum::from(state))
            .set_reason(reason.map(TargetHealthReasonEnum::from))
            .description(description);
        TargetHealthDescription::builder().target_health(health.build()).build()
    }

    const UNATTACHED: &str = "Target group is not configured to receive traffic from the load balancer";
    const NO_ZONE: &str = "Target is in an Availability Zone that is not enabled for the load balancer";

    #[test]
    fn one_healthy_target_proves() {
        let targets = [
            target("healthy", None, ""),
            target("healthy", None, ""),
            target("draining", Some("Target.DeregistrationInProgress"), ""),
        ];
        let health = count(&targets);
        assert_eq!((health.healthy(), health.of()), (2, 3));
        assert_eq!(health.proof(), Proof::Healthy { evidence: "2 of 3 targets healthy (1 draining)".to_owned() });
    }

    #[test]
    fn an_attached_group_without_a_healthy_target_is_unhealthy() {
        for targets in [
            vec![],
            vec![target("unhealthy", Some("Target.Timeout"), "")],
            vec![target("initial", Some("Elb.InitialHealthChecking"), "")],
            vec![target("unused", Some("Target.InvalidState"), "Target is in the stopped state")],
            vec![target("unused", Some("Target.NotInUse"), NO_ZONE)],
            vec![
                target("unused", Some("Target.NotInUse"), NO_ZONE),
                target("unused", Some("Target.NotInUse"), UNATTACHED),
            ],
        ] {
            let proof = count(&targets).proof();
            assert!(matches!(proof, Proof::Unhealthy { .. }), "{targets:?}: {proof:?}");
        }
    }

    #[test]
    fn what_nobody_checks_proves_nothing() {
        let unattached = count(&[target("unused", Some("Target.NotInUse"), UNATTACHED)]);
        let Proof::None { why } = unattached.proof() else { panic!("no proof") };
        assert!(why.contains("keep it attached at weight 0"), "{why}");
        let unchecked =
            count(&[target("unavailable", Some("Target.HealthCheckDisabled"), "Health checks are disabled")]);
        assert!(matches!(unchecked.proof(), Proof::None { .. }));
    }
}
