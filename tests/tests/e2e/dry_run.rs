//! The dry run: exact, and without any way to change something.

use belay_tests::http;
use serde_json::json;

use crate::stage::{DNS_PLAN, PLAN, Stage};

#[test]
fn it_says_exactly_what_would_change() {
    let stage = Stage::cut_over("dry", &["--seed", "5", "--stickiness", "60"]);
    stage.wait_for_target("blue", "healthy");
    let plan = stage.plan(PLAN);
    let done = stage.belay.run(&["dry-run", &plan, "--json"]);
    assert_eq!(done.code, 0, "{done}");
    let report = done.json();
    assert_eq!(report["verdict"], "would_roll_back");
    assert_eq!(report["stopped_by"], json!([]));
    let order: Vec<&String> = report["steps"].as_object().unwrap().keys().collect();
    assert_eq!(order, ["listener_back", "rule_back", "dns_back"]);

    let (blue, green) = (stage.fill("$blue"), stage.fill("$green"));
    let (blue_set, green_set) = (stage.fill("$blue_set"), stage.fill("$green_set"));
    for (step, call, one, other) in [
        ("listener_back", "elasticloadbalancing:ModifyListener", &blue, &green),
        ("rule_back", "elasticloadbalancing:ModifyRule", &blue, &green),
        ("dns_back", "route53:ChangeResourceRecordSets", &blue_set, &green_set),
    ] {
        let step = &report["steps"][step];
        assert_eq!(step["found"], "to_change", "{step:#}");
        let change = &step["changes"][0];
        assert_eq!(change["call"], call);
        assert_eq!(change["before"], json!({ one: 0, other: 100 }));
        assert_eq!(change["after"], json!({ one: 100, other: 0 }));
        assert_eq!(step["require"][0]["signal"], "blue_ready");
        assert_eq!(step["require"][0]["health"], "healthy", "{step:#}");
    }
    assert_eq!(report["critical_path"].as_array().unwrap().last(), Some(&json!("dns_back")));
    assert_eq!((&report["rto_s"], &report["within_rto"]), (&json!(900), &json!(true)));
    assert_eq!(report["signals"]["errors"]["health"], "healthy");
    assert_eq!(report["confirm"][0]["signal"], "errors");

    let only = stage.belay.run(&["dry-run", &plan, "--json", "--only", "rule_back"]);
    assert_eq!(only.json()["steps"].as_object().unwrap().keys().collect::<Vec<_>>(), ["rule_back"]);

    assert_eq!(stage.weights(), [(0, 100); 3]);
    let mutating = stage.proxy.mutating_calls();
    assert!(mutating.is_empty(), "{mutating:?}");
    assert!(!stage.belay.folder().join("belay.db").exists(), "it keeps nothing");
}

#[test]
fn people_can_read_it() {
    let stage = Stage::cut_over("drytext", &[]);
    let plan = stage.plan(DNS_PLAN);
    let done = stage.belay.run(&["dry-run", &plan]);
    assert_eq!(done.code, 0, "{done}");
    let validated = stage.belay.run(&["validate", &plan, "--json"]);
    let sha256 = validated.json()["plans"][0]["plan_sha256"].as_str().unwrap()[..12].to_owned();
    let page = stage.fill("healthy GET $page/ answered 200 in _ ms");
    let expected = [
        format!("dry run of {} plan {sha256}", stage.name()),
        "1 dns_back route53.weights, takes 1m 00s".to_owned(),
        stage.fill("$record A: $blue_set 0 -> 100, $green_set 100 -> 0"),
        "route53:ChangeResourceRecordSets".to_owned(),
        stage.fill("$blue_set: 0 -> 100"),
        stage.fill("$green_set: 100 -> 0"),
        "signal reads now evidence".to_owned(),
        "customers_hurt trigger errors healthy OK: seeded".to_owned(),
        format!("dns_back require page {page}"),
        format!("confirm page within 1m {page}"),
        "beyond AWS, the plan does this: signal page asks 127.0.0.1".to_owned(),
        format!("note: calls to AWS go to {} (AWS_ENDPOINT_URL)", stage.proxy.url()),
        "critical path: dns_back".to_owned(),
        "expected: 1m 00s; the plan has no objective for it (rto)".to_owned(),
        "nothing would stop the rollback now; nothing was changed".to_owned(),
    ];
    // Lines are wrapped where they are too long for the page.
    assert_eq!(words(&done.stdout), expected.join(" "), "{done}");
    assert!(done.stdout.lines().all(|line| line.chars().count() <= 100), "{done}");
}

#[test]
fn an_unhealthy_destination_stops_it() {
    let stage = Stage::cut_over("drysick", &[]);
    stage.blue.set_healthy(false);
    stage.wait_for_target("blue", "unhealthy");
    let plan = stage.plan(PLAN);
    let done = stage.belay.run(&["dry-run", &plan, "--json"]);
    assert_eq!(done.code, 3, "{done}");
    let report = done.json();
    assert_eq!(report["verdict"], "would_stop");
    let stop = &report["stopped_by"][0];
    assert_eq!(stop["step"], "listener_back");
    assert!(stop["why"].as_str().unwrap().starts_with("its interlock blue_ready is unhealthy: 0 of 1"), "{stop}");

    let done = stage.belay.run(&["dry-run", &plan]);
    assert_eq!(done.code, 3, "{done}");
    assert!(done.stdout.contains("stopped: dns_back: its interlock blue_ready is unhealthy"), "{done}");
    assert!(stage.proxy.mutating_calls().is_empty());
}

#[test]
fn the_daemon_rehearses_too() {
    let mut stage = Stage::cut_over("dryhttp", &[]);
    let plan = stage.plan(DNS_PLAN);
    let daemon = stage.serve_armed(&plan);
    let done = stage.belay.run(&["rollback", "--reason", "rehearsal", "--dry-run", "--wait"]);
    assert_eq!(done.code, 0, "{done}");
    assert!(done.stdout.contains("nothing would stop the rollback now"), "{done}");

    stage.page.set_healthy(false);
    let done = stage.belay.run(&["rollback", "--reason", "rehearsal", "--dry-run", "--wait", "--json"]);
    assert_eq!(done.code, 3, "{done}");
    let runs = daemon.get("/v1/runs");
    let run = &runs["items"][0];
    assert_eq!((run["kind"].as_str(), run["state"].as_str()), (Some("dry"), Some("rehearsed")), "{run:#}");
    assert_eq!(run["report"]["stopped_by"][0]["step"], "dns_back");
    let step = &run["steps"]["dns_back"];
    assert_eq!((step["phase"].as_str(), step["attempt"].as_u64()), (Some("pending"), Some(0)), "{step:#}");
    assert_eq!(step["changes"][0]["call"], "route53:ChangeResourceRecordSets");

    let migration = daemon.migration();
    assert_eq!(migration["state"], "armed", "a rehearsal changes nothing");
    assert!(stage.proxy.mutating_calls().is_empty());
    let page = http("GET", &format!("{}/metrics", daemon.url), &[], "").unwrap();
    assert!(page.body.contains(&format!("belay_migration_state{{migration=\"{}\",state=\"armed\"}} 1", stage.name())));
}

/// A text's words, without the time that a probe took.
fn words(text: &str) -> String {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    for index in 1..words.len() {
        if words[index] == "ms" {
            words[index - 1] = "_";
        }
    }
    words.join(" ")
}
