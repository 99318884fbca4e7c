//! `alb.forward`: the weights between the target groups of a listener's default action or of a rule; `alb.targets`; and
//! the `target_health` signal.
//!
//! A modification replaces the whole list of actions: all of it is read, and all but the weights is written back. It
//! holds as soon as the call has answered, except for clients that stickiness keeps where they are.

pub(crate) mod actions;
mod by_address;
mod changes;
mod find;
mod forwarder;
pub(crate) mod health;
mod readiness;
mod stickiness;
mod target_health;
mod targets;
mod unknown;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use aws_sdk_elasticloadbalancingv2::types;
use belay_aws_catalogue::elbv2::{
    forward::{GROUPS_MAX, Kind, WEIGHT_MAX, With},
    group_name,
};
use belay_core::{
    change::{Assessment, Change, Key, Receipt},
    input::ErrorClass,
};
use belay_plan::model::Target;
use belay_ports::{ApplyError, Check, Clock, Corrupt, Fut, Permission, ReadError, Scope, System};
use futures::future::try_join_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::{
    actions::{Action, Forward},
    changes::Changes,
    find::Found,
    health::GroupHealth,
};
pub use self::{target_health::TargetHealth, targets::AlbTargets};
use crate::{
    errors,
    services::{Actions, Granted, Service},
    session::Aws,
    weights::{self as shared, Named, Weights},
};

pub(crate) const SERVICE: Service = Service {
    // "Request throttling for the Elastic Load Balancing API".
    quotas: &[Granted::all(10.0, 40.0)],
    reads: &[
        "DescribeListeners",
        "DescribeLoadBalancers",
        "DescribeRules",
        "DescribeTargetGroupAttributes",
        "DescribeTargetGroups",
        "DescribeTargetHealth",
    ],
    writes: &["DeregisterTargets", "ModifyListener", "ModifyRule", "RegisterTargets"],
    actions: Some(Actions { prefix: "alb", keys: &["listener", "load_balancer", "target_group", "rule"] }),
    ..Service::new("Elastic Load Balancing v2", "elasticloadbalancing")
};

/// From sending to in force.
const EXPECTED: Duration = Duration::from_secs(5);

/// The action behind [`ACTION`].
#[derive(Clone)]
pub struct AlbForward {
    aws: Aws,
    clock: Arc<dyn Clock>,
}

/// A list of actions as it is, and the groups that it forwards to or shall forward to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Only where something was sent: two looks at a world that stands still see the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    looked: Option<Timestamp>,
    /// Of the listener or the rule.
    #[serde(default)]
    arn: String,
    actions: Vec<Action>,
    /// Parts of the actions that this build does not know, by name.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    unknown: BTreeSet<String>,
    /// By ARN. A group that does not exist is not here.
    groups: BTreeMap<String, GroupHealth>,
    /// The ARNs of those groups of a network load balancer that keep clients by their address. None where it was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by_address: Option<BTreeSet<String>>,
}

/// What a change sends.
#[derive(Debug, Serialize, Deserialize)]
struct Args {
    modify: Kind,
    arn: String,
    actions: Vec<Action>,
}

impl State {
    fn forward(&self) -> Option<&Forward> {
        self.actions.iter().find_map(|action| action.forward.as_ref())
    }

    /// Why the actions could not be written back as they are.
    fn strange(&self) -> Option<String> {
        if !self.unknown.is_empty() {
            let names = self.unknown.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Some(format!(
                "its actions have parts that this Belay does not know, and would erase: {names}; use a newer one"
            ));
        }
        let mut strange = self.actions.iter().filter_map(|action| Some((&action.kind, action.strange.as_ref()?)));
        let (kind, why) = strange.next()?;
        Some(format!("its {kind} action could not be written back as it is: {why}"))
    }

    /// Whether it is of a network load balancer.
    fn is_network(&self) -> bool {
        self.arn.contains("/net/")
    }

    /// None where nothing forwards.
    fn weights(&self) -> Option<Weights> {
        self.forward().map(Forward::weights)
    }

    /// The health of a group, by its name or ARN, as it was observed.
    fn health(&self, group: &str) -> Option<&GroupHealth> {
        self.arn(group).and_then(|arn| self.groups.get(arn))
    }

    fn arn(&self, group: &str) -> Option<&str> {
        let same = |arn: &&String| **arn == group || group_name(arn) == group;
        self.groups.keys().find(same).map(String::as_str)
    }
}

impl AlbForward {
    pub fn new(aws: Aws, clock: Arc<dyn Clock>) -> Self {
        Self { aws, clock }
    }

