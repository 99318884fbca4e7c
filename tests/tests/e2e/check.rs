//! `belay check`: each thing that a rollback needs, broken alone, is found and named.

use serde_json::{Value, json};

use crate::stage::{DNS_PLAN, PLAN, Stage};

/// What is found of one part of the plan.
fn checks<'r>(report: &'r Value, id: &str, part: &str) -> Vec<&'r Value> {
    let all = report["checks"].as_array().unwrap_or_else(|| panic!("{report:#}"));
    all.iter().filter(|check| check["id"] == id && check["part"] == part).collect()
}

#[track_caller]
fn one<'r>(report: &'r Value, id: &str, part: &str) -> &'r Value {
    match checks(report, id, part)[..] {
        [one] => one,
        ref found => panic!("{} of {id} of {part:?} in {report:#}", found.len()),
    }
}

/// Every check that stands against a rollback, by id and part.
fn against(report: &Value) -> Vec<(String, String, String)> {
    let all = report["checks"].as_array().unwrap_or_else(|| panic!("{report:#}"));
    let of = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    let found = all.iter().filter(|check| check["verdict"] == "no_go" || check["verdict"] == "unknown");
    found.map(|check| (of(check, "id"), of(check, "part"), of(check, "found"))).collect()
}

/// Of all that is not as it should be, in whichever of these worlds, a person reads what would be right and what to do.
#[track_caller]
fn complete(report: Value) -> Value {
    let all = report["checks"].as_array().unwrap_or_else(|| panic!("{report:#}"));
    for check in all.iter().filter(|check| check["verdict"] != "go") {
        let says = |key: &str| check[key].as_str().is_some_and(|text| !text.is_empty());
        assert!(says("wanted") && says("cure"), "{check:#}");
    }
    report
}

fn check(stage: &Stage, plan: &str) -> Value {
    complete(stage.belay.run(&["check", plan, "--json"]).json())
}

