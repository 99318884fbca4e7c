//! What operators see of Belay at work: traces, logs, metrics.

use std::net::TcpListener;
use std::time::Duration;

use belay_tests::{Signal, Span, TraceCollector, http_get, wait_until, wait_until_within};
use serde_json::{Value, json};

use crate::stage::{DNS_PLAN, Daemon, Stage};

/// What a supervisor allows, and the daemon promises.
const STOP_MAX: Duration = Duration::from_secs(10);

/// The record goes back, then a person is asked.
fn with_a_person() -> String {
    DNS_PLAN.replace(
        "confirm:",
        "  by_hand:\n    needs: [dns_back]\n    action: manual\n    with: { instructions: Tell people. }\nconfirm:",
    )
}

#[track_caller]
fn under<'s>(spans: &'s [Span], parent: &Span, name: &str) -> &'s Span {
    let found = spans.iter().find(|span| span.name == name && span.parent == parent.id && span.trace == parent.trace);
    found.unwrap_or_else(|| panic!("no {name:?} under {parent:?} in {spans:#?}"))
}

#[test]
fn one_trace_leads_from_the_trigger_to_each_call_whatever_dies_on_the_way() {
    let collector = TraceCollector::start();
    let mut stage = Stage::new("trace", &[]);
    stage.belay.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url());
    let plan = stage.plan(&with_a_person());
    let daemon = stage.serve_armed(&plan);
    stage.world.set_weights(0, 100);
    stage.world.set_alarm("/alarms/errors", "ALARM");
    let run = daemon.wait_until("the person to be asked", |migration| {
        let waiting = migration["run"]["steps"]["by_hand"]["phase"] == "awaiting_approval";
        waiting.then(|| migration["run"]["id"].as_str().unwrap().to_owned())
    });
    collector.wait_for("step dns_back");
    drop(daemon); // killed in the middle of the run

    let daemon = stage.serve(&plan);
    let approve = json!({ "answer": "approve", "reason": "they know" });
    let answer = daemon.post(&format!("/v1/runs/{run}/steps/by_hand/approve"), &approve);
    assert_eq!(answer.status, 200, "{answer:?}");
    daemon.wait_for_state("rolled_back");
    let stopped = daemon.terminate();
    assert_eq!(stopped.code, 0, "{stopped}");

    let spans = collector.spans();
    let incident = spans.iter().find(|span| span.name == "incident").unwrap();
    assert_eq!((incident.parent.as_str(), incident.service.as_str()), ("", "belay"));
    let trigger = under(&spans, incident, "trigger customers_hurt");
    assert_eq!(trigger.attributes["severity"], "critical");
    assert_eq!(under(&spans, incident, "decision").attributes["decision"], "roll_back");
    let whole = under(&spans, incident, "run");
    assert_eq!((whole.attributes["run"].as_str(), whole.attributes["outcome"].as_str()), (run.as_str(), "rolled_back"));
    assert_eq!(whole.attributes["migration"], stage.name());
    under(&spans, whole, "step by_hand");
    let step = under(&spans, whole, "step dns_back");
    under(&spans, step, "gate page");
    let look = under(&spans, step, "look");
    under(&spans, look, "Route 53 ListResourceRecordSets");
    let send = under(&spans, step, "send");
    assert_eq!(send.attributes["attempt"], "1");
    let call = under(&spans, send, "Route 53 ChangeResourceRecordSets");
    let expected =
        [("service", "Route 53"), ("operation", "ChangeResourceRecordSets"), ("outcome", "ok"), ("status", "200")];
    for (name, value) in expected {
        assert_eq!(call.attributes[name], value, "{call:?}");
    }
    assert!(spans.iter().all(|span| span.trace == incident.trace), "the watch's own calls are in no trace: {spans:#?}");
}

