//! Records as real accounts have them: traffic that moves in stages, what somebody has deleted, zones by their names.

use belay_tests::{Kind, When};
use serde_json::{Value, json};

use crate::journal::{records, step_events};
use crate::stage::{DNS_PLAN, Stage};

/// The plan with the zone by its name.
fn by_name(stage: &Stage) -> String {
    DNS_PLAN.replace("$zone", stage.world.text("/dns/zone_name"))
}

/// The weights that the calls so far have sent, in order.
fn sent(stage: &Stage) -> Vec<Vec<u32>> {
    let weight = |part: &str| part.split('<').next().unwrap().parse().unwrap();
    let weights = |body: &str| body.split("<Weight>").skip(1).map(weight).collect();
    let calls = stage.proxy.calls().into_iter().filter(|call| call.action == "ChangeResourceRecordSets");
    calls.map(|call| weights(&call.body)).collect()
}

#[test]
fn traffic_moves_in_stages_with_a_gate_between_and_a_lost_answer_in_the_middle() {
    let stage = Stage::cut_over("stages", &[]);
    let staged = "    stages: [10, 50, 100]\n    verify: [{ signal: page, within: 1m, for: 1s }]\n";
    let plan = stage.plan(&by_name(&stage).replace("    require: [page]\n", &format!("    require: [page]\n{staged}")));
    let dry = stage.belay.run(&["dry-run", &plan, "--json"]);
    assert_eq!(dry.code, 0, "{dry}");
    let changes = &dry.json()["steps"]["dns_back"]["changes"];
    let blue = stage.world.text("/dns/sets/blue/id");
    let after: Vec<&Value> = changes.as_array().unwrap().iter().map(|change| &change["after"][blue]).collect();
    assert_eq!(after, [10, 50, 100], "each stage with its exact weights");

    stage.proxy.fault("route53", "ChangeResourceRecordSets", When::Nth(2), Kind::LostAnswer);
    let done = stage.run(&plan);
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(sent(&stage), [[10, 90], [50, 50], [100, 0]], "each sent once");
    assert_eq!((stage.world.dns_weights()["blue"], stage.world.dns_weights()["green"]), (100, 0));
    let records = records(&stage.belay);
    let passed: Vec<Value> = step_events(&records, "stage_passed").iter().map(|e| e["percent"].clone()).collect();
    assert_eq!(passed, [10, 50]);
    // Interlocks and gates are read for each part.
    assert_eq!(step_events(&records, "require_passed").len(), 3);
    assert_eq!(step_events(&records, "verify_opened").len(), 3);
}

#[test]
fn a_member_that_somebody_deleted_is_put_back_as_it_was() {
    let stage = Stage::new("deleted", &["--health-check"]);
    let plan = stage.plan(&by_name(&stage).replace("    to: { $blue_set: 100, $green_set: 0 }\n", ""));
    let captured = stage.belay.run(&["capture", &plan, "-o", "baseline.json"]);
    assert_eq!(captured.code, 0, "{captured}");
    let before = stage.world.records();
    let zone = stage.world.text("/dns/zone");
    stage.world.set_some_weights(0, 100, &["dns"]);
    delete(&stage, zone, "blue");

    let done = stage.belay.run(&["run", &plan, "--reason", "a test", "--json", "--baseline", "baseline.json"]);
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(stage.world.records(), before, "value, time to live and health check");
    let again = format!("create {} again", stage.world.text("/dns/sets/blue/id"));
    assert!(done.stdout.contains(&again), "{done}");
}

fn delete(stage: &Stage, zone: &str, member: &str) {
    let listed = stage.world.call("route53", "list_resource_record_sets", &json!({ "HostedZoneId": zone }));
    let sets = listed["ResourceRecordSets"].as_array().unwrap().iter();
    let deleted: Vec<Value> = sets
        .filter(|set| set["SetIdentifier"] == stage.world.text(&format!("/dns/sets/{member}/id")))
        .map(|set| json!({ "Action": "DELETE", "ResourceRecordSet": set }))
        .collect();
    assert_eq!(deleted.len(), 1);
    let batch = json!({ "HostedZoneId": zone, "ChangeBatch": { "Changes": deleted } });
    let answer = stage.world.call("route53", "change_resource_record_sets", &batch);
    assert_eq!(answer["error"], Value::Null, "{answer}");
}

#[test]
fn a_name_that_two_zones_have_is_told_with_their_ids() {
    let stage = Stage::cut_over("twice", &[]);
    let (name, first) = (stage.world.text("/dns/zone_name"), stage.world.text("/dns/zone"));
    let second =
        stage.world.call("route53", "create_hosted_zone", &json!({ "Name": name, "CallerReference": "second" }));
    let second = second["HostedZone"]["Id"].as_str().unwrap_or_else(|| panic!("{second}"));
    let dry = stage.belay.run(&["dry-run", &stage.plan(&by_name(&stage)), "--json"]);
    assert_eq!(dry.code, 3, "{dry}");
    let why = dry.json()["stopped_by"][0]["why"].as_str().unwrap().to_owned();
    assert!(why.contains(first) && why.contains(second.trim_start_matches("/hostedzone/")), "{why}");

    // As AWS answers it, an id may be pasted.
    let pasted = DNS_PLAN.replace("$zone", &format!("/hostedzone/{first}"));
    let done = stage.run(&stage.plan(&pasted));
    assert_eq!(done.code, 0, "{done}");
}
