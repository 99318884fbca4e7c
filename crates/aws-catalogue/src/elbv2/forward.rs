//! What a step of `alb.forward` says: a listener or a rule, by ARN or as people call it, and what becomes of stickiness.

use std::{collections::HashMap, fmt, time::Duration};

use belay_plan::{
    catalogue::{ActionSpec, Finding, pointer},
    model::{Nature, Usual},
    shape::{Field, Shape, Text, field, integer, object, one_of, pattern, weights, words},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{TARGET_GROUP, group_name};

/// Gateway load balancers are let through here, so that they are refused with the reason.
const LISTENER_ARN: &str = "^arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:listener/(app|net|gwy)/.+$";
/// Network load balancers have rules since July 2026.
const RULE_ARN: &str = "^arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:listener-rule/(app|net)/.+$";

const LISTENER: &str = "the ARN of a listener, such as \
                        `arn:aws:elasticloadbalancing:REGION:ACCOUNT:listener/app/NAME/ID/ID`, or \
                        { load_balancer: NAME, port: 443 }";
const RULE: &str = "the ARN of a load balancer's rule, such as \
                    `arn:aws:elasticloadbalancing:REGION:ACCOUNT:listener-rule/app/NAME/ID/ID/ID`, or \
                    { load_balancer: NAME, port: 443, priority: 10 }";

const LOAD_BALANCER: Text =
    Text::new("the name of a load balancer", Some("^[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?$"));

/// The action's name in plans.
pub const ACTION: &str = "alb.forward";

/// What the resource of every step with this action begins with.
pub const RESOURCE: &str = "alb:";

/// Of a forward action ("Quotas for your Application Load Balancers").
pub const GROUPS_MAX: usize = 5;

/// Of a group in a forward action.
pub const WEIGHT_MAX: u32 = 999;

const APPLICATION_PROTOCOLS: [&str; 2] = ["HTTP", "HTTPS"];
const NETWORK_PROTOCOLS: [&str; 6] = ["TCP", "TLS", "UDP", "TCP_UDP", "QUIC", "TCP_QUIC"];

/// What `alb.forward` takes.
pub fn spec() -> ActionSpec {
    let listener = one_of(
        LISTENER,
        [
            pattern(LISTENER, LISTENER_ARN),
            object(listener_fields(APPLICATION_PROTOCOLS.into_iter().chain(NETWORK_PROTOCOLS))),
        ],
    );
    let priority = field("priority", integer(1, 50_000), "The rule's priority within its listener.");
    let rule = one_of(
        RULE,
        [
            pattern(RULE, RULE_ARN),
            object(
                listener_fields(APPLICATION_PROTOCOLS.into_iter().chain(NETWORK_PROTOCOLS))
                    .into_iter()
                    .chain([priority]),
            ),
        ],
    );
    let stickiness = || {
        field(
            "stickiness",
            words(["keep", "suspend"]),
            "Group stickiness, which beats weights: `keep` (left out) leaves it as it is; `suspend` switches it off \
             with the swap, and on again when older cookies have expired, which is part of the step.",
        )
        .optional()
    };
    let listener_doc = "The listener whose default action forwards: its ARN, or its load balancer's name and its port.";
    let rule_doc = "The rule whose action forwards: its ARN, or its load balancer's name, its listener's port and its \
                    priority.";
    ActionSpec {
        name: ACTION,
        summary: "Shifts the weights between the target groups that a listener or a rule forwards to.",
        with: one_of(
            "an object with exactly one of `listener`, `rule`",
            [
                object([field("listener", listener, listener_doc), stickiness()]),
                object([field("rule", rule, rule_doc), stickiness()]),
            ],
        ),
        to: Some(weights(TARGET_GROUP, WEIGHT_MAX.into(), Some(GROUPS_MAX))),
        others: true,
        stages: true,
        default_timeout: Duration::from_secs(5 * 60),
        nature: Nature::Traffic,
        // AWS names no figure; it is in force within seconds of the answer.
        usual: Some(Usual::seconds(1, 3, 10)),
        resource,
        check,
    }
}

fn listener_fields(protocols: impl IntoIterator<Item = &'static str>) -> Vec<Field> {
    vec![
        field("load_balancer", Shape::Text(LOAD_BALANCER), "The load balancer's name."),
        field("port", integer(1, 65_535), "The listener's port."),
        field("protocol", words(protocols), "Its protocol, where two listeners share the port (TCP and UDP).")
            .optional(),
    ]
}

/// An ARN as it is; else `alb:listener/shop:443`, `alb:rule/shop:443/10`. That both may be one thing only AWS knows.
fn resource(with: &Value) -> String {
    With::deserialize(with).map(|with| format!("{RESOURCE}{}", with.forwarder)).unwrap_or_default()
}

fn check(with: &Value, to: Option<&Value>) -> Vec<Finding> {
    let gateway = with["listener"].as_str().is_some_and(|arn| arn.contains(":listener/gwy/"));
    let gateway = gateway.then(|| {
        Finding::new("/with/listener", "a gateway load balancer forwards to one target group alone, without weights")
            .help("exchange its targets with `alb.targets` instead")
    });
    gateway.into_iter().chain(named_twice(to)).collect()
}

/// A group may be written by its name and by its ARN, but not both ways at once.
fn named_twice(to: Option<&Value>) -> Vec<Finding> {
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

/// The step's `with`.
#[derive(Debug, Clone, Deserialize)]
pub struct With {
    #[serde(flatten)]
    pub forwarder: Forwarder,
    #[serde(default)]
    pub stickiness: OnSwap,
}

/// What forwards: a listener by its default action, or a rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Forwarder {
    Listener(ListenerName),
    Rule(RuleName),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum ListenerName {
    Arn(String),
    At(Listener),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum RuleName {
    Arn(String),
    At {
        #[serde(flatten)]
        listener: Listener,
        priority: u32,
    },
}

/// A listener as people call it.
#[derive(Debug, Clone, Deserialize)]
pub struct Listener {
    pub load_balancer: String,
    pub port: u16,
    #[serde(default)]
    pub protocol: Option<String>,
}

impl Listener {
    /// The kinds of load balancers that it can be of, as ARNs have them.
    pub fn balancers(&self) -> &'static [&'static str] {
        match self.protocol.as_deref() {
            Some(protocol) if APPLICATION_PROTOCOLS.contains(&protocol) => &["app"],
            Some(_) => &["net"],
            None => &["app", "net"],
        }
    }
}

/// What becomes of group stickiness in a swap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnSwap {
    #[default]
    Keep,
    Suspend,
}

/// Which of the two it is: each has its own calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Listener,
    Rule,
}

