//! Elastic Load Balancing v2: listeners and rules with their actions, target groups with the health of their targets.

mod actions;
mod build;
mod targets;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

pub use self::build::{LoadBalancer, TargetGroup};
use self::targets::Group;
use crate::{
    answer::{Answered, Refusal},
    input::Input,
    page::page,
    world::Place,
};

#[derive(Debug, Clone)]
pub struct Elb {
    /// Until a registered target has passed its health checks.
    pub checks: Duration,
    balancers: Vec<Balancer>,
    groups: Vec<Group>,
}

impl Default for Elb {
    fn default() -> Self {
        Self { checks: Duration::from_secs(30), balancers: Vec::new(), groups: Vec::new() }
    }
}

#[derive(Debug, Clone)]
struct Balancer {
    name: String,
    arn: String,
    /// `application`, `network` or `gateway`.
    kind: &'static str,
    zones: Vec<String>,
    listeners: Vec<Listener>,
}

#[derive(Debug, Clone)]
struct Listener {
    arn: String,
    port: u16,
    protocol: String,
    rules: Vec<Rule>,
}

/// The default one has no priority: its actions are the listener's.
#[derive(Debug, Clone)]
struct Rule {
    arn: String,
    priority: Option<u32>,
    /// As lists show them.
    actions: Vec<Value>,
    conditions: Vec<Value>,
}

impl Elb {
    pub(crate) fn answer(&mut self, place: &Place, now: Timestamp, operation: &str, input: &Value) -> Answered {
        let input = Input(input);
        match operation {
            "DescribeLoadBalancers" => self.describe_balancers(place, input),
            "DescribeListeners" => self.describe_listeners(place, input),
            "DescribeRules" => self.describe_rules(place, input),
            "DescribeTargetGroups" => self.describe_groups(place, input),
            "DescribeTargetGroupAttributes" => self.describe_attributes(input),
            "DescribeTargetHealth" => self.describe_health(now, input),
            "ModifyListener" => self.modify_listener(input),
            "ModifyRule" => self.modify_rule(input),
            "RegisterTargets" => self.register(now, input),
            "DeregisterTargets" => self.deregister(now, input),
            _ => Err(Refusal::bad("InvalidAction", format!("the stand-in has no elasticloadbalancing:{operation}"))),
        }
    }

    fn describe_balancers(&self, place: &Place, input: Input<'_>) -> Answered {
        let input = input.only("LoadBalancerArns Names Marker PageSize")?;
        let (names, arns) = (input.texts("Names", "member"), input.texts("LoadBalancerArns", "member"));
        let asked = |balancer: &&Balancer| {
            (names.is_empty() && arns.is_empty())
                || names.contains(&balancer.name.as_str())
                || arns.contains(&balancer.arn.as_str())
        };
        let found: Vec<&Balancer> = self.balancers.iter().filter(asked).collect();
        if found.len() < names.len() + arns.len() {
            return Err(Refusal::bad("LoadBalancerNotFound", "One or more load balancers not found"));
        }
        let (found, marker) = page(found, place.page, input.number("PageSize"), input.text("Marker"))?;
        let shown: Vec<Value> = found
            .into_iter()
            .map(|balancer| {
                let zones: Vec<Value> = balancer.zones.iter().map(|zone| json!({ "ZoneName": zone })).collect();
                json!({
                    "LoadBalancerArn": balancer.arn, "LoadBalancerName": balancer.name, "Type": balancer.kind,
                    "State": { "Code": "active" }, "Scheme": "internet-facing",
                    "AvailabilityZones": { "member": zones },
                })
            })
            .collect();
        Ok(json!({ "LoadBalancers": { "member": shown }, "NextMarker": marker }))
    }

