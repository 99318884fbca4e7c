//! The window, with the real binary as a daemon and a real clock: before it opens nothing starts by itself; past the point of no
//! return people decide, and what loses data waits for them or is refused. What is waited for is a line of the daemon's log.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{answers::answering, guard::stage::Lines, program, text};

const PEOPLE: [(&str, &str); 2] = [("carl", "incident_commander"), ("olga", "auditor")];

/// The page of the shop is a signal; the steps are programs of this host, and one that a person does.
const PLAN: &str = r#"
belay: 1
migration: shop
phases: { copy: {}, cutover: {} }
signals: { errors: { http: { url: "$url", status: 200 } } }
triggers: { hurt: { when: errors, for: 0s, severity: critical, during: [copy, cutover] } }
decision: { authority: [incident_commander], rules: [{ do: roll_back }] }
window: { $window }
steps:
  traffic_back: { action: command, with: { argv: [touch, traffic-is-back] } }
  orders_back: { needs: [traffic_back], action: command, with: { argv: [touch, orders-are-back] }, loses_data: true }
  stock_back: { needs: [traffic_back], action: manual, with: { instructions: Restore the stock. }, loses_data: true }
"#;

/// A daemon, the page that it reads, and the people with their tokens.
struct Daemon {
    folder: tempfile::TempDir,
    is_well: Arc<AtomicBool>,
    child: Child,
    url: String,
    log: Lines,
    tokens: BTreeMap<&'static str, String>,
}

impl Daemon {
    fn armed(window: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let is_well = Arc::new(AtomicBool::new(true));
        let well = is_well.clone();
        let page =
            answering(move |_| (if well.load(Ordering::SeqCst) { 200 } else { 500 }, "text/plain", String::new()));
        fs::write(folder.path().join("plan.yaml"), PLAN.replace("$url", &page).replace("$window", window)).unwrap();
        let (mut tokens, mut config) = (BTreeMap::new(), "tokens:\n".to_owned());
        for (name, role) in PEOPLE {
            let made = program(folder.path(), &["token", name, "--json"]).output().unwrap();
            let made: Value = serde_json::from_slice(&made.stdout).unwrap();
            config
                .push_str(&format!("  - {{ name: {name}, roles: [operator, {role}], sha256: {} }}\n", made["sha256"]));
            tokens.insert(name, made["token"].as_str().unwrap().to_owned());
        }
        fs::write(folder.path().join("belay.yaml"), config).unwrap();
        let (child, url, log) = serve(&folder);
        let daemon = Self { folder, is_well, child, url, log, tokens };
        daemon.as_carl(&["arm"], 0);
        daemon
    }

    fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.child, self.url, self.log) = serve(&self.folder);
    }

    fn command(&self, who: &str, arguments: &[&str]) -> Command {
        let mut command = program(self.folder.path(), arguments);
        command.env("BELAY_URL", &self.url).env("BELAY_TOKEN", &self.tokens[who]);
        command
    }

    #[track_caller]
    fn run(&self, who: &str, arguments: &[&str], code: i32) -> String {
        let done = self.command(who, arguments).output().unwrap();
        let said = text(&done.stdout) + &text(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{arguments:?}: {said}");
        said
    }

    #[track_caller]
    fn as_carl(&self, arguments: &[&str], code: i32) -> String {
        self.run("carl", arguments, code)
    }

    /// The command that the board prints with this in it, typed as it stands there.
    #[track_caller]
    fn as_printed(&self, part: &str) {
        let board = self.as_carl(&["status"], 0);
        let line = board.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("no {part} in {board}"));
        let typed = &line[line.find("belay ").unwrap() + "belay ".len()..];
        let arguments: Vec<&str> = typed.split(' ').map(|word| word.trim_matches('"')).collect();
        self.as_carl(&arguments, 0);
    }

    fn migration(&self) -> Value {
        serde_json::from_str(&self.as_carl(&["status", "shop", "--json"], 0)).unwrap()
    }

    fn breach(&self) {
        self.is_well.store(false, Ordering::SeqCst);
        self.log.until("an incident is open: hurt");
    }

    /// Waits until the step asks for a person.
    fn wait_for_approval(&self, step: &str) {
        let waits = |migration: Value| migration["run"]["steps"][step]["phase"] == "awaiting_approval";
        if !waits(self.migration()) {
            self.log.until(&format!("{step}: waits for a person"));
        }
    }

    fn has(&self, file: &str) -> bool {
        self.folder.path().join(file).exists()
    }

    /// `belay_window_left_seconds`
    fn left_s(&self) -> f64 {
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).unwrap();
        let token = &self.tokens["carl"];
        write!(stream, "GET /metrics HTTP/1.0\r\nauthorization: Bearer {token}\r\n\r\n").unwrap();
        let mut metrics = String::new();
        stream.read_to_string(&mut metrics).unwrap();
        let line = metrics.lines().find(|line| line.starts_with("belay_window_left_seconds{")).unwrap();
        line.split(' ').next_back().unwrap().parse().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

