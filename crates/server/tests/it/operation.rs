//! Signs of life, readiness, and what SIGHUP does with files of every kind.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use belay_core::event::Record;
use belay_journal::{MemoryJournal, SqliteJournal};
use belay_ports::{AppendError, Fut, Journal, NewRecord, ReadFailure, journal::Placed};
use belay_server::{Config, pulse};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::world::{CHECKOUT, Ground, Running, SEARCH, armed, disarmed};

const PATIENCE: Duration = Duration::from_secs(10);

/// A disk that does not answer, once it is told not to.
struct Stalling {
    journal: Arc<MemoryJournal>,
    stalled: AtomicBool,
    slow_s: AtomicU64,
}

impl Journal for Stalling {
    fn append<'a>(
        &'a self,
        stream: &'a str,
        after: u64,
        records: Vec<NewRecord>,
    ) -> Fut<'a, Result<Vec<Record>, AppendError>> {
        match self.stalled.load(Ordering::Relaxed) {
            true => Box::pin(std::future::pending()),
            false => Box::pin(async move {
                tokio::time::sleep(Duration::from_secs(self.slow_s.load(Ordering::Relaxed))).await;
                self.journal.append(stream, after, records).await
            }),
        }
    }

    fn read<'a>(&'a self, stream: &'a str, after: u64) -> Fut<'a, Result<Vec<Record>, ReadFailure>> {
        self.journal.read(stream, after)
    }

    fn page<'a>(&'a self, stream: &'a str, after: u64, max: usize) -> Fut<'a, Result<Vec<Record>, ReadFailure>> {
        self.journal.page(stream, after, max)
    }

    fn snapshot<'a>(&'a self, stream: &'a str) -> Fut<'a, Result<Option<belay_ports::Snapshot>, ReadFailure>> {
        self.journal.snapshot(stream)
    }

    fn keep_snapshot<'a>(
        &'a self,
        stream: &'a str,
        snapshot: belay_ports::Snapshot,
    ) -> Fut<'a, Result<(), ReadFailure>> {
        self.journal.keep_snapshot(stream, snapshot)
    }

    fn streams<'a>(&'a self) -> Fut<'a, Result<Vec<String>, ReadFailure>> {
        self.journal.streams()
    }

    fn across<'a>(&'a self, from: u64, max: usize) -> Fut<'a, Result<Vec<Placed>, ReadFailure>> {
        self.journal.across(from, max)
    }

    fn head(&self) -> u64 {
        self.journal.head()
    }

    fn grown<'a>(&'a self, position: u64) -> Fut<'a, ()> {
        self.journal.grown(position)
    }

    fn check<'a>(&'a self) -> Fut<'a, Result<(), ReadFailure>> {
        self.journal.check()
    }

    fn advance<'a>(&'a self, from: &'a belay_ports::Head, to: u64) -> Fut<'a, Result<belay_ports::Head, ReadFailure>> {
        self.journal.advance(from, to)
    }

    fn rescue<'a>(&'a self) -> Fut<'a, Result<belay_ports::Rescued, ReadFailure>> {
        self.journal.rescue()
    }
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_hangs_gives_no_sign_of_life_and_makes_unready() {
    let ground = Ground::new(&[("checkout.yaml", CHECKOUT)]);
    let stalling = Arc::new(Stalling {
        journal: ground.journal.clone(),
        stalled: AtomicBool::new(false),
        slow_s: AtomicU64::new(0),
    });
    let ground = ground.over(stalling.clone());
    let config = ground.config();
    let test = ground.start_with(config).await;
    assert!(pulse::look(&test.daemon, PATIENCE).await);
    stalling.stalled.store(true, Ordering::Relaxed);
    let arming = test.post("/v1/migrations/checkout/arm", "{}");
    let arming = async {
        let told = tokio::time::timeout(Duration::from_secs(60), arming).await.expect("nobody is kept waiting");
        let told = told.expect_problem(503, "unavailable");
        assert!(told["detail"].as_str().unwrap().contains("the journal does not answer"), "{told:#}");
    };
    let looking = async {
        // The command is in the loop's hands before it is asked for a sign of life.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!pulse::look(&test.daemon, PATIENCE).await, "the watchdog is not to hear of it");
    };
    tokio::join!(arming, looking);
    let ready = test.get("/readyz").await.expect(StatusCode::SERVICE_UNAVAILABLE);
    let parts: Vec<&str> =
        ready["not_ready"].as_array().unwrap().iter().map(|part| part["part"].as_str().unwrap()).collect();
    assert_eq!(parts, ["journal", "engine"]);
    assert!(ready["not_ready"][1]["why"].as_str().unwrap().contains("has not come round for 10s"), "{ready:#}");
    let alive = test.get("/healthz").await.expect(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(alive, json!({ "status": "hung", "parts": ["engine"] }), "so that whoever runs it starts it anew");
}

#[tokio::test(start_paused = true)]
async fn a_slow_disk_is_shown_for_a_while() {
    let ground = Ground::new(&[("checkout.yaml", CHECKOUT)]);
    let journal = ground.journal.clone();
    let slow = Arc::new(Stalling { journal, stalled: AtomicBool::new(false), slow_s: AtomicU64::new(3) });
    let ground = ground.over(slow);
    let config = ground.config();
    let test = ground.start_with(config).await;
    test.post("/v1/migrations/checkout/arm", "{}").await.expect(StatusCode::OK);
    let ready = test.get("/readyz").await.expect(StatusCode::OK);
    assert_eq!(ready["warnings"][0]["part"], "journal");
    assert!(ready["warnings"][0]["why"].as_str().unwrap().contains("disk is slow: it took 3.0 s"), "{ready:#}");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(test.get("/readyz").await.body["warnings"], json!([]));
}

/// Both are decided together. What the second one is told is not ahead of what the journal holds and everybody sees.
#[tokio::test(start_paused = true)]
async fn of_two_rollbacks_at_once_the_second_is_told_of_the_first() {
    let ground = Ground::new(&[("checkout.yaml", CHECKOUT)]);
    let journal = ground.journal.clone();
    let slow = Arc::new(Stalling { journal, stalled: AtomicBool::new(false), slow_s: AtomicU64::new(0) });
    let ground = ground.over(slow.clone());
    let config = ground.config();
    let test = ground.start_with(config).await;
    test.post("/v1/migrations/checkout/arm", "{}").await.expect(StatusCode::OK);
    slow.slow_s.store(1, Ordering::Relaxed);
    let roll_back = || test.post("/v1/migrations/checkout/rollback", r#"{"reason": "checked"}"#);
    let (one, other) = tokio::join!(roll_back(), roll_back());
    let (begun, refused) = if one.status == StatusCode::ACCEPTED { (one, other) } else { (other, one) };
    let run = begun.expect(StatusCode::ACCEPTED)["run"].clone();
    let refused = refused.expect_problem(409, "already_running");
    assert_eq!((&refused["run"], &refused["state"]), (&run, &json!("rolling_back")));
    assert!(refused["possible"].as_array().unwrap().contains(&json!("abort")), "{refused:#}");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_waits_for_its_credentials_is_alive_and_not_ready() {
    let plan = CHECKOUT.replacen("\nsignals:", "\naws: { account: \"111122223333\", region: eu-west-1 }\nsignals:", 1);
    let ground = Ground::new(&[("checkout.yaml", &plan)]);
    ground.world.set_account("111122223333");
    let config = ground.config();
    let test = ground.start_with(config).await;
    test.post("/v1/migrations/checkout/arm", "{}").await.expect(StatusCode::OK);
    test.ground.world.set_account("999999999999");
    let test = test.restart().await;
    let ready = test.until("/readyz", |ready| ready["ready"] == false).await;
    assert_eq!(ready["not_ready"][0]["part"], "credentials");
    assert!(pulse::look(&test.daemon, PATIENCE).await, "to restart it would help nobody");
    test.ground.world.set_account("111122223333");
    test.until("/readyz", |ready| ready["ready"] == true).await;
}

/// The parts that are not ready.
async fn not_ready(test: &Running) -> Vec<Value> {
    let ready = test.get("/readyz").await.body;
    ready["not_ready"].as_array().into_iter().flatten().map(|part| part["part"].clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_removed_file_lets_go_of_what_is_not_live() {
    let test = disarmed().await;
    fs::remove_file(test.ground.file("checkout.yaml")).unwrap();
    test.daemon.reload().await;
    test.get("/v1/migrations/checkout").await.expect_problem(404, "not_found");
    test.get("/readyz").await.expect(StatusCode::OK);

    let test = armed().await;
    fs::remove_file(test.ground.file("checkout.yaml")).unwrap();
    test.daemon.reload().await;
    let ready = test.get("/readyz").await.expect(StatusCode::OK);
    assert_eq!(ready["warnings"][0]["part"], "plan_file", "the net holds, and somebody should know");
    test.until("/v1/migrations/checkout", |shown| shown["state"] == "incident").await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_of_another_name_is_another_migration() {
    let ground = Ground::new(&[("plan.yaml", CHECKOUT), ("search.yaml", SEARCH)]);
    fs::remove_file(ground.file("search.yaml")).unwrap();
    let config = ground.config();
    let test = ground.start_with(config).await;
    fs::write(test.ground.file("plan.yaml"), SEARCH).unwrap();
    test.daemon.reload().await;
    assert_eq!(test.get("/v1/migrations/search").await.expect(StatusCode::OK)["state"], "disarmed");
    test.get("/v1/migrations/checkout").await.expect_problem(404, "not_found");

    // And what is armed under the old name goes on.
    let test = armed().await;
    fs::write(test.ground.file("checkout.yaml"), SEARCH).unwrap();
    test.daemon.reload().await;
    test.get("/v1/migrations/search").await.expect(StatusCode::OK);
    let shown = test.get("/v1/migrations/checkout").await.expect(StatusCode::OK);
    assert!(shown["plan_problem"].as_str().unwrap().contains("guards search now"), "{shown:#}");
    assert_ne!(shown["state"], "disarmed");
}

#[tokio::test(start_paused = true)]
async fn a_second_file_of_a_migration_waits_until_the_first_is_gone() {
    let test = disarmed().await;
    fs::write(test.ground.file("second.yaml"), CHECKOUT.replace("10s", "20s")).unwrap();
    fs::write(test.ground.file("third.yaml"), "belay: 2").unwrap();
    test.daemon.reload().await;
    assert_eq!(not_ready(&test).await, ["plan_file", "plan_file"]);
    fs::remove_file(test.ground.file("checkout.yaml")).unwrap();
    fs::remove_file(test.ground.file("third.yaml")).unwrap();
    test.daemon.reload().await;
    assert_eq!(not_ready(&test).await, Vec::<Value>::new());
    let shown = test.get("/v1/migrations/checkout").await.expect(StatusCode::OK);
    assert!(shown["plan_file"].as_str().unwrap().ends_with("second.yaml"), "{shown:#}");
}

/// Reading it would not end: nobody writes into it.
fn pipe_instead(path: &Path) {
    fs::remove_file(path).expect("the file is there");
    assert!(Command::new("mkfifo").arg(path).status().expect("there is mkfifo").success());
}

#[tokio::test(start_paused = true)]
async fn a_plan_file_that_is_no_regular_file_is_said_and_not_armed() {
    let test = disarmed().await;
    let file = test.ground.file("checkout.yaml");
    pipe_instead(&file);
    let shown = test.get("/v1/migrations/checkout").await.expect(StatusCode::OK);
    assert!(shown["plan_problem"].as_str().unwrap().contains("is not a regular file"), "{shown:#}");
    let refused = test.post("/v1/migrations/checkout/arm", "{}").await.expect_problem(422, "plan_file");
    assert!(refused["detail"].as_str().unwrap().contains("is not a regular file"), "{refused:#}");

    fs::remove_file(&file).unwrap();
    fs::write(&file, CHECKOUT).unwrap();
    test.post("/v1/migrations/checkout/arm", "{}").await.expect(StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_pending_plan_says_since_when_and_what_it_changes() {
    let test = armed().await;
    let shown = test.get("/v1/migrations/checkout").await.body;
    assert_eq!((&shown["pending_since"], &shown["pending_changes"]), (&json!(null), &json!([])));
    let changed =
        CHECKOUT.replace("10s", "20s").replace("Say so.", "Say so loudly.") + "window: { point_of_no_return: 4h }\n";
    fs::write(test.ground.file("checkout.yaml"), changed).unwrap();
    test.daemon.reload().await;
    let shown = test.get("/v1/migrations/checkout").await.body;
    assert!(shown["pending_plan"].is_string() && shown["pending_since"].is_string(), "{shown:#}");
    let mut changes: Vec<&str> =
        shown["pending_changes"].as_array().unwrap().iter().map(|change| change.as_str().unwrap()).collect();
    changes.sort_unstable();
    assert_eq!(changes, ["steps.by_hand", "triggers.hurt", "window"]);
}

/// SHA-256 of `first` and of `second`.
const FIRST: &str = "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e";
const SECOND: &str = "16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4";

#[tokio::test(start_paused = true)]
async fn tokens_change_with_the_configuration() {
    let ground = Ground::new(&[("checkout.yaml", CHECKOUT)]);
    let file = ground.file("belay.yml");
    let write = |sha256: &str, more: &str| {
        let glob = ground.file("*.yaml");
        let token = format!("tokens: [{{ name: ops, roles: [operator], sha256: {sha256} }}]");
        fs::write(&file, format!("plans: ['{}']\n{token}\n{more}", glob.display())).unwrap();
    };
    write(FIRST, "");
    let config = Config::load(Some(&file)).unwrap();
    write(SECOND, "listen: 127.0.0.1:1\n");
    let listen = config.listen.clone();
    let broken = file.clone();
    let test = ground.start_with(config).await;
    let ask = async |token: &str| {
        let request = Request::get("/v1/migrations").header("authorization", format!("Bearer {token}"));
        test.send(request.body(Body::empty()).unwrap()).await.status
    };
    assert_eq!((ask("first").await, ask("second").await), (StatusCode::OK, StatusCode::UNAUTHORIZED));
    let follow = Request::get("/v1/events").header("authorization", "Bearer first");
    let mut following = test.stream(follow.body(Body::empty()).unwrap()).await;
    assert!(following.next().await.is_some(), "`ready`");
    test.daemon.reload().await;
    assert_eq!((ask("first").await, ask("second").await), (StatusCode::UNAUTHORIZED, StatusCode::OK));
    assert_eq!(test.daemon.config().listen, listen, "that takes a restart");
    let ended = tokio::time::timeout(Duration::from_secs(60), following.next()).await.expect("it does not go on");
    assert!(ended.is_none(), "who followed with a token that is none any more does not go on: {ended:?}");

    fs::write(&broken, "tokens: none\n").unwrap();
    test.daemon.reload().await;
    assert_eq!(ask("second").await, StatusCode::OK, "the last valid one holds");
    let ready = test.get("/readyz").await.expect(StatusCode::OK);
    assert_eq!(ready["warnings"], json!([{ "part": "config" }]), "a stranger is told the part alone");
}

#[tokio::test]
async fn a_journal_that_was_deleted_makes_unready_and_is_rescued() {
    let ground = Ground::new(&[("checkout.yaml", CHECKOUT)]);
    let path = ground.file("belay.db");
    let ground = ground.over(Arc::new(SqliteJournal::open(&path).unwrap()));
    let config = ground.config();
    let test = ground.start_with(config).await;
    test.post("/v1/migrations/checkout/arm", "{}").await.expect(StatusCode::OK);
    pulse::look(&test.daemon, PATIENCE).await;
    test.get("/readyz").await.expect(StatusCode::OK);
    fs::remove_file(&path).unwrap();
    assert!(pulse::look(&test.daemon, PATIENCE).await, "to be started anew would lose the records");
    let readiness = test.get("/readyz").await.expect(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(readiness["not_ready"][0]["part"], "journal", "{readiness:#}");
    assert!(readiness["not_ready"][0]["why"].as_str().unwrap().contains("belay journal rescue"), "{readiness:#}");
    let cutover = test.post("/v1/migrations/checkout/cutover", "{}").await.expect_problem(503, "unavailable");
    assert!(cutover["detail"].as_str().unwrap().contains("was deleted"), "{cutover:#}");
    let rescued = test.post("/v1/journal/rescue", "{}").await.expect(StatusCode::OK);
    let rescued = SqliteJournal::open(rescued["path"].as_str().unwrap()).unwrap();
    assert!(!rescued.read("checkout", 0).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_head_over_all_streams_moves_with_the_journal() {
    let test = armed().await;
    let before = belay_server::head::look(&test.daemon).await.unwrap();
    assert_eq!(before.position, test.ground.journal.head());
    test.post("/v1/migrations/checkout/cutover", "{}").await.expect(StatusCode::OK);
    let after = belay_server::head::look(&test.daemon).await.unwrap();
    assert!(after.position > before.position && after.hash != before.hash);
}