    fn describe_listeners(&self, place: &Place, input: Input<'_>) -> Answered {
        let input = input.only("LoadBalancerArn ListenerArns Marker PageSize")?;
        let arns = input.texts("ListenerArns", "member");
        let of = input.text("LoadBalancerArn");
        let mut found = Vec::new();
        for balancer in self.balancers.iter().filter(|balancer| of.is_none_or(|arn| arn == balancer.arn)) {
            let listeners = balancer.listeners.iter();
            let asked = listeners.filter(|listener| arns.is_empty() || arns.contains(&listener.arn.as_str()));
            found.extend(asked.map(|listener| listener.shown(balancer)));
        }
        if found.len() < arns.len() {
            return Err(Refusal::bad("ListenerNotFound", "One or more listeners not found"));
        }
        let (found, marker) = page(found, place.page, input.number("PageSize"), input.text("Marker"))?;
        Ok(json!({ "Listeners": { "member": found }, "NextMarker": marker }))
    }

    fn describe_rules(&self, place: &Place, input: Input<'_>) -> Answered {
        let input = input.only("ListenerArn RuleArns Marker PageSize")?;
        let (of, arns) = (input.text("ListenerArn"), input.texts("RuleArns", "member"));
        let listeners = self.balancers.iter().flat_map(|balancer| &balancer.listeners);
        let mut found = Vec::new();
        for listener in listeners.filter(|listener| of.is_none_or(|arn| arn == listener.arn)) {
            let asked = listener.rules.iter().filter(|rule| arns.is_empty() || arns.contains(&rule.arn.as_str()));
            found.extend(asked.map(Rule::shown));
        }
        if found.len() < arns.len() {
            return Err(Refusal::bad("RuleNotFound", "One or more rules not found"));
        }
        let (found, marker) = page(found, place.page, input.number("PageSize"), input.text("Marker"))?;
        Ok(json!({ "Rules": { "member": found }, "NextMarker": marker }))
    }

    /// What AWS does not get, it leaves as it is; of actions it takes the whole list.
    fn modify_listener(&mut self, input: Input<'_>) -> Answered {
        let known = "ListenerArn Port Protocol SslPolicy Certificates DefaultActions AlpnPolicy MutualAuthentication";
        let input = input.only(known)?;
        let arn = input.wanted("ListenerArn")?;
        let missing = || Refusal::bad("ListenerNotFound", format!("Listener '{arn}' not found"));
        let kind = self.balancer_of(arn).ok_or_else(missing)?.kind;
        let actions = self.checked_actions(input.list("DefaultActions", "member"), kind)?;
        let balancers = self.balancers.iter_mut();
        let mut listeners = balancers.flat_map(|balancer| &mut balancer.listeners);
        let listener = listeners.find(|listener| listener.arn == arn).ok_or_else(missing)?;
        if let Some(default) = listener.rules.iter_mut().find(|rule| rule.priority.is_none())
            && !actions.is_empty()
        {
            default.actions = actions;
        }
        let shown = self.balancer_of(arn).map(|balancer| {
            let listener = balancer.listeners.iter().find(|listener| listener.arn == arn);
            listener.expect("it was found just now").shown(balancer)
        });
        Ok(json!({ "Listeners": { "member": [shown] } }))
    }

    /// The default rule is the listener's (API reference, ModifyRule: `OperationNotPermitted`).
    fn modify_rule(&mut self, input: Input<'_>) -> Answered {
        let input = input.only("RuleArn Conditions Actions Transforms ResetTransforms")?;
        let arn = input.wanted("RuleArn")?;
        let missing = || Refusal::bad("RuleNotFound", format!("Rule '{arn}' not found"));
        let of = |balancer: &&Balancer| {
            balancer.listeners.iter().any(|listener| listener.rules.iter().any(|rule| rule.arn == arn))
        };
        let kind = self.balancers.iter().find(of).ok_or_else(missing)?.kind;
        let actions = self.checked_actions(input.list("Actions", "member"), kind)?;
        let listeners = self.balancers.iter_mut().flat_map(|balancer| &mut balancer.listeners);
        let mut rules = listeners.flat_map(|listener| &mut listener.rules);
        let rule = rules.find(|rule| rule.arn == arn).ok_or_else(missing)?;
        if rule.priority.is_none() {
            return Err(Refusal::bad("OperationNotPermitted", format!("Default rule '{arn}' cannot be modified")));
        }
        if !actions.is_empty() {
            rule.actions = actions;
        }
        Ok(json!({ "Rules": { "member": [rule.shown()] } }))
    }