fn serve(folder: &tempfile::TempDir) -> (Child, String, Lines) {
    let mut command = program(folder.path(), &["serve", "--config", "belay.yaml", "--plan", "plan.yaml"]);
    command.env("BELAY_LISTEN", "127.0.0.1:0").env("BELAY_POLL", "100ms");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let log = Lines::of(child.stderr.take().unwrap());
    let line = log.until("listening on http://").pop().unwrap();
    let address = line.split("listening on ").nth(1).unwrap();
    let url = address.split(' ').next().unwrap().trim_matches(|letter: char| letter.is_control()).to_owned();
    (child, url, log)
}

/// The time at the begin of a line of the log, and the time that it is about.
fn times(line: &str) -> (Timestamp, Timestamp) {
    let about = line.split(" is at ").nth(1).unwrap().split(' ').next().unwrap();
    (line.split(' ').next().unwrap().parse().unwrap(), about.parse().unwrap())
}

#[test]
fn half_an_hour_before_the_point_of_no_return_an_event_says_so_and_until_then_it_is_counted_down() {
    let daemon = Daemon::armed("point_of_no_return: 30m2s");
    assert_eq!(daemon.migration()["window"]["left_s"], Value::Null, "it counts from the mark");
    daemon.as_carl(&["cutover"], 0);
    let left = |daemon: &Daemon| daemon.migration()["window"]["left_s"].as_f64().unwrap();
    let (first, metric) = (left(&daemon), daemon.left_s());
    assert!(first <= 1802.0 && metric <= first && metric > 1700.0, "{first} {metric}");
    let board = daemon.as_carl(&["status"], 0);
    assert!(board.contains("point of no return in 30m") || board.contains("point of no return in 29m"), "{board}");
    let told = daemon.log.until("the point of no return is at").pop().unwrap();
    let (at, point) = times(&told);
    let before = point.duration_since(at);
    // The line names whole seconds.
    let half_an_hour = SignedDuration::from_mins(30);
    assert!(before <= half_an_hour + SignedDuration::from_secs(1), "too early: {told}");
    assert!(before > half_an_hour - SignedDuration::from_mins(5), "too late: {told}");
    assert!(told.contains(" seq="), "it stands in the journal: {told}");
    assert!(left(&daemon) < first);
    // Before it, the rollback still starts by itself.
    daemon.breach();
    daemon.log.until("a run has begun");
}

#[test]
fn past_the_point_of_no_return_people_decide_and_what_loses_data_waits_for_them() {
    let mut daemon = Daemon::armed("point_of_no_return: 1s");
    daemon.as_carl(&["cutover"], 0);
    daemon.log.until("the point of no return is passed");
    assert_eq!((daemon.left_s(), &daemon.migration()["window"]["left_s"]), (0.0, &json!(0.0)));
    daemon.breach();
    // Neither of the two processes starts a rollback.
    for is_new in [false, true] {
        if is_new {
            daemon.restart();
            daemon.log.until("errors: unknown -> unhealthy");
        }
        let migration = daemon.migration();
        let incident = &migration["incident"];
        assert_eq!((&migration["state"], &migration["run"]), (&json!("incident"), &Value::Null), "{migration:#}");
        assert_eq!((&incident["answer"], &incident["timebox_ends"]), (&json!("decide"), &Value::Null));
        assert_eq!(incident["authority"], json!(["incident_commander"]));
        let board = daemon.as_carl(&["status"], 0);
        assert!(board.contains("the point of no return was passed at"), "{board}");
        assert!(board.contains("people decide without end") && board.contains("incident_commander"), "{board}");
    }
    let refused = daemon.run("olga", &["decide", "roll_back", "--reason", "it hurts"], 5);
    assert!(refused.contains("may not decide"), "{refused}");
    daemon.as_printed("belay decide roll-back");
    daemon.log.until("a run has begun");
    for step in ["orders_back", "stock_back"] {
        daemon.wait_for_approval(step);
    }
    assert!(daemon.has("traffic-is-back") && !daemon.has("orders-are-back"));
    daemon.restart();
    for step in ["orders_back", "stock_back"] {
        let why = daemon.migration()["run"]["steps"][step]["why"].clone();
        assert!(why.as_str().unwrap().contains("point of no return was passed"), "{step}: {why}");
        daemon.as_printed(&format!("belay approve {step} --run"));
    }
    daemon.log.until("the run has ended");
    assert_eq!(daemon.migration()["state"], "rolled_back");
    assert!(daemon.has("orders-are-back"));
}

