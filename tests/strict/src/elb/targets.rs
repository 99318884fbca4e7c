//! Target groups: who is in them, and how healthy each is.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Elb;
use crate::{
    answer::{Answered, Refusal},
    input::Input,
    page::page,
    world::Place,
};

#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) kind: String,
    pub(super) protocol: String,
    pub(super) port: u16,
    /// The deregistration delay.
    pub(super) drains: Duration,
    /// Keeps clients by their address.
    pub(super) sticky: bool,
    pub(super) targets: Vec<Target>,
}

#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) id: String,
    pub(super) port: u16,
    pub(super) zone: String,
    pub(super) registered: Timestamp,
    /// Whether it answers health checks.
    pub(super) answers: bool,
    /// Deregistered: until then it drains.
    pub(super) leaves: Option<Timestamp>,
}

impl Elb {
    fn group(&self, arn: &str) -> Result<&Group, Refusal> {
        let missing = || Refusal::bad("TargetGroupNotFound", format!("Target group '{arn}' not found"));
        self.groups.iter().find(|group| group.arn == arn).ok_or_else(missing)
    }

    pub(super) fn describe_groups(&self, place: &Place, input: Input<'_>) -> Answered {
        let input = input.only("LoadBalancerArn TargetGroupArns Names Marker PageSize")?;
        let (names, arns) = (input.texts("Names", "member"), input.texts("TargetGroupArns", "member"));
        let of = input.text("LoadBalancerArn");
        let asked = |group: &&Group| {
            let named = names.is_empty() && arns.is_empty();
            let balancers = self.balancers_of(&group.arn);
            (named || names.contains(&group.name.as_str()) || arns.contains(&group.arn.as_str()))
                && of.is_none_or(|arn| balancers.iter().any(|balancer| balancer.arn == arn))
        };
        let found: Vec<&Group> = self.groups.iter().filter(asked).collect();
        if found.len() < names.len() + arns.len() {
            return Err(Refusal::bad("TargetGroupNotFound", "One or more target groups not found"));
        }
        let (found, marker) = page(found, place.page, input.number("PageSize"), input.text("Marker"))?;
        let shown: Vec<Value> = found.into_iter().map(|group| self.shown_group(group)).collect();
        Ok(json!({ "TargetGroups": { "member": shown }, "NextMarker": marker }))
    }

    fn shown_group(&self, group: &Group) -> Value {
        let balancers: Vec<&String> = self.balancers_of(&group.arn).into_iter().map(|found| &found.arn).collect();
        json!({
            "TargetGroupArn": group.arn, "TargetGroupName": group.name, "Protocol": group.protocol, "Port": group.port,
            "TargetType": group.kind, "HealthCheckEnabled": true, "HealthCheckProtocol": group.protocol,
            "LoadBalancerArns": { "member": balancers }, "IpAddressType": "ipv4", "VpcId": "vpc-1",
        })
    }

    pub(super) fn describe_attributes(&self, input: Input<'_>) -> Answered {
        let group = self.group(input.only("TargetGroupArn")?.wanted("TargetGroupArn")?)?;
        let drains = group.drains.as_secs().to_string();
        let attributes = [
            ("deregistration_delay.timeout_seconds", drains.as_str()),
            ("stickiness.enabled", if group.sticky { "true" } else { "false" }),
            ("stickiness.type", "source_ip"),
        ];
        let shown: Vec<Value> = attributes.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
        Ok(json!({ "Attributes": { "member": shown } }))
    }

    pub(super) fn describe_health(&self, now: Timestamp, input: Input<'_>) -> Answered {
        let input = input.only("TargetGroupArn Targets Include")?;
        let group = self.group(input.wanted("TargetGroupArn")?)?;
        let targets = group.targets.iter().filter(|target| target.leaves.is_none_or(|at| now < at));
        let shown: Vec<Value> = targets
            .map(|target| {
                let (state, reason, description) = self.state(group, target, now);
                json!({
                    "Target": { "Id": target.id, "Port": target.port, "AvailabilityZone": target.zone },
                    "HealthCheckPort": target.port,
                    "TargetHealth": { "State": state, "Reason": reason, "Description": description },
                })
            })
            .collect();
        Ok(json!({ "TargetHealthDescriptions": { "member": shown } }))
    }

