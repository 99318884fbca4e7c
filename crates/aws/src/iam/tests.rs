use std::collections::BTreeSet;

use belay_plan::model::AwsTarget;
use belay_ports::{Condition, Permission};
use indexmap::IndexMap;
use serde_json::{Value, json};

use super::*;

fn permission(mutates: bool, action: &str, resource: &str) -> Permission {
    Permission { action: action.to_owned(), resource: resource.to_owned(), mutates, conditions: Vec::new() }
}

fn upsert(zone: &str) -> Permission {
    let condition = Condition {
        operator: "ForAllValues:StringEquals".to_owned(),
        key: "route53:ChangeResourceRecordSetsActions".to_owned(),
        value: "UPSERT".to_owned(),
    };
    let zone = format!("arn:aws:route53:::hostedzone/{zone}");
    Permission { conditions: vec![condition], ..permission(true, "route53:ChangeResourceRecordSets", &zone) }
}

fn own(permissions: impl IntoIterator<Item = Permission>) -> IndexMap<AwsTarget, BTreeSet<Permission>> {
    IndexMap::from([(crate::testing::target(), permissions.into_iter().collect())])
}

fn database(name: &str) -> String {
    format!("arn:aws:rds:eu-west-1:111122223333:db:{name}")
}

/// Action and resource of everything that is allowed.
fn allowed(policies: &[Policy]) -> BTreeSet<(String, String)> {
    let statements = policies.iter().flat_map(|policy| &policy.statements);
    let allowed = statements.filter(|statement| statement.effect == Effect::Allow);
    let pairs = allowed.flat_map(|Statement { actions, resources, .. }| {
        actions.iter().flat_map(move |action| resources.iter().map(move |resource| (action.clone(), resource.clone())))
    });
    pairs.collect()
}

fn length(policy: &Policy) -> usize {
    policy.document().to_string().chars().count()
}

#[test]
fn what_has_no_room_in_one_policy_is_split() {
    let databases: Vec<String> =
        (0..300).map(|number| database(&format!("a-database-with-a-long-name-{number}"))).collect();
    let needed = own(databases.iter().flat_map(|arn| {
        [permission(false, "rds:DescribeDBInstances", arn), permission(true, "rds:ModifyDBInstance", arn)]
    }));
    let made = policies("checkout", &needed, None);
    assert!(made.len() > 3, "{}", made.len());
    assert!(made.iter().all(|policy| length(policy) <= SIZE_MAX));
    // As full as the order permits.
    assert!(made.iter().map(length).sum::<usize>() > SIZE_MAX * (made.len() - 1) / 2);
    assert_eq!(allowed(&made).len(), 600);
    let names: BTreeSet<&str> = made.iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(names.len(), made.len());
    assert!(names.contains("belay-checkout-1") && names.contains(format!("belay-checkout-{}", made.len()).as_str()));
    let sids: Vec<&String> = made.iter().flat_map(|policy| policy.statements.iter().map(|one| &one.sid)).collect();
    assert_eq!(sids.iter().collect::<BTreeSet<_>>().len(), sids.len());

    let printed = json(&made);
    assert_eq!(printed.as_array().unwrap().len(), made.len());
    assert_eq!(printed[0]["name"], "belay-checkout-1");
    assert_eq!(printed[0]["account"], "111122223333");
    assert_eq!(printed[0]["role"], Value::Null);

    // A role has one boundary.
    let [boundary] = boundaries("checkout", &needed, None).try_into().unwrap();
    assert!(length(&boundary) <= SIZE_MAX);
    let expected =
        ["rds:DescribeDBInstances", "rds:ModifyDBInstance"].map(|action| (action.to_owned(), "*".to_owned()));
    assert_eq!(allowed(&[boundary]), BTreeSet::from(expected));
}

#[test]
fn a_boundary_is_the_policy_and_no_deletion() {
    let needed = own([
        upsert("Z1"),
        permission(true, "rds:ModifyDBInstance", &database("orders")),
        permission(false, "cloudwatch:DescribeAlarms", "*"),
    ]);
    let [boundary] = boundaries("checkout", &needed, None).try_into().unwrap();
    assert_eq!(boundary.name, "belay-checkout-boundary");
    assert_eq!(allowed(std::slice::from_ref(&boundary)), allowed(&policies("checkout", &needed, None)));
    let denied: Vec<_> = boundary.statements.iter().filter(|statement| statement.effect == Effect::Deny).collect();
    assert_eq!(denied.len(), 2);
    assert_eq!(denied[0].actions, ["rds:Delete*", "route53:Delete*"]);
    assert_eq!(denied[1].actions, ["route53:ChangeResourceRecordSets"]);
    assert_eq!(
        boundary.document()["Statement"][4]["Condition"],
        json!({ "ForAnyValue:StringNotEquals": { "route53:ChangeResourceRecordSetsActions": ["UPSERT"] } })
    );

    let [watch] = boundaries("checkout", &needed, Some(Only::Watch)).try_into().unwrap();
    assert_eq!(watch.statements.len(), 1, "who only looks is denied nothing more");
}