    async fn look(&self, scope: &Scope, with: &With, receipts: &[Receipt]) -> Result<State, ReadError> {
        let client = &self.aws.clients(&scope.aws).await?.elbv2.read;
        let looked = (!receipts.is_empty()).then(|| self.clock.now());
        let found = find::find(client, &with.forwarder).await?;
        let Found { arn, actions, unknown } = found;
        let mut state = State { looked, arn, actions, unknown, groups: BTreeMap::new(), by_address: None };
        let mut arns: BTreeSet<String> = state.weights().unwrap_or_default().into_keys().collect();
        state.by_address = match scope.before::<State>() {
            // What is left where it is was told with the first change.
            Ok(Some(before)) => before.by_address,
            _ if state.is_network() => by_address::observe(client, arns.iter()).await,
            _ => None,
        };
        for group in target_groups(scope)? {
            let attached = arns.iter().any(|arn| group_name(arn) == group);
            match group.starts_with("arn:") {
                true => arns.extend([group]),
                false if attached => {}
                false => arns.extend(health::find(client, &group).await?),
            }
        }
        let health = try_join_all(arns.iter().map(|arn| health::observe(client, arn))).await?;
        let groups = arns.into_iter().zip(health).filter_map(|(arn, health)| Some((arn, health?))).collect();
        Ok(State { groups, ..state })
    }

    async fn send(&self, scope: &Scope, change: &Change) -> Result<Value, ApplyError> {
        let Args { modify, arn, actions } = Args::deserialize(&change.args).map_err(|error| ApplyError::NoEffect {
            why: format!("the change cannot be understood: {error}"),
            class: ErrorClass::Permanent,
        })?;
        let client = &self.aws.clients(&scope.aws).await?.elbv2.write;
        let actions: Vec<types::Action> = actions.into_iter().map(Action::into_aws).collect();
        // Conditions, transforms, certificates: what is not passed stays as it is.
        match modify {
            Kind::Listener => {
                let sent = client.modify_listener().listener_arn(&arn).set_default_actions(Some(actions)).send().await;
                sent.map(drop).map_err(|error| errors::apply(error, forwarder::modify(modify), &arn))?;
            }
            Kind::Rule => {
                let sent = client.modify_rule().rule_arn(&arn).set_actions(Some(actions)).send().await;
                sent.map(drop).map_err(|error| errors::apply(error, forwarder::modify(modify), &arn))?;
            }
        }
        Ok(json!({ "modified": arn }))
    }
}

/// The groups that the scope's target names, by name or ARN: their health is part of what is observed.
fn target_groups(scope: &Scope) -> Result<Vec<String>, ReadError> {
    let corrupt = |why: String| ReadError { why, permanent: true };
    match (&scope.to, &scope.baseline) {
        (Target::Explicit(to), _) => Ok(shared::explicit(to).map_err(|error| corrupt(error.0))?.into_keys().collect()),
        (Target::Baseline, Some(entry)) => {
            let baseline = State::deserialize(&entry.doc)
                .map_err(|error| corrupt(format!("the baseline cannot be understood: {error}")))?;
            Ok(baseline.weights().unwrap_or_default().into_keys().collect())
        }
        _ => Ok(Vec::new()),
    }
}

/// How far the forward action is from the target.
fn assess(
    scope: &Scope,
    with: &With,
    now: &State,
    baseline: Option<&State>,
    receipts: &[Receipt],
) -> Result<Assessment, Corrupt> {
    let failed = |why: String| Ok(Assessment::Failed { why: format!("{}: {why}", with.forwarder.title()) });
    if let Some(armed) = baseline.filter(|armed| !armed.arn.is_empty() && armed.arn != now.arn) {
        let why = format!(
            "{} was {} when the plan was armed and is {} now: it was made anew. `belay skip` leaves it as it is; a plan that is armed \
             again takes it as it is now",
            with.forwarder.title(),
            armed.arn,
            now.arn
        );
        return Ok(Assessment::Ambiguous { why });
    }
    let Some(forward) = now.forward() else {
        return failed("it does not forward to target groups, so there are no weights".to_owned());
    };
    let before = forward.weights();
    let (named, after) = match wanted(scope, now, &before, baseline)? {
        Ok(wanted) => wanted,
        Err(why) => return failed(why),
    };
    let strange = now.strange();
    if let Some(why) = strange.as_ref().filter(|_| scope.run.is_none()) {
        return failed(why.clone());
    }
    let found = scope.before::<State>()?;
    let suspended = stickiness::suspended(with, found.as_ref().unwrap_or(now), baseline);
    if let Some(why) = suspended.as_ref().and_then(|suspended| suspended.objection(scope)) {
        return failed(why);
    }
    let found = found.and_then(|found| found.weights());
    let ahead = shared::ahead(scope, found.as_ref(), &before, &after, &named, WEIGHT_MAX);
    let arrived = after == before;
    if ahead.len() > 1 && (arrived || ahead[0].weights == before) {
        return Ok(Assessment::InPlace);
    }
    let changes = Changes { with, now, forward, before: &before, ahead: &ahead, after: &after, baseline };
    let remaining = match suspended {
        None if arrived => return Ok(Assessment::InPlace),
        None => changes.swaps(None),
        Some(_) if arrived && forward.sticky().is_some() => return Ok(Assessment::InPlace),
        Some(suspended) if arrived => match stickiness::swapped_at(receipts) {
            None => vec![changes.swap_again(&suspended), changes.put_back(&suspended)],
            Some(at) => match suspended.settling(at, now.looked.unwrap_or(at)) {
                Some(settling) => return Ok(settling),
                None => vec![changes.put_back(&suspended)],
            },
        },
        Some(suspended) => {
            let put_back = changes.put_back(&suspended);
            changes.swaps(Some(&suspended)).into_iter().chain([put_back]).collect()
        }
    };
    match strange {
        Some(why) => failed(why),
        None => Ok(Assessment::Remaining(remaining)),
    }
}

