//! The `target_health` signal: how many targets of a group are healthy.

use std::sync::Arc;

use belay_aws_catalogue::elbv2::{
    forward::RESOURCE as OF_FORWARDERS,
    target_health::{AtLeast, Settings, Spec},
    targets::RESOURCE as OF_TARGETS,
};
use belay_core::{
    change::Proof,
    reading::{Health, Reading},
};
use belay_ports::{Clock, Fut, Permission, Query, ReadError, Sensor};
use futures::future::join_all;
use serde::Deserialize;

use super::{
    State,
    health::{self, GroupHealth},
    targets,
};
use crate::{
    sensing::{Deadline, Finding},
    session::Aws,
};

/// The sensor of `target_health`.
pub struct TargetHealth {
    aws: Aws,
    clock: Arc<dyn Clock>,
}

impl TargetHealth {
    pub fn new(aws: Aws, clock: Arc<dyn Clock>) -> Self {
        Self { aws, clock }
    }

    async fn find(&self, query: &Query, deadline: &Deadline<'_>) -> Finding {
        let settings = match Spec::deserialize(&query.spec) {
            Ok(spec) => spec.target_health,
            Err(error) => return Finding::not_understood(&error),
        };
        match deadline.bound(self.observe(query, &settings.target_group)).await {
            Ok(health) => decide(&settings, health.as_ref(), &query.baseline),
            Err(error) => Finding::Unreadable(error),
        }
    }

    async fn observe(&self, query: &Query, group: &str) -> Result<Option<GroupHealth>, ReadError> {
        let client = &self.aws.clients(&query.aws).await?.elbv2.read;
        let arn = match group.starts_with("arn:") {
            true => Some(group.to_owned()),
            false => health::find(client, group).await?,
        };
        match arn {
            Some(arn) => health::observe(client, &arn).await,
            None => Ok(None),
        }
    }
}

/// `health`: None when there is no such group.
fn decide(settings: &Settings, health: Option<&GroupHealth>, baseline: &[(String, serde_json::Value)]) -> Finding {
    let group = &settings.target_group;
    let Some(health) = health else {
        return Finding::unknown(format!("there is no target group {group}")).for_good();
    };
    let at_least = match settings.at_least {
        AtLeast::Number(number) => number,
        AtLeast::Word(_) => match healthy_at_baseline(group, baseline) {
            None if baseline.is_empty() => {
                return Finding::unknown(format!(
                    "how many targets of {group} have to be healthy is known once a baseline is captured: arming does that"
                ));
            }
            None => {
                return Finding::unknown(format!(
                    "the baseline does not show how many targets of {group} were healthy: it has only the groups that a \
                     step of the plan is about; give a number instead"
                ))
                .for_good();
            }
            Some(0) => {
                let why = format!("no target of {group} was healthy when the baseline was captured");
                return Finding::unknown(why).for_good();
            }
            Some(number) => number,
        },
    };
    let evidence = format!("{}, at least {at_least} needed", health.evidence());
    match health.proof() {
        _ if health.healthy() >= at_least => Finding::new(Health::Healthy, evidence),
        // Nothing checks its targets.
        Proof::None { why } => Finding::unknown(why),
        // Those of whom nothing is known may make the difference.
        _ if health.healthy() + health.untold() >= at_least => Finding::unknown(evidence),
        _ => Finding::new(Health::Unhealthy, evidence),
    }
}

/// From the steps that forward to the group, or are about its targets.
fn healthy_at_baseline(group: &str, baseline: &[(String, serde_json::Value)]) -> Option<usize> {
    let health = |(resource, doc): &(String, serde_json::Value)| {
        if resource.starts_with(OF_TARGETS) {
            let state = targets::State::deserialize(doc).ok()?;
            return state.is_of(group).then(|| state.health());
        }
        let state = State::deserialize(doc).ok().filter(|_| resource.starts_with(OF_FORWARDERS))?;
        state.health(group).cloned()
    };
    baseline.iter().find_map(health).map(|health| health.healthy())
}

impl Sensor for TargetHealth {
    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        Box::pin(async move {
            let taken = self.clock.now();
            let deadline = Deadline::start(self.clock.as_ref());
            let findings = join_all(queries.iter().map(|query| self.find(query, &deadline))).await;
            let readings = findings.into_iter().zip(queries);
            readings.map(|(finding, query)| finding.reading(query, taken, "elbv2")).collect()
        })
    }

    fn permissions(&self, _query: &Query) -> Vec<Permission> {
        let actions = ["elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetHealth"];
        let statement = |action: &str| Permission {
            action: action.to_owned(),
            resource: "*".to_owned(),
            mutates: false,
            conditions: Vec::new(),
        };
        actions.map(statement).into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    const ARN: &str = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/blue/1";

    fn group(states: &[(&str, usize)]) -> GroupHealth {
        GroupHealth { states: states.iter().map(|(state, count)| ((*state).to_owned(), *count)).collect() }
    }

    fn found(at_least: Value, health: Option<&GroupHealth>, baseline: &[(String, Value)]) -> Health {
        let settings = serde_json::from_value(json!({"target_group": "blue", "at_least": at_least})).unwrap();
        match decide(&settings, health, baseline) {
            Finding::Read { health, .. } => health,
            Finding::Unreadable(error) => panic!("{error}"),
        }
    }

    fn baseline(healthy: usize) -> Vec<(String, Value)> {
        let groups = BTreeMap::from([(ARN.to_owned(), group(&[("healthy", healthy)]))]);
        let state = State { groups, ..State::default() };
        vec![("route53:Z1/a/A".to_owned(), json!({})), ("alb:arn:l".to_owned(), serde_json::to_value(state).unwrap())]
    }

    #[test]
    fn a_number_of_healthy_targets() {
        let two = group(&[("healthy", 2), ("unhealthy", 1)]);
        assert_eq!(found(json!(2), Some(&two), &[]), Health::Healthy);
        assert_eq!(found(json!(3), Some(&two), &[]), Health::Unhealthy);
        assert_eq!(found(json!(1), Some(&group(&[])), &[]), Health::Unhealthy);
    }

    #[test]
    fn what_nobody_checks_and_what_is_not_there_is_unknown() {
        let unused = group(&[(health::NOT_ATTACHED, 2)]);
        assert_eq!(found(json!(1), Some(&unused), &[]), Health::Unknown);
        assert_eq!(found(json!(1), None, &[]), Health::Unknown);
        // One is healthy, of one nobody knows: two may be, three cannot.
        let some = group(&[("healthy", 1), ("unavailable: Elb.InternalError", 1), ("unhealthy: Target.Timeout", 1)]);
        assert_eq!(found(json!(2), Some(&some), &[]), Health::Unknown);
        assert_eq!(found(json!(3), Some(&some), &[]), Health::Unhealthy);
        let elsewhere = group(&[(health::ZONE_NOT_ENABLED, 2)]);
        assert_eq!(found(json!(1), Some(&elsewhere), &[]), Health::Unhealthy);
    }

    #[test]
    fn as_many_as_at_the_baseline() {
        let three = group(&[("healthy", 3)]);
        assert_eq!(found(json!("baseline"), Some(&three), &baseline(3)), Health::Healthy);
        assert_eq!(found(json!("baseline"), Some(&three), &baseline(4)), Health::Unhealthy);
        assert_eq!(found(json!("baseline"), Some(&three), &baseline(0)), Health::Unknown);
        assert_eq!(found(json!("baseline"), Some(&three), &[]), Health::Unknown);
    }
}