    /// User guide, "Health checks for Application Load Balancer target groups": states and reason codes.
    fn state(
        &self,
        group: &Group,
        target: &Target,
        now: Timestamp,
    ) -> (&'static str, Option<&'static str>, Option<&'static str>) {
        let balancers = self.balancers_of(&group.arn);
        if target.leaves.is_some() {
            return ("draining", Some("Target.DeregistrationInProgress"), Some("Target deregistration is in progress"));
        }
        if balancers.is_empty() {
            let why = "Target group is not configured to receive traffic from the load balancer";
            return ("unused", Some("Target.NotInUse"), Some(why));
        }
        let enabled = |zone: &str| balancers.iter().any(|balancer| balancer.zones.iter().any(|found| found == zone));
        if target.zone != "all" && !enabled(&target.zone) {
            let why = "Target is in an Availability Zone that is not enabled for the load balancer";
            return ("unused", Some("Target.NotInUse"), Some(why));
        }
        match (now < target.registered + self.checks, target.answers) {
            (true, _) => ("initial", Some("Elb.InitialHealthChecking"), Some("Initial health checks in progress")),
            (false, true) => ("healthy", None, None),
            (false, false) => ("unhealthy", Some("Target.Timeout"), Some("Request timed out")),
        }
    }

    pub(super) fn register(&mut self, now: Timestamp, input: Input<'_>) -> Answered {
        let input = input.only("TargetGroupArn Targets")?;
        let arn = input.wanted("TargetGroupArn")?;
        self.group(arn)?;
        let group = self.groups.iter_mut().find(|group| group.arn == arn).expect("it was found just now");
        for target in input.list("Targets", "member").iter().map(Input) {
            let target = target.only("Id Port AvailabilityZone QuicServerId")?;
            let id = target.wanted("Id")?;
            if (group.kind == "ip") != id.parse::<std::net::IpAddr>().is_ok() && group.kind != "lambda" {
                return Err(Refusal::bad("InvalidTarget", format!("'{id}' is no valid {} target", group.kind)));
            }
            let port = target.number("Port").and_then(|port| u16::try_from(port).ok()).unwrap_or(group.port);
            let zone = target.text("AvailabilityZone").unwrap_or("eu-west-1a").to_owned();
            let known =
                group.targets.iter_mut().find(|found| same(found, id, port) && found.leaves.is_none_or(|at| now < at));
            match known {
                // A target that drains is taken back, and is checked anew.
                Some(found) if found.leaves.is_some() => (found.leaves, found.registered) = (None, now),
                Some(_) => {}
                None => {
                    let (id, answers) = (id.to_owned(), true);
                    group.targets.push(Target { id, port, zone, registered: now, answers, leaves: None });
                }
            }
        }
        Ok(json!({}))
    }

    pub(super) fn deregister(&mut self, now: Timestamp, input: Input<'_>) -> Answered {
        let input = input.only("TargetGroupArn Targets")?;
        let arn = input.wanted("TargetGroupArn")?;
        self.group(arn)?;
        let group = self.groups.iter_mut().find(|group| group.arn == arn).expect("it was found just now");
        for target in input.list("Targets", "member").iter().map(Input) {
            let id = target.wanted("Id")?;
            let port = target.number("Port").and_then(|port| u16::try_from(port).ok()).unwrap_or(group.port);
            let leaves = now + group.drains;
            for found in group.targets.iter_mut().filter(|found| same(found, id, port) && found.leaves.is_none()) {
                found.leaves = Some(leaves);
            }
        }
        Ok(json!({}))
    }

    /// The targets that a group has, without those that drain: `10.0.0.1:80`.
    pub fn targets(&self, group: &str) -> Vec<String> {
        let groups = self.groups.iter().filter(|found| found.name == group);
        let targets = groups.flat_map(|group| &group.targets).filter(|target| target.leaves.is_none());
        targets.map(|target| format!("{}:{}", target.id, target.port)).collect()
    }

    /// Whether a target answers its health checks from now on.
    pub fn target_answers(&mut self, group: &str, id: &str, answers: bool) {
        let groups = self.groups.iter_mut().filter(|found| found.name == group);
        for target in groups.flat_map(|group| &mut group.targets).filter(|target| target.id == id) {
            target.answers = answers;
        }
    }
}

/// Addresses are the same however they are written.
fn same(found: &Target, id: &str, port: u16) -> bool {
    let address = |text: &str| text.parse::<std::net::IpAddr>().ok();
    let ids = found.id == id || (address(id).is_some() && address(id) == address(&found.id));
    ids && found.port == port
}