#[test]
fn each_role_has_its_policy_and_the_daemon_assumes_it() {
    let role = "arn:aws:iam::444455556666:role/ops/belay".to_owned();
    let target = AwsTarget {
        role: Some(role.clone()),
        external_id: Some("a secret handshake".to_owned()),
        ..crate::testing::target()
    };
    let mut needed = own([permission(false, "cloudwatch:DescribeAlarms", "*")]);
    needed.insert(target.clone(), [permission(true, "rds:ModifyDBInstance", &database("orders"))].into());
    // Another region is no other role.
    let elsewhere = AwsTarget { region: Some("us-east-1".to_owned()), ..target };
    needed.insert(elsewhere, [permission(false, "cloudwatch:GetMetricData", "*")].into());

    let [daemon, of_role] = policies("checkout", &needed, None).try_into().unwrap();
    assert_eq!(daemon.name, "belay-checkout-111122223333");
    assert_eq!(daemon.principal, Principal { account: Some("111122223333".to_owned()), role: None });
    let assume = daemon.statements.iter().find(|statement| statement.actions == ["sts:AssumeRole"]).unwrap();
    assert_eq!(assume.resources, std::slice::from_ref(&role));
    assert_eq!(
        daemon.document()["Statement"][1]["Condition"]["StringEquals"]["sts:ExternalId"],
        json!(["a secret handshake"])
    );
    assert_eq!(of_role.name, "belay-checkout-444455556666-belay");
    assert_eq!(of_role.principal, Principal { account: Some("444455556666".to_owned()), role: Some(role.clone()) });
    assert_eq!(allowed(std::slice::from_ref(&of_role)).len(), 2);

    let template = cloudformation(&[daemon.clone(), of_role.clone()]);
    assert_eq!(template["Resources"]["BelayCheckout444455556666Belay"]["Condition"], "InAccount444455556666");
    assert_eq!(
        template["Conditions"]["InAccount444455556666"],
        json!({ "Fn::Equals": [{ "Ref": "AWS::AccountId" }, "444455556666"] })
    );
    let hcl = terraform(&[daemon, of_role]);
    assert!(hcl.contains("# For arn:aws:iam::444455556666:role/ops/belay.\n"), "{hcl}");

    // Without a policy for the daemon's own identity, there is one all the same.
    needed.shift_remove_index(0);
    let [of_role, daemon] = policies("checkout", &needed, None).try_into().unwrap();
    assert_eq!(of_role.principal.role, Some(role));
    assert_eq!((daemon.name.as_str(), &daemon.principal), ("belay-checkout-own", &Principal::default()));
}

#[test]
fn nothing_breaks_out_of_hcl() {
    let hostile = "x\"\\\n${aws:username}%{if}$1 \u{202e}\u{1b}[2J";
    let made = policies("checkout", &own([permission(false, "lambda:InvokeFunction", hostile)]), None);
    let hcl = terraform(&made);
    let expected = r#"resources = ["x\"\\\n$${aws:username}%%{if}$1 \U0000202e\U0000001b[2J"]"#;
    assert!(hcl.contains(expected), "{hcl}");
}

#[test]
fn names_fit_and_stay_apart() {
    let target = |role: &str| AwsTarget {
        role: Some(format!("arn:aws:iam::444455556666:role/{role}")),
        ..crate::testing::target()
    };
    let needed = ["a-b", "a_b", &"r".repeat(64)]
        .map(|role| (target(role), BTreeSet::from([permission(false, "cloudwatch:DescribeAlarms", "*")])));
    let made = policies(&"m".repeat(63), &IndexMap::from(needed), Some(Only::Watch));
    assert!(made.iter().all(|policy| policy.name.len() <= 128), "{made:#?}");
    let template = cloudformation(&made);
    assert_eq!(template["Resources"].as_object().unwrap().len(), made.len());
    let hcl = terraform(&made);
    let labels: BTreeSet<&str> = hcl.lines().filter(|line| line.starts_with("resource ")).collect();
    assert_eq!(labels.len(), made.len());
}

#[test]
fn what_is_wide_is_told_with_its_reason() {
    let made = |permissions: Vec<Permission>| wide(&policies("checkout", &own(permissions), None));
    assert_eq!(made(vec![upsert("Z1"), permission(true, "rds:ModifyDBInstance", &database("orders"))]), [""; 0]);
    let told = made(vec![
        permission(false, "elasticloadbalancing:DescribeRules", "*"),
        permission(false, "cloudwatch:DescribeAlarms", "*"),
        permission(false, "rds:DescribeDBInstances", "arn:aws:rds:*:*:db:orders"),
        permission(false, "ssm:DescribeDocument", "arn:aws:ssm:eu-west-1:*:document/back"),
    ]);
    let starts = [
        "on every resource: elasticloadbalancing:DescribeRules: AWS has no",
        "on every resource: cloudwatch:DescribeAlarms: composite alarms",
        "in every account: the plan does not name one",
        "in every region: the plan does not name one",
    ];
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    assert!(told.iter().zip(starts).all(|(line, start)| line.starts_with(start)), "{told:#?}");
    // Automation documents are shared between accounts.
    let shared = permission(false, "ssm:DescribeDocument", "arn:aws:ssm:eu-west-1:*:document/back");
    assert_eq!(made(vec![shared]), [""; 0]);
}