#[test]
fn past_the_point_of_no_return_what_loses_data_is_refused_where_the_plan_says_so() {
    let daemon = Daemon::armed("point_of_no_return: 0s, past: refuse");
    daemon.as_carl(&["cutover"], 0);
    daemon.log.until("the point of no return is passed");
    let dry = daemon.as_carl(&["rollback", "--dry-run", "--wait", "--reason", "tell"], 3);
    for step in ["orders_back", "stock_back"] {
        assert!(dry.contains(&format!("{step}: it loses data, and the plan refuses that past")), "{step}: {dry}");
    }
    // Who asks by hand is refused the same.
    let ended = daemon.as_carl(&["rollback", "--wait", "--reason", "it hurts"], 4);
    assert!(ended.contains("which the plan refuses then"), "{ended}");
    let migration = daemon.migration();
    assert_eq!(migration["state"], "halted");
    let steps =
        ["traffic_back", "orders_back", "stock_back"].map(|step| migration["run"]["steps"][step]["phase"].clone());
    assert_eq!(steps, ["done", "failed", "failed"], "{migration:#}");
    assert!(daemon.has("traffic-is-back") && !daemon.has("orders-are-back"));
}

#[expect(clippy::disallowed_methods, reason = "the plan names a time of the clock that the daemon goes by")]
fn now() -> Timestamp {
    Timestamp::now()
}

#[test]
fn before_the_window_opens_nothing_starts_by_itself_and_then_what_still_holds_does() {
    // A plan names whole seconds. So many that the slowest machine gets to look before.
    let opens = Timestamp::from_second(now().as_second() + 40).unwrap();
    let mut daemon = Daemon::armed(&format!("opens: \"{opens:.0}\""));
    daemon.breach();
    daemon.restart();
    daemon.log.until("errors: unknown -> unhealthy");
    let waiting = daemon.migration();
    assert!(now() < opens, "this machine was too slow to look at it before the window opens");
    assert_eq!((&waiting["state"], &waiting["run"]), (&json!("incident"), &Value::Null), "{waiting:#}");
    assert_eq!(waiting["incident"]["then"], "roll_back");
    let board = daemon.as_carl(&["status"], 0);
    assert!(board.contains("the window opens at") && board.contains("nothing starts by itself before"), "{board}");
    let begun = daemon.log.until("a run has begun").pop().unwrap();
    assert!(begun.split(' ').next().unwrap().parse::<Timestamp>().unwrap() >= opens, "{begun}");
}

#[test]
fn a_timebox_that_ends_past_the_point_of_no_return_promises_no_rollback() {
    let daemon = Daemon::armed("point_of_no_return: 20m");
    let plan = fs::read_to_string(daemon.folder.path().join("plan.yaml")).unwrap();
    let asks = plan.replace("do: roll_back }]", "do: decide, timebox: 30m, then: roll_back }]");
    fs::write(daemon.folder.path().join("plan.yaml"), asks).unwrap();
    daemon.as_carl(&["arm"], 0);
    daemon.as_carl(&["cutover"], 0);
    daemon.breach();
    let incident = daemon.migration()["incident"].clone();
    assert_eq!((&incident["answer"], &incident["then"]), (&json!("decide"), &json!("decide")), "{incident:#}");
    let board = daemon.as_carl(&["status"], 0);
    assert!(!board.contains("then roll back") && !board.contains("then it is rolled back"), "{board}");
    assert!(board.contains("nothing starts by itself then"), "{board}");
}