/// The weights that the target names, by ARN, and those that every group shall have; else why they cannot be.
fn wanted(
    scope: &Scope,
    now: &State,
    before: &Weights,
    baseline: Option<&State>,
) -> Result<Result<(Named, Weights), String>, Corrupt> {
    let named = shared::named(scope, baseline.map(|baseline| baseline.weights().unwrap_or_default()))?;
    let mut weights = Weights::new();
    for (group, weight) in &named.weights {
        match now.arn(group) {
            Some(arn) => {
                weights.insert(arn.to_owned(), *weight);
            }
            // It had no traffic before the cutover either.
            None if *weight == 0 && !named.explicit => {}
            None => return Ok(Err(format!("there is no target group {group}"))),
        }
    }
    let named = Named { weights, explicit: named.explicit };
    let after = match shared::wanted(before, &named, scope.others, group_name) {
        Ok(after) => within_quota(after, &named),
        Err(verdict) => return Ok(Err(verdict.0)),
    };
    let groups = after.len();
    Ok(match groups > GROUPS_MAX {
        true => Err(format!("it would forward to {groups} target groups; at most {GROUPS_MAX} are possible")),
        false => Ok((named, after)),
    })
}

/// Groups without weight that nobody named make room where there are too many: those that the known-good state has come
/// first.
fn within_quota(after: Weights, named: &Named) -> Weights {
    let mut surplus = after.len().saturating_sub(GROUPS_MAX);
    let leaves = |(group, weight): (String, u32)| {
        let leaves = surplus > 0 && weight == 0 && !named.weights.contains_key(&group);
        surplus -= usize::from(leaves);
        (!leaves).then_some((group, weight))
    };
    after.into_iter().filter_map(leaves).collect()
}

impl System for AlbForward {
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
        assess(scope, with, now, baseline, receipts)
    }

    /// All of it is observed already.
    fn readiness<'a>(
        &'a self,
        scope: &'a Scope,
        with: With,
        now: State,
        baseline: Option<State>,
    ) -> Fut<'a, Vec<Check>> {
        let checks = readiness::checks(scope, &with, &now, baseline.as_ref());
        Box::pin(std::future::ready(checks))
    }

    fn apply<'a>(&'a self, scope: &'a Scope, _key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>> {
        Box::pin(self.send(scope, change))
    }

    /// Load balancing has no resource-level permissions for what only describes.
    fn permissions(&self, scope: &Scope, with: &With) -> Vec<Permission> {
        let health = ["elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetHealth"];
        let reads =
            forwarder::reads(&with.forwarder).iter().copied().chain(health).map(|action| statement(action, "*", false));
        let modify = forwarder::modify(with.forwarder.kind());
        let writes = forwarder::arns(&with.forwarder, &scope.aws);
        let of_network =
            writes.iter().any(|arn| arn.contains("/net/")).then(|| statement(targets::ATTRIBUTES, "*", false));
        let reads = reads.chain(of_network).chain(user_pools(scope));
        reads.chain(writes.iter().map(|arn| statement(modify, arn, true))).collect()
    }
}

/// The list of actions is written back whole, and of one that authenticates with Cognito the load balancer looks up the client with
/// the caller's own rights. The baseline knows which pools.
fn user_pools(scope: &Scope) -> Vec<Permission> {
    let actions = scope.baseline.as_ref().and_then(|entry| entry.doc["actions"].as_array());
    let pools = actions.into_iter().flatten().filter_map(|action| action["cognito"]["user_pool_arn"].as_str());
    let pools: BTreeSet<&str> = pools.collect();
    pools.into_iter().map(|pool| statement("cognito-idp:DescribeUserPoolClient", pool, false)).collect()
}

fn statement(action: &str, resource: &str, mutates: bool) -> Permission {
    Permission { action: action.to_owned(), resource: resource.to_owned(), mutates, conditions: Vec::new() }
}

#[cfg(test)]
mod tests;