#[test]
fn a_sound_world_has_nothing_against_it() {
    let stage = Stage::new("ready", &["--seed", "5"]);
    stage.wait_for_target("blue", "healthy");
    let plan = stage.plan(PLAN);
    let report = check(&stage, &plan);
    let mut found = against(&report);
    // Without fallbacks a rollback of this plan can end half way, and the search shows it.
    found.retain(|(id, _, _)| id != "explore");
    assert_eq!(one(&report, "permission", "")["verdict"], "warn", "the emulator's keys are the root user's");
    assert_eq!(found, [], "{report:#}");
    assert_eq!(one(&report, "account", "")["verdict"], "go");
    assert_eq!(one(&report, "capacity", "step listener_back")["verdict"], "go");
    assert_eq!(one(&report, "interlock", "step listener_back")["verdict"], "go");
    assert_eq!(one(&report, "single_point", "step dns_back")["verdict"], "go");
    assert_eq!(one(&report, "drill", "")["verdict"], "warn", "nobody has rehearsed it");
    assert!(stage.proxy.mutating_calls().is_empty());
    let text = stage.belay.run(&["check", &plan]);
    assert!(text.stdout.contains("the plan") && text.stdout.contains("nothing was changed"), "{text}");
    assert!(text.stdout.lines().all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn a_destination_that_is_sick_is_no_go() {
    let stage = Stage::cut_over("readysick", &[]);
    stage.blue.set_healthy(false);
    stage.wait_for_target("blue", "unhealthy");
    let plan = stage.plan(PLAN);
    let done = stage.belay.run(&["check", &plan, "--json"]);
    assert_eq!(done.code, 3, "{done}");
    let report = complete(done.json());
    for step in ["step listener_back", "step rule_back"] {
        let found = one(&report, "destination", step);
        assert_eq!(found["verdict"], "no_go", "{found:#}");
        assert!(found["found"].as_str().unwrap().starts_with("0 of 1 targets healthy"), "{found:#}");
    }
    assert_eq!(one(&report, "interlock", "step listener_back")["verdict"], "no_go");
    assert_eq!(report["verdict"], "no_go");
}

#[test]
fn an_alarm_that_does_not_exist_is_no_go_and_what_exists_is_named() {
    let stage = Stage::new("readyalarm", &[]);
    let plan =
        stage.plan(&DNS_PLAN.replace("{ alarm: $errors }", "{ alarm: $errorz }").replace("$errorz", "no-such-alarm"));
    let report = check(&stage, &plan);
    let found = one(&report, "signal", "signal errors");
    assert_eq!(found["verdict"], "no_go", "{found:#}");
    assert!(found["found"].as_str().unwrap().contains("there is no alarm no-such-alarm"), "{found:#}");
    assert!(!found["cure"].as_str().unwrap().is_empty(), "{found:#}");
}

#[test]
fn an_alarm_that_never_fired_is_a_warning_until_it_has() {
    let stage = Stage::new("readyfired", &[]);
    let plan = stage.plan(DNS_PLAN);
    let report = check(&stage, &plan);
    let found = one(&report, "alarm_history", "signal errors");
    assert_eq!(found["verdict"], "warn", "{found:#}");
    assert!(found["found"].as_str().unwrap().starts_with("never in ALARM in the 30 days"), "{found:#}");
    assert!(found["cure"].as_str().unwrap().contains("aws cloudwatch set-alarm-state"), "{found:#}");
    stage.world.set_alarm("/alarms/errors", "ALARM");
    stage.world.set_alarm("/alarms/errors", "OK");
    let report = check(&stage, &plan);
    let found = one(&report, "alarm_history", "signal errors");
    assert_eq!(found["verdict"], "go", "{found:#}");
    assert!(found["found"].as_str().unwrap().starts_with("last in ALARM at 20"), "{found:#}");
}

#[test]
fn a_record_that_is_gone_is_no_go() {
    let stage = Stage::new("readygone", &[]);
    let plan = stage.plan(&DNS_PLAN.replace("record: $record", "record: gone.$record"));
    let report = check(&stage, &plan);
    let found = one(&report, "step", "step dns_back");
    assert_eq!(found["verdict"], "no_go", "{found:#}");
    assert!(found["found"].as_str().unwrap().contains("does not exist"), "{found:#}");
}

/// Its weights are as at the baseline, so nothing but the values shows it.
#[test]
fn a_record_that_leads_elsewhere_than_at_the_baseline_is_drift() {
    let stage = Stage::new("readydrift", &[]);
    let plan = stage.plan(DNS_PLAN);
    let folder = tempfile::tempdir().unwrap();
    let baseline = folder.path().join("baseline.json");
    let baseline = baseline.to_str().unwrap();
    stage.belay.run(&["capture", &plan, "-o", baseline]);
    let with_baseline = || complete(stage.belay.run(&["check", &plan, "--baseline", baseline, "--json"]).json());
    assert_eq!(one(&with_baseline(), "drift", "step dns_back")["verdict"], "go");
    let records = stage.world.records();
    let blue = stage.world.text("/dns/sets/blue/id");
    let mut record = records.as_array().unwrap().iter().find(|record| record["SetIdentifier"] == blue).unwrap().clone();
    record["ResourceRecords"] = json!([{ "Value": "198.51.100.9" }]);
    let batch = json!({ "Changes": [{ "Action": "UPSERT", "ResourceRecordSet": record }] });
    let change = json!({ "HostedZoneId": stage.world.text("/dns/zone"), "ChangeBatch": batch });
    stage.world.call("route53", "change_resource_record_sets", &change);
    let report = with_baseline();
    let found = one(&report, "drift", "step dns_back");
    assert_eq!(found["verdict"], "warn", "{found:#}");
    let found = found["found"].as_str().unwrap();
    assert!(
        found.starts_with(&format!("not as at the baseline: {blue} leads to 198.51.100.9, not to 192.0.2.1")),
        "{found}"
    );
    assert!(found.contains("who has changed it"), "{found}");
}

#[test]
fn another_account_is_no_go_and_nothing_else_is_read() {
    let stage = Stage::new("readyaccount", &[]);
    let plan = stage.plan(&DNS_PLAN.replace("$account", "111122223333"));
    let report = check(&stage, &plan);
    assert_eq!(one(&report, "account", "")["verdict"], "no_go", "{report:#}");
    let calls: Vec<String> = stage.proxy.calls().into_iter().map(|call| call.action).collect();
    assert_eq!(calls, ["GetCallerIdentity"]);
}

/// The daemon evaluates for whoever asks; a person who may approve is missing, and only a daemon knows that.
#[test]
fn the_daemon_answers_the_same() {
    let mut stage = Stage::new("readydaemon", &[]);
    let plan = stage.plan(&DNS_PLAN.replace(
        "    require: [page]\n",
        "    require: [page]\n    approve: { role: incident_commander }\n    expect: { $blue_set: 0, $green_set: 100 }\n",
    ));
    let daemon = stage.serve(&plan);
    let report = complete(daemon.get(&format!("/v1/migrations/{}/readiness", stage.name())));
    let people: Vec<&Value> = checks(&report, "people", "");
    assert!(
        people.iter().any(|check| check["subject"] == "incident_commander" && check["verdict"] == "no_go"),
        "{report:#}"
    );
    assert_eq!(
        one(&report, "destination", "step dns_back")["verdict"],
        "go",
        "a record without a health check proves nothing, and the step has an interlock"
    );
    assert!(stage.proxy.mutating_calls().is_empty());
}
