//! A daemon as those who run it see it: the service manager, the heartbeat's receiver, readiness, reloads.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use belay_tests::{Belay, Process, Signal, http_get, http_post, wait_until, wait_until_within};
use serde_json::{Value, json};

/// What a supervisor allows, and the daemon promises.
const STOP_MAX: Duration = Duration::from_secs(10);

/// No AWS in it: a page that nobody can look up, so that an armed daemon is blind, and a person who does the rest.
const BLIND: &str = "\
belay: 1
migration: $name
signals: { page: { http: { url: http://nowhere.invalid/ } } }
triggers: { down: { when: page, severity: minor } }
steps: { by_hand: { action: manual, with: { instructions: Say so. } } }
";

struct Served {
    process: Process,
    url: String,
}

impl Served {
    fn start(belay: &mut Belay, arguments: &[&str]) -> Self {
        belay.env("BELAY_LISTEN", "127.0.0.1:0").env("BELAY_POLL", "200ms");
        let mut process = belay.spawn(&[&["serve"], arguments].concat());
        let line = process.wait_for_stderr("listening on http://");
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        belay.env("BELAY_URL", &url);
        Self { process, url }
    }

    fn readiness(&self) -> Value {
        http_get(&format!("{}/readyz", self.url)).unwrap().json()
    }

    fn migration(&self, name: &str) -> Value {
        http_get(&format!("{}/v1/migrations/{name}", self.url)).unwrap().json()
    }

    fn post(&self, path: &str) -> u16 {
        http_post(&format!("{}{path}", self.url), &json!({ "reason": "a test" })).unwrap().status
    }

    fn hang_up(&mut self) {
        let before = self.process.stderr().matches("everything has been read again").count();
        self.process.signal(Signal::HUP);
        wait_until("the reload", || {
            (self.process.stderr().matches("everything has been read again").count() > before).then_some(())
        });
    }
}

fn belay() -> Belay {
    // Nothing in here asks AWS.
    Belay::at("http://127.0.0.1:9")
}

fn plan(name: &str) -> String {
    BLIND.replace("$name", name)
}

/// Stands in for the service manager.
struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    fn of(belay: &mut Belay, watchdog: Option<Duration>) -> Self {
        let path = belay.folder().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        belay.env("NOTIFY_SOCKET", path.to_str().unwrap());
        if let Some(watchdog) = watchdog {
            belay.env("WATCHDOG_USEC", &watchdog.as_micros().to_string());
        }
        Self { socket }
    }

    /// The next message that says this.
    fn wait_for(&self, part: &str) -> String {
        let mut bytes = [0; 4096];
        let mut heard = Vec::new();
        // A beat of the watchdog every half a second, for a minute.
        for _ in 0..120 {
            let length = self.socket.recv(&mut bytes).unwrap_or_else(|error| panic!("nobody said {part}: {error}"));
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if text.contains(part) {
                return text;
            }
            heard.push(text);
        }
        panic!("nobody said {part}, but {heard:?}");
    }
}

#[test]
fn the_service_manager_is_told_what_happens() {
    let mut belay = belay();
    let file = belay.write("plan.yaml", &plan("quiet"));
    let manager = Manager::of(&mut belay, Some(Duration::from_secs(2)));
    let served = Served::start(&mut belay, &["--plan", &file]);
    assert!(manager.wait_for("READY=1").contains("STATUS=disarmed: quiet"));
    manager.wait_for("WATCHDOG=1");
    manager.wait_for("WATCHDOG=1");

    assert_eq!(served.post("/v1/migrations/quiet/arm"), 200);
    let status = manager.wait_for("STATUS=NOT READY: quiet: blind since");
    assert!(status.contains("; armed: quiet"), "{status}");

    served.process.signal(Signal::HUP);
    assert!(manager.wait_for("RELOADING=1").contains("MONOTONIC_USEC="));
    manager.wait_for("READY=1");
    served.process.signal(Signal::TERM);
    manager.wait_for("STOPPING=1");
    assert_eq!(served.process.wait().code, 0);
}

/// What arrived: the path, and the body.
fn receiver() -> (String, Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/s3cret", listener.local_addr().unwrap());
    let (arrived, arrivals) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // The test may be over.
            let _ = arrived.send(receive(stream));
        }
    });
    (url, arrivals)
}

