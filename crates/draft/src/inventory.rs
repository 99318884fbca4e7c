//! What was found, as plain data. Everything in it comes from outside: any text may contain anything.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// What an account, or a Terraform state, contains that a plan could be about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inventory {
    pub source: Source,
    /// Twelve digits. None: the source does not show it.
    pub account: Option<String>,
    pub region: Option<String>,
    pub records: Vec<Record>,
    pub balancers: Vec<Balancer>,
    pub forwarders: Vec<Forwarder>,
    /// By ARN: of the target groups whose health was asked for.
    pub health: BTreeMap<String, GroupHealth>,
    /// By ARN: of the target groups whose targets are known.
    pub targets: BTreeMap<String, Targets>,
    pub databases: Vec<Database>,
    pub alarms: Vec<Alarm>,
    /// What was not looked at, or could not be used, and why: each a sentence.
    pub notes: Vec<String>,
}

/// Where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A live account, as it was then.
    Account { at: Timestamp },
    /// A Terraform state file: what Terraform knew when it was written.
    Terraform { file: String },
}

impl Default for Source {
    fn default() -> Self {
        Self::Terraform { file: String::new() }
    }
}

/// A weighted record: all record sets of one name and type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The id of its hosted zone.
    pub zone: String,
    /// None: the source does not show it.
    pub zone_name: Option<String>,
    pub private: bool,
    /// As [`dns_name`] writes it.
    pub name: String,
    /// `A`, `CNAME`, ...
    pub kind: String,
    pub members: Vec<Member>,
}

/// One record set of a weighted record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    pub set_identifier: String,
    pub weight: u32,
    /// The DNS name that it leads to, by alias or as a CNAME; as [`dns_name`] writes it.
    pub leads_to: Option<String>,
    pub health_check: Option<String>,
}

/// A load balancer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balancer {
    pub arn: String,
    pub name: String,
    /// As [`dns_name`] writes it.
    pub dns_name: String,
}

/// What forwards to target groups: a listener by its default action, or a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarder {
    pub kind: ForwarderKind,
    pub arn: String,
    /// The ARN of its load balancer.
    pub balancer: String,
    pub port: Option<u16>,
    pub protocol: Option<String>,
    pub groups: Vec<Share>,
    /// For how long group stickiness keeps clients where they are, where it is on.
    pub sticky_s: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwarderKind {
    Listener,
    Rule {
        /// `10`. None: the source does not show it.
        priority: Option<String>,
    },
}

/// A target group of a forward action.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Share {
    pub arn: String,
    pub weight: u32,
}

/// How many targets of a group are healthy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupHealth {
    pub healthy: usize,
    pub targets: usize,
}

/// The targets that are registered in a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets {
    /// `i-0123456789abcdef0:8080`, in the order of the source.
    pub ids: Vec<String>,
    /// People register them, and no Auto Scaling group or ECS service does. False: that is not known.
    pub by_hand: bool,
}

/// A database instance on its own, or a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Database {
    pub cluster: bool,
    /// Its identifier.
    pub name: String,
    pub engine: String,
    /// None: the source does not show it.
    pub status: Option<String>,
    /// Why `rds.restore` cannot replace it, if so.
    pub unfit: Option<String>,
    /// Identifiers of the members of a cluster.
    pub members: Vec<String>,
    pub backups: Backups,
}

/// What a database could be restored from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backups {
    /// Whether a point in time can be restored. None: the source does not show it.
    pub point_in_time: Option<bool>,
    pub earliest_restorable: Option<Timestamp>,
    pub latest_restorable: Option<Timestamp>,
    /// The newest one that is available.
    pub snapshot: Option<Snapshot>,
    /// Of an Aurora MySQL cluster.
    pub backtrack_window_s: Option<i64>,
    /// The blue/green deployment in which it is what clients use, by name.
    pub switches_back: Option<String>,
    /// The blue/green deployments of which it is the other side, by name.
    pub other_side_of: Vec<String>,
}

