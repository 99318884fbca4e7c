//! `/metrics`: that it tells what happens, and that the documentation tells of it.

use std::collections::BTreeSet;

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use belay_core::reading::Health;
use belay_server::{
    http,
    metrics::table::{ALL, Described, Kind},
};
use belay_sim::Rule;
use tower::ServiceExt;

use crate::world::{CHECKOUT, Ground, Running, armed, disarmed};

/// The lines of a metric, and of what belongs to a histogram.
struct Scrape(String);

impl Scrape {
    async fn of(test: &Running) -> Self {
        let answer = test.get("/metrics").await;
        let text = answer.expect(StatusCode::OK);
        Self(text.as_str().expect("it is text").to_owned())
    }

    /// The value of the one series with this name and labels.
    #[track_caller]
    fn value(&self, series: &str) -> f64 {
        let found = self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let found = found.unwrap_or_else(|| panic!("no {series} in\n{}", self.0));
        found.parse().expect("a number")
    }

    fn has(&self, series: &str) -> bool {
        self.0.lines().any(|line| line.starts_with(series))
    }

    /// The names that the text declares.
    fn names(&self) -> BTreeSet<&str> {
        let declared = self.0.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        declared.filter_map(|line| line.split(' ').next()).collect()
    }
}

/// A breach, a decision, a run to its end.
async fn rolled_back() -> Running {
    let critical = CHECKOUT.replace("severity: minor", "severity: critical");
    let ground = Ground::new(&[("checkout.yaml", &critical)]);
    let config = ground.config();
    let test = ground.start_with(config).await;
    test.post("/v1/migrations/checkout/arm", "{}").await.expect(StatusCode::OK);
    test.ground.world.cut_over();
    let waiting = |shown: &serde_json::Value| shown["run"]["steps"]["by_hand"]["phase"] == "awaiting_approval";
    let shown = test.until("/v1/migrations/checkout", waiting).await;
    let run = format!("/v1/runs/{}", shown["run"]["id"].as_str().expect("an id"));

    let scrape = Scrape::of(&test).await;
    assert_eq!(scrape.value(r#"belay_migration_state{migration="checkout",state="rolling_back"}"#), 1.0);
    assert_eq!(scrape.value(r#"belay_run_state{migration="checkout",kind="real",state="running"}"#), 1.0);
    assert_eq!(scrape.value(r#"belay_steps{migration="checkout",phase="awaiting_approval"}"#), 1.0);
    assert_eq!(scrape.value(r#"belay_steps{migration="checkout",phase="done"}"#), 1.0);
    assert!(scrape.value(r#"belay_run_age_seconds{migration="checkout"}"#) > 0.0);
    assert_eq!(scrape.value(r#"belay_watch_lag_seconds{kind="probe"}"#), 0.0);

    let body = r#"{"answer": "approve", "reason": "it is done"}"#;
    test.post(&format!("{run}/steps/by_hand/approve"), body).await.expect(StatusCode::OK);
    test.until(&run, |run| run["state"] == "rolled_back").await;
    test
}

#[tokio::test(start_paused = true)]
async fn a_rollback_is_counted_and_timed() {
    let test = rolled_back().await;
    let scrape = Scrape::of(&test).await;
    let once = [
        r#"belay_triggers_fired_total{migration="checkout",trigger="hurt",severity="critical"}"#,
        r#"belay_decisions_total{migration="checkout",answer="roll_back"}"#,
        r#"belay_incident_duration_seconds_count{migration="checkout",outcome="rolled_back"}"#,
        r#"belay_run_duration_seconds_count{migration="checkout",kind="real",outcome="rolled_back"}"#,
        r#"belay_step_duration_seconds_count{action="sim.weights",outcome="done"}"#,
        r#"belay_step_duration_seconds_count{action="manual",outcome="done"}"#,
        r#"belay_sends_total{action="sim.weights",outcome="accepted"}"#,
        r#"belay_breach_to_first_call_seconds_count{migration="checkout"}"#,
        r#"belay_migration_state{migration="checkout",state="rolled_back"}"#,
        r#"belay_build_info{version="test"}"#,
        r#"belay_http_requests_total{route="/v1/runs/{run}/steps/{step}/approve",method="POST",status="200"}"#,
    ];
    for series in once {
        assert_eq!(scrape.value(series), 1.0, "{series}");
    }
    // The dwell of 10 s is in it, and little else: the world answers at once, and polls come every 5 s.
    let reaction = scrape.value(r#"belay_breach_to_first_call_seconds_sum{migration="checkout"}"#);
    assert!((10.0..16.0).contains(&reaction), "{reaction}");
    assert_eq!(scrape.value("belay_poll_interval_seconds"), 5.0);
    assert!(scrape.value(r#"belay_watch_readings_total{kind="probe",reading="unhealthy"}"#) >= 1.0);
    let records = scrape.value(r#"belay_journal_records_total{migration="checkout"}"#);
    let seq = test.get("/v1/migrations/checkout").await.body["seq"].as_f64().expect("a number");
    assert_eq!(records, seq, "every record was made durable while this process watched");
    assert!(!scrape.has("belay_run_state{"), "the run is over");
}

/// The next process has not seen the breach; the incident on record has.
#[tokio::test(start_paused = true)]
async fn the_time_from_the_breach_to_the_first_call_survives_a_restart() {
    let critical = CHECKOUT.replace("severity: minor", "severity: critical");
    let ground = Ground::new(&[("checkout.yaml", &critical)]);
    let config = ground.config();
    let test = ground.start_with(config).await;
    test.post("/v1/migrations/checkout/arm", "{}").await.expect(StatusCode::OK);
    // The interlock holds the first change back.
    test.ground.world.set_rule("blue_ready", Rule::Always(Health::Unhealthy));
    test.ground.world.cut_over();
    let shown = test.until("/v1/migrations/checkout", |shown| !shown["run"].is_null()).await;
    let run = format!("/v1/runs/{}", shown["run"]["id"].as_str().expect("an id"));
    test.until(&run, |run| run["steps"]["traffic"]["phase"] == "requiring").await;
    let test = test.crash().await;
    let count = r#"belay_breach_to_first_call_seconds_count{migration="checkout"}"#;
    let began = Scrape::of(&test).await.value(count);
    test.ground.world.set_rule("blue_ready", Rule::Always(Health::Healthy));
    test.until(&run, |run| run["steps"]["traffic"]["phase"] == "done").await;
    let scrape = Scrape::of(&test).await;
    assert_eq!(scrape.value(count), began + 1.0);
    let reaction = scrape.value(r#"belay_breach_to_first_call_seconds_sum{migration="checkout"}"#);
    assert!(reaction >= 10.0, "the dwell is in it: {reaction}");
}

#[tokio::test(start_paused = true)]
async fn signals_are_counted_by_their_health() {
    let test = armed().await;
    test.ground.world.set_rule("errors", Rule::Always(Health::Healthy));
    test.until("/v1/migrations/checkout", |shown| shown["signals"]["errors"]["health"] == "healthy").await;
    let scrape = Scrape::of(&test).await;
    let by_health = ["healthy", "unhealthy", "unknown"]
        .map(|health| scrape.value(&format!(r#"belay_signals{{migration="checkout",health="{health}"}}"#)));
    assert_eq!(by_health.iter().sum::<f64>(), 2.0, "all signals of the plan");
    assert_eq!(by_health[1], 0.0);
    assert_eq!(
        scrape.value(r#"belay_trigger_state{migration="checkout",trigger="hurt",severity="minor",state="quiet"}"#),
        1.0
    );
    assert_eq!(scrape.value(r#"belay_engine_faults{migration="checkout"}"#), 0.0);
    assert_eq!(scrape.value(r#"belay_blind_sources{migration="checkout"}"#), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_request_cannot_make_up_series() {
    let test = disarmed().await;
    for path in ["/v1/runs/a", "/v1/runs/b", "/somewhere", "/elsewhere"] {
        test.get(path).await.expect_problem(404, "not_found");
    }
    for method in ["BREW", "WHEN"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = Request::builder().method(method).uri("/v1/runs").body(Body::empty()).unwrap();
        test.send(request).await.expect_problem(405, "method_not_allowed");
    }
    let scrape = Scrape::of(&test).await;
    assert_eq!(scrape.value(r#"belay_http_requests_total{route="/v1/runs/{run}",method="GET",status="404"}"#), 2.0);
    assert_eq!(scrape.value(r#"belay_http_requests_total{route="none",method="GET",status="404"}"#), 2.0);
    assert_eq!(scrape.value(r#"belay_http_requests_total{route="/v1/runs",method="other",status="405"}"#), 2.0);
}

#[tokio::test(start_paused = true)]
async fn readers_of_events_are_counted_while_they_read() {
    let test = disarmed().await;
    let follow = Request::get("/v1/events").body(Body::empty()).unwrap();
    let following = http::router(test.daemon.clone()).oneshot(follow).await.unwrap();
    assert_eq!(Scrape::of(&test).await.value("belay_event_readers"), 1.0);
    drop(following);
    assert_eq!(Scrape::of(&test).await.value("belay_event_readers"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn the_format_is_negotiated() {
    let test = disarmed().await;
    test.get("/healthz").await.expect(StatusCode::OK);
    let plain = test.get("/metrics").await;
    assert_eq!(plain.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let plain = plain.body.as_str().unwrap().to_owned();
    assert!(plain.contains("# TYPE belay_http_requests_total counter\n"), "{plain}");
    assert!(plain.contains("# HELP belay_http_requests_total Answered requests.\n"), "{plain}");
    assert!(!plain.contains("# EOF"), "{plain}");

    let accept = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let request = Request::get("/metrics").header(header::ACCEPT, accept).body(Body::empty()).unwrap();
    let open = test.send(request).await;
    assert_eq!(open.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let open = open.body.as_str().unwrap().to_owned();
    assert!(open.contains("# TYPE belay_http_requests counter\n") && open.ends_with("# EOF\n"), "{open}");
}

/// The metrics that a rollback in a simulated world cannot bring forth.
const NEED_MORE: &[&str] = &[
    "belay_aws_calls_total",
    "belay_aws_call_duration_seconds",
    "belay_aws_throttled_seconds_total",
    "belay_aws_budget_wait_seconds_total",
    "belay_heartbeats_total",
    "belay_loss_seconds",
    "belay_notices_total",
    "belay_notice_delay_seconds",
    "belay_phase",
    "belay_phase_age_seconds",
    "belay_readiness_checks",
    "belay_spans_total",
    "belay_timebox_left_seconds",
    "belay_window_left_seconds",
];

#[tokio::test(start_paused = true)]
async fn what_is_shown_is_what_the_table_says() {
    let scrape = rolled_back_and_under_way().await;
    let in_table: BTreeSet<&str> = ALL.iter().map(|described| described.name).collect();
    let shown = scrape.names();
    assert_eq!(shown.difference(&in_table).collect::<Vec<_>>(), Vec::<&&str>::new());
    let missing = in_table.difference(&shown).copied().filter(|name| !NEED_MORE.contains(name));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&str>::new());
    for Described { name, labels, .. } in ALL.iter().filter(|described| shown.contains(described.name)) {
        let lines = scrape.0.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        for line in lines {
            assert!(labels.iter().all(|label| line.contains(&format!("{label}=\""))), "{line}");
            assert_eq!(line.matches("=\"").count(), labels.len(), "{line}");
        }
    }
}

/// One run is over, and another one begins.
async fn rolled_back_and_under_way() -> Scrape {
    let test = rolled_back().await;
    test.ground.world.set_rule("errors", Rule::Always(Health::Healthy));
    test.post("/v1/migrations/checkout/arm", "{}").await.expect(StatusCode::OK);
    test.roll_back().await;
    Scrape::of(&test).await
}

const DOCUMENTATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/observability.md");

#[test]
fn the_documentation_has_every_metric() {
    let documentation = std::fs::read_to_string(DOCUMENTATION).unwrap();
    let rows: Vec<&str> = documentation.lines().filter(|line| line.starts_with("| `")).collect();
    let table: Vec<String> = ALL.iter().map(row).collect();
    assert_eq!(rows, table, "the table is to be\n{}", table.join("\n"));
}

fn row(described: &Described) -> String {
    let Described { name, kind, labels, help } = described;
    let kind = match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    format!("| `{name}` | {kind} | {} | {help} |", labels.join(", "))
}
