//! One seed, from a daemon that guards nothing to a run that is over.

use std::{fs, time::Duration};

use axum::{body::Body, http::Request};
use belay_core::{
    event::{Event, Record},
    reading::Health,
};
use belay_ports::Journal;
use belay_server::Config;
use belay_sim::{Chance, Faults, Rule};
use serde_json::{Value, json};

use crate::world::{Answer, Ground, Running};

use super::{
    ask::{self, Ask},
    check,
};

pub(super) const STEPS: [&str; 9] = ["dns", "by_hand", "lb", "cdn", "cdn_other", "pause", "cache", "mail", "search"];

/// Every kind of step, need and answer to a failure. `$severity` is the seed's.
const PLAN: &str = "
belay: 1
migration: checkout
signals:
  errors: { probe: errors }
  blue_ready: { probe: blue }
triggers:
  hurt: { when: errors, severity: $severity, scope: system_wide, fix: long, for: 10s }
steps:
  dns:
    action: sim.weights
    with: { resource: dns }
    require: [{ signal: blue_ready, within: 1h }]
  by_hand: { action: manual, needs: [dns], with: { instructions: Stop the writers. } }
  lb:
    action: sim.weights
    with: { resource: lb }
    require: [blue_ready]
    on_failure: continue
  cdn:
    action: sim.weights
    with: { resource: cdn }
    needs: [dns]
    require: [blue_ready]
    retry: { attempts: 2, backoff: 1s..10s }
    on_failure: { fallback: cdn_other }
  cdn_other:
    action: sim.weights
    with: { resource: cdn2 }
    to: { blue: 100, green: 0 }
  pause: { action: wait, needs: [lb], with: { for: 5m } }
  cache:
    action: sim.weights
    with: { resource: cache }
    to: { blue: 100, green: 0 }
    needs: [pause]
    verify: [{ signal: blue_ready, within: 10m, for: 30s }]
    approve: { role: incident_commander, quorum: 2, within: 30m, otherwise: skip }
  mail: { action: manual, require: [blue_ready], with: { instructions: Tell the customers. } }
  search:
    action: sim.weights
    with: { resource: search }
    needs: [by_hand, mail]
    timeout: 2m
confirm: [{ signal: errors, within: 15m, for: 1m }]
";

/// Each one's token is the name.
const PEOPLE: &str = "
tokens:
  - { name: ann, roles: [operator, incident_commander], sha256: '49915e0d7d4b402e3017d010bc1c0e83cac6c797d6c16e66340fe3268693a6a1' }
  - { name: bob, roles: [operator, incident_commander], sha256: '81b637d8fcd2c6da6359e6963113a1170de795e4b725b84d1e0b4cfd9ec58ce9' }
  - { name: dan, roles: [incident_commander], sha256: 'ec4f2dbb3b140095550c9afbbb69b5d6fd9e814b9da82fad0b34e9fcbe56f1cb' }
  - { name: op, roles: [operator], sha256: '037aeaeaf4bbf26ddabe7256a8294dc52da48d575a1247b5c2598c47de7aebab' }
  - { name: eve, roles: [viewer], sha256: '85262adf74518bbb70c7cb94cd6159d91669e5a81edf1efebd543eadbda9fa2b' }
";

const MIGRATION: &str = "/v1/migrations/checkout";
const MOVES: u32 = 90;
/// Verbs that a person says in the end, before the run has to be over.
const PATIENCE: u32 = 60;

struct Play {
    test: Option<Running>,
    chance: Chance,
    plan: String,
    /// Numbers the reasons.
    said: u32,
    runs: Vec<String>,
}

pub(super) async fn play(seed: u64) {
    let mut chance = Chance::new(seed);
    let severity = *chance.pick(&["critical", "minor"]).unwrap_or(&"minor");
    let plan = PLAN.replace("$severity", severity);
    let ground = Ground::new(&[("checkout.yaml", &plan)]);
    ground.world.set_rule("errors", Rule::AtTarget(vec!["dns".to_owned(), "lb".to_owned()]));
    let share = u32::try_from(chance.below(3)).unwrap_or(0) * 40;
    ground.world.with_faults(|faults| *faults = Faults::seeded(chance.draw(), share, 30));
    let tokens = Config::parse("belay.yaml", PEOPLE).expect("valid tokens").tokens;
    let config = Config { tokens, ..ground.config() };
    let test = ground.start_with(config).await;
    let mut play = Play { test: Some(test), chance, plan, said: 0, runs: Vec::new() };
    for _ in 0..MOVES {
        play.happen().await;
        check::way_out(&play.migration().await);
    }
    play.bring_to_an_end().await;
    let records = play.records(0).await;
    check::sends(&play.test().ground.world.calls(), &records);
}

