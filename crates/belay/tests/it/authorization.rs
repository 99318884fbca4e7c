//! The policies that `belay iam` prints, held against what AWS's Service Authorization Reference says of each action:
//! `crates/aws/AUTHORIZATION.md`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use belay_plan::catalogue::ActionSpec;
use serde_json::Value;

use crate::{belay, repository};

/// The resource types of an action. None of them: it is on `*` alone.
struct Action {
    types: BTreeSet<String>,
    /// A policy that names resources has to name one of each.
    required: BTreeSet<String>,
    one_of: bool,
}

/// The cells of all tables of three columns.
fn rows(page: &str) -> impl Iterator<Item = [&str; 3]> {
    page.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
        cells.try_into().ok()
    })
}

fn actions(page: &str) -> BTreeMap<String, Action> {
    let action = |cells: [&str; 3]| {
        let (types, one_of) = match cells[2].strip_prefix("one of ") {
            Some(types) => (types, true),
            None => (cells[2], false),
        };
        let types = types.split(", ").filter(|name| *name != "all");
        let required = types.clone().filter_map(|name| name.strip_prefix("**")?.strip_suffix("**"));
        let required = required.map(str::to_owned).collect();
        let types = types.map(|name| name.trim_matches('*').to_owned()).collect();
        (cells[0].trim_matches('`').to_owned(), Action { types, required, one_of })
    };
    rows(page).filter(|cells| cells[0].starts_with('`')).map(action).collect()
}

/// The form of an ARN by service and type.
fn forms(page: &str) -> BTreeMap<(String, String), String> {
    let form = |cells: [&str; 3]| ((cells[0].to_owned(), cells[1].to_owned()), cells[2].trim_matches('`').to_owned());
    rows(page).filter(|cells| cells[2].starts_with("`arn:")).map(form).collect()
}

/// Whether any text fits both patterns, in each of which `*` stands for any text.
fn meet(one: &[u8], other: &[u8]) -> bool {
    match (one, other) {
        ([], []) => true,
        ([b'*', rest @ ..], other) if meet(rest, other) => true,
        (one, [b'*', rest @ ..]) if meet(one, rest) => true,
        ([b'*', ..], [_, rest @ ..]) => meet(one, rest),
        ([_, rest @ ..], [b'*', ..]) => meet(rest, other),
        ([left, one @ ..], [right, other @ ..]) => left == right && meet(one, other),
        _ => false,
    }
}

/// The resources of each action in all statements of the policies.
fn statements(document: &Value, found: &mut BTreeMap<String, BTreeSet<String>>) {
    match document {
        Value::Object(members) if members.contains_key("Action") => {
            for action in texts(&members["Action"]) {
                found.entry(action).or_default().extend(texts(&members["Resource"]));
            }
        }
        Value::Object(members) => members.values().for_each(|value| statements(value, found)),
        Value::Array(items) => items.iter().for_each(|value| statements(value, found)),
        _ => {}
    }
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        value => vec![value.as_str().unwrap().to_owned()],
    }
}

#[test]
fn every_statement_is_one_that_aws_knows() {
    let page = fs::read_to_string(repository("crates/aws/AUTHORIZATION.md")).unwrap();
    let (known, forms) = (actions(&page), forms(&page));
    let plan = repository("crates/belay/tests/plans/every-action.yaml");
    let text = fs::read_to_string(&plan).unwrap();
    for ActionSpec { name, .. } in belay_aws_catalogue::action_specs() {
        assert!(text.contains(&format!("action: {name}")), "{name} is missing in every-action.yaml");
    }
    let folder = tempfile::tempdir().unwrap();
    let done = belay(folder.path(), &["iam", &plan.display().to_string()]).assert().code(0).get_output().clone();
    let mut asked = BTreeMap::new();
    statements(&serde_json::from_slice(&done.stdout).unwrap(), &mut asked);
    assert!(asked.len() > 60, "{asked:#?}");
    for (action, resources) in &asked {
        let Some(Action { types, required, one_of }) = known.get(action) else {
            panic!("{action} is missing in AUTHORIZATION.md");
        };
        let service = action.split(':').next().unwrap().to_owned();
        // STS assumes roles, and they are resources of IAM.
        let service = if service == "sts" { "iam".to_owned() } else { service };
        let fits = |resource: &String, kind: &String| {
            let form = &forms[&(service.clone(), kind.clone())];
            meet(resource.as_bytes(), form.as_bytes())
        };
        let all = resources.contains("*");
        if types.is_empty() {
            assert!(all && resources.len() == 1, "{action} has no resource-level permissions: {resources:?}");
        }
        for resource in resources.iter().filter(|resource| *resource != "*") {
            assert!(types.iter().any(|kind| fits(resource, kind)), "{action} is not on {resource}, only on {types:?}");
        }
        let covered = |kind: &String| all || resources.iter().any(|resource| fits(resource, kind));
        match one_of {
            true => assert!(types.iter().any(covered), "{action} names none of {types:?}: {resources:?}"),
            false => assert!(required.iter().all(covered), "{action} does not name all of {required:?}: {resources:?}"),
        }
    }
}

#[test]
fn patterns_meet() {
    let meets = |one: &str, other: &str| meet(one.as_bytes(), other.as_bytes());
    assert!(meets("a:*:c", "a:b:*") && meets("*", "") && meets("a*", "*b") && meets("db:shop-*", "db:*"));
    assert!(!meets("a:*:c", "b:*") && !meets("db:shop", "cluster:*") && !meets("a", ""));
}
