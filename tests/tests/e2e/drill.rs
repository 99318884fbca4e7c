//! `belay drill`: the plan carried out in staging, measured, and put back.

use serde_json::{Value, json};

use crate::stage::{DNS_PLAN, PLAN, Stage};

/// The plan is of a world that does not exist; its overlay is of the one that does.
const OVERLAID: &str = r#"
overlays:
  staging:
    aws: { account: "$account", region: $region }
    signals:
      errors: { alarm: $errors }
      blue_ready: { target_health: { target_group: $blue } }
    steps:
      listener_back: { with: { listener: "$listener" }, to: { $blue: 100, $green: 0 } }
      rule_back: { with: { rule: "$rule" }, to: { $blue: 100, $green: 0 } }
      dns_back: { with: { zone: $zone, record: $record }, to: { $blue_set: 100, $green_set: 0 } }
"#;

fn production() -> String {
    let own = PLAN
        .replace("\"$account\", region: $region", "\"999988887777\", region: eu-west-1")
        .replace("$errors", "shop-5xx")
        .replace("target_group: $blue,", "target_group: shop-blue,")
        .replace("{ $blue: 100, $green: 0 }", "{ shop-blue: 100, shop-green: 0 }")
        .replace("{ $blue_set: 100, $green_set: 0 }", "{ blue: 100, green: 0 }")
        .replace("$zone, record: $record", "Z0PRODUCTION0, record: shop.example.com")
        .replace("$listener", "arn:aws:elasticloadbalancing:eu-west-1:999988887777:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2")
        .replace("$rule", "arn:aws:elasticloadbalancing:eu-west-1:999988887777:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee");
    format!("{own}{OVERLAID}")
}

#[test]
fn staging_is_broken_rolled_back_measured_and_put_back() {
    let stage = Stage::new("drill", &["--seed", "7"]);
    stage.wait_for_target("blue", "healthy");
    let plan = stage.plan(&production());
    let staging = [&plan, "--overlay", "staging"];
    let drill = ["--fire", "customers_hurt", "--reason", "a rehearsal", "--put-back", "--json"];
    let mut process = stage.belay.spawn(&[&["drill"], &staging[..], &drill].concat());
    process.wait_for_stderr("make the cutover of staging now");
    assert!(stage.proxy.mutating_calls().is_empty());
    stage.world.set_weights(0, 100);
    stage.wait_for_target("green", "healthy");
    let done = process.wait();
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(stage.weights(), [(0, 100); 3], "as it was before the drill");

    let lines = done.json_lines();
    let report = lines.last().unwrap();
    assert_eq!(report["verdict"], "within", "{report:#}");
    assert_eq!((&report["overlaid"]["overlay"], &report["trigger"]), (&json!("staging"), &json!("customers_hurt")));
    assert_eq!(report["put_back"]["state"], "undone", "{report:#}");
    assert_eq!(report["objectives"][0]["name"], "rto");
    for time in ["detection_s", "decision_s", "recovery_s", "confidence_s", "total_s"] {
        assert!(report[time].is_f64(), "{time}: {report:#}");
    }
    assert!(report["detection_s"].as_f64() >= Some(1.0), "the trigger's dwell: {report:#}");
    for step in ["listener_back", "rule_back", "dns_back"] {
        let step = &report["steps"][step];
        assert_eq!((&step["phase"], &step["expected_from"]), (&json!("done"), &json!("default")), "{report:#}");
    }
    let turned = |line: &&Value| line["event"]["type"] == "signal_turned" && line["event"]["signal"] == "errors";
    let injected = lines.iter().filter(turned).find(|line| line["event"]["to"] == "unhealthy").unwrap();
    assert_eq!(injected["event"]["evidence"], "injected by the drill");
    assert_eq!(lines.iter().rfind(turned).unwrap()["event"]["to"], "healthy", "the true alarm counts again");
    let kinds: Vec<&Value> =
        lines.iter().filter(|line| line["event"]["type"] == "run_started").map(|line| &line["event"]["kind"]).collect();
    assert_eq!(kinds, ["drill"]);

    // It is on record, under a name of its own, and what it measured is what is expected from then on.
    let audit = stage.belay.run(&["audit", "--json"]);
    assert_eq!(audit.code, 0, "{audit}");
    let audit = audit.json();
    assert_eq!(audit["streams"][0]["stream"], format!("{}-staging", stage.name()));
    assert_eq!((&audit["drills"][0]["verdict"], &audit["drills"][0]["run"]), (&json!("within"), &report["run"]));
    let dry = stage.belay.run(&[&["dry-run"], &staging[..], &["--json"]].concat());
    assert_eq!(dry.code, 0, "{dry}");
    let step = &dry.json()["steps"]["dns_back"];
    assert_eq!((&step["expected_from"], &step["measured_runs"]), (&json!("measured"), &json!(1)), "{step:#}");
    let text = stage.belay.run(&[&["dry-run"], &staging[..]].concat());
    assert!(text.stdout.contains("(measured, 1 run)"), "{text}");
}