impl Play {
    fn test(&self) -> &Running {
        self.test.as_ref().expect("it runs but for a restart")
    }

    async fn migration(&self) -> Value {
        let request = Request::get(MIGRATION).header("authorization", "Bearer eve").body(Body::empty());
        let answer = self.test().send(request.expect("a request")).await;
        assert_eq!(answer.status, 200, "{:#}", answer.body);
        answer.body
    }

    async fn records(&self, after: u64) -> Vec<Record> {
        self.test().ground.journal.read("checkout", after).await.expect("memory can be read")
    }

    async fn happen(&mut self) {
        match self.chance.below(20) {
            0..=5 => self.say_anything().await,
            6..=12 => self.say_what_is_offered().await,
            13..=15 => self.let_time_pass().await,
            16 | 17 => self.change_the_world(),
            18 => self.restart().await,
            _ => self.change_the_plan_file().await,
        }
    }

    // --- verbs -------------------------------------------------------------------------------------------------------

    fn reason(&mut self) -> String {
        self.said += 1;
        format!("reason {}.", self.said)
    }

    async fn say_anything(&mut self) {
        let reason = self.reason();
        let before = self.migration().await;
        let ask = ask::any(&before, &self.runs, &reason, &mut self.chance);
        let (answer, _) = self.say(&ask, &before, &reason).await;
        self.take_at_its_word(&ask, &answer).await;
    }

    /// A refusal says what is possible: then that must be so.
    async fn take_at_its_word(&mut self, refused: &Ask, answer: &Answer) {
        let Some(possible) = answer.body["possible"].as_array() else { return };
        let words: Vec<String> = possible.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect();
        let Some(word) = self.chance.pick(&words).cloned() else { return };
        let after = |part| refused.path.split(part).nth(1).and_then(|rest| rest.split('/').next());
        self.say_offered(&word, after("/runs/"), after("/steps/")).await;
    }

    async fn say_what_is_offered(&mut self) {
        let migration = self.migration().await;
        let waiting = migration["waiting_for"].as_array().expect("a list");
        let mut offers: Vec<(String, Option<String>)> = Vec::new();
        for one in waiting {
            let step = one["step"].as_str().map(str::to_owned);
            let verbs = one["verbs"].as_array().into_iter().flatten().filter_map(Value::as_str);
            offers.extend(verbs.map(|verb| (verb.to_owned(), step.clone())));
        }
        if offers.is_empty() && !is_open(&migration) {
            // Nothing waits: then a person begins something.
            let armed = migration["armed"].is_string();
            if !armed && migration["run"].is_object() && self.chance.per_mille(400) {
                return self.say_undo(&migration).await;
            }
            offers.push((if armed { "rollback" } else { "arm" }.to_owned(), None));
        }
        // An abort ends everything: now and then only.
        let rare = !self.chance.per_mille(80);
        offers.retain(|(verb, _)| verb != "abort" || !rare);
        if let Some((verb, step)) = self.chance.pick(&offers).cloned() {
            self.say_offered(&verb, None, step.as_deref()).await;
        }
    }

    async fn say_undo(&mut self, migration: &Value) {
        let reason = self.reason();
        let Some(ask) = ask::offered("undo", None, None, migration, &reason, &mut self.chance) else { return };
        let (answer, _) = self.say(&ask, migration, &reason).await;
        self.take_at_its_word(&ask, &answer).await;
    }

    /// What is offered is not refused for the state, unless time has moved it on since.
    async fn say_offered(&mut self, verb: &str, run: Option<&str>, step: Option<&str>) {
        let reason = self.reason();
        let before = self.migration().await;
        let Some(ask) = ask::offered(verb, run, step, &before, &reason, &mut self.chance) else {
            assert!(step.is_none() || verb != "override", "nothing of {step:?} can be overridden: {before:#}");
            return;
        };
        let (answer, moved_on) = self.say(&ask, &before, &reason).await;
        let refused = ["wrong_state", "already_running", "not_found", "not_allowed"]
            .iter()
            .any(|kind| check::ends_with(&answer, kind));
        assert!(!refused || moved_on, "offered, and refused: {ask:?} {:#}\n{before:#}", answer.body);
    }