/// A snapshot that can be restored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub name: String,
    /// The time of its data.
    pub taken: Option<Timestamp>,
}

/// A CloudWatch alarm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alarm {
    pub name: String,
    pub arn: String,
    /// `OK`, `ALARM`, `INSUFFICIENT_DATA`. None: the source does not show it.
    pub state: Option<String>,
    /// `AWS/ApplicationELB HTTPCode_Target_5XX_Count`, of a metric alarm.
    pub metric: Option<String>,
    /// Of all its metrics.
    pub dimensions: Vec<(String, String)>,
    /// How long the stretch of data is that it looks at.
    pub looks_at_s: Option<u64>,
    /// The rule of a composite alarm.
    pub rule: Option<String>,
}

impl Inventory {
    /// Whether a cutover can move its traffic: by weights, or by what is registered in its group.
    pub fn can_shift(&self, forwarder: &Forwarder) -> bool {
        let targets = forwarder.only_group().and_then(|group| self.targets.get(group));
        forwarder.is_weighted() || targets.is_some_and(|targets| targets.by_hand)
    }
}

impl Record {
    /// What people call it: `www.example.com`.
    pub fn label(&self) -> &str {
        &self.name
    }
}

impl Forwarder {
    /// `shop:443`, `shop:443/10`: the load balancer, the port, and a rule's priority.
    pub fn label(&self) -> String {
        let balancer = balancer_name(&self.balancer);
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        match &self.kind {
            ForwarderKind::Listener => format!("{balancer}{port}"),
            ForwarderKind::Rule { priority: Some(priority) } => format!("{balancer}{port}/{priority}"),
            ForwarderKind::Rule { priority: None } => {
                format!("{balancer}{port}/{}", self.arn.rsplit('/').next().unwrap_or_default())
            }
        }
    }

    /// The ARN of its group, where it has one alone.
    pub fn only_group(&self) -> Option<&str> {
        match self.groups.as_slice() {
            [only] => Some(&only.arn),
            _ => None,
        }
    }

    /// Whether it has weights that a cutover can shift.
    pub fn is_weighted(&self) -> bool {
        self.groups.len() > 1
    }
}

/// The name of a load balancer, from its ARN: `...:loadbalancer/app/NAME/ID`.
pub fn balancer_name(arn: &str) -> &str {
    arn.split('/').nth(2).unwrap_or(arn)
}

/// The name of a target group, from its ARN: `...:targetgroup/NAME/ID`.
pub fn group_name(arn: &str) -> &str {
    arn.split('/').nth(1).unwrap_or(arn)
}

/// The one way in which names are written here, and told to be the same: small letters, no last dot, `*` as it is; other escapes
/// (`\100`) as Route 53 has them.
pub fn dns_name(name: &str) -> String {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    match name.strip_prefix("\\052") {
        Some(rest) => format!("*{rest}"),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_in_one_form() {
        assert_eq!(dns_name("WWW.Example.com."), "www.example.com");
        assert_eq!(dns_name("\\052.example.com."), "*.example.com");
        assert_eq!(dns_name("a\\100b.example.com"), "a\\100b.example.com");
    }

    #[test]
    fn listeners_and_rules_are_called_by_their_place() {
        let forwarder = |kind| Forwarder {
            kind,
            arn: "arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener-rule/app/shop/1/2/3".to_owned(),
            balancer: "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/shop/1".to_owned(),
            port: Some(443),
            protocol: None,
            groups: Vec::new(),
            sticky_s: None,
        };
        assert_eq!(forwarder(ForwarderKind::Listener).label(), "shop:443");
        assert_eq!(forwarder(ForwarderKind::Rule { priority: Some("10".to_owned()) }).label(), "shop:443/10");
        assert_eq!(forwarder(ForwarderKind::Rule { priority: None }).label(), "shop:443/3");
    }
}
