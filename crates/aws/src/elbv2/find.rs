//! Finds what a step names, and reads its actions. Every list is read page by page.

use std::collections::BTreeSet;

use aws_sdk_elasticloadbalancingv2::{
    Client,
    types::{self, LoadBalancerTypeEnum},
};
use belay_aws_catalogue::elbv2::forward::{Forwarder, Kind, Listener, ListenerName, RuleName};
use belay_ports::ReadError;

use super::{actions::Action, unknown::Unknown};
use crate::errors;

const BALANCERS: &str = "elasticloadbalancing:DescribeLoadBalancers";
const LISTENERS: &str = "elasticloadbalancing:DescribeListeners";
const RULES: &str = "elasticloadbalancing:DescribeRules";

/// What forwards, as it is in AWS.
pub(super) struct Found {
    pub(super) arn: String,
    pub(super) actions: Vec<Action>,
    /// What this build does not know of the actions.
    pub(super) unknown: BTreeSet<String>,
}

/// # Errors
/// [`ReadError`] of the calls, and a permanent one where there is no such thing, or more than one.
pub(super) async fn find(client: &Client, forwarder: &Forwarder) -> Result<Found, ReadError> {
    let arn = resolve(client, forwarder).await?;
    let unknown = Unknown::default();
    let actions = match forwarder.kind() {
        Kind::Listener => {
            let asked = client.describe_listeners().listener_arns(&arn).customize().interceptor(unknown.clone());
            let answer = asked.send().await.map_err(|error| errors::read(error, LISTENERS, &arn))?;
            answer.listeners.unwrap_or_default().into_iter().next().map(|listener| listener.default_actions)
        }
        Kind::Rule => {
            let asked = client.describe_rules().rule_arns(&arn).customize().interceptor(unknown.clone());
            let answer = asked.send().await.map_err(|error| errors::read(error, RULES, &arn))?;
            let rule = answer.rules.unwrap_or_default().into_iter().next();
            if rule.as_ref().is_some_and(|rule| rule.is_default == Some(true)) {
                return Err(missing(default_rule(&arn)));
            }
            rule.map(|rule| rule.actions)
        }
    };
    let actions = actions.ok_or_else(|| missing(format!("there is no {arn}")))?.unwrap_or_default();
    let actions = actions.into_iter().map(Action::from_aws).collect();
    Ok(Found { arn, actions, unknown: unknown.names() })
}

/// A default rule belongs to its listener, and ModifyRule refuses it (API reference, ModifyRule).
fn default_rule(arn: &str) -> String {
    let listener = arn.replace(":listener-rule/", ":listener/");
    let listener = listener.rsplit_once('/').map_or(listener.as_str(), |(listener, _)| listener);
    format!(
        "{arn} is the default rule of a listener, which changes with the listener alone: name `listener: {listener}`"
    )
}

/// The ARN of what a step names.
async fn resolve(client: &Client, forwarder: &Forwarder) -> Result<String, ReadError> {
    let arn = match forwarder {
        Forwarder::Listener(ListenerName::Arn(arn)) | Forwarder::Rule(RuleName::Arn(arn)) => Some(arn.clone()),
        Forwarder::Listener(ListenerName::At(listener)) => find_listener(client, listener).await?.listener_arn,
        Forwarder::Rule(RuleName::At { listener, priority }) => {
            find_rule(client, listener, &priority.to_string()).await?.rule_arn
        }
    };
    arn.ok_or_else(|| missing(format!("AWS tells no ARN of {}", forwarder.title())))
}

fn missing(why: String) -> ReadError {
    ReadError { why, permanent: true }
}

async fn find_listener(client: &Client, wanted: &Listener) -> Result<types::Listener, ReadError> {
    let name = &wanted.load_balancer;
    let balancers = match client.describe_load_balancers().names(name).send().await {
        Ok(answer) => answer.load_balancers.unwrap_or_default(),
        Err(error)
            if matches!(errors::code(&error), Some("LoadBalancerNotFound" | "LoadBalancerNotFoundException")) =>
        {
            Vec::new()
        }
        Err(error) => return Err(errors::read(error, BALANCERS, &format!("load balancer {name}"))),
    };
    // A name is unique in its account and region.
    let Some(balancer) = balancers.into_iter().next() else {
        return Err(missing(format!("there is no load balancer {name}")));
    };
    if balancer.r#type == Some(LoadBalancerTypeEnum::Gateway) {
        let why = "is a gateway load balancer: it forwards to one target group alone, without weights";
        return Err(missing(format!("load balancer {name} {why}; exchange its targets with alb.targets instead")));
    }
    let arn = balancer.load_balancer_arn.clone().unwrap_or_default();
    let pages = client.describe_listeners().load_balancer_arn(&arn).into_paginator().items().send();
    let listeners = pages.collect::<Result<Vec<types::Listener>, _>>().await;
    let listeners = listeners.map_err(|error| errors::read(error, LISTENERS, &arn))?;
    the_listener(wanted, listeners)
}

/// The one listener that is meant.
fn the_listener(wanted: &Listener, all: Vec<types::Listener>) -> Result<types::Listener, ReadError> {
    let name = &wanted.load_balancer;
    let protocol = |listener: &types::Listener| listener.protocol.as_ref().map(|p| p.as_str().to_owned());
    let is_meant = |listener: &types::Listener| {
        listener.port == Some(i32::from(wanted.port))
            && (wanted.protocol.is_none() || wanted.protocol == protocol(listener))
    };
    let listed = |listeners: &[types::Listener]| {
        let each = listeners.iter().map(|listener| {
            let protocol = protocol(listener).unwrap_or_default();
            format!("{protocol} {}", listener.port.unwrap_or_default())
        });
        each.collect::<Vec<_>>().join(", ")
    };
    let (mut meant, others): (Vec<_>, Vec<_>) = all.into_iter().partition(is_meant);
    match (meant.pop(), meant.is_empty()) {
        (Some(listener), true) => Ok(listener),
        (Some(listener), false) => {
            meant.push(listener);
            let found = listed(&meant);
            Err(missing(format!(
                "load balancer {name} has more than one listener at port {} ({found}): say which with `protocol:`",
                wanted.port
            )))
        }
        (None, _) if others.is_empty() => Err(missing(format!("load balancer {name} has no listeners"))),
        (None, _) => {
            Err(missing(format!("there is no listener {wanted}; load balancer {name} has {}", listed(&others))))
        }
    }
}

async fn find_rule(client: &Client, at: &Listener, priority: &str) -> Result<types::Rule, ReadError> {
    let listener = find_listener(client, at).await?;
    let arn = listener.listener_arn.unwrap_or_default();
    let pages = client.describe_rules().listener_arn(&arn).into_paginator().items().send();
    let rules = pages.collect::<Result<Vec<types::Rule>, _>>().await;
    let rules = rules.map_err(|error| errors::read(error, RULES, &arn))?;
    let priorities: Vec<String> = rules.iter().filter_map(|rule| rule.priority.clone()).collect();
    rules.into_iter().find(|rule| rule.priority.as_deref() == Some(priority)).ok_or_else(|| {
        missing(format!("listener {at} has no rule with the priority {priority}; it has {}", priorities.join(", ")))
    })
}

#[cfg(test)]
mod tests;
