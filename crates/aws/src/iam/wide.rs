//! What cannot be narrowed down to a resource, and why.

use std::collections::BTreeMap;

use super::policy::{Effect, Policy};

/// Actions (the beginnings of their names), and why they are allowed on every resource.
const REASONS: [(&str, &str); 4] = [
    ("cloudwatch:DescribeAlarms", "composite alarms can be read in no other way, and a plan does not say which are"),
    (
        "route53:ListHostedZonesByName",
        "the plan gives a zone by its name; with its id, this is not needed, and the others are of this zone alone",
    ),
    (
        "rds:DescribeBlueGreenDeployments",
        "all are listed, because the old database is known by its resource, not by its name",
    ),
    ("rds:Describe", "readiness asks what holds for the account or a version, not for a database"),
];

const USUAL: &str = "AWS has no resource-level permissions for it";

/// What people should know of these policies beside them, each in one line.
pub fn wide(policies: &[Policy]) -> Vec<String> {
    let allowed = || {
        let statements = policies.iter().flat_map(|policy| &policy.statements);
        statements.filter(|statement| statement.effect == Effect::Allow)
    };
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for statement in allowed().filter(|statement| statement.resources.iter().any(|resource| resource == "*")) {
        for action in &statement.actions {
            let known = REASONS.iter().find(|(start, _)| action.starts_with(start));
            let actions = by_reason.entry(known.map_or(USUAL, |(_, why)| why)).or_default();
            if !actions.contains(&action.as_str()) {
                actions.push(action);
            }
        }
    }
    const OWN_ROLE: &str = "iam:SimulatePrincipalPolicy";
    let simulates = |arn: &String| arn.ends_with(":role/*");
    let of_any_role = allowed().filter(|statement| statement.actions.iter().any(|action| action == OWN_ROLE));
    let of_any_role = of_any_role.flat_map(|statement| &statement.resources).any(simulates);
    let mut told: Vec<String> = by_reason
        .into_iter()
        .map(|(why, actions)| format!("on every resource: {}: {why}", actions.join(", ")))
        .collect();

    if of_any_role {
        told.push(format!(
            "on every role: {OWN_ROLE}, by which Belay checks its own: the plan does not name the role that it runs as; put its ARN there"
        ));
    }

    // Automation documents are of AWS or of another account.
    let arns = || {
        let arns = allowed().flat_map(|statement| &statement.resources).map(|arn| arn.split(':').collect::<Vec<_>>());
        arns.filter(|arn| arn.get(2) != Some(&"ssm"))
    };
    let has = |part: usize| arns().any(|arn| arn.get(part) == Some(&"*"));
    if has(4) {
        told.push("in every account: the plan does not name one; `aws.account` narrows it".to_owned());
    }
    if has(3) {
        told.push("in every region: the plan does not name one; `aws.region` narrows it".to_owned());
    }
    told
}
