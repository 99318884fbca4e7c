//! A daemon that guards a shop, pages that its signals read, and people with tokens. The daemon may be killed at one append:
//! then it is started again, and a command whose answer was lost is asked again under its key.

use std::collections::BTreeMap;

use belay_tests::{Belay, Finished, HttpAnswer, KillPoint, Target, http, wait_until};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::journal;
use crate::stage::{Daemon, Stage};

/// As a process that a signal killed ends.
const KILLED: i32 = 128 + 9;
/// SQLite syncs this file once a commit.
const WAL: &str = "belay.db-wal";

/// A timebox that ends in a test. Longer ones are not waited for.
const SHORT: SignedDuration = SignedDuration::from_secs(10);

/// Who acts, with their roles beside `operator`: each has a token of the same name.
const PEOPLE: [(&str, &str); 4] =
    [("carl", "incident_commander"), ("dora", "incident_commander"), ("lea", "tech_lead"), ("cora", "compliance")];

/// A daemon that guards a shop, and the people around it.
pub(crate) struct Night<'s> {
    stage: &'s mut Stage,
    plan: String,
    pages: BTreeMap<&'static str, Target>,
    daemon: Option<Daemon>,
    killed: bool,
    late: bool,
    asked: u32,
}

impl<'s> Night<'s> {
    /// Armed. `$NAME` in the plan is the address of a page of that name, healthy at first; see also [`Stage::fill`].
    pub(crate) fn begin(stage: &'s mut Stage, plan: &str, pages: &[&'static str]) -> Self {
        stage.belay = Belay::at(stage.proxy.url());
        stage.world.set_some_weights(0, 100, &["dns", "listener"]);
        stage.proxy.clear();
        let pages: BTreeMap<&str, Target> = pages.iter().map(|name| (*name, Target::start(name))).collect();
        let fill = |text: String, (name, page): (&&str, &Target)| text.replace(&format!("${name}"), &page.url());
        let plan = stage.plan(&pages.iter().fold(plan.to_owned(), fill));
        let tokens: String = PEOPLE.iter().map(|(name, role)| token(stage, name, role)).collect();
        let config = stage.belay.write("belay.yaml", &format!("tokens:\n{tokens}"));
        stage.belay.env("BELAY_CONFIG", &config);
        let mut night = Self { stage, plan, pages, daemon: None, killed: false, late: false, asked: 0 };
        night.daemon = Some(night.stage.serve(&night.plan));
        night.must("carl", "arm", json!({}));
        night
    }

    /// The daemon is started anew, and dies at this append. `late`: it is dead until the time that people have is over.
    pub(crate) fn kill_at(&mut self, append: u64, late: bool) {
        self.daemon.take().unwrap().kill();
        self.late = late;
        KillPoint::after(WAL, append).prepare(&mut self.stage.belay);
        self.start();
    }

    /// The daemon is killed for good; whether it was before.
    pub(crate) fn end(&mut self) -> bool {
        self.daemon.take().unwrap().kill();
        KillPoint::disarm(&mut self.stage.belay);
        self.killed
    }

    pub(crate) fn restart(&mut self) {
        self.daemon.take().unwrap().kill();
        self.daemon = Some(self.stage.serve(&self.plan));
    }

    /// A command in the folder of the daemon.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        self.stage.belay.run(arguments)
    }

    pub(crate) fn set_healthy(&self, page: &str, healthy: bool) {
        self.pages[page].set_healthy(healthy);
    }

    fn start(&mut self) {
        match self.stage.try_serve(&["serve", "--plan", &self.plan]) {
            Ok(daemon) => self.daemon = Some(daemon),
            Err(ended) if ended.code == KILLED && !self.killed => self.revive(),
            Err(ended) => panic!("the daemon did not come up: {ended}"),
        }
    }

    /// The process has died, as it was to.
    #[track_caller]
    fn revive(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            wait_until("the daemon to be dead", || (!daemon.process().is_running()).then_some(()));
            let ended = daemon.kill();
            assert_eq!(ended.code, KILLED, "{ended}");
        }
        assert!(!self.killed, "it is killed once");
        self.killed = true;
        KillPoint::disarm(&mut self.stage.belay);
        let records = journal::records(&self.stage.belay);
        let ends = records.iter().rev().find_map(|record| record["event"]["asks"]["timebox_ends"].as_str());
        let ends = ends.filter(|_| self.late).map(|ends| ends.parse::<Timestamp>().unwrap());
        if let Some(ends) = ends.filter(|ends| ends.duration_since(Timestamp::now()) < SHORT) {
            wait_until("the time that people had to be over", || (Timestamp::now() > ends).then_some(()));
        }
        self.start();
    }

    /// Asks until there is an answer: of this process, or of the next one.
    #[track_caller]
    pub(crate) fn send(&mut self, who: &str, method: &str, path: &str, body: &Value) -> HttpAnswer {
        self.asked += 1;
        let (key, bearer) = (format!("night-{}", self.asked), format!("Bearer {}", secret(self.stage, who)));
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
            ("idempotency-key", key.as_str()),
        ];
        let body = if method == "GET" { String::new() } else { body.to_string() };
        loop {
            let url = format!("{}{path}", self.daemon.as_ref().unwrap().url);
            match http(method, &url, &headers, &body) {
                Ok(answer) => return answer,
                Err(_) => self.revive(),
            }
        }
    }

    /// A verb on the migration.
    #[track_caller]
    pub(crate) fn must(&mut self, who: &str, verb: &str, mut body: Value) {
        body["reason"] = json!("by a test");
        let path = format!("/v1/migrations/{}/{verb}", self.stage.name());
        let answer = self.send(who, "POST", &path, &body);
        assert!(answer.status < 300, "{verb}: {answer:?}");
    }

    /// The id of the open incident.
    #[track_caller]
    pub(crate) fn incident(&mut self) -> String {
        self.migration()["incident"]["id"].as_str().expect("there is an incident").to_owned()
    }

    /// A word on the open incident.
    #[track_caller]
    pub(crate) fn says(&mut self, who: &str, word: &str) -> HttpAnswer {
        let incident = self.incident();
        self.says_on(&incident, who, word)
    }

    #[track_caller]
    pub(crate) fn says_on(&mut self, incident: &str, who: &str, word: &str) -> HttpAnswer {
        let body = json!({ "decision": word, "reason": "by a test" });
        self.send(who, "POST", &format!("/v1/incidents/{incident}/decide"), &body)
    }

    #[track_caller]
    pub(crate) fn migration(&mut self) -> Value {
        let path = format!("/v1/migrations/{}", self.stage.name());
        let answer = self.send("carl", "GET", &path, &Value::Null);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        wait_until(what, || {
            let migration = self.migration();
            is(&migration).then_some(migration)
        })
    }

    #[track_caller]
    pub(crate) fn wait_for_question(&mut self) {
        self.wait_for("people to be asked", |migration| migration["incident"]["answer"].is_string());
    }

    /// A page fails, and people are asked.
    #[track_caller]
    pub(crate) fn breach(&mut self, page: &str) {
        self.set_healthy(page, false);
        self.wait_for_question();
    }

    #[track_caller]
    pub(crate) fn heal(&mut self, page: &str) {
        self.set_healthy(page, true);
        self.wait_for("the incident to be closed", |migration| migration["incident"].is_null());
    }

    #[track_caller]
    pub(crate) fn wait_for_rollback(&mut self) {
        self.wait_for("the rollback", |migration| migration["state"] == "rolled_back");
    }

    /// What was decided, by whom, and what came of it.
    pub(crate) fn decisions(&self) -> Vec<String> {
        journal::records(&self.stage.belay).iter().filter_map(|record| words(&record["event"])).collect()
    }
}