fn receive(mut stream: TcpStream) -> (String, Value) {
    use std::io::Write as _;
    let mut text = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        let read = stream.read(&mut bytes).unwrap();
        text.extend_from_slice(&bytes[..read]);
        let whole = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = whole.split_once("\r\n\r\n") else { continue };
        let Ok(body) = serde_json::from_str(body) else { continue };
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        let path = head.split_whitespace().nth(1).unwrap().to_owned();
        return (path, body);
    }
}

#[test]
fn the_heartbeat_beats_while_belay_sees_and_says_when_it_does_not() {
    let mut belay = belay();
    let (url, arrivals) = receiver();
    belay.env("HEARTBEAT", &url);
    belay.write("plan.yaml", &plan("quiet"));
    belay.write("belay.yaml", "plans: [plan.yaml]\nheartbeat: { url: env:HEARTBEAT, every: 1s }\n");
    let mut served = Served::start(&mut belay, &["--config", "belay.yaml"]);
    let next = || arrivals.recv_timeout(Duration::from_secs(60)).expect("a beat");
    let until = |path: &str| loop {
        let (found, body) = next();
        if found == path {
            return body;
        }
    };
    assert_eq!(until("/s3cret")["status"], "ok");
    assert_eq!(until("/s3cret")["status"], "ok");
    assert_eq!(served.post("/v1/migrations/quiet/arm"), 200);
    let body = until("/s3cret/fail");
    assert!(body["reasons"][0].as_str().unwrap().starts_with("quiet: blind since "), "{body}");
    let (path, _) = next();
    assert_eq!(path, "/s3cret/fail", "no beat says that all is well as long as it is not");
    assert_eq!(served.post("/v1/migrations/quiet/disarm"), 200);
    until("/s3cret");

    // Taken out of the configuration, it stops; a wrong one leaves what was.
    belay.write("belay.yaml", "plans: [plan.yaml]\nheartbeat: { url: ftp://example.com, every: 1s }\n");
    served.hang_up();
    assert_eq!(served.readiness()["warnings"][0]["part"], "config");
    until("/s3cret");
    belay.write("belay.yaml", "plans: [plan.yaml]\n");
    served.hang_up();
    let readiness = served.readiness();
    assert_eq!((&readiness["ready"], &readiness["warnings"]), (&json!(true), &json!([])));
    let ended = served.process.terminate();
    assert!(!ended.stderr.contains("s3cret") && !ended.stderr.contains(&url), "{ended}");
}

#[test]
fn a_heartbeat_that_does_not_arrive_is_noticed_and_tells_nothing_of_its_url() {
    let mut belay = belay();
    belay.write("url", "http://127.0.0.1:9/s3cret\n");
    belay.write("plan.yaml", &plan("quiet"));
    belay.write("belay.yaml", "plans: [plan.yaml]\nheartbeat: { url: file:url, every: 1s }\n");
    let mut served = Served::start(&mut belay, &["--config", "belay.yaml"]);
    served.process.wait_for_stderr("the heartbeat does not arrive");
    let readiness = served.readiness();
    assert_eq!((&readiness["ready"], &readiness["warnings"][0]["part"]), (&json!(true), &json!("heartbeat")));
    let why = readiness["warnings"][0]["why"].as_str().unwrap().to_owned();
    let ended = served.process.terminate();
    assert!(!ended.stderr.contains("s3cret") && !why.contains("s3cret"), "{why}\n{ended}");

    // One that is not there, and a collector that is none, are no reason not to guard. SIGHUP tries them anew.
    std::fs::remove_file(belay.folder().join("url")).unwrap();
    belay.env("OTEL_EXPORTER_OTLP_ENDPOINT", "not an address");
    let mut served = Served::start(&mut belay, &["--config", "belay.yaml"]);
    served.process.wait_for_stderr("the heartbeat does not arrive: url cannot be read");
    let parts = |served: &Served| -> Vec<Value> {
        served.readiness()["warnings"].as_array().unwrap().iter().map(|warning| warning["part"].clone()).collect()
    };
    assert_eq!(parts(&served), ["telemetry", "heartbeat"]);
    let mended = "plans: [plan.yaml]\ntelemetry: { otlp: 'http://127.0.0.1:9' }\n";
    belay.write("belay.yaml", mended);
    served.hang_up();
    wait_until("all to be well", || parts(&served).is_empty().then_some(()));
    assert!(served.process.stderr().contains("traces are sent"));
    belay.write("belay.yaml", &mended.replace(":9", ":10"));
    served.hang_up();
    let line = served.process.wait_for_stderr("takes a restart");
    assert!(line.contains("telemetry"), "{line}");
}

