//! `deploy/iam`: the policies of the example plans are what `belay iam` prints for them.

use belay_aws::iam;
use serde_json::json;

use crate::{
    declared::{declared, needed},
    read,
};

/// Nothing is known yet that it could be narrowed to.
#[test]
fn the_policy_of_init_is_what_it_calls() {
    let statement =
        json!({ "Sid": "Read1", "Effect": "Allow", "Action": belay_aws::discover::CALLS, "Resource": ["*"] });
    let right = format!("{:#}\n", json!({ "Version": "2012-10-17", "Statement": [statement] }));
    assert_eq!(read("deploy/iam/init.json"), right, "deploy/iam/init.json is to read:\n{right}");
    let is_read = |call: &&str| ["Describe", "List"].iter().any(|verb| call.contains(&format!(":{verb}")));
    assert!(belay_aws::discover::CALLS.iter().all(is_read));
}

#[test]
fn policies_are_what_the_plans_need() {
    for name in ["blue-green-web", "database-restore"] {
        let plan = read(&format!("config/examples/{name}.yaml"));
        let (migration, needed) = needed(&plan);
        let policies = iam::policies(&migration, &needed, None);
        let right = format!("{:#}\n", iam::json(&policies));
        assert_eq!(read(&format!("deploy/iam/{name}.json")), right, "deploy/iam/{name}.json is to read:\n{right}");
        assert!(!right.contains("Delete"), "nothing of Belay deletes:\n{right}");
        // These calls can do more than Belay does with them.
        for statement in iam::json(&policies)["Statement"].as_array().unwrap() {
            let narrowed = match statement["Action"][0].as_str().unwrap() {
                "route53:ChangeResourceRecordSets" => "route53:ChangeResourceRecordSetsActions",
                "iam:PassRole" => "iam:PassedToService",
                _ => continue,
            };
            assert!(statement["Condition"].to_string().contains(narrowed), "{statement:#}");
        }
    }
}

#[test]
fn all_forms_of_all_examples_say_the_same() {
    let examples = std::fs::read_dir(crate::at("config/examples")).unwrap();
    let examples: Vec<_> = examples.map(|entry| entry.unwrap().path()).collect();
    assert!(examples.len() >= 8, "{examples:?}");
    let granted = examples.iter().map(|path| declared(&std::fs::read_to_string(path).unwrap()).len());
    assert!(granted.sum::<usize>() > 50);
}
