//! `deploy/iam`: the policies of the example plans are what their actuators and sensors declare, and nothing more.

use std::collections::{BTreeMap, BTreeSet};

use belay_ports::{Condition, Permission};
use serde_json::{Value, json};

use crate::{declared::declared, read};

/// Reads and changes apart, and one statement for each set of resources and conditions: what a person would write.
fn policy(plan: &str) -> Value {
    let mut by_action: BTreeMap<(bool, String, Vec<Condition>), BTreeSet<String>> = BTreeMap::new();
    for Permission { mutates, action, resource, conditions } in declared(plan) {
        by_action.entry((mutates, action, conditions)).or_default().insert(resource);
    }
    let mut statements: BTreeMap<(bool, BTreeSet<String>, Vec<Condition>), Vec<String>> = BTreeMap::new();
    for ((mutates, action, conditions), resources) in by_action {
        statements.entry((mutates, resources, conditions)).or_default().push(action);
    }
    let mut numbers = BTreeMap::from([(false, 0), (true, 0)]);
    let statements = statements.into_iter().map(|((mutates, resources, conditions), actions)| {
        let number = numbers.entry(mutates).or_default();
        *number += 1;
        let name = if mutates { "Change" } else { "Read" };
        let sid = format!("{name}{number}");
        let mut statement = json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources });
        for Condition { operator, key, value } in conditions {
            statement["Condition"][operator][key] = json!([value]);
        }
        statement
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
        // These calls can do more than Belay does with them.
        for statement in policy(&read(&format!("config/examples/{name}.yaml")))["Statement"].as_array().unwrap() {
            let narrowed = match statement["Action"][0].as_str().unwrap() {
                "route53:ChangeResourceRecordSets" => "route53:ChangeResourceRecordSetsActions",
                "iam:PassRole" => "iam:PassedToService",
                _ => continue,
            };
            assert!(statement["Condition"].to_string().contains(narrowed), "{statement:#}");
        }
    }
}
