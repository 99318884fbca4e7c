//! `alb.forward`: the weights between the target groups of a listener's default action or of a rule; and the
//! `target_health` signal.
//!
//! A modification replaces the whole list of actions: all of it is read, and all but the weights is written back. It
//! holds as soon as the call has answered, except for clients that stickiness keeps where they are.

mod actions;
mod health;
mod target_health;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use aws_sdk_elasticloadbalancingv2::{Client, types};
use belay_core::change::{Assessment, Change, Effect, Key, Proof, Receipt, Repeats, Share};
use belay_plan::{
    catalogue::{ActionSpec, Finding, pointer},
    duration,
    model::Target,
    shape::{Text, field, object, one_of, pattern, weights},
};
use belay_ports::{ApplyError, Corrupt, Fut, Permission, ReadError, Scope, System};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::target_health::{KEY as TARGET_HEALTH, TargetHealth, signal_spec};
use self::{
    actions::{Action, Forward},
    health::GroupHealth,
};
use crate::{
    errors,
    session::Aws,
    weights::{self as shared, Named, Stage, Weights},
};

/// The action's name in plans.
pub const ACTION: &str = "alb.forward";

/// Of a forward action ("Quotas for your Application Load Balancers").
const GROUPS_MAX: usize = 5;

/// Of a group in a forward action.
const WEIGHT_MAX: u32 = 999;

/// From sending to in force.
const EXPECTED: Duration = Duration::from_secs(5);

pub(crate) const TARGET_GROUP: Text = Text::new(
    "the name or the ARN of a target group",
    Some(
        "^([A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?\
         |arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:targetgroup/[^/]+/[^/]+)$",
    ),
);

const LISTENER_ARN: &str = "^arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:listener/app/.+$";
const RULE_ARN: &str = "^arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:listener-rule/app/.+$";

/// What `alb.forward` takes.
pub fn spec() -> ActionSpec {
    let listener = pattern(
        "the ARN of an application load balancer's listener, such as \
         `arn:aws:elasticloadbalancing:REGION:ACCOUNT:listener/app/NAME/ID/ID`",
        LISTENER_ARN,
    );
    let rule = pattern(
        "the ARN of an application load balancer's rule, such as \
         `arn:aws:elasticloadbalancing:REGION:ACCOUNT:listener-rule/app/NAME/ID/ID/ID`",
        RULE_ARN,
    );
    ActionSpec {
        name: ACTION,
        summary: "Shifts the weights between the target groups that a listener or a rule forwards to.",
        with: one_of(
            "an object with exactly one of `listener`, `rule`",
            [
                object([field("listener", listener, "The listener whose default action forwards.")]),
                object([field("rule", rule, "The rule whose action forwards.")]),
            ],
        ),
        to: Some(weights(TARGET_GROUP, WEIGHT_MAX.into(), Some(GROUPS_MAX))),
        others: true,
        stages: true,
        default_timeout: Duration::from_secs(5 * 60),
        loses_data: false,
        resource: |with| {
            let arn = with["listener"].as_str().or_else(|| with["rule"].as_str()).unwrap_or_default();
            format!("{RESOURCE}{arn}")
        },
        check,
    }
}

/// What the resource of every step with this action begins with.
pub(crate) const RESOURCE: &str = "alb:";

/// A group may be written by its name and by its ARN, but not both ways at once.
fn check(_with: &Value, to: Option<&Value>) -> Vec<Finding> {
    let mut first_as: HashMap<&str, &str> = HashMap::new();
    let mut findings = Vec::new();
    for member in to.and_then(Value::as_object).into_iter().flat_map(|members| members.keys()) {
        if let Some(first) = first_as.insert(group_name(member), member) {
            let message = format!("`{member}` and `{first}` are the same target group");
            findings.push(Finding::new(pointer(&["to", member]), message).help("give each group one weight"));
        }
    }
    findings
}

/// The name of a target group, from its ARN or its name.
pub(crate) fn group_name(group: &str) -> &str {
    group.split('/').nth(1).unwrap_or(group)
}

/// The action behind [`ACTION`].
#[derive(Debug, Clone)]
pub struct AlbForward {
    aws: Aws,
}

/// The ARN of what forwards.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum With {
    Listener(String),
    Rule(String),
}

