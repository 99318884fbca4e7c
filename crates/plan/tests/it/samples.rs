//! Every sample: the good ones load, the bad ones say exactly what is wrong with them.

use std::time::Duration;

use belay_plan::{
    Changes, Loaded, PlanPlaces, load, load_with,
    model::{Condition, Decision, OnFailure, Plan, Target},
};

use crate::{catalogue::catalogue, golden, samples_in};

pub(crate) fn good(name: &str) -> Loaded {
    let (_, text) = samples_in("valid").into_iter().find(|(sample, _)| sample == name).expect("the sample");
    load(name, &text, &catalogue()).expect("a valid plan")
}

#[test]
fn good_samples_load_and_survive_the_journal() {
    for (name, text) in samples_in("valid") {
        let loaded = load(&name, &text, &catalogue()).unwrap_or_else(|diagnostics| {
            let rendered: Vec<String> = diagnostics.iter().map(|diagnostic| diagnostic.render(false)).collect();
            panic!("{name}:\n{}", rendered.join("\n\n"))
        });
        let journaled = serde_json::to_string(&loaded.plan).expect("JSON");
        let read_back: Plan = serde_json::from_str(&journaled).expect("the plan");
        assert_eq!(read_back, loaded.plan, "{name}");
        golden(&format!("tests/samples/valid/{name}.json"), &format!("{:#}\n", serde_json::json!(loaded.plan)));
    }
}

#[test]
fn bad_samples_say_what_is_wrong() {
    for (name, text) in samples_in("invalid") {
        let diagnostics = load(&format!("{name}.yaml"), &text, &catalogue()).expect_err(&name);
        let rendered: Vec<String> = diagnostics.iter().map(|diagnostic| diagnostic.render(false)).collect();
        golden(&format!("tests/samples/invalid/{name}.txt"), &format!("{}\n", rendered.join("\n\n")));
    }
}

#[test]
fn the_design_plan_means_what_it_says() {
    let Loaded { plan, sha256, .. } = good("checkout");
    assert_eq!(sha256.len(), 64);
    assert_eq!(plan.migration, "checkout-cutover");
    assert_eq!(plan.objectives.rto, Some(Duration::from_secs(900)));
    let trigger = &plan.triggers["customers_hurt"];
    let names = ["customer_errors", "latency"].map(|name| Condition::Signal(name.to_owned()));
    assert_eq!(trigger.when, Condition::Any(Vec::from(names)));
    assert_eq!(trigger.dwell, Duration::from_secs(60));
    assert!(plan.decision.custom);
    let dns = &plan.steps["dns_back"];
    assert_eq!(dns.to, Target::Baseline);
    assert_eq!(dns.resource, "route53:Z0123456789ABC/checkout.example.com/A");
    assert_eq!(dns.require[0].within, Duration::ZERO);
    assert_eq!(plan.steps["alb_back"].verify[0].within, Duration::from_secs(300));
    let db = &plan.steps["db_back"];
    assert_eq!(db.to, Target::Own);
    assert!(db.loses_data);
    assert_eq!(db.on_failure, OnFailure::Halt);
    assert_eq!(db.timeout, Duration::from_secs(7_200));
    assert_eq!(db.retry.attempts, 5);
    assert_eq!(db.retry.backoff_max, Duration::from_secs(30));
    assert_eq!(plan.signals["latency"].spec["metric"]["period"], "1m");
    assert_eq!(
        plan.signals["customer_errors"].spec,
        serde_json::json!({"alarm": "checkout-5xx", "missing": "unknown"})
    );
    assert_eq!(plan.signals["customer_errors"].aws.region.as_deref(), Some("eu-west-1"));
}

#[test]
fn defaults_are_filled_in() {
    let Loaded { plan, .. } = good("smallest");
    assert_eq!(plan.decision, Decision::default());
    assert!(plan.triggers.is_empty() && plan.confirm.is_empty() && plan.window.is_none());
}

#[test]
fn an_own_aws_stands_over_the_plans() {
    let Loaded { plan, .. } = good("two-accounts");
    let same_account = &plan.steps["same_account"].aws;
    assert_eq!(same_account.role, plan.aws.role);
    assert_eq!(same_account.region.as_deref(), Some("us-east-1"));
    let other_account = &plan.steps["other_account"].aws;
    assert_eq!(other_account.account.as_deref(), Some("444455556666"));
    assert_eq!((&other_account.role, &other_account.external_id), (&None, &None));
    assert_eq!(other_account.region, plan.aws.region);
}

