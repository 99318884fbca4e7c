//! Load balancers and target groups that a world begins with.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Balancer, Listener, Rule,
    actions::listed,
    targets::{Group, Target},
};
use crate::world::{Thing, World};

/// Targets that a world begins with have been there for so long.
const AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// A target group of IP addresses: `TargetGroup::of_ips("shop-blue").with("10.0.0.1")`.
#[derive(Debug, Clone)]
pub struct TargetGroup {
    name: String,
    kind: &'static str,
    targets: Vec<(String, String, bool)>,
    drains: Duration,
    sticky: bool,
}

impl TargetGroup {
    pub fn of_ips(name: &str) -> Self {
        Self { name: name.to_owned(), kind: "ip", targets: Vec::new(), drains: Duration::from_secs(300), sticky: false }
    }

    pub fn of_instances(name: &str) -> Self {
        Self { kind: "instance", ..Self::of_ips(name) }
    }

    /// A healthy target at port 80, in the zone `eu-west-1a`.
    #[must_use]
    pub fn with(self, id: &str) -> Self {
        self.with_in(id, "eu-west-1a", true)
    }

    /// One that does not answer its health checks.
    #[must_use]
    pub fn with_sick(self, id: &str) -> Self {
        self.with_in(id, "eu-west-1a", false)
    }

    #[must_use]
    pub fn with_in(mut self, id: &str, zone: &str, answers: bool) -> Self {
        self.targets.push((id.to_owned(), zone.to_owned(), answers));
        self
    }

    /// Keeps clients by their address, as a group of a network load balancer can.
    #[must_use]
    pub fn sticky_by_address(mut self) -> Self {
        self.sticky = true;
        self
    }

    /// With this deregistration delay.
    #[must_use]
    pub fn draining_for(mut self, delay: Duration) -> Self {
        self.drains = delay;
        self
    }
}

impl Thing for TargetGroup {
    fn enter(self, world: &mut World) {
        let arn = world.place.arn("elasticloadbalancing", &format!("targetgroup/{}/0123456789abcdef", self.name));
        let registered = world.began - AGE;
        let targets = self.targets.into_iter();
        let targets =
            targets.map(|(id, zone, answers)| Target { id, port: 80, zone, registered, answers, leaves: None });
        let (name, kind) = (self.name, self.kind.to_owned());
        let (protocol, drains, sticky) = ("HTTP".to_owned(), self.drains, self.sticky);
        world.elb.groups.push(Group {
            name,
            arn,
            kind,
            protocol,
            port: 80,
            drains,
            sticky,
            targets: targets.collect(),
        });
    }
}

/// A load balancer with one listener at port 443: `LoadBalancer::application("shop").forwarding(&[("shop-blue", 100)])`.
#[derive(Debug, Clone)]
pub struct LoadBalancer {
    name: String,
    kind: &'static str,
    forwards: Vec<(String, u32)>,
    before: Vec<Value>,
    stickiness: Option<u32>,
    rules: Vec<(u32, Vec<(String, u32)>)>,
}

impl LoadBalancer {
    pub fn application(name: &str) -> Self {
        let name = name.to_owned();
        Self {
            name,
            kind: "application",
            forwards: Vec::new(),
            before: Vec::new(),
            stickiness: None,
            rules: Vec::new(),
        }
    }

    pub fn network(name: &str) -> Self {
        Self { kind: "network", ..Self::application(name) }
    }

    /// The default action forwards to these groups, which are placed before.
    #[must_use]
    pub fn forwarding(mut self, weights: &[(&str, u32)]) -> Self {
        self.forwards = weights.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
        self
    }

    /// Clients stay with their group for so many seconds.
    #[must_use]
    pub fn sticky(mut self, seconds: u32) -> Self {
        self.stickiness = Some(seconds);
        self
    }

    /// An action that comes before the forwarding: `authenticate-oidc`, as `DescribeListeners` shows it.
    #[must_use]
    pub fn first(mut self, action: Value) -> Self {
        self.before.push(action);
        self
    }

    #[must_use]
    pub fn rule(mut self, priority: u32, weights: &[(&str, u32)]) -> Self {
        let weights = weights.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
        self.rules.push((priority, weights));
        self
    }
}

fn forward(world: &World, weights: &[(String, u32)], stickiness: Option<u32>, order: usize) -> Value {
    let tuples: Vec<Value> = weights
        .iter()
        .map(|(name, weight)| {
            let group = world.elb.groups.iter().find(|group| group.name == *name);
            let arn = &group.unwrap_or_else(|| panic!("there is no group {name}: place it before")).arn;
            json!({ "TargetGroupArn": arn, "Weight": weight.to_string() })
        })
        .collect();
    let mut action = json!({
        "Type": "forward", "Order": order.to_string(), "ForwardConfig": { "TargetGroups": { "member": tuples } },
    });
    if let Some(seconds) = stickiness {
        let config = json!({ "Enabled": "true", "DurationSeconds": seconds.to_string() });
        action["ForwardConfig"]["TargetGroupStickinessConfig"] = config;
    }
    listed(&action)
}

impl Thing for LoadBalancer {
    fn enter(self, world: &mut World) {
        let short = if self.kind == "network" { "net" } else { "app" };
        let arn = |word: &str, id: &str| {
            let name = &self.name;
            world.place.arn("elasticloadbalancing", &format!("{word}/{short}/{name}/0123456789abcdef{id}"))
        };
        let mut actions = self.before.clone();
        actions.push(forward(world, &self.forwards, self.stickiness, actions.len() + 1));
        let default = Rule {
            arn: arn("listener-rule", "/0123456789abcdef/0000000000000000"),
            priority: None,
            actions,
            conditions: Vec::new(),
        };
        let others = self.rules.iter().map(|(priority, weights)| Rule {
            arn: arn("listener-rule", &format!("/0123456789abcdef/{priority:016}")),
            priority: Some(*priority),
            actions: vec![forward(world, weights, None, 1)],
            conditions: vec![json!({ "Field": "path-pattern", "Values": { "member": ["/shop/*"] } })],
        });
        let listener = Listener {
            arn: arn("listener", "/0123456789abcdef"),
            port: 443,
            protocol: if self.kind == "network" { "TLS" } else { "HTTPS" }.to_owned(),
            rules: others.chain([default]).collect(),
        };
        let balancer = Balancer {
            arn: arn("loadbalancer", ""),
            kind: self.kind,
            zones: vec!["eu-west-1a".to_owned(), "eu-west-1b".to_owned()],
            listeners: vec![listener],
            name: self.name.clone(),
        };
        world.elb.balancers.push(balancer);
    }
}
