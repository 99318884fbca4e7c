//! Each row of the matrix in `config/examples/decision-matrix.yaml`, and of the one that a plan without `decision` has.

use std::time::Duration;

use belay_core::decision::rule_for;
use belay_plan::model::{Answer, Authority, Decision, Plan};
use serde_json::Value;

use crate::{belay, catalogue, repository};

fn matrix() -> Plan {
    let text = std::fs::read_to_string(repository("config/examples/decision-matrix.yaml")).unwrap();
    belay_plan::load("decision-matrix.yaml", &text, &catalogue()).unwrap().plan
}

#[test]
fn each_row_answers_its_trigger() {
    let plan = matrix();
    let minutes = |minutes: u64| Some(Duration::from_secs(minutes * 60));
    let any = |roles: &[&str]| Authority::AnyOf(roles.iter().map(|role| (*role).to_owned()).collect());
    let all = |roles: &[&str]| Authority::AllOf { all: roles.iter().map(|role| (*role).to_owned()).collect() };
    let commander = || any(&["incident_commander"]);
    let rows = [
        ("data_wrong", 0, Answer::RollBack, None, None, commander()),
        ("exposed", 1, Answer::RollBack, None, None, any(&["incident_commander", "compliance"])),
        ("orders_fail", 2, Answer::Decide, minutes(5), Some(Answer::RollBack), commander()),
        (
            "much_slower",
            3,
            Answer::Decide,
            minutes(15),
            Some(Answer::RollBack),
            all(&["incident_commander", "tech_lead"]),
        ),
        ("slower", 4, Answer::Decide, minutes(30), Some(Answer::FixForward), commander()),
        ("tenant_fails", 5, Answer::FixForward, None, None, commander()),
        ("takes_too_long", 8, Answer::FixForward, None, None, commander()),
    ];
    for (name, row, answer, timebox, then, authority) in rows {
        let (index, rule) = rule_for(&plan, &plan.triggers[name], Some("cutover"));
        let found = rule.authority.clone().unwrap_or_else(|| plan.decision.authority.clone());
        assert_eq!(
            (index, rule.answer, rule.timebox, rule.then, found),
            (row, answer, timebox, then, authority),
            "{name}"
        );
    }
}

/// "At once, and tell compliance": they hear what opens, what was decided and how it ends.
#[test]
fn compliance_is_told_of_what_is_rolled_back_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let plan = repository("config/examples/decision-matrix.yaml").display().to_string();
    let arguments = ["drill", &plan, "--simulate", "--fire", "exposed", "--journal", "night.jsonl"];
    belay(folder.path(), &arguments).assert().code(0);
    let journal = std::fs::read_to_string(folder.path().join("night.jsonl")).unwrap();
    let records: Vec<Value> = journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of =
        |kind: &'static str| records.iter().map(|record| &record["event"]).filter(move |event| event["type"] == kind);
    let told: Vec<&Value> = of("notice_due").filter(|event| event["channel"] == "compliance").collect();
    let kinds: Vec<&str> = told.iter().filter_map(|event| event["facts"]["kind"].as_str()).collect();
    assert_eq!(kinds, ["incident", "finished"], "{told:#?}");
    assert_eq!(told[0]["facts"]["incident"]["problem"], "security");
    assert_eq!(of("notice_sent").count(), kinds.len(), "{records:#?}");
}

#[test]
fn the_default_matrix_stands_behind_it() {
    let mut plan = matrix();
    for name in ["data_wrong", "exposed"] {
        plan.triggers[name].problem = None;
    }
    plan.triggers["exposed"].scope = belay_plan::model::TriggerScope::Isolated;
    plan.triggers["exposed"].fix = belay_plan::model::Fix::Short;
    assert_eq!(rule_for(&plan, &plan.triggers["data_wrong"], None).0, 7);
    assert_eq!(rule_for(&plan, &plan.triggers["exposed"], None).0, 6);
    let default = Decision::default();
    plan.decision = default;
    for (name, answer) in [
        ("data_wrong", Answer::RollBack),
        ("exposed", Answer::FixFirst),
        ("much_slower", Answer::RollBack),
        ("slower", Answer::FixForward),
        ("tenant_fails", Answer::FixForward),
    ] {
        assert_eq!(rule_for(&plan, &plan.triggers[name], None).1.answer, answer, "{name}");
    }
}
