//! What a step of `alb.targets` says.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use belay_plan::{
    catalogue::{ActionSpec, Finding, pointer},
    model::{Nature, Usual},
    shape::{Shape, Text, field, filled_list, filled_map, integer, object, one_of, pattern, words},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    TARGET_GROUP, group_name,
    target::{Address, Kind, Registration},
};

/// The action's name in plans.
pub const ACTION: &str = "alb.targets";

/// What the resource of every step with this action begins with.
pub const RESOURCE: &str = "alb.targets:";

const TARGET: Text = Text::new(
    "a target: an instance (`i-0123456789abcdef0`), an IP address, or the ARN of a Lambda function or of an application \
     load balancer",
    Some(
        "^(i-[0-9a-f]{8,17}|[0-9]{1,3}([.][0-9]{1,3}){3}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\
         |arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:function:.+\
         |arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:loadbalancer/app/.+)$",
    ),
);

/// What `alb.targets` takes.
pub fn spec() -> ActionSpec {
    ActionSpec {
        name: ACTION,
        summary: "Registers the targets of a target group again, and deregisters the others once those are healthy.",
        with: object([field("target_group", Shape::Text(TARGET_GROUP), "The target group.")]),
        to: Some(filled_map(TARGET, registrations())),
        others: true,
        stages: false,
        default_timeout: Duration::from_secs(15 * 60),
        nature: Nature::State,
        // Five health checks 30 s apart, then 300 s of draining, both by default; without open connections draining is over at
        // once.
        usual: Some(Usual::seconds(60, 180, 600)),
        resource: |with| format!("{RESOURCE}{}", group_name(with["target_group"].as_str().unwrap_or_default())),
        check: |_with, to| to.map(check).unwrap_or_default(),
    }
}

fn registrations() -> Shape {
    let port = || integer(1, 65_535);
    let at = || {
        object([
            field("port", port(), "The target's port; left out: the group's own.").optional(),
            field(
                "zone",
                pattern("a zone such as `eu-west-1a`, or `all`", "^(all|[a-z]{2,4}(-[a-z0-9]+)+)$"),
                "For an IP address outside the group's VPC.",
            )
            .optional(),
            field(
                "quic_server_id",
                pattern("`0x` and 16 hexadecimal digits", "^0x[0-9a-f]{16}$"),
                "For the protocols QUIC and TCP_QUIC.",
            )
            .optional(),
        ])
    };
    one_of(
        "a port, `default` (the group's own port; a Lambda function has none), { port, zone }, or a list of ports",
        [port(), words(["default"]), at(), filled_list(one_of("a port, or { port, zone }", [port(), at()]))],
    )
}

/// The step's `with`.
#[derive(Debug, Clone, Deserialize)]
pub struct With {
    pub target_group: String,
}

impl With {
    pub fn title(&self) -> String {
        format!("target group {}", group_name(&self.target_group))
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Said {
    One(Place),
    Many(Vec<Place>),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Place {
    Port(u16),
    Default(Word),
    At {
        #[serde(default)]
        port: Option<u16>,
        #[serde(default)]
        zone: Option<String>,
        #[serde(default)]
        quic_server_id: Option<String>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Default,
}

/// The targets of an explicit `to:`, in its normal form, with addresses as AWS writes them.
pub fn explicit(to: &Value) -> Result<Vec<Registration>, serde_json::Error> {
    let canonical = |target: Registration| Registration { address: target.address.canonical(), ..target };
    Ok(as_written(to)?.into_iter().map(canonical).collect())
}

fn as_written(to: &Value) -> Result<Vec<Registration>, serde_json::Error> {
    let said = std::collections::BTreeMap::<String, Said>::deserialize(to)?;
    let registrations = said.into_iter().flat_map(|(id, said)| {
        let places = match said {
            Said::One(place) => vec![place],
            Said::Many(places) => places,
        };
        places.into_iter().map(move |place| registration(&id, place))
    });
    Ok(registrations.collect())
}

fn registration(id: &str, place: Place) -> Registration {
    let (port, zone, quic_server_id) = match place {
        Place::Port(port) => (Some(port), None, None),
        Place::Default(Word::Default) => (None, None, None),
        Place::At { port, zone, quic_server_id } => (port, zone, quic_server_id),
    };
    Registration { address: Address { id: id.to_owned(), port }, zone, quic_server_id }
}

/// What is wrong with a `to:` whatever AWS has.
fn check(to: &Value) -> Vec<Finding> {
    let Ok(targets) = as_written(to) else { return Vec::new() };
    let at = |target: &Registration| pointer(&["to", &target.address.id]);
    let kind = |target: &Registration| Kind::of(&target.address.id);
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for target in &targets {
        let id = &target.address.id;
        if kind(target) == Kind::Ip && id.parse::<IpAddr>().is_err() {
            findings.push(Finding::new(at(target), format!("`{id}` is not an IP address")));
        }
        if !seen.insert(target.address.clone().canonical()) {
            findings.push(Finding::new(at(target), format!("`{}` is there twice", target.address)));
        }
        if kind(target) == Kind::Lambda && target.address.port.is_some() {
            let finding = Finding::new(at(target), "a Lambda function has no port");
            findings.push(finding.help("write `default`"));
        }
        if matches!(kind(target), Kind::Instance | Kind::Alb) && target.zone.is_some() {
            let message = format!("the zone of {} is known: only an IP address takes one", kind(target));
            findings.push(Finding::new(at(target), message).help("leave `zone` out"));
        }
    }
    let Some(first) = targets.first() else { return findings };
    if let Some(other) = targets.iter().find(|target| kind(target) != kind(first)) {
        let message = format!("a target group has targets of one kind, and this is {}", kind(other));
        findings.push(Finding::new(at(other), message).help(format!("the first is {}", kind(first))));
    } else if kind(first).is_alone() && targets.len() > 1 {
        let message = format!("a target group holds {} alone", kind(first));
        findings.push(Finding::new(at(&targets[1]), message).help("name one"));
    }
    findings
}
