//! Every kind of signal, as a trigger that rolls back and as a gate that lets through.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use belay_tests::Call;
use serde_json::Value;

use crate::stage::{Daemon, Stage};

/// One DNS step behind one trigger. `$signals` and `$when` are the test's.
const TEMPLATE: &str = r#"
belay: 1
migration: $name
aws: { account: "$account", region: $region }
signals:
$signals
triggers:
  hurt: { when: $when, for: 1s, severity: major, scope: system_wide, fix: unknown }
steps:
  dns_back:
    action: route53.weights
    with: { zone: $zone, record: $record, type: A }
    to: { $blue_set: 100, $green_set: 0 }
    require: $require
"#;

/// A daemon that is armed on signals: lines of `name: { ... }`.
fn watch(stage: &mut Stage, signals: &[String], when: &str, require: &str) -> Daemon {
    let signals: String = signals.iter().map(|signal| format!("  {signal}\n")).collect();
    let plan = TEMPLATE.replace("$signals\n", &signals).replace("$when", when).replace("$require", require);
    let plan = stage.plan(&plan);
    let daemon = stage.serve_armed(&plan);
    wait_for_trigger(&daemon, "quiet");
    daemon
}

fn wait_for_trigger(daemon: &Daemon, state: &str) {
    daemon.wait_until(&format!("the trigger to be {state}"), |migration| {
        (migration["triggers"]["hurt"]["state"] == state).then_some(())
    });
}

fn wait_for_signal(daemon: &Daemon, signal: &str, health: &str) -> String {
    daemon.wait_until(&format!("{signal} to be {health}"), |migration| {
        let signal = &migration["signals"][signal];
        (signal["health"] == health).then(|| signal["evidence"].as_str().unwrap().to_owned())
    })
}

#[track_caller]
fn assert_rolled_back(stage: &Stage, daemon: &Daemon) {
    daemon.wait_for_state("rolled_back");
    assert_eq!(stage.weights()[0], (100, 0));
}

/// What a signal was at the moment the trigger fired.
#[track_caller]
fn fired_on(stage: &Stage) -> String {
    let records = crate::journal::records(&stage.belay);
    let fired = crate::journal::events(&records, "trigger_fired");
    assert_eq!(fired.len(), 1);
    fired[0]["evidence"].to_string()
}

#[test]
fn a_composite_alarm() {
    let mut stage = Stage::cut_over("composite", &[]);
    let signals = ["both: { alarm: $composite }".to_owned(), "page: { http: { url: \"$page\" } }".to_owned()];
    let daemon = watch(&mut stage, &signals, "both", "[page]");
    stage.world.set_alarm("/alarms/latency", "ALARM");
    assert_rolled_back(&stage, &daemon);
    let evidence = fired_on(&stage);
    assert!(evidence.contains("both: ") && evidence.contains("ALARM"), "{evidence}");
}

#[test]
fn two_of_three() {
    let mut stage = Stage::cut_over("most", &[]);
    let signals = [
        "errors: { alarm: $errors }".to_owned(),
        "latency: { alarm: $latency }".to_owned(),
        "page: { http: { url: \"$page\" } }".to_owned(),
        "up: { tcp: { address: \"$up\" } }".replace("$up", &stage.green.address()),
    ];
    let daemon = watch(&mut stage, &signals, "{ at_least: { n: 2, of: [errors, latency, page] } }", "[up]");
    stage.world.set_alarm("/alarms/errors", "ALARM");
    wait_for_signal(&daemon, "errors", "unhealthy");
    wait_for_trigger(&daemon, "quiet");
    assert_eq!(daemon.migration()["state"], "armed", "one is not two");
    stage.page.set_healthy(false);
    assert_rolled_back(&stage, &daemon);
    let evidence = fired_on(&stage);
    assert!(
        evidence.contains("errors: ") && evidence.contains("page: ") && !evidence.contains("latency: "),
        "{evidence}"
    );
}

