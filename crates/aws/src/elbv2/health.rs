//! The health of a target group's targets.

use std::collections::BTreeMap;

use aws_sdk_elasticloadbalancingv2::{
    Client,
    types::{TargetGroup, TargetHealthDescription, TargetHealthReasonEnum, TargetHealthStateEnum},
};
use belay_core::change::Proof;
use belay_ports::ReadError;
use serde::{Deserialize, Serialize};

use crate::errors;

const HEALTH: &str = "elasticloadbalancing:DescribeTargetHealth";
const GROUPS: &str = "elasticloadbalancing:DescribeTargetGroups";

/// How many targets of a group are in which state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupHealth {
    /// By state and reason: `healthy`, `draining`, `unhealthy: Target.Timeout`, or one of the texts below.
    pub(crate) states: BTreeMap<String, usize>,
}

pub(super) const HEALTHY: &str = "healthy";
pub(super) const DRAINING: &str = "draining";
/// No listener or rule forwards to the group, so nothing checks its targets.
pub(super) const NOT_ATTACHED: &str = "unused: no listener forwards to the group";
/// The same reason code says this too.
pub(super) const ZONE_NOT_ENABLED: &str = "unused: zone not enabled for the load balancer";
pub(super) const NOT_CHECKED: &str = "unavailable: health checks are off";

pub(super) const ATTACH: &str = "keep it attached at weight 0";
pub(super) const ENABLE_ZONE: &str = "enable the zone of these targets for the load balancer";

impl GroupHealth {
    pub(super) fn of_states<'s>(states: impl Iterator<Item = &'s str>) -> Self {
        let mut counts = BTreeMap::new();
        states.for_each(|state| *counts.entry(state.to_owned()).or_insert(0) += 1);
        Self { states: counts }
    }

    pub(crate) fn healthy(&self) -> usize {
        self.in_state(HEALTHY)
    }

    /// Targets that are not checked, or whose health the load balancer cannot tell.
    pub(crate) fn untold(&self) -> usize {
        self.states.iter().filter(|(state, _)| is_untold(state)).map(|(_, count)| count).sum()
    }

    pub(crate) fn of(&self) -> usize {
        self.states.values().sum()
    }

    /// Targets that are meant to answer, also those that are too sick to.
    pub(crate) fn meant(&self) -> usize {
        self.of() - self.untold() - self.in_state(DRAINING)
    }

    fn in_state(&self, state: &str) -> usize {
        self.states.get(state).copied().unwrap_or(0)
    }

    /// `2 of 3 targets healthy; 1 unhealthy: Target.Timeout`
    pub(crate) fn evidence(&self) -> String {
        let others = self.states.iter().filter(|(state, _)| *state != HEALTHY);
        let others: Vec<String> = others.map(|(state, count)| format!("{count} {state}")).collect();
        let others = if others.is_empty() { String::new() } else { format!("; {}", others.join(", ")) };
        let zone = self.in_state(ZONE_NOT_ENABLED) > 0;
        let cure = if zone { format!(" ({ENABLE_ZONE})") } else { String::new() };
        match self.of() {
            0 => "the target group has no targets".to_owned(),
            of => format!("{} of {of} targets healthy{others}{cure}", self.healthy()),
        }
    }

    /// Whether the group was seen to be able to take traffic: one healthy target is enough.
    pub(crate) fn proof(&self) -> Proof {
        if self.healthy() > 0 {
            return Proof::Healthy { evidence: self.evidence() };
        }
        let nobody_knows = self.of() > 0 && self.untold() == self.of();
        if !nobody_knows {
            return Proof::Unhealthy { evidence: self.evidence() };
        }
        let why = match () {
            () if self.in_state(NOT_ATTACHED) > 0 => {
                format!("no listener forwards to the target group, so nothing checks its targets; {ATTACH}")
            }
            () if self.in_state(NOT_CHECKED) > 0 => "health checks of the target group are off".to_owned(),
            () => self.evidence(),
        };
        Proof::None { why }
    }
}

/// Whether a state says nothing of the target's health.
pub(super) fn is_untold(state: &str) -> bool {
    state == NOT_ATTACHED || state.starts_with("unavailable") || state.starts_with("unknown")
}