/// A list of actions as it is, and the groups that it forwards to or shall forward to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    actions: Vec<Action>,
    /// By ARN. A group that does not exist is not here.
    groups: BTreeMap<String, GroupHealth>,
}

/// What a change sends.
#[derive(Debug, Serialize, Deserialize)]
struct Args {
    modify: With,
    actions: Vec<Action>,
}

impl With {
    fn arn(&self) -> &str {
        match self {
            Self::Listener(arn) | Self::Rule(arn) => arn,
        }
    }

    fn call(&self) -> &'static str {
        match self {
            Self::Listener(_) => "elasticloadbalancing:ModifyListener",
            Self::Rule(_) => "elasticloadbalancing:ModifyRule",
        }
    }

    /// `listener checkout/f2f7dc8efc522ab2`: its load balancer and its own id.
    fn title(&self) -> String {
        let kind = match self {
            Self::Listener(_) => "listener",
            Self::Rule(_) => "rule",
        };
        let mut parts = self.arn().split('/');
        match (parts.nth(2), parts.next_back()) {
            (Some(balancer), Some(id)) => format!("{kind} {balancer}/{id}"),
            _ => format!("{kind} {}", self.arn()),
        }
    }
}

impl State {
    fn forward(&self) -> Option<&Forward> {
        self.actions.iter().find_map(|action| action.forward.as_ref())
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
    pub fn new(aws: Aws) -> Self {
        Self { aws }
    }

    async fn look(&self, scope: &Scope, with: &With) -> Result<State, ReadError> {
        let client = &self.aws.clients(&scope.aws).await?.elbv2.read;
        let actions = read_actions(client, with).await?;
        let state = State { actions, groups: BTreeMap::new() };
        let mut arns: BTreeSet<String> = state.weights().unwrap_or_default().into_keys().collect();
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
        let args = Args::deserialize(&change.args).map_err(|error| ApplyError::NoEffect {
            why: format!("the change cannot be understood: {error}"),
            retry: false,
            throttled: false,
        })?;
        let client = &self.aws.clients(&scope.aws).await?.elbv2.write;
        let actions: Vec<types::Action> = args.actions.into_iter().map(Action::into_aws).collect();
        let (call, arn) = (args.modify.call(), args.modify.arn());
        match &args.modify {
            With::Listener(arn) => {
                let sent = client.modify_listener().listener_arn(arn).set_default_actions(Some(actions)).send().await;
                sent.map(drop).map_err(|error| errors::apply(error, call, arn))?;
            }
            With::Rule(arn) => {
                let sent = client.modify_rule().rule_arn(arn).set_actions(Some(actions)).send().await;
                sent.map(drop).map_err(|error| errors::apply(error, call, arn))?;
            }
        }
        Ok(json!({ "modified": arn }))
    }
}

async fn read_actions(client: &Client, with: &With) -> Result<Vec<Action>, ReadError> {
    let actions = match with {
        With::Listener(arn) => {
            let answer = client.describe_listeners().listener_arns(arn).send().await;
            let answer = answer.map_err(|error| errors::read(error, "elasticloadbalancing:DescribeListeners", arn))?;
            answer.listeners.unwrap_or_default().into_iter().next().map(|listener| listener.default_actions)
        }
        With::Rule(arn) => {
            let answer = client.describe_rules().rule_arns(arn).send().await;
            let answer = answer.map_err(|error| errors::read(error, "elasticloadbalancing:DescribeRules", arn))?;
            answer.rules.unwrap_or_default().into_iter().next().map(|rule| rule.actions)
        }
    };
    let actions = actions.ok_or_else(|| ReadError { why: format!("there is no {}", with.arn()), permanent: true })?;
    Ok(actions.unwrap_or_default().into_iter().map(Action::from_aws).collect())
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
fn assess(scope: &Scope, with: &With, now: &State, baseline: Option<&State>) -> Result<Assessment, Corrupt> {
    let failed = |why: String| Ok(Assessment::Failed { why: format!("{}: {why}", with.title()) });
    let Some(forward) = now.forward() else {
        return failed("it does not forward to target groups, so there are no weights".to_owned());
    };
    let named = shared::named(scope, baseline.map(|baseline| baseline.weights().unwrap_or_default()))?;
    let mut weights = Weights::new();
    for (group, weight) in &named.weights {
        match now.arn(group) {
            Some(arn) => {
                weights.insert(arn.to_owned(), *weight);
            }
            // It had no traffic before the cutover either.
            None if *weight == 0 && !named.explicit => {}
            None => return failed(format!("there is no target group {group}")),
        }
    }
    let before = forward.weights();
    let named = Named { weights, explicit: named.explicit };
    let after = match shared::wanted(&before, &named, scope.others, group_name) {
        Ok(after) => after,
        Err(verdict) => return Ok(verdict.into()),
    };
    let found = scope.before::<State>()?.and_then(|found| found.weights());
    let ahead = shared::ahead(scope, found.as_ref(), &before, &after, &named, WEIGHT_MAX);
    if after == before || ahead.first().is_some_and(|stage| stage.weights == before) {
        return Ok(Assessment::InPlace);
    }
    if after.len() > GROUPS_MAX {
        return failed(format!("it would forward to {} target groups; at most {GROUPS_MAX} are possible", after.len()));
    }
    if let Some(action) = now.actions.iter().find(|action| !action.is_understood()) {
        return failed(format!("it has an action of type {:?}, which could not be written back as it is", action.kind));
    }
    let from = std::iter::once(&before).chain(ahead.iter().map(|stage| &stage.weights));
    let moves = from.zip(&ahead).filter(|(from, stage)| **from != stage.weights);
    Ok(Assessment::Remaining(moves.map(|(from, stage)| change(with, now, forward, from, stage)).collect()))
}

fn change(with: &With, now: &State, forward: &Forward, before: &Weights, stage: &Stage) -> Change {
    let after = &stage.weights;
    let shares = after.iter().map(|(arn, weight)| Share {
        destination: group_name(arn).to_owned(),
        before: before.get(arn).copied().unwrap_or(0),
        after: *weight,
        proof: now.groups.get(arn).map_or_else(
            || Proof::None { why: format!("the health of {} was not read", group_name(arn)) },
            GroupHealth::proof,
        ),
    });
    let sticky = forward.sticky_s().map(|seconds| {
        let time = duration::format(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
        format!(" (stickiness keeps clients with their present group for up to {time})")
    });
    let actions = now
        .actions
        .iter()
        .cloned()
        .map(|action| Action { forward: action.forward.map(|forward| forward.with_weights(after)), ..action });
    Change {
        id: stage.id("forward"),
        title: format!(
            "{}: {}{}{}",
            with.title(),
            shared::moves(before, after, group_name),
            stage.note(),
            sticky.unwrap_or_default()
        ),
        before: shared::readable(before, group_name),
        after: shared::readable(after, group_name),
        call: with.call().to_owned(),
        args: json!(Args { modify: with.clone(), actions: actions.collect() }),
        effects: vec![Effect::Traffic { shares: shares.collect() }],
        repeats: Repeats::Converges,
        expected: EXPECTED,
    }
}

impl System for AlbForward {
    type With = With;
    type State = State;

    fn observe<'a>(
        &'a self,
        scope: &'a Scope,
        with: With,
        _receipts: &'a [Receipt],
    ) -> Fut<'a, Result<State, ReadError>> {
        Box::pin(async move { self.look(scope, &with).await })
    }

    fn assess(
        &self,
        scope: &Scope,
        with: &With,
        now: &State,
        baseline: Option<&State>,
        _receipts: &[Receipt],
    ) -> Result<Assessment, Corrupt> {
        assess(scope, with, now, baseline)
    }

    fn apply<'a>(&'a self, scope: &'a Scope, _key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>> {
        Box::pin(self.send(scope, change))
    }

    /// Load balancing has no resource-level permissions for what only describes.
    fn permissions(&self, _scope: &Scope, with: &With) -> Vec<Permission> {
        let describe = match with {
            With::Listener(_) => "elasticloadbalancing:DescribeListeners",
            With::Rule(_) => "elasticloadbalancing:DescribeRules",
        };
        let reads =
            [describe, "elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetHealth"];
        let reads = reads.map(|action| Permission {
            action: action.to_owned(),
            resource: "*".to_owned(),
            mutates: false,
            conditions: Vec::new(),
        });
        let modify = Permission {
            action: with.call().to_owned(),
            resource: with.arn().to_owned(),
            mutates: true,
            conditions: Vec::new(),
        };
        reads.into_iter().chain([modify]).collect()
    }
}

#[cfg(test)]
mod tests;