#[test]
fn a_condition_that_does_not_last_is_forgiven() {
    let mut stage = Stage::cut_over("blip", &[]);
    let signals = ["errors: { alarm: $errors }".to_owned(), "page: { http: { url: \"$page\" } }".to_owned()];
    let signals: String = signals.iter().map(|signal| format!("  {signal}\n")).collect();
    let plan = TEMPLATE.replace("$signals\n", &signals).replace("$when", "errors").replace("$require", "[page]");
    let plan = stage.plan(&plan.replace("for: 1s", "for: 5m"));
    let daemon = stage.serve_armed(&plan);
    stage.world.set_alarm("/alarms/errors", "ALARM");
    wait_for_trigger(&daemon, "dwelling");
    assert!(daemon.migration()["triggers"]["hurt"]["fires_at"].is_string());
    stage.world.set_alarm("/alarms/errors", "OK");
    wait_for_trigger(&daemon, "quiet");
    assert_eq!(daemon.migration()["state"], "armed");
    assert!(stage.proxy.mutating_calls().is_empty());
}

#[allow(clippy::disallowed_methods, reason = "points of a metric are put at times of the emulator's clock")]
fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn a_metric_and_an_expression() {
    let mut stage = Stage::cut_over("metric", &[]);
    let namespace = format!("Belay/{}", stage.name());
    // Belay reads a metric once a period. All points of a moment fall into one period, the last one that is over.
    let period_s = 30;
    let last_period = || now_s() / period_s * period_s - period_s + 1;
    let put = |stage: &Stage, name: &str, value: &str, moment_s: u64| {
        let ago = (now_s() - moment_s).to_string();
        stage.world.ask("put-metric", &[&namespace, name, value, "--seconds-ago", &ago]);
    };
    let calm = last_period();
    put(&stage, "slow", "0.2", calm);
    let single = |name: &str| format!("{{ namespace: {namespace}, name: {name}, stat: Maximum, period: {period_s}s }}");
    let ratio =
        format!("{{ expression: \"100 * bad / all\", metrics: {{ bad: {}, all: {} }} }}", single("bad"), single("all"));
    put(&stage, "bad", "1", calm);
    put(&stage, "all", "100", calm);
    let signals = [
        format!("slow: {{ metric: {}, healthy: \"<= 1.5\" }}", single("slow")),
        format!("ratio: {{ metric: {ratio}, healthy: \"< 5\" }}"),
        "page: { http: { url: \"$page\" } }".to_owned(),
    ];
    let daemon = watch(&mut stage, &signals, "{ all: [slow, ratio] }", "[page]");
    let healthy = wait_for_signal(&daemon, "slow", "healthy");
    assert!(healthy.contains("0.2"), "{healthy}");
    put(&stage, "slow", "9.5", last_period());
    wait_for_signal(&daemon, "slow", "unhealthy");
    assert_eq!(daemon.migration()["state"], "armed", "the ratio is fine");
    let breach = last_period();
    put(&stage, "all", "100", breach);
    put(&stage, "bad", "50", breach);
    assert_rolled_back(&stage, &daemon);
    let evidence = fired_on(&stage);
    assert!(evidence.contains("9.5") && evidence.contains("latest 50"), "{evidence}");
}

/// Nothing to put back but by hand, so that several of them may be armed at once.
const BY_HAND: &str = r#"
belay: 1
migration: $migration
aws: { account: "$account", region: $region }
signals:
$signals
triggers:
  hurt: { when: { all: [own, shared, ratio] }, for: 1s, severity: major, scope: system_wide, fix: unknown }
steps:
  call: { action: manual, with: { instructions: "Call the shop." } }
"#;