#[test]
fn a_broken_file_keeps_nothing_live_from_going_on() {
    let mut belay = belay();
    let file = belay.write("plan.yaml", &plan("quiet"));
    let served = Served::start(&mut belay, &["--plan", "*.yaml"]);
    assert_eq!(served.post("/v1/migrations/quiet/arm"), 200);
    served.process.kill();
    belay.write("plan.yaml", "belay: 2\n");
    belay.write("second.yaml", "nothing");
    let mut served = Served::start(&mut belay, &["--plan", "*.yaml"]);
    assert_eq!(served.migration("quiet")["state"], "armed");
    let parts: Vec<Value> =
        served.readiness()["not_ready"].as_array().unwrap().iter().map(|part| part["part"].clone()).collect();
    assert!(parts.contains(&json!("plan_file")), "{parts:?}");
    served.process.wait_for_stderr("plan.yaml:1:8");

    // Corrected, it is taken up again; the other goes away.
    std::fs::write(file, plan("quiet").replace("minor", "major")).unwrap();
    std::fs::remove_file(belay.folder().join("second.yaml")).unwrap();
    served.hang_up();
    let shown = served.migration("quiet");
    assert_eq!((&shown["state"], &shown["pending_changes"]), (&json!("armed"), &json!(["triggers.down"])));
    assert!(shown["pending_plan"].is_string() && shown["pending_since"].is_string(), "{shown:#}");
    assert_eq!(shown["plan_problem"], Value::Null);
    served.process.terminate();

    // With nothing live there is nothing to go on with: better not to start than to start without it.
    let fresh = self::belay();
    fresh.write("plan.yaml", "belay: 2\n");
    let refused = fresh.run(&["serve", "--plan", "plan.yaml"]);
    assert_eq!(refused.code, 2, "{refused}");
    assert!(refused.stderr.contains("plan.yaml:1:8") && !Path::new(fresh.folder()).join("belay.db").exists());
}

#[test]
fn the_log_of_a_start_says_what_is_taken_up() {
    let mut belay = belay();
    belay.write("a.yaml", &plan("first"));
    belay.write("b.yaml", &plan("second"));
    let served = Served::start(&mut belay, &["--plan", "*.yaml"]);
    assert_eq!(served.post("/v1/migrations/first/arm"), 200);
    assert_eq!(served.post("/v1/migrations/first/rollback"), 202);
    wait_until("the person to be asked", || {
        (served.migration("first")["run"]["steps"]["by_hand"]["phase"] == "awaiting_approval").then_some(())
    });
    served.process.kill();
    let mut served = Served::start(&mut belay, &["--plan", "*.yaml"]);
    let log = served.process.stderr();
    for expected in
        ["starting", "sqlite:belay.db", "a run goes on", "awaiting_approval", "it was never armed", "b.yaml"]
    {
        assert!(log.contains(expected), "{expected} is not in\n{log}");
    }
    served.process.signal(Signal::TERM);
    wait_until_within(STOP_MAX, "the daemon to stop", || (!served.process.is_running()).then_some(()));
}

const ALARMED: &str = "\
belay: 1
migration: quiet
aws: { account: \"111122223333\", region: eu-west-1 }
signals: { errors: { alarm: errors } }
triggers: { down: { when: errors, severity: minor } }
steps: { by_hand: { action: manual, with: { instructions: Say so. } } }
";

/// Takes every connection, and never answers.
fn silence() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    url
}

#[test]
fn whatever_hangs_a_stop_takes_ten_seconds_at_most() {
    let mut belay = Belay::at(&silence());
    let file = belay.write("plan.yaml", ALARMED);
    let mut served = Served::start(&mut belay, &["--plan", &file]);
    // Arming asks who we are, and so does a dry run; a reader of events waits for what never comes.
    let arming = belay.spawn(&["arm", "quiet"]);
    served.process.signal(Signal::USR2);
    let address = served.url.strip_prefix("http://").unwrap().to_owned();
    let mut events = TcpStream::connect(&address).unwrap();
    std::io::Write::write_all(&mut events, format!("GET /v1/events HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes())
        .unwrap();
    let mut answer = [0; 64];
    assert!(events.read(&mut answer).unwrap() > 0);
    served.process.signal(Signal::HUP);
    served.process.wait_for_stderr("everything has been read again");
    served.process.signal(Signal::TERM);
    wait_until_within(STOP_MAX, "the daemon to stop", || (!served.process.is_running()).then_some(()));
    assert_eq!(served.process.wait().code, 0);
    let refused = arming.wait();
    assert_ne!(refused.code, 0, "{refused}");
}
