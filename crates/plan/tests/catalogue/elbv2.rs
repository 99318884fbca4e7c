//! Elastic Load Balancing v2: the forward weights of a listener or a rule, and the health of a target group.

use std::{collections::HashMap, time::Duration};

use belay_plan::{
    catalogue::{ActionSpec, Finding, SignalSpec, no_signal_findings, pointer},
    model::{Nature, Usual},
    shape::{Shape, Text, field, integer, object, one_of, pattern, weights, words},
};
use serde_json::Value;

const TARGET_GROUP: Text = Text::new(
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
        name: "alb.forward",
        summary: "Shifts the weights between the target groups that a listener or a rule forwards to.",
        with: one_of(
            "an object with exactly one of `listener`, `rule`",
            [
                object([field("listener", listener, "The listener whose default action forwards.")]),
                object([field("rule", rule, "The rule whose action forwards.")]),
            ],
        ),
        // AWS takes at most five groups in a forward action.
        to: Some(weights(TARGET_GROUP, 999, Some(5))),
        others: true,
        stages: true,
        default_timeout: Duration::from_secs(5 * 60),
        nature: Nature::Traffic,
        usual: Some(Usual::seconds(1, 3, 10)),
        resource: |with| {
            let arn = with["listener"].as_str().or_else(|| with["rule"].as_str()).unwrap_or_default();
            format!("alb:{arn}")
        },
        check,
    }
}

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

fn group_name(member: &str) -> &str {
    member.split('/').nth(1).unwrap_or(member)
}

/// What `target_health` takes.
pub fn signal_spec() -> SignalSpec {
    let at_least = one_of("a number, or `baseline`", [integer(1, 10_000), words(["baseline"])]);
    SignalSpec {
        key: "target_health",
        summary: "How many targets of a group are healthy.",
        value: object([
            field("target_group", Shape::Text(TARGET_GROUP), "The target group."),
            field("at_least", at_least, "How many have to be healthy; `baseline`: as many as before the cutover."),
        ]),
        siblings: Vec::new(),
        check: no_signal_findings,
        remarks: no_signal_findings,
    }
}