    /// The answer, and whether something else has come before it.
    async fn say(&mut self, ask: &Ask, before: &Value, reason: &str) -> (Answer, bool) {
        let request = Request::post(&ask.path).header("authorization", format!("Bearer {}", ask.who));
        let request = request.body(Body::from(ask.body.clone())).expect("a request");
        let answer = self.test().send(request).await;
        let records = self.records(before["seq"].as_u64().unwrap_or(0)).await;
        let is_this =
            |record: &&Record| matches!(&record.event, Event::Commanded { reason: said, .. } if said == reason);
        let commands = records.iter().filter(is_this).count();
        let moved_on = records.first().is_some_and(|first| !is_this(&first));
        let after = self.migration().await;
        if answer.status.is_success() {
            // Arming and disarming need no reason.
            assert_eq!(commands, usize::from(ask.body.contains(reason)), "taken, and not on record: {ask:?}");
        } else {
            check::refused(ask, &answer, before, &after, commands);
        }
        if let Some(run) = answer.body["run"].as_str() {
            self.runs.push(run.to_owned());
        }
        (answer, moved_on)
    }

    // --- everything else ---------------------------------------------------------------------------------------------

    async fn let_time_pass(&mut self) {
        let seconds = *self.chance.pick(&[0, 1, 1, 5, 30, 120, 900]).unwrap_or(&1);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    fn change_the_world(&mut self) {
        let world = self.test().ground.world.clone();
        let health =
            *self.chance.pick(&[Health::Healthy, Health::Unhealthy, Health::Unknown]).unwrap_or(&Health::Unknown);
        match self.chance.below(6) {
            0 | 1 => world.cut_over(),
            2 => world.set_rule("blue_ready", Rule::Always(health)),
            3 => world.set_rule("errors", Rule::Always(health)),
            4 => world.set_destination("blue", self.chance.per_mille(500)),
            _ => self.all_is_well(),
        }
    }

    fn all_is_well(&self) {
        let world = &self.test().ground.world;
        world.set_rule("blue_ready", Rule::Always(Health::Healthy));
        world.set_rule("errors", Rule::AtTarget(vec!["dns".to_owned(), "lb".to_owned()]));
    }

    /// In order, or as a crash.
    async fn restart(&mut self) {
        let Some(test) = self.test.take() else { return };
        let orderly = self.chance.per_mille(500);
        self.test = Some(if orderly { test.restart().await } else { test.crash().await });
    }

    async fn change_the_plan_file(&mut self) {
        let file = self.test().ground.file("checkout.yaml");
        let changed = match self.chance.below(4) {
            0 => fs::remove_file(&file),
            1 => fs::write(&file, "nonsense: ["),
            2 => fs::write(&file, self.plan.replace("within: 15m", "within: 16m")),
            _ => fs::write(&file, &self.plan),
        };
        drop(changed); // it may be gone already
        self.test().daemon.reload().await;
        // Without a file nothing can be armed, and a start refuses what it cannot read.
        fs::write(&file, &self.plan).expect("the folder is ours");
        self.test().daemon.reload().await;
    }

    /// From now on all goes well, and a person says what is offered: it has to end.
    async fn bring_to_an_end(&mut self) {
        let world = self.test().ground.world.clone();
        world.with_faults(|faults| *faults = Faults::none());
        world.set_destination("blue", true);
        self.all_is_well();
        for said in 0..PATIENCE {
            let migration = self.migration().await;
            check::way_out(&migration);
            if !is_open(&migration) && migration["incident"]["closed"].is_string() == migration["incident"].is_object()
            {
                return;
            }
            let order = match said < PATIENCE / 2 {
                true => ["approve", "resume", "retry", "override", "decide"],
                false => ["approve", "skip", "resume", "decide", "abort"],
            };
            let waiting = migration["waiting_for"].as_array().expect("a list");
            let offer = |verb: &&str| {
                let one =
                    waiting.iter().find(|one| one["verbs"].as_array().is_some_and(|all| all.contains(&json!(verb))));
                one.map(|one| ((*verb).to_owned(), one["step"].as_str().map(str::to_owned)))
            };
            if let Some((verb, step)) = order.iter().find_map(offer) {
                self.say_offered(&verb, None, step.as_deref()).await;
            }
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        panic!("it does not end: {:#}", self.migration().await);
    }
}

fn is_open(migration: &Value) -> bool {
    migration["run"].is_object() && migration["run"]["ended"].is_null()
}
