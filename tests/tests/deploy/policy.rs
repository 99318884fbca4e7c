//! `deploy/iam`: the policies of the example plans are what their actuators and sensors declare, and nothing more.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{declared::declared, read};

/// Reads and changes apart, and one statement for each set of resources: what a person would write.
fn policy(plan: &str) -> Value {
    let mut by_action: BTreeMap<(bool, String), BTreeSet<String>> = BTreeMap::new();
    for permission in declared(plan) {
        by_action.entry((permission.mutates, permission.action)).or_default().insert(permission.resource);
    }
    let mut statements: BTreeMap<(bool, BTreeSet<String>), Vec<String>> = BTreeMap::new();
    for ((mutates, action), resources) in by_action {
        statements.entry((mutates, resources)).or_default().push(action);
    }
    let mut numbers = BTreeMap::from([(false, 0), (true, 0)]);
    let statements = statements.into_iter().map(|((mutates, resources), actions)| {
        let number = numbers.entry(mutates).or_default();
        *number += 1;
        let name = if mutates { "Change" } else { "Read" };
        json!({ "Sid": format!("{name}{number}"), "Effect": "Allow", "Action": actions, "Resource": resources })
    });
    json!({ "Version": "2012-10-17", "Statement": statements.collect::<Vec<_>>() })
}

#[test]
fn policies_are_what_the_plans_need() {
    for name in ["blue-green-web", "database-restore"] {
        let right = policy(&read(&format!("config/examples/{name}.yaml")));
        let right = format!("{right:#}\n");
        assert_eq!(read(&format!("deploy/iam/{name}.json")), right, "deploy/iam/{name}.json is to read:\n{right}");
        assert!(!right.contains("Delete"), "nothing of Belay deletes:\n{right}");
    }
}