#[test]
fn a_collector_that_hangs_holds_nothing_up() {
    // It takes connections, and never answers.
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stage = Stage::new("hang", &[]);
    stage.belay.env("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{}", collector.local_addr().unwrap()));
    let plan = stage.plan(DNS_PLAN);
    let mut daemon = stage.serve_armed(&plan);
    stage.world.set_weights(0, 100);
    stage.world.set_alarm("/alarms/errors", "ALARM");
    daemon.wait_for_state("rolled_back");
    daemon.process().wait_for_stderr("traces cannot be delivered");
    let metrics = http_get(&format!("{}/metrics", daemon.url)).unwrap();
    assert!(metrics.body.contains("belay_spans_total{outcome=\"failed\"}"), "{}", metrics.body);
    assert!(metrics.body.contains("belay_aws_calls_total{service=\"Route 53\""), "{}", metrics.body);
    let stopped = daemon.terminate();
    assert_eq!(stopped.code, 0, "{stopped}");
}

#[test]
fn a_log_that_nobody_reads_holds_nothing_up() {
    let mut stage = Stage::new("unread", &[]);
    stage.belay.env("RUST_LOG", "trace");
    let plan = stage.plan(DNS_PLAN);
    let mut daemon = stage.serve_armed(&plan);
    let lost = |daemon: &Daemon| {
        let metrics = http_get(&format!("{}/metrics", daemon.url)).unwrap().body;
        let line = metrics.lines().find_map(|line| line.strip_prefix("belay_log_lines_lost_total "));
        line.unwrap().parse::<u64>().unwrap()
    };
    let path = format!("/v1/migrations/{}/rollback", stage.name());
    let fill = |daemon: &mut Daemon| {
        let before = lost(daemon);
        daemon.process().read_stderr(false);
        wait_until("the log to be full", || {
            // Each call to AWS is worth a hundred lines.
            daemon.post(&path, &json!({ "reason": "a test", "dry_run": true }));
            (lost(daemon) > before).then_some(())
        });
    };
    fill(&mut daemon);
    stage.world.set_weights(0, 100);
    stage.world.set_alarm("/alarms/errors", "ALARM");
    daemon.wait_for_state("rolled_back");

    // Whoever reads again is told what is missing.
    daemon.process().read_stderr(true);
    daemon.process().wait_for_stderr("lines of this log were lost");
    fill(&mut daemon);
    daemon.process().signal(Signal::TERM);
    wait_until_within(STOP_MAX, "the daemon to stop", || (!daemon.process().is_running()).then_some(()));
    let stopped = daemon.terminate();
    assert_eq!(stopped.code, 0);
    assert_eq!(stage.belay.run(&["audit"]).code, 0);
}

#[test]
fn json_logs_are_flat_and_have_the_ids() {
    let mut stage = Stage::new("logs", &[]);
    stage.belay.env("RUST_LOG", "info,belay_aws=debug");
    let plan = stage.plan(DNS_PLAN);
    let daemon = stage.serve_with(&["--log-format", "json", "serve", "--plan", &plan]);
    let armed = stage.belay.run(&["arm"]);
    assert_eq!(armed.code, 0, "{armed}");
    stage.world.set_weights(0, 100);
    stage.world.set_alarm("/alarms/errors", "ALARM");
    let run = daemon.wait_for_state("rolled_back")["run"]["id"].clone();
    let stopped = daemon.terminate();

    let lines: Vec<Value> = stopped
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for line in &lines {
        let entries = line.as_object().unwrap();
        for key in ["timestamp", "level", "message", "target"] {
            assert!(line[key].is_string(), "{line}");
        }
        assert!(entries.iter().all(|(key, value)| !value.is_object() && !key.starts_with("otel.")), "{line}");
    }
    let says = |part: &str| {
        let found = lines.iter().find(|line| line["message"].as_str().unwrap().contains(part));
        found.unwrap_or_else(|| panic!("nothing says {part:?}:\n{}", stopped.stderr)).clone()
    };
    for edge in ["armed", "has fired", "decided: ", "a run has begun", "dns_back: sending, attempt 1", "dns_back: done"]
    {
        let line = says(edge);
        assert_eq!(line["migration"], stage.name(), "{line}");
    }
    assert_eq!(says("dns_back: done")["run"], run);
    assert_eq!(says("dns_back: done")["step"], "dns_back");
    assert!(says("a run has begun")["incident"].is_string());
    // The calls for a step know it by the spans around them.
    let call = lines.iter().find(|line| line["operation"] == "ChangeResourceRecordSets").unwrap();
    assert_eq!((&call["run"], &call["step"], &call["attempt"]), (&run, &json!("dns_back"), &json!(1)), "{call}");
}