/// The health of a group; None when there is no such group.
///
/// # Errors
/// [`ReadError`] of `DescribeTargetHealth` and `DescribeTargetGroups`.
pub(crate) async fn observe(client: &Client, arn: &str) -> Result<Option<GroupHealth>, ReadError> {
    let Some(targets) = targets(client, arn).await? else { return Ok(None) };
    Ok(Some(GroupHealth::of_states(targets.iter().map(|(_, state)| state.as_str()))))
}

/// The health of a group, and its targets as `i-0123456789abcdef0:8080`; None when there is no such group.
///
/// # Errors
/// [`ReadError`] of `DescribeTargetHealth` and `DescribeTargetGroups`.
pub(crate) async fn registered(client: &Client, arn: &str) -> Result<Option<(GroupHealth, Vec<String>)>, ReadError> {
    let Some(targets) = targets(client, arn).await? else { return Ok(None) };
    let name = |target: &TargetHealthDescription| {
        let target = target.target.as_ref()?;
        let port = target.port.map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{}{port}", target.id.as_deref()?))
    };
    let names = targets.iter().filter(|(_, state)| state != DRAINING).filter_map(|(target, _)| name(target));
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    Ok(Some((GroupHealth::of_states(targets.iter().map(|(_, state)| state.as_str())), names)))
}

/// Every target of a group with its state and reason; None when there is no such group.
///
/// # Errors
/// [`ReadError`] of `DescribeTargetHealth` and `DescribeTargetGroups`.
pub(super) async fn targets(
    client: &Client,
    arn: &str,
) -> Result<Option<Vec<(TargetHealthDescription, String)>>, ReadError> {
    let targets = match client.describe_target_health().target_group_arn(arn).send().await {
        Ok(answer) => answer.target_health_descriptions.unwrap_or_default(),
        Err(error) if is_not_found(errors::code(&error)) => return Ok(None),
        Err(error) => return Err(errors::read(error, HEALTH, arn)),
    };
    let attached = match targets.iter().any(|target| unused(target) == Some(Unused::Untold)) {
        true => is_attached(client, arn).await?,
        false => false,
    };
    let with_state = |target: TargetHealthDescription| {
        let state = state(&target, attached);
        (target, state)
    };
    Ok(Some(targets.into_iter().map(with_state).collect()))
}

/// A group that a listener or rule forwards to knows its load balancer.
async fn is_attached(client: &Client, arn: &str) -> Result<bool, ReadError> {
    let answer = client.describe_target_groups().target_group_arns(arn).send().await;
    let groups = answer.map_err(|error| errors::read(error, GROUPS, arn))?.target_groups.unwrap_or_default();
    Ok(groups.iter().any(|group| !group.load_balancer_arns().is_empty()))
}

/// The ARN of the group with a name; None when there is no such group.
///
/// # Errors
/// [`ReadError`] of `DescribeTargetGroups`.
pub(crate) async fn find(client: &Client, name: &str) -> Result<Option<String>, ReadError> {
    Ok(find_group(client, name).await?.and_then(|group| group.target_group_arn))
}

/// The group with a name or an ARN; None when there is no such group.
///
/// # Errors
/// [`ReadError`] of `DescribeTargetGroups`.
pub(super) async fn find_group(client: &Client, group: &str) -> Result<Option<TargetGroup>, ReadError> {
    let request = client.describe_target_groups();
    let request = if group.starts_with("arn:") { request.target_group_arns(group) } else { request.names(group) };
    match request.send().await {
        // A name is unique in its account and region.
        Ok(answer) => Ok(answer.target_groups.unwrap_or_default().into_iter().next()),
        Err(error) if is_not_found(errors::code(&error)) => Ok(None),
        Err(error) => Err(errors::read(error, GROUPS, &format!("target group {group}"))),
    }
}

fn is_not_found(code: Option<&str>) -> bool {
    matches!(code, Some("TargetGroupNotFound" | "TargetGroupNotFoundException"))
}

/// Why a target is `Target.NotInUse`: one code for two reasons, which its description tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unused {
    NotAttached,
    ZoneNotEnabled,
    Untold,
}