#[test]
fn the_metrics_of_all_migrations_are_read_in_one_call() {
    let mut stage = Stage::cut_over("together", &[]);
    let namespace = format!("Belay/{}", stage.name());
    let single = |name: &str, period: &str| {
        format!("{{ namespace: {namespace}, name: {name}, stat: Maximum, period: {period} }}")
    };
    for (name, value) in [("all", "100"), ("one", "0.2"), ("two", "0.2")] {
        for ago in ["15", "45", "75"] {
            stage.world.ask("put-metric", &[&namespace, name, value, "--seconds-ago", ago]);
        }
    }
    // The periods differ; `all` is asked for four times.
    for (name, period) in [("one", "10s"), ("two", "30s")] {
        let ratio = format!(
            "{{ expression: \"100 * own / all\", metrics: {{ own: {}, all: {} }} }}",
            single(name, period),
            single("all", period)
        );
        let signals = [
            format!("  own: {{ metric: {}, healthy: \"<= 1.5\", missing: healthy }}\n", single(name, period)),
            format!("  shared: {{ metric: {}, healthy: \"> 0\", missing: healthy }}\n", single("all", period)),
            format!("  ratio: {{ metric: {ratio}, healthy: \"< 5\", missing: healthy }}\n"),
        ];
        let plan = BY_HAND.replace("$migration", name).replace("$signals\n", &signals.concat());
        stage.belay.write(&format!("{name}.yaml"), stage.fill(&plan).trim_start());
    }
    let _daemon = stage.serve_with(&["serve", "--plan", "one.yaml", "--plan", "two.yaml"]);
    for name in ["one", "two"] {
        let armed = stage.belay.run(&["arm", name]);
        assert_eq!(armed.code, 0, "{armed}");
    }
    let body = stage.proxy.wait_until("a call for the signals of both", |calls| {
        let read = |call: &&Call| {
            call.action == "GetMetricData" && ["one", "two"].iter().all(|name| asks(&call.body, name) > 0)
        };
        calls.iter().rev().find(read).map(|call| call.body.clone())
    });
    // What two signals of a migration ask for is asked for once.
    assert_eq!((asks(&body, "one"), asks(&body, "two"), asks(&body, "all")), (1, 1, 2), "{body}");
}

/// How many queries of a `GetMetricData` call are for a metric.
fn asks(body: &str, metric: &str) -> usize {
    let body: Value = serde_json::from_str(body).unwrap();
    let queries = body["MetricDataQueries"].as_array().unwrap().iter();
    queries.filter(|query| query["MetricStat"]["Metric"]["MetricName"] == metric).count()
}

#[test]
fn an_alarm_by_its_arn() {
    let stage = Stage::cut_over("arn", &[]);
    let dry_run = |arn: &str| {
        let plan = TEMPLATE.replace("$signals\n", &format!("  errors: {{ alarm: \"{arn}\" }}\n"));
        let plan = stage.plan(&plan.replace("$when", "errors").replace("$require", "[errors]"));
        stage.belay.run(&["dry-run", &plan, "--json"])
    };
    let ours = dry_run("arn:aws:cloudwatch:$region:$account:alarm:$errors");
    assert_eq!(ours.json()["signals"]["errors"]["health"], "healthy", "{ours}");
    let theirs = dry_run("arn:aws:cloudwatch:$region:444455556666:alarm:$errors");
    let errors = &theirs.json()["signals"]["errors"];
    assert_eq!(errors["health"], "unknown", "{theirs}");
    assert!(errors["evidence"].as_str().unwrap().contains("give the signal an `aws:`"), "{theirs}");
}