#[test]
fn a_drill_outside_its_objectives_says_no_and_how_to_put_it_back() {
    let stage = Stage::cut_over("drillno", &[]);
    let plan = stage.plan(DNS_PLAN);
    let drill = ["drill", &plan, "--set", "objectives.rto=1ms"];
    let done = stage.belay.run(&[&drill[..], &["--reason", "a rehearsal"]].concat());
    assert_eq!(done.code, 3, "{done}");
    assert!(done.stdout.contains("outside the objectives"), "{done}");
    assert_eq!(stage.weights()[0], (100, 0));
    let drills = stage.belay.run(&["audit", "--json"]).json()["drills"].clone();
    assert_eq!(drills[0]["stream"], format!("{}-drill", stage.name()), "never among the records of the migration");
    let command = done.stdout.lines().find_map(|line| line.split("as it was: ").nth(1)).unwrap().to_owned();
    let run = command.split("--put-back=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    // Nothing proves that the other side is healthy: whoever asks for it back answers for it, by name, on record.
    let put_back = format!("--put-back={run}");
    let back = stage.belay.run(&[&drill[..], &[&put_back, "--reason", "after the drill"]].concat());
    assert_eq!(back.code, 0, "{back}");
    assert_eq!(stage.weights()[0], (0, 100));
    assert!(back.stdout.contains("is overridden by a person"), "{back}");
    let again = stage.belay.run(&[&drill[..], &[&put_back, "--reason", "once more"]].concat());
    assert_eq!(again.code, 5, "{again}");
}

#[test]
fn a_drill_that_halts_is_on_record_and_its_run_can_go_on() {
    let stage = Stage::cut_over("drillhalt", &[]);
    let plan = stage.plan(DNS_PLAN);
    stage.page.set_healthy(false);
    let done = stage.belay.run(&["drill", &plan, "--fire", "customers_hurt", "--reason", "a rehearsal", "--json"]);
    assert_eq!(done.code, 4, "{done}");
    assert!(done.stderr.contains("no overlay is chosen"), "{done}");
    let lines = done.json_lines();
    let report = lines.last().unwrap();
    assert_eq!((&report["verdict"], &report["put_back"]), (&json!("halted"), &Value::Null), "{report:#}");
    assert_eq!(report["steps"]["dns_back"]["phase"], "failed");
    assert_eq!(stage.belay.run(&["audit", "--json"]).json()["drills"][0]["verdict"], "halted");
    let again = stage.belay.run(&["drill", &plan, "--reason", "a rehearsal"]);
    assert_eq!(again.code, 5, "{again}");
    stage.page.set_healthy(true);
    let on = stage.belay.run(&["run", &plan, "--reason", "the page is back", "--json"]);
    assert_eq!(on.code, 0, "{on}");
    assert_eq!(on.json_lines().last().unwrap()["kind"], "drill");
    assert_eq!(stage.weights()[0], (100, 0));
}

#[test]
fn bad_input_changes_nothing() {
    let stage = Stage::cut_over("drillbad", &[]);
    let plan = stage.plan(&format!("{DNS_PLAN}overlays:\n  staging: {{ aws: {{ account: \"444455556666\" }} }}\n"));
    let drill = |arguments: &[&str]| {
        stage.belay.run(&[&["drill", plan.as_str(), "--reason", "a rehearsal"], arguments].concat())
    };
    for (arguments, told) in [
        (["--fire", "customers_hrut"], "its triggers are: customers_hurt"),
        (["--overlay", "stagin"], "did you mean `staging`?"),
        (["--set", "steps.dns_bakc.with.zone=Z1"], "did you mean `dns_back`?"),
        (["--set", "steps.dns_back.with.zoen=Z1"], "did you mean `zone`?"),
    ] {
        let done = drill(&arguments);
        assert_eq!(done.code, 2, "{done}");
        assert!(done.stderr.contains(told), "{done}");
    }
    let other = drill(&["--overlay", "staging"]);
    assert_eq!(other.code, 5, "credentials of another account: {other}");
    assert!(stage.proxy.mutating_calls().is_empty());
    assert_eq!(stage.weights()[0], (0, 100));
}