/// The secret of a person's token.
fn secret(stage: &Stage, who: &str) -> String {
    std::fs::read_to_string(stage.belay.folder().join(format!("token-of-{who}"))).unwrap()
}

/// Makes a person's token, and gives back its entry of the configuration.
fn token(stage: &Stage, name: &str, role: &str) -> String {
    let made = stage.belay.run(&["token", name, "--json"]).json();
    stage.belay.write(&format!("token-of-{name}"), made["token"].as_str().unwrap());
    let sha256 = made["sha256"].as_str().unwrap();
    format!("  - {{ name: {name}, roles: [operator, {role}], sha256: \"{sha256}\" }}\n")
}

/// A record that decides something, without times and ids.
fn words(event: &Value) -> Option<String> {
    let text = |key: &str| event[key].as_str().unwrap_or_default();
    Some(match text("type") {
        "muted" => "muted".to_owned(),
        "unmuted" => "unmuted".to_owned(),
        "incident_opened" => format!("{} opens", text("trigger")),
        "incident_joined" => format!("{} joins", text("trigger")),
        "decided" => match event["asks"]["then"].as_str() {
            Some(then) => format!("{}, then {then}", text("answer")),
            None => text("answer").to_owned(),
        },
        "word_given" => format!("{}: {}", text("who"), text("word")),
        "run_started" => "run".to_owned(),
        "run_ended" => text("outcome").to_owned(),
        "incident_closed" => format!("closed: {}", text("outcome")),
        _ => return None,
    })
}
