//! Load balancers, what they forward, and the health of target groups.

use aws_sdk_elasticloadbalancingv2::types::{Action as AwsAction, Listener, LoadBalancerTypeEnum, Rule};
use belay_draft::inventory::{Balancer, Forwarder, ForwarderKind, GroupHealth, Share, Targets, dns_name};
use belay_ports::ReadError;
use futures::{StreamExt, stream};

use super::{Allowance, CONCURRENT_CALLS, Discovery, Found, settled};
use crate::{
    elbv2::{actions::Action, health},
    errors,
};

const BALANCERS: &str = "elasticloadbalancing:DescribeLoadBalancers";
const LISTENERS: &str = "elasticloadbalancing:DescribeListeners";
const RULES: &str = "elasticloadbalancing:DescribeRules";

/// At Belay's half of the quota these take 200 s.
const CALLS_MAX: usize = 1_000;

/// Of the list of load balancers, 400 a call: far more than an account may have.
const LIST_CALLS_MAX: usize = 100;

/// A target group: how many of its targets are healthy, and which there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub arn: String,
    pub health: GroupHealth,
    pub targets: Targets,
}

impl Discovery {
    /// Application and network load balancers: others have no weights.
    ///
    /// # Errors
    /// [`ReadError`] of the call.
    pub async fn balancers(&self) -> Result<Found<Balancer>, ReadError> {
        let mut pages = self.clients.elbv2.read.describe_load_balancers().into_paginator().send();
        let mut found = Vec::new();
        for _ in 0..LIST_CALLS_MAX {
            let Some(page) = pages.next().await else { return Ok(Found { items: found, notes: Vec::new() }) };
            let page = page.map_err(|error| errors::read(error, BALANCERS, "*"))?;
            let weighs = |kind: &Option<LoadBalancerTypeEnum>| *kind != Some(LoadBalancerTypeEnum::Gateway);
            let those = page.load_balancers.unwrap_or_default().into_iter().filter(|balancer| weighs(&balancer.r#type));
            found.extend(those.filter_map(|balancer| {
                Some(Balancer {
                    arn: balancer.load_balancer_arn?,
                    name: balancer.load_balancer_name?,
                    dns_name: dns_name(&balancer.dns_name.unwrap_or_default()),
                })
            }));
            self.tell(format_args!("load balancing: {} load balancers so far", found.len()));
        }
        let note = format!(
            "only the first {} load balancers were looked at: Belay makes at most {LIST_CALLS_MAX} calls for this",
            found.len()
        );
        Ok(Found { items: found, notes: vec![note] })
    }

    /// What these load balancers (by ARN) forward to target groups, with their listeners and rules.
    ///
    /// # Errors
    /// [`ReadError`] where none of them could be read.
    pub async fn forwarders(&self, balancers: &[&str]) -> Result<Found<Forwarder>, ReadError> {
        let calls = Allowance::new(CALLS_MAX);
        let of = balancers.len();
        let looks = balancers.iter().enumerate().map(|(index, balancer)| {
            let calls = &calls;
            async move {
                self.tell(format_args!("load balancing: load balancer {} of {of}", index + 1));
                self.forwarders_of(balancer, calls).await
            }
        });
        let read: Vec<_> = stream::iter(looks).buffered(CONCURRENT_CALLS).collect().await;
        let mut cut = 0;
        let parts = read.into_iter().map(|part| {
            part.map(|(forwarders, whole)| {
                cut += usize::from(!whole);
                forwarders
            })
        });
        let mut found = settled(parts.collect())?;
        if cut > 0 {
            found.notes.push(format!(
                "{cut} of {of} load balancers were not looked at, or not to their end: Belay makes at most {CALLS_MAX} calls for this. \
                 `--listener LOAD_BALANCER:PORT` looks at that load balancer alone"
            ));
        }
        Ok(found)
    }

    /// And whether all of them were read.
    async fn forwarders_of(&self, balancer: &str, calls: &Allowance) -> Result<(Vec<Forwarder>, bool), ReadError> {
        let client = &self.clients.elbv2.read;
        let mut found = Vec::new();
        let mut pages = client.describe_listeners().load_balancer_arn(balancer).into_paginator().send();
        let mut listeners = Vec::new();
        loop {
            if !calls.take() {
                return Ok((found, false));
            }
            let Some(page) = pages.next().await else { break };
            let page = page.map_err(|error| errors::read(error, LISTENERS, balancer))?;
            listeners.extend(page.listeners.unwrap_or_default());
        }
        for listener in listeners {
            let Some(arn) = listener.listener_arn.clone() else { continue };
            let mut pages = client.describe_rules().listener_arn(&arn).into_paginator().send();
            let mut rules = Vec::new();
            loop {
                if !calls.take() {
                    return Ok((found, false));
                }
                let Some(page) = pages.next().await else { break };
                let page = page.map_err(|error| errors::read(error, RULES, &arn))?;
                rules.extend(page.rules.unwrap_or_default());
            }
            found.extend(of_listener(balancer, &arn, &listener));
            found.extend(rules.into_iter().filter_map(|rule| of_rule(balancer, &listener, rule)));
        }
        Ok((found, true))
    }

    /// These target groups, by ARN, as far as they can be read; and why not, of the others.
    pub async fn health(&self, groups: &[&str]) -> (Vec<Group>, Vec<String>) {
        let client = &self.clients.elbv2.read;
        let looks = groups.iter().map(|arn| async move { ((*arn).to_owned(), health::registered(client, arn).await) });
        let read: Vec<_> = stream::iter(looks).buffered(CONCURRENT_CALLS).collect().await;
        let (mut known, mut notes) = (Vec::new(), Vec::new());
        for (arn, found) in read {
            match found {
                Ok(Some((health, ids))) => {
                    let health = GroupHealth { healthy: health.healthy(), targets: health.of() };
                    known.push(Group { arn, health, targets: Targets { ids, by_hand: false } });
                }
                Ok(None) => {}
                Err(error) => notes.push(format!("not read: {}", error.why)),
            }
        }
        (known, notes)
    }
}

fn of_listener(balancer: &str, arn: &str, listener: &Listener) -> Option<Forwarder> {
    let actions = listener.default_actions.clone().unwrap_or_default();
    forwarder(ForwarderKind::Listener, balancer, arn.to_owned(), listener, actions)
}

/// None for the default rule, too: that is the listener.
fn of_rule(balancer: &str, listener: &Listener, rule: Rule) -> Option<Forwarder> {
    if rule.is_default == Some(true) {
        return None;
    }
    let kind = ForwarderKind::Rule { priority: rule.priority };
    forwarder(kind, balancer, rule.rule_arn?, listener, rule.actions.unwrap_or_default())
}

fn forwarder(
    kind: ForwarderKind,
    balancer: &str,
    arn: String,
    listener: &Listener,
    actions: Vec<AwsAction>,
) -> Option<Forwarder> {
    let forward = actions.into_iter().find_map(|action| Action::from_aws(action).forward)?;
    let sticky = forward.sticky().and_then(|stickiness| stickiness.duration_s).map(i64::from);
    Some(Forwarder {
        kind,
        arn,
        balancer: balancer.to_owned(),
        port: listener.port.and_then(|port| u16::try_from(port).ok()),
        protocol: listener.protocol.as_ref().map(|protocol| protocol.as_str().to_owned()),
        groups: forward.groups.iter().map(|group| Share { arn: group.arn.clone(), weight: group.weight() }).collect(),
        sticky_s: sticky,
    })
}