    fn balancer_of(&self, listener: &str) -> Option<&Balancer> {
        self.balancers.iter().find(|balancer| balancer.listeners.iter().any(|found| found.arn == listener))
    }

    /// The weights of a listener's or rule's forward action, by the name of the group.
    pub fn weights(&self, arn: &str) -> Vec<(String, u32)> {
        let listeners = self.balancers.iter().flat_map(|balancer| &balancer.listeners);
        let rules = listeners.flat_map(|listener| {
            let own = listener.arn == arn;
            listener.rules.iter().filter(move |rule| rule.arn == arn || (own && rule.priority.is_none()))
        });
        let actions = rules.flat_map(|rule| &rule.actions);
        let tuples = actions.flat_map(|action| action["ForwardConfig"]["TargetGroups"]["member"].as_array()).flatten();
        let named = |arn: &Value| self.groups.iter().find(|group| *arn == group.arn).map(|group| group.name.clone());
        tuples
            .filter_map(|tuple| {
                let weight = tuple["Weight"].as_str().and_then(|weight| weight.parse().ok());
                Some((named(&tuple["TargetGroupArn"])?, weight.unwrap_or(1)))
            })
            .collect()
    }

    /// The ARN of a listener, by its load balancer and port.
    pub fn listener(&self, balancer: &str, port: u16) -> &str {
        let found = self.balancers.iter().find(|found| found.name == balancer);
        let listener = found.and_then(|found| found.listeners.iter().find(|listener| listener.port == port));
        listener.map(|listener| listener.arn.as_str()).unwrap_or_default()
    }

    /// Somebody deletes a listener and creates it again: it has another ARN.
    pub fn make_anew(&mut self, balancer: &str, port: u16) {
        let found = self.balancers.iter_mut().filter(|found| found.name == balancer);
        for listener in found.flat_map(|found| &mut found.listeners).filter(|listener| listener.port == port) {
            listener.arn.push_str("anew");
        }
    }

    /// The ARN of a listener's default rule.
    pub fn default_rule(&self, listener: &str) -> &str {
        let listeners = self.balancers.iter().flat_map(|balancer| &balancer.listeners);
        let found = listeners.filter(|found| found.arn == listener).flat_map(|found| &found.rules);
        found.filter(|rule| rule.priority.is_none()).map(|rule| rule.arn.as_str()).next().unwrap_or_default()
    }

    /// Whether a listener or rule forwards to a group; only then its targets are checked.
    fn balancers_of(&self, group: &str) -> Vec<&Balancer> {
        let forwards = |rule: &Rule| rule.actions.iter().any(|action| actions::groups(action).contains(&group));
        let of = |balancer: &&Balancer| balancer.listeners.iter().any(|listener| listener.rules.iter().any(forwards));
        self.balancers.iter().filter(of).collect()
    }
}

impl Listener {
    fn shown(&self, balancer: &Balancer) -> Value {
        let default = self.rules.iter().find(|rule| rule.priority.is_none()).map(|rule| &rule.actions);
        json!({
            "ListenerArn": self.arn, "LoadBalancerArn": balancer.arn, "Port": self.port, "Protocol": self.protocol,
            "DefaultActions": { "member": default },
        })
    }
}

impl Rule {
    fn shown(&self) -> Value {
        json!({
            "RuleArn": self.arn, "IsDefault": self.priority.is_none(),
            "Priority": self.priority.map_or_else(|| "default".to_owned(), |priority| priority.to_string()),
            "Conditions": { "member": self.conditions }, "Actions": { "member": self.actions },
        })
    }
}