#[test]
fn a_page_and_a_port_and_a_name() {
    let mut stage = Stage::cut_over("probes", &[]);
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let names = NameServer::start([192, 0, 2, 10]);
    let signals = [
        "page: { http: { url: \"$page\", status: [200, 204], body_contains: open } }".to_owned(),
        format!("port: {{ tcp: {{ address: \"{}\", timeout: 2s }} }}", port.local_addr().unwrap()),
        format!(
            "name: {{ dns: {{ name: www.shop.test, type: A, answers_any: [192.0.2.10], server: \"{}\" }} }}",
            names.address
        ),
    ];
    let daemon = watch(&mut stage, &signals, "{ all: [page, port, name] }", "[{ signal: name, within: 1m }]");
    for signal in ["page", "port", "name"] {
        wait_for_signal(&daemon, signal, "healthy");
    }
    // The page still answers 200, but no longer says what it should.
    stage.page.set_answer(200, "sorry");
    let evidence = wait_for_signal(&daemon, "page", "unhealthy");
    assert!(evidence.contains("does not contain `open`"), "{evidence}");
    drop(port);
    wait_for_signal(&daemon, "port", "unhealthy");
    assert_eq!(daemon.migration()["state"], "armed");
    names.set_answer([192, 0, 2, 99]);
    let evidence = wait_for_signal(&daemon, "name", "unhealthy");
    assert!(evidence.contains("192.0.2.99"), "{evidence}");
    // The interlock waits for the name, which is a trigger here as well.
    daemon.wait_for_state("rolling_back");
    names.set_answer([192, 0, 2, 10]);
    assert_rolled_back(&stage, &daemon);
}

#[test]
fn an_alarm_that_is_gone_is_unknown_and_never_healthy() {
    let stage = Stage::cut_over("gone", &[]);
    let plan = TEMPLATE.replace("$signals\n", "  ghost: { alarm: nobody-made-this }\n").replace("$when", "ghost");
    let plan = stage.plan(&plan.replace("$require", "[ghost]"));
    let done = stage.belay.run(&["dry-run", &plan, "--json"]);
    assert_eq!(done.code, 3, "{done}");
    assert_eq!(done.json()["signals"]["ghost"]["health"], "unknown");
    let done = stage.run(&plan);
    assert_eq!(done.code, 4, "{done}");
    assert!(stage.proxy.mutating_calls().is_empty());
}

#[test]
fn the_health_of_targets_can_be_a_trigger() {
    let mut stage = Stage::cut_over("targets", &[]);
    stage.wait_for_target("green", "healthy");
    let signals = [
        "green_well: { target_health: { target_group: $green, at_least: 1 } }".to_owned(),
        "page: { http: { url: \"$page\" } }".to_owned(),
    ];
    let daemon = watch(&mut stage, &signals, "green_well", "[page]");
    stage.green.set_healthy(false);
    assert_rolled_back(&stage, &daemon);
    let evidence = fired_on(&stage);
    assert!(evidence.contains("0 of 1 targets healthy"), "{evidence}");
}

/// A DNS server that answers every question with one address.
struct NameServer {
    address: SocketAddr,
    answer: Arc<Mutex<[u8; 4]>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    fn start(answer: [u8; 4]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        // How long it may take to notice that the test is over.
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let address = socket.local_addr().unwrap();
        let (answer, stop) = (Arc::new(Mutex::new(answer)), Arc::new(AtomicBool::new(false)));
        let (shown, stopped) = (Arc::clone(&answer), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut question = [0; 512];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, asker)) = socket.recv_from(&mut question) else { continue };
                let reply = reply(&question[..length], *shown.lock().unwrap());
                // An asker that has gone away needs no answer.
                let _ = socket.send_to(&reply, asker);
            }
        });
        Self { address, answer, stop, thread: Some(thread) }
    }

    fn set_answer(&self, answer: [u8; 4]) {
        *self.answer.lock().unwrap() = answer;
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// RFC 1035: the question's header and question, and one A record that points back at its name.
fn reply(question: &[u8], answer: [u8; 4]) -> Vec<u8> {
    // The name ends with an empty label; type and class follow it.
    let name_end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap() + 1;
    let mut reply = question[..2].to_vec();
    reply.extend([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    reply.extend(&question[12..name_end + 4]);
    reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
    reply.extend(answer);
    reply
}