impl Forwarder {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Listener(_) => Kind::Listener,
            Self::Rule(_) => Kind::Rule,
        }
    }

    /// `listener checkout/f2f7dc8efc522ab2`: its load balancer and its own id; or `listener checkout:443`.
    pub fn title(&self) -> String {
        match self {
            Self::Listener(ListenerName::Arn(arn)) => format!("listener {}", short(arn)),
            Self::Listener(ListenerName::At(listener)) => format!("listener {listener}"),
            Self::Rule(RuleName::Arn(arn)) => format!("rule {}", short(arn)),
            Self::Rule(RuleName::At { listener, priority }) => format!("rule {priority} of {listener}"),
        }
    }
}

fn short(arn: &str) -> String {
    let mut parts = arn.split('/');
    match (parts.nth(2), parts.next_back()) {
        (Some(balancer), Some(id)) => format!("{balancer}/{id}"),
        _ => arn.to_owned(),
    }
}

/// As it stands in the step's resource.
impl fmt::Display for Forwarder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listener(ListenerName::Arn(arn)) | Self::Rule(RuleName::Arn(arn)) => f.write_str(arn),
            Self::Listener(ListenerName::At(listener)) => write!(f, "listener/{listener}"),
            Self::Rule(RuleName::At { listener, priority }) => write!(f, "rule/{listener}/{priority}"),
        }
    }
}

/// `checkout:443`, `resolver:53/UDP`
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.load_balancer, self.port)?;
        self.protocol.iter().try_for_each(|protocol| write!(f, "/{protocol}"))
    }
}

#[cfg(test)]
mod tests;
