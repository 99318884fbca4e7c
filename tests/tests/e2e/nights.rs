//! SIGKILL at each append of a night in which people are asked: from the first start to the end of what they were asked
//! about. Whatever the moment, the same follows as without it, once, and a command whose answer was lost is asked again
//! under its key.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use belay_tests::{HttpAnswer, KillPoint, Target, http, wait_until};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::journal;
use crate::stage::{Daemon, Stage};

/// As a process that a signal killed ends.
const KILLED: i32 = 128 + 9;
/// SQLite syncs this file once a commit.
const WAL: &str = "belay.db-wal";
/// Worlds side by side: most of the time a night waits.
const LANES: u64 = 3;
/// The start, the incident, the question and its answer, the run and its end are appends of their own.
const APPENDS_MIN: u64 = 4;

const PLAN: &str = r#"
belay: 1
migration: $name
aws: { account: "$account", region: $region }
signals:
  shop: { http: { url: "$shop", status: 200 } }
  rows: { http: { url: "$rows", status: 200 } }
  page: { http: { url: "$page", status: 200 } }
triggers:
  slow: { when: shop, for: 0s, severity: major, problem: performance }
  lost: { when: rows, for: 0s, severity: critical, problem: data_integrity }
decision:
  authority: [commander]
  rules: [$rules]
steps:
  dns_back:
    action: route53.weights
    with: { zone: $zone, record: $record, type: A }
    to: { $blue_set: 100, $green_set: 0 }
    require: [page]
confirm: [{ signal: page, within: 1m }]
"#;

/// A timebox of the nights in which it ends. The others are not waited for.
const SHORT: SignedDuration = SignedDuration::from_secs(10);

/// Who acts, with their role: each has a token of the same name.
const PEOPLE: [(&str, &str); 3] = [("carl", "commander"), ("dora", "commander"), ("lea", "lead")];

/// What happens in a night, and what has to come of it.
struct Story {
    name: &'static str,
    rules: &'static str,
    play: fn(&mut Night),
    /// The decisions on record, in order.
    expected: &'static [&'static str],
    rolled_back: bool,
    /// The dead process is started again only after the time that people had.
    late: bool,
}

/// A daemon that guards a shop, and the people around it.
struct Night<'s> {
    stage: &'s mut Stage,
    plan: String,
    late: bool,
    shop: Target,
    rows: Target,
    daemon: Option<Daemon>,
    killed: bool,
    asked: u32,
}