#[test]
fn json_carries_the_same_as_the_text() {
    let text = "belay: 1\nmigration: m\nsteps:\n  a: { action: wait, with: { fro: 5s } }\n";
    let diagnostics = load("plan.yaml", text, &catalogue()).expect_err("a typo");
    let json = serde_json::to_value(&diagnostics[0]).expect("JSON");
    assert_eq!(
        json,
        serde_json::json!({
            "message": "`for` is missing",
            "file": "plan.yaml", "line": 4, "column": 22, "column_end": 26,
            "source_line": "  a: { action: wait, with: { fro: 5s } }",
            "help": "`for`: How long to wait. It is a duration such as `30s`, `15m` or `1h30m`.",
        })
    );
}

#[test]
fn a_timebox_that_is_no_shorter_than_the_rto_is_remarked() {
    let text = "belay: 1
migration: m
objectives: { rto: 15m }
decision:
  rules:
    - { severity: critical, do: fix_first, timebox: 20m }
    - { severity: major, do: decide, timebox: 14m, then: roll_back }
    - { severity: minor, scope: isolated, do: decide, timebox: 2h, then: fix_forward }
    - { do: decide, timebox: 15m }
steps:
  a: { action: manual, with: { instructions: Do it. } }
";
    let plan = load("m.yaml", text, &catalogue()).unwrap().plan;
    let remarks = belay_plan::remarks("m.yaml", text, &plan, &catalogue());
    let found: Vec<_> = remarks.iter().map(|remark| (remark.place.line, remark.message.as_str())).collect();
    let late = |time: &str| format!("people have {time}, and the rto is 15m: a rollback after that is late");
    assert_eq!(found, [(6, late("20m").as_str()), (9, late("15m").as_str())]);
    assert_eq!(remarks[0].help.as_deref(), Some("give people less time, or the objective more"));
}

#[test]
fn a_rule_for_a_problem_whose_triggers_sleep_is_remarked() {
    let text = "belay: 1
migration: m
phases: { backfill: {}, cutover: {}, soak: {} }
signals:
  long: { elapsed: { since: cutover, at_most: 2h } }
triggers:
  rows: { when: long, severity: major, problem: data, during: [soak] }
decision:
  rules:
    - { problem: data, during: [backfill, cutover], do: roll_back }
    - { problem: data, during: [soak], do: roll_back }
    - { do: fix_forward }
steps:
  a: { action: manual, with: { instructions: Do it. } }
";
    let plan = load("m.yaml", text, &catalogue()).unwrap().plan;
    let remarks = belay_plan::remarks("m.yaml", text, &plan, &catalogue());
    let found: Vec<_> = remarks.iter().map(|remark| (remark.place.line, remark.message.as_str())).collect();
    assert_eq!(
        found,
        [(10, "no trigger with the problem `data` is awake in backfill, cutover: this rule decides nothing")]
    );
}

