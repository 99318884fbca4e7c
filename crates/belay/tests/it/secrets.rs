//! The value of each secret, looked for in everything that Belay writes: an incident with its rollback is played before servers
//! that repeat all that they get.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde_json::Value;

use crate::{guard::stage::Lines, program, text};

/// `$url`: the server that repeats everything.
const PLAN: &str = r#"
belay: 1
migration: shop
signals:
  errors: { http: { url: "$url/page", status: 200, headers: { authorization: "file:probe.key" } } }
  orders: { sql: { url: env:ORDERS_DB, query: "select 1" }, healthy: "== 1" }
  jobs:
    sql: { url: "postgres://belay@127.0.0.1:1/jobs?sslmode=disable", password: env:JOBS_PASSWORD, query: "select 1" }
    healthy: "== 1"
triggers: { hurt: { when: errors, for: 0s, severity: critical } }
decision: { rules: [{ do: roll_back }] }
steps:
  back: { action: command, with: { argv: [sh, -c, "echo with $AWS_SESSION_TOKEN; cat probe.key"] } }
notify:
  team: { slack: env:SLACK_HOOK }
  others: { teams: env:TEAMS_HOOK }
  hook: { webhook: env:HOOK, secret: env:HOOK_KEY }
  oncall: { pagerduty: env:PAGER_KEY }
  executives: { email: { to: [cto@example.com], from: belay@example.com, smtp: env:SMTP_URL } }
  customers: { statuspage: { page: abc, component: def, key: env:PAGE_KEY } }
"#;

/// Each value is in its output once it leaks: no other text has it.
const VALUES: [&str; 12] = [
    "leak-probe-header-41c7",
    "leak-orders-password-41c7",
    "leak-jobs-password-41c7",
    "leak-slack-path-41c7",
    "leak-teams-path-41c7",
    "leak-hook-path-41c7",
    "bGVhay1ob29rLWtleS00MWM3LWFuZC1tb3Jl",
    "leakpagerkey41c7leakpagerkey41c7",
    "leak-smtp-password-41c7",
    "leak-statuspage-key-41c7",
    "leak-unused-41c7",
    "leak-session-token-41c7",
];

fn environment(url: &str) -> Vec<(&'static str, String)> {
    vec![
        ("ORDERS_DB", format!("postgres://shop:{}@127.0.0.1:1/orders?sslmode=disable", VALUES[1])),
        ("JOBS_PASSWORD", VALUES[2].to_owned()),
        ("SLACK_HOOK", format!("{url}/services/{}", VALUES[3])),
        ("TEAMS_HOOK", format!("{url}/teams/{}", VALUES[4])),
        ("HOOK", format!("{url}/hook/{}", VALUES[5])),
        ("HOOK_KEY", format!("whsec_{}", VALUES[6])),
        ("PAGER_KEY", VALUES[7].to_owned()),
        ("SMTP_URL", format!("smtp://belay:{}@127.0.0.1:1", VALUES[8])),
        ("PAGE_KEY", VALUES[9].to_owned()),
        ("NOT_OF_THE_PLAN", VALUES[10].to_owned()),
        ("AWS_SESSION_TOKEN", VALUES[11].to_owned()),
    ]
}

/// Answers with the request itself: head and body. `is_well`: what the page says.
fn repeating(is_well: Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = repeat(stream, &is_well); // a client that hangs up needs no answer
        }
    });
    url
}

fn repeat(mut stream: TcpStream, is_well: &AtomicBool) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    while reader.read_line(&mut request)? > 2 {}
    let length =
        request.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    reader.take(length.unwrap_or(0)).read_to_string(&mut request)?;
    let is_page = request.starts_with("GET /page");
    // What a channel is told is refused, so its answer goes on record, too.
    let status = if is_page && is_well.load(Ordering::SeqCst) { 200 } else { 422 };
    let length = request.len();
    write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{request}")
}

struct Stage {
    folder: tempfile::TempDir,
    environment: Vec<(&'static str, String)>,
    token: String,
    /// What was written so far, each with where.
    written: Vec<(String, String)>,
}

impl Stage {
    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = program(self.folder.path(), arguments);
        command.envs(self.environment.iter().cloned()).env("BELAY_TOKEN", &self.token).env("NO_PROXY", "127.0.0.1");
        command
    }