impl<'s> Night<'s> {
    /// Armed by a process that has ended. The next one dies at this append.
    fn begin(stage: &'s mut Stage, story: &Story, append: u64) -> Self {
        stage.belay = belay_tests::Belay::at(stage.proxy.url());
        stage.world.set_some_weights(0, 100, &["dns"]);
        stage.proxy.clear();
        let (shop, rows) = (Target::start("the shop"), Target::start("the rows"));
        let text = PLAN.replace("$rules", story.rules).replace("$shop", &shop.url()).replace("$rows", &rows.url());
        let plan = stage.plan(&text);
        let tokens: String = PEOPLE.iter().map(|(name, role)| token(stage, name, role)).collect();
        let config = stage.belay.write("belay.yaml", &format!("tokens:\n{tokens}"));
        stage.belay.env("BELAY_CONFIG", &config);
        let mut night = Self { stage, plan, late: story.late, shop, rows, daemon: None, killed: false, asked: 0 };
        night.daemon = Some(night.stage.serve(&night.plan));
        night.must("carl", "arm", json!({}));
        night.daemon.take().unwrap().kill();
        KillPoint::after(WAL, append).prepare(&mut night.stage.belay);
        night.start();
        night
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
    fn send(&mut self, who: &str, method: &str, path: &str, body: &Value) -> HttpAnswer {
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
    fn must(&mut self, who: &str, verb: &str, mut body: Value) {
        body["reason"] = json!("by a test");
        let path = format!("/v1/migrations/{}/{verb}", self.stage.name());
        let answer = self.send(who, "POST", &path, &body);
        assert!(answer.status < 300, "{verb}: {answer:?}");
    }

    /// A word on the open incident.
    #[track_caller]
    fn says(&mut self, who: &str, word: &str) -> HttpAnswer {
        let incident = self.migration()["incident"]["id"].as_str().expect("there is an incident").to_owned();
        self.says_on(&incident, who, word)
    }

    #[track_caller]
    fn says_on(&mut self, incident: &str, who: &str, word: &str) -> HttpAnswer {
        let body = json!({ "decision": word, "reason": "by a test" });
        self.send(who, "POST", &format!("/v1/incidents/{incident}/decide"), &body)
    }

    #[track_caller]
    fn migration(&mut self) -> Value {
        let path = format!("/v1/migrations/{}", self.stage.name());
        let answer = self.send("carl", "GET", &path, &Value::Null);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    #[track_caller]
    fn wait_for(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        wait_until(what, || {
            let migration = self.migration();
            is(&migration).then_some(migration)
        })
    }

    #[track_caller]
    fn wait_for_question(&mut self) {
        self.wait_for("people to be asked", |migration| migration["incident"]["answer"].is_string());
    }

    /// What was decided, by whom, and what came of it.
    fn decisions(&self) -> Vec<String> {
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

/// Plays the night with a kill at each of its appends, until one gets through unharmed.
#[track_caller]
fn kill_at_each_append(story: &Story) {
    let (next, unharmed) = (AtomicU64::new(1), AtomicU64::new(u64::MAX));
    thread::scope(|scope| {
        for lane in 0..LANES {
            let (next, unharmed) = (&next, &unharmed);
            scope.spawn(move || {
                let mut stage = Stage::cut_over(&format!("{}{lane}", story.name.replace('_', "")), &[]);
                loop {
                    let append = next.fetch_add(1, Ordering::SeqCst);
                    if append > unharmed.load(Ordering::SeqCst) {
                        return;
                    }
                    if !is_killed_in(&mut stage, story, append) {
                        unharmed.fetch_min(append, Ordering::SeqCst);
                        return;
                    }
                }
            });
        }
    });
    let appends = unharmed.into_inner() - 1;
    assert!(appends >= APPENDS_MIN, "{}: only {appends} appends", story.name);
}

/// Plays the night once. False: it had fewer appends.
fn is_killed_in(stage: &mut Stage, story: &Story, append: u64) -> bool {
    let moment = format!("{}, killed at append {append}", story.name);
    let mut night = Night::begin(stage, story, append);
    (story.play)(&mut night);
    let killed = night.killed;
    night.daemon.take().unwrap().kill();
    KillPoint::disarm(&mut night.stage.belay);
    assert_eq!(night.decisions(), story.expected, "{moment}");
    let sent: Vec<String> = stage.proxy.mutating_calls().into_iter().map(|call| call.action).collect();
    let expected: &[&str] = if story.rolled_back { &["ChangeResourceRecordSets"] } else { &[] };
    assert_eq!(sent, expected, "{moment}");
    assert_eq!(stage.weights()[0], if story.rolled_back { (100, 0) } else { (0, 100) }, "{moment}");
    let audit = stage.belay.run(&["audit", "--json"]);
    assert_eq!((audit.code, &audit.json()["intact"]), (0, &json!(true)), "{moment}: {audit}");
    killed
}

// --- the nights --------------------------------------------------------------------------------------------------------

fn breach(night: &mut Night) {
    night.shop.set_healthy(false);
    night.wait_for_question();
}

fn healed(night: &mut Night) {
    night.shop.set_healthy(true);
    night.wait_for("the incident to be closed", |migration| migration["incident"].is_null());
}

fn rolled_back(night: &mut Night) {
    night.wait_for("the rollback", |migration| migration["state"] == "rolled_back");
}

const ROLL_BACK: Story = Story {
    name: "roll_back",
    rules: "{ do: decide, timebox: 10m, then: fix_forward }",
    play: |night| {
        breach(night);
        assert_eq!(night.says("dora", "roll_back").status, 200);
        rolled_back(night);
    },
    expected: &[
        "slow opens",
        "decide, then fix_forward",
        "dora: roll_back",
        "roll_back",
        "run",
        "rolled_back",
        "closed: rolled_back",
    ],
    rolled_back: true,
    late: false,
};

const FIX_FORWARD: Story = Story {
    name: "fix_forward",
    rules: "{ do: decide, timebox: 10m, then: roll_back }",
    play: |night| {
        breach(night);
        assert_eq!(night.says("carl", "fix_forward").status, 200);
        healed(night);
    },
    expected: &["slow opens", "decide, then roll_back", "carl: fix_forward", "fix_forward", "closed: recovered"],
    rolled_back: false,
    late: false,
};

const ONE_OF_EACH: Story = Story {
    name: "one_of_each",
    rules: "{ do: decide, timebox: 10m, then: fix_forward, authority: { all: [commander, lead] } }",
    play: |night| {
        breach(night);
        assert_eq!(night.says("carl", "roll_back").status, 200);
        assert_eq!(night.says("dora", "roll_back").status, 200, "two with the same role are not one of each");
        assert_eq!(night.says("lea", "fix_forward").status, 200, "she disagrees");
        assert_eq!(night.migration()["incident"]["answer"], "decide");
        assert_eq!(night.says("lea", "roll_back").status, 200);
        rolled_back(night);
    },
    expected: &[
        "slow opens",
        "decide, then fix_forward",
        "carl: roll_back",
        "dora: roll_back",
        "lea: fix_forward",
        "lea: roll_back",
        "roll_back",
        "run",
        "rolled_back",
        "closed: rolled_back",
    ],
    rolled_back: true,
    late: false,
};

const FIX_FIRST: Story = Story {
    name: "fix_first",
    rules: "{ do: fix_first, timebox: 3s }",
    play: |night| {
        breach(night);
        rolled_back(night);
    },
    expected: &["slow opens", "fix_first, then roll_back", "roll_back", "run", "rolled_back", "closed: rolled_back"],
    rolled_back: true,
    late: false,
};

const THEN_FIX_FORWARD: Story = Story {
    name: "then_forward",
    rules: "{ do: decide, timebox: 3s, then: fix_forward }",
    play: |night| {
        breach(night);
        night.wait_for("the time to be over", |migration| migration["incident"]["answer"] == "fix_forward");
        healed(night);
    },
    expected: &["slow opens", "decide, then fix_forward", "fix_forward", "closed: recovered"],
    rolled_back: false,
    late: false,
};

const JOINED: Story = Story {
    name: "joined",
    rules: "{ problem: data_integrity, do: decide, timebox: 3s, then: roll_back }, { do: decide, timebox: 10m, then: fix_forward }",
    play: |night| {
        breach(night);
        night.rows.set_healthy(false);
        rolled_back(night);
    },
    expected: &[
        "slow opens",
        "decide, then fix_forward",
        "lost joins",
        "decide, then roll_back",
        "roll_back",
        "run",
        "rolled_back",
        "closed: rolled_back",
    ],
    rolled_back: true,
    late: false,
};

const MUTED: Story = Story {
    name: "muted",
    rules: "{ do: decide, timebox: 10m, then: roll_back }",
    play: |night| {
        night.must("carl", "mute", json!({ "for": "3s" }));
        breach(night);
        assert_eq!(night.says("carl", "roll_back").status, 200);
        rolled_back(night);
    },
    expected: &[
        "muted",
        "unmuted",
        "slow opens",
        "decide, then roll_back",
        "carl: roll_back",
        "roll_back",
        "run",
        "rolled_back",
        "closed: rolled_back",
    ],
    rolled_back: true,
    late: false,
};

#[test]
fn a_word_for_a_rollback_survives_a_kill_at_each_append() {
    kill_at_each_append(&ROLL_BACK);
}

#[test]
fn a_word_to_fix_forward_survives_a_kill_at_each_append() {
    kill_at_each_append(&FIX_FORWARD);
}

#[test]
fn words_of_one_person_of_each_role_survive_a_kill_at_each_append() {
    kill_at_each_append(&ONE_OF_EACH);
}

#[test]
fn the_end_of_a_timebox_survives_a_kill_at_each_append() {
    kill_at_each_append(&FIX_FIRST);
    kill_at_each_append(&THEN_FIX_FORWARD);
}

#[test]
fn a_timebox_that_ends_while_nobody_is_there_ends_the_same() {
    kill_at_each_append(&Story { late: true, name: "late_first", ..FIX_FIRST });
    kill_at_each_append(&Story { late: true, name: "late_forward", ..THEN_FIX_FORWARD });
}

#[test]
fn a_stricter_question_survives_a_kill_at_each_append() {
    kill_at_each_append(&JOINED);
    kill_at_each_append(&Story { late: true, name: "late_joined", ..JOINED });
}

#[test]
fn a_mute_over_a_breach_survives_a_kill_at_each_append() {
    kill_at_each_append(&MUTED);
}
