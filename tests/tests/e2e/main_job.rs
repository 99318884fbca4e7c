//! The whole story: arm, cut over, an alarm, and the daemon puts everything back by itself.

use serde_json::{Value, json};

use crate::journal::{events, intents, records};
use crate::stage::{PLAN, Stage};

/// What an operator may not find changed: TTL, values, neighbours, actions and their order, stickiness.
fn picture(stage: &Stage) -> [Value; 3] {
    let mut picture = [stage.world.records(), stage.world.listener(), stage.world.rule()];
    // "Keep the client secret": the only way to write an action back whose secret nobody can read. The emulator shows it.
    for (read, key) in picture[1..].iter_mut().zip(["DefaultActions", "Actions"]) {
        let authenticate = &mut read[key][0]["AuthenticateOidcConfig"];
        authenticate.as_object_mut().unwrap().remove("UseExistingClientSecret");
    }
    picture
}

#[test]
fn a_bad_cutover_is_rolled_back_by_the_daemon() {
    let options = ["--seed", "11", "--authenticate", "--stickiness", "300", "--extra-sets", "2"];
    let mut stage = Stage::new("job", &options);
    stage.wait_for_target("blue", "healthy");
    let before = picture(&stage);

    // The rule names its target, the others return to what was there.
    let plan = PLAN.replace("    to: { $blue_set: 100, $green_set: 0 }\n", "    to: baseline\n").replacen(
        "    to: { $blue: 100, $green: 0 }\n",
        "    to: baseline\n",
        1,
    );
    let plan = stage.plan(&plan);
    let daemon = stage.serve_armed(&plan);
    let armed = daemon.migration();
    assert_eq!(armed["state"], "armed");
    assert_eq!(armed["pending_plan"], json!(null));
    assert_eq!(armed["baseline"]["steps"], json!(["listener_back", "rule_back", "dns_back"]));

    stage.world.set_weights(0, 100);
    let done = stage.belay.run(&["cutover"]);
    assert_eq!(done.code, 0, "{done}");
    assert!(stage.proxy.mutating_calls().is_empty(), "arming and watching only read");

    stage.world.set_alarm("/alarms/errors", "ALARM");
    stage.proxy.wait_for("route53", "ChangeResourceRecordSets", 1);
    // The customers are well again.
    stage.world.set_alarm("/alarms/errors", "OK");
    let migration = daemon.wait_for_state("rolled_back");

    assert_eq!(picture(&stage), before);
    let calls: Vec<String> = stage.proxy.mutating_calls().into_iter().map(|call| call.action).collect();
    assert_eq!(calls.len(), 3, "{calls:?}");
    assert_eq!(calls[2], "ChangeResourceRecordSets", "DNS needs the two others");
    assert_eq!(stage.world.traffic(10, "/").get("green"), None);

    // It is over: nobody watches until a person arms again.
    assert_eq!(migration["armed"], json!(null));
    assert_eq!(migration["incident"], json!(null));
    assert_eq!(migration["waiting_for"], json!([]));

    let id = migration["run"]["id"].as_str().unwrap();
    let run = daemon.get(&format!("/v1/runs/{id}"));
    assert_eq!(run["migration"], stage.name());
    assert_eq!(run["kind"], "real");
    assert_eq!(run["state"], "rolled_back");
    assert_eq!(run["reason"], "trigger customers_hurt fired");
    assert!(run["started"].is_string() && run["ended"].is_string(), "{run:#}");
    for step in ["listener_back", "rule_back", "dns_back"] {
        let step = &run["steps"][step];
        assert_eq!(step["phase"], "done", "{step:#}");
        assert_eq!(step["attempt"], 1, "{step:#}");
        assert_eq!(step["waiting_for"], json!([]), "{step:#}");
        assert_eq!(step["changes"].as_array().unwrap().len(), 1, "{step:#}");
        assert_eq!(step["changes"][0]["effective"], true, "{step:#}");
    }
    let change = &run["steps"]["dns_back"]["changes"][0];
    let blue = stage.world.text("/dns/sets/blue/id");
    assert_eq!((&change["before"][blue], &change["after"][blue]), (&json!(0), &json!(100)), "{change:#}");
    assert_eq!(daemon.get("/v1/runs"), json!({ "items": [run], "next": null }));

    let incident = &daemon.get("/v1/incidents")["items"][0];
    assert_eq!(incident["triggers"], json!(["customers_hurt"]));
    assert_eq!(incident["decision"], "roll_back");
    assert_eq!(incident["outcome"], "rolled_back");
    assert_eq!(incident["run"], id);

    let status = stage.belay.run(&["status", stage.name(), "--json"]);
    assert_eq!(status.code, 0, "{status}");
    assert_eq!(status.json()["state"], "rolled_back");

    let records = records(&stage.belay);
    assert_eq!(intents(&records).len(), 3);
    assert_eq!(events(&records, "baseline_captured").len(), 1);
    let audit = stage.belay.run(&["audit", "--json"]);
    assert_eq!(audit.code, 0, "{audit}");
    assert_eq!(audit.json()["streams"][0]["records"], records.len());

    // The journal is whole after a stop too, and the next start finds the migration as it was left.
    let head = migration["head"].as_str().unwrap();
    let stopped = daemon.terminate();
    assert_eq!(stopped.code, 0, "{stopped}");
    let audit = stage.belay.run(&["audit", stage.name(), "--head", head]);
    assert_eq!(audit.code, 0, "{audit}");
    let daemon = stage.serve(&plan);
    assert_eq!(daemon.migration()["state"], "rolled_back");
    assert_eq!(stage.proxy.mutating_calls().len(), 3);
}

#[test]
fn an_edited_plan_is_pending_until_it_is_armed_again() {
    let mut stage = Stage::new("edited", &[]);
    let plan = stage.plan(crate::stage::DNS_PLAN);
    let daemon = stage.serve_armed(&plan);
    stage.world.set_weights(0, 100);

    // The file now says something else; what was armed is what runs.
    stage.plan(&crate::stage::DNS_PLAN.replace("$blue_set: 100", "$blue_set: 7"));
    let migration = daemon.migration();
    assert!(migration["pending_plan"].is_string(), "{migration:#}");
    assert_ne!(migration["pending_plan"], migration["plan_sha256"]);

    stage.world.set_alarm("/alarms/errors", "ALARM");
    let migration = daemon.wait_for_state("rolled_back");
    assert_eq!(stage.weights()[0], (100, 0));
    assert!(migration["pending_plan"].is_string());
    let again = stage.belay.run(&["arm", "--baseline", "nowhere.json"]);
    assert_eq!(again.code, 2, "{again}");
}