    /// What a command prints.
    fn run(&mut self, url: &str, arguments: &[&str]) -> String {
        let done = self.command(arguments).env("BELAY_URL", url).output().unwrap();
        let printed = text(&done.stdout) + &text(&done.stderr);
        self.written.push((format!("belay {}", arguments.join(" ")), printed.clone()));
        printed
    }

    fn get(&mut self, url: &str, path: &str) {
        let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nauthorization: Bearer {}\r\n\r\n", self.token).unwrap();
        // The events go on: they are read to the end of the run.
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        let mut answer = String::new();
        for line in lines.by_ref() {
            let is_end = line.contains("event: run_ended");
            answer += &(line + "\n");
            if is_end {
                answer += &lines.next().unwrap_or_default();
                break;
            }
        }
        assert!(answer.contains(" 200 "), "{path}: {answer}");
        self.written.push((format!("GET {path}"), answer));
    }
}

fn files(folder: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let own = entries.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("belay.db"));
    own.map(|path| (path.display().to_string(), text(&fs::read(&path).unwrap()))).collect()
}

#[test]
fn no_secret_is_in_anything_that_is_written() {
    let is_well = Arc::new(AtomicBool::new(true));
    let server = repeating(is_well.clone());
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plan.yaml"), PLAN.replace("$url", &server)).unwrap();
    fs::write(folder.path().join("probe.key"), VALUES[0]).unwrap();
    let made = program(folder.path(), &["token", "ana", "--json"]).output().unwrap();
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let config = format!("tokens:\n  - {{ name: ana, roles: [operator], sha256: {} }}\n", made["sha256"]);
    fs::write(folder.path().join("belay.yaml"), config).unwrap();
    let token = made["token"].as_str().unwrap().to_owned();
    let environment = environment(&server);
    let mut stage = Stage { folder, environment, token, written: Vec::new() };

    let mut serve = stage.command(&["serve", "--config", "belay.yaml", "--plan", "plan.yaml"]);
    serve.env("BELAY_LISTEN", "127.0.0.1:0").env("BELAY_POLL", "100ms").env("BELAY_STATE", "sqlite:belay.db");
    let mut daemon = serve.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let log = Lines::of(daemon.stderr.take().unwrap());
    let mut lines = log.until("listening on http://");
    let address = lines.last().unwrap().split("listening on ").nth(1).unwrap();
    let url = address.split(' ').next().unwrap().trim_matches(|letter: char| letter.is_control()).to_owned();

    for offline in [&["dry-run", "plan.yaml", "--json"][..], &["notify", "plan.yaml", "--preview", "--json"]] {
        stage.run(&url, offline);
    }
    stage.run(&url, &["check", "plan.yaml"]);
    let armed = stage.run(&url, &["arm", "shop", "--accept-unknown"]);
    assert!(armed.contains("shop is armed"), "{armed}");
    stage.run(&url, &["cutover"]);
    is_well.store(false, Ordering::SeqCst);
    lines.extend(log.until("an incident is open: hurt"));
    lines.extend(log.until("the run has ended"));
    for path in ["/v1/migrations", "/v1/runs", "/v1/incidents", "/metrics", "/readyz", "/v1/events?after="] {
        stage.get(&url, path);
    }
    let status = stage.run(&url, &["status", "shop", "--json"]);
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["state"], "rolled_back", "{status:#}");
    let run = status["run"]["id"].as_str().unwrap().to_owned();
    for format in ["md", "html", "json"] {
        stage.run(&url, &["report", &run, "--format", format]);
    }
    stage.run(&url, &["status"]);
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    lines.extend(log.rest());
    stage.run(&url, &["audit", "--state", "sqlite:belay.db", "--json"]);
    stage.written.push(("the log".to_owned(), lines.join("\n")));
    stage.written.extend(files(stage.folder.path()));

    let token = stage.token.clone();
    let all = stage.written.iter().map(|(_, what)| what.as_str()).collect::<String>();
    for told in ["notice_failed", "signal_turned", "[AWS_SESSION_TOKEN masked]", "[file:probe.key masked]"] {
        assert!(all.contains(told), "what the servers and the program answer is on record: {told}");
    }
    for value in VALUES.into_iter().chain([token.as_str()]) {
        for (place, what) in &stage.written {
            let around =
                what.find(value).map(|at| String::from_utf8_lossy(&what.as_bytes()[at.saturating_sub(200)..at]));
            assert_eq!(around, None, "{value} is in {place}");
        }
    }
}