fn unused(target: &TargetHealthDescription) -> Option<Unused> {
    let health = target.target_health.as_ref()?;
    if (&health.state, &health.reason)
        != (&Some(TargetHealthStateEnum::Unused), &Some(TargetHealthReasonEnum::NotInUse))
    {
        return None;
    }
    let description = health.description.as_deref().unwrap_or_default().to_ascii_lowercase();
    Some(match () {
        () if description.contains("zone") => Unused::ZoneNotEnabled,
        () if description.contains("not configured") => Unused::NotAttached,
        () => Unused::Untold,
    })
}

/// `attached`: whether a load balancer uses the group; asked only where the description does not tell.
fn state(target: &TargetHealthDescription, attached: bool) -> String {
    let known = match unused(target) {
        Some(Unused::ZoneNotEnabled) => Some(ZONE_NOT_ENABLED),
        Some(Unused::NotAttached) => Some(NOT_ATTACHED),
        Some(Unused::Untold) => Some(if attached { ZONE_NOT_ENABLED } else { NOT_ATTACHED }),
        None => None,
    };
    let health = target.target_health.as_ref();
    let state = health.and_then(|health| health.state.as_ref()).map_or("unknown", |state| state.as_str());
    let reason = health.and_then(|health| health.reason.as_ref());
    match (known, reason) {
        (Some(known), _) => known.to_owned(),
        (None, Some(TargetHealthReasonEnum::HealthCheckDisabled)) => NOT_CHECKED.to_owned(),
        // It always has the same reason.
        (None, Some(reason)) if state != DRAINING => format!("{state}: {}", reason.as_str()),
        _ => state.to_owned(),
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

    fn count(targets: &[TargetHealthDescription], attached: bool) -> GroupHealth {
        let states: Vec<String> = targets.iter().map(|target| state(target, attached)).collect();
        GroupHealth::of_states(states.iter().map(String::as_str))
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
        let health = count(&targets, false);
        assert_eq!((health.healthy(), health.of()), (2, 3));
        assert_eq!(health.proof(), Proof::Healthy { evidence: "2 of 3 targets healthy; 1 draining".to_owned() });
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
            let proof = count(&targets, false).proof();
            assert!(matches!(proof, Proof::Unhealthy { .. }), "{targets:?}: {proof:?}");
        }
    }

    #[test]
    fn what_nobody_checks_proves_nothing() {
        let unattached = count(&[target("unused", Some("Target.NotInUse"), UNATTACHED)], false);
        let Proof::None { why } = unattached.proof() else { panic!("no proof") };
        assert!(why.contains("keep it attached at weight 0"), "{why}");
        let unchecked =
            count(&[target("unavailable", Some("Target.HealthCheckDisabled"), "Health checks are disabled")], false);
        assert!(matches!(unchecked.proof(), Proof::None { .. }));
        let broken = count(&[target("unavailable", Some("Elb.InternalError"), "")], false);
        assert!(matches!(broken.proof(), Proof::None { .. }));
    }

    #[test]
    fn evidence_names_the_reasons() {
        let targets = [
            target("healthy", None, ""),
            target("healthy", None, ""),
            target("unhealthy", Some("Target.Timeout"), "Request timed out"),
        ];
        assert_eq!(count(&targets, false).evidence(), "2 of 3 targets healthy; 1 unhealthy: Target.Timeout");
    }

    #[test]
    fn one_reason_code_for_two_reasons_is_told_apart() {
        let of = |description, attached| count(&[target("unused", Some("Target.NotInUse"), description)], attached);
        let zone = GroupHealth { states: BTreeMap::from([(ZONE_NOT_ENABLED.to_owned(), 1)]) };
        let nobody = GroupHealth { states: BTreeMap::from([(NOT_ATTACHED.to_owned(), 1)]) };
        assert_eq!((of(NO_ZONE, false), of(UNATTACHED, true)), (zone.clone(), nobody.clone()));
        // Where the description does not tell, the group does: it knows the load balancer that uses it.
        assert_eq!((of("", true), of("", false)), (zone.clone(), nobody));
        assert!(zone.evidence().ends_with("(enable the zone of these targets for the load balancer)"));
    }
}