#[test]
fn a_topic_of_another_account_is_remarked() {
    let text = "belay: 1
migration: m
aws: { account: \"111122223333\", region: eu-west-1 }
notify:
  own: { sns: \"arn:aws:sns:eu-west-1:111122223333:team\" }
  other:
    sns: \"arn:aws:sns:eu-west-1:999999999999:team\"
steps:
  a: { action: manual, with: { instructions: Do it. } }
";
    let plan = load("m.yaml", text, &catalogue()).unwrap().plan;
    let remarks = belay_plan::remarks("m.yaml", text, &plan, &catalogue());
    let found: Vec<_> = remarks.iter().map(|remark| (remark.place.line, remark.message.as_str())).collect();
    assert_eq!(found, [(7, "this is of the account 999999999999, and the plan is about the account 111122223333")]);
}

/// Zeros and empty lists that are valid, and hardly meant.
#[test]
fn what_leaves_no_time_or_names_nobody_is_remarked() {
    let text = "belay: 1
migration: m
signals:
  long: { elapsed: { since: cutover, at_most: 0s } }
triggers:
  late: { when: long, severity: major }
decision:
  authority: []
  rules:
    - { severity: critical, do: decide, authority: [] }
    - { do: decide }
window: { point_of_no_return: 0s }
steps:
  a: { action: manual, with: { instructions: Do it. } }
";
    let plan = load("m.yaml", text, &catalogue()).unwrap().plan;
    let remarks = belay_plan::remarks("m.yaml", text, &plan, &catalogue());
    let mut found: Vec<_> = remarks.iter().map(|remark| (remark.place.line, remark.message.as_str())).collect();
    found.sort_unstable();
    let nobody = "it names no role, so the role `operator` decides";
    let passed = "the point of no return is passed as soon as the cutover is marked: nothing rolls back by itself then";
    let late = "it is unhealthy from the first moment on";
    assert_eq!(found, [(4, late), (8, nobody), (10, nobody), (12, passed)]);
    let usual = text.replace("  authority: []\n", "").replace(", authority: []", "").replace("0s", "4h");
    let plan = load("m.yaml", &usual, &catalogue()).unwrap().plan;
    assert_eq!(belay_plan::remarks("m.yaml", &usual, &plan, &catalogue()), []);
}

/// Each stage of a migration may have a procedure of its own.
#[test]
fn steps_of_phases_that_never_meet_may_act_on_one_thing() {
    let text = "belay: 1
migration: m
phases: { cutover: {}, soak: {} }
steps:
  now: { action: rds.restore, with: { instance: shop, from: { time: latest } }, during: [cutover] }
  later: { action: rds.restore, with: { instance: shop, from: { time: cutover } }, during: [SECOND] }
";
    assert!(load("m.yaml", &text.replace("SECOND", "soak"), &catalogue()).is_ok());
    let error = load("m.yaml", &text.replace("SECOND", "cutover, soak"), &catalogue()).unwrap_err();
    assert!(error[0].message.contains("act on the same thing"), "{error:?}");
}

#[test]
fn a_remark_stands_at_the_place_that_its_pointer_names() {
    let text = "belay: 1\nmigration: m\nsteps:\n  a:\n    action: wait\n    with: { for: 5s }\n    needs: [b, c]\n";
    let place = |pointer: &str| {
        let remark = belay_plan::remark("m.yaml", text, pointer, "could be better", "do it better").unwrap();
        (remark.place.line, remark.place.column, remark.place.column_end)
    };
    assert_eq!(place("/steps/a"), (4, 3, 4));
    assert_eq!(place("/steps/a/needs/1"), (7, 16, 17));
    // What the file leaves out is remarked on where it would stand.
    assert_eq!(place("/steps/a/verify/0"), (4, 3, 4));
    assert_eq!(place("/confirm"), (1, 1, 9));
    let remark = belay_plan::remark("m.yaml", text, "/steps/a", "could be better", "do it better").unwrap();
    let shown = remark.render_as_advice(false);
    assert!(shown.starts_with("advice: could be better") && shown.contains("m.yaml:4:3"), "{shown}");
}

#[test]
fn what_is_found_out_about_a_plan_later_has_its_place_in_the_file_or_in_what_is_laid_over_it() {
    let text = "belay: 1
migration: m
signals:
  hurt: { alarm: m-errors }
steps:
  a: { action: wait, with: { for: 5s } }
overlays:
  staging:
    signals: { hurt: { alarm: m-staging } }
";
    let changes = Changes { overlay: Some("staging".to_owned()), set: vec!["steps.a.with.for=6s".to_owned()] };
    let loaded = load_with("m.yaml", text, &catalogue(), &changes).unwrap();
    let places = loaded.places("m.yaml", &catalogue());
    assert_eq!(places.value("/signals/hurt/alarm"), "m.yaml:9:31 (signals.hurt.alarm)");
    assert_eq!(places.value("/steps/a/with/for"), "--set:1:18 (steps.a.with.for)");
    let as_written = load("m.yaml", text, &catalogue()).unwrap().places("m.yaml", &catalogue());
    assert_eq!(as_written.value("/signals/hurt/alarm"), "m.yaml:4:18 (signals.hurt.alarm)");
    assert_eq!(as_written.entry("/signals/hurt"), "m.yaml:4:3 (signals.hurt)");
    // What the file leaves out has the place of what is nearest above it.
    assert_eq!(as_written.entry("/steps/a/verify/0"), "m.yaml:6:6 (steps.a.verify.0)");
    // Of a plan without a file only the path is known.
    assert_eq!(PlanPlaces::default().value("/signals/hurt/alarm"), "signals.hurt.alarm");
}
