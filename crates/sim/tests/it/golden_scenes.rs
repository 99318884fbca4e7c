//! The scenes of the golden journals: each a story with another way through core.

use std::time::Duration;

use belay_core::{
    event::{DrillVerdict, Record},
    input::{Asked, Verb},
    run::{Run, RunState},
};
use belay_engine::Snapshot;
use belay_plan::model::Plan;
use belay_sim::{Faults, Receiver, SendFault, scenario};
use serde_json::json;

use crate::{
    deciders::night,
    drill::{drilled, fire, scene as drill_scene},
    notices::team_and_pager,
    plans::{plan as plan_of, restore, weights},
    rehearsals::{plan, rehearsal},
    scenarios::SHOP,
    scene::{Scene, command, virtually},
};

type Play = fn() -> Vec<Record>;

pub(crate) const SCENES: [(&str, Play); 20] = [
    ("rolled-back", || play(&plan(SHOP), "")),
    ("stages", || play(&staged(), "")),
    ("unproven-then-overridden", || {
        let without = plan(&SHOP.replace("    require: [blue_ready]\n", ""));
        let overridden = "halted: [{ do: override, steps: dns_back, subject: blue }, { do: skip }, { do: skip }]\n";
        play(&without, &format!("{overridden}{UNHEALTHY}"))
    }),
    ("interlock-then-retried", || {
        play(
            &plan(SHOP),
            &format!("halted: [{{ do: retry, after: 1h }}, {{ do: resume }}, {{ do: resume }}]\n{UNHEALTHY}"),
        )
    }),
    ("refused-then-skipped", || {
        play(&plan(SHOP), "halted: [{ do: skip }]\nevents: [{ fail: { steps: dns_back, how: denied } }]\n")
    }),
    ("answers-lost", || play(&plan(SHOP), "events: [{ fail: { steps: all, how: answer_lost }, for: 5m }]\n")),
    ("throttled-and-unreadable", || {
        let events = "{ fail: { steps: dns_back, how: throttled }, for: 3m }, { fail: { steps: listener_back, how: expired }, for: 2m }, \
            { signal: { signals: all, shows: unreadable }, at: 4m, for: 3m }";
        play(&plan(SHOP), &format!("events: [{events}]\n"))
    }),
    ("killed", || {
        let kills = "{ kill: { down: 20s }, at: { sent: dns_back } }, { kill: { down: 40s }, at: 6m }";
        play(&plan(SHOP), &format!("events: [{kills}]\n"))
    }),
    ("away-for-long", || {
        let changed = "{ change: { steps: dns_back }, at: 5m }, { kill: { down: 20m }, at: 31s }";
        play(
            &plan(SHOP),
            &format!("halted: [{{ do: resume }}, {{ do: retry }}, {{ do: resume }}]\nevents: [{changed}]\n"),
        )
    }),
    ("reverted-by-somebody", || {
        play(
            &plan(SHOP),
            "halted: [{ do: retry }]\nevents: [{ change: { steps: listener_back }, at: { done: listener_back, after: 30s } }]\n",
        )
    }),
    ("approvals", || play(&approved(), "people: [{ answer: [approve, approve], after: 3m }]\n")),
    ("denied-then-aborted", || {
        play(&approved(), "people: [{ steps: dns_back, answer: [approve, deny] }]\nhalted: [{ do: abort }]\n")
    }),
    ("fallback", || play(&with_fallback(), "events: [{ fail: { steps: dns_back, how: verdict } }]\n")),
    ("people-decide", || {
        let people = "{ decide: roll_back, role: commander, after: 3m }, { decide: roll_back, role: lead, after: 5m }";
        let joined = "{ signal: { signals: errors, shows: unhealthy }, at: 2m, for: 20m }";
        play(&night(), &format!("breach: {{ trigger: slower }}\npeople: [{people}]\nevents: [{joined}]\n"))
    }),
    ("muted-then-fixed-forward", || {
        let signals = "{ signal: { signals: rows, shows: missing }, at: 3m, for: 5m }, \
            { signal: { signals: slow, shows: healthy }, at: 30m, for: 20s }, { signal: { signals: slow, shows: healthy }, at: 40m }";
        let events = format!("{{ mute: 20m }}, {{ unmute: {{}}, at: 8m }}, {{ phase: soak, at: 25m }}, {signals}");
        play(&night(), &format!("breach: {{ trigger: slower }}\npeople: [{{ decide: nothing }}]\nevents: [{events}]\n"))
    }),
    ("undo-and-dry-run", undone),
    ("drill", drilled_once),
    ("notices-late", told_late),
    ("armed-twice", armed_twice),
    ("throttled-send", throttled_send),
];

const UNHEALTHY: &str = "events: [{ targets: { steps: all, are: unhealthy }, for: 40m }, \
    { signal: { signals: blue_ready, shows: unhealthy }, for: 40m }]\n";

fn play(plan: &Plan, rest: &str) -> Vec<Record> {
    let text = format!("scenario: 1\nsummary: A golden journal.\n{rest}");
    let script = scenario::load("scenario.yaml", &text, plan, None, None).unwrap_or_else(|errors| {
        panic!("{}", errors.iter().map(|error| error.render(false) + "\n").collect::<String>())
    });
    rehearsal(plan, script).play(1).unwrap().records
}

fn staged() -> Plan {
    let staged = "    require: [blue_ready]\n    stages: [10, 50, 100]\n    verify: [{ signal: page, within: 5m, for: 30s }]\n  listener";
    let text = SHOP.replacen("    require: [blue_ready]\n  listener", staged, 1);
    let page = "  page: { http: { url: \"https://shop.example.com/\", status: 200 } }\n  blue_ready:";
    plan(&text.replacen("  blue_ready:", page, 1))
}

fn approved() -> Plan {
    let approve = "    approve: { role: commander, quorum: 2, within: 30m }\n    require: [blue_ready]\n  listener";
    plan(&SHOP.replacen("    require: [blue_ready]\n  listener", approve, 1))
}

fn with_fallback() -> Plan {
    let by_hand = "    on_failure: { fallback: dns_by_hand }\n    require: [blue_ready]\n  dns_by_hand: \
        { action: manual, with: { instructions: \"Move the record.\" } }\n  listener";
    plan(&SHOP.replacen("    require: [blue_ready]\n  listener", by_hand, 1))
}

fn undone() -> Vec<Record> {
    virtually(async {
        let mut plan = plan_of([("one", weights()), ("two", weights())]);
        plan.steps["two"].needs = vec!["one".to_owned()];
        let scene = Scene::new(plan, 1, Faults::none());
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        let rehearsed = Verb::Rehearsed {
            plan: scene.plan.clone(),
            plan_sha256: "abc".to_owned(),
            only: Vec::new(),
            report: json!({ "verdict": "would_roll_back" }),
        };
        command(&handle, rehearsed).await.unwrap();
        let snapshot = scene.until_run(&handle, RunState::RolledBack).await;
        let rollback = snapshot.state.run.as_ref().unwrap().id.clone();
        let asked = Asked::new("alice", "it was right after all");
        let undo = belay_engine::undo(&handle, &scene.ports, rollback, &asked).await.unwrap();
        scene.until_run(&handle, RunState::Halted).await;
        scene.world.set_destination("green", true);
        command(&handle, Verb::Resume { run: undo }).await.unwrap();
        scene.until_run(&handle, RunState::Undone).await;
        handle.shutdown().await;
        scene.witness.records()
    })
}

fn drilled_once() -> Vec<Record> {
    virtually(async {
        let scene = drill_scene(drilled());
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        command(&handle, fire()).await.unwrap();
        scene.until_run(&handle, RunState::RolledBack).await;
        let over = Verb::DrillOver { verdict: DrillVerdict::Within, report: json!({ "verdict": "within" }) };
        command(&handle, over).await.unwrap();
        handle.shutdown().await;
        scene.witness.records()
    })
}

fn told_late() -> Vec<Record> {
    virtually(async {
        let mut plan = team_and_pager();
        let notify = std::sync::Arc::make_mut(&mut plan.notify);
        notify.channels["team"].within = Some(Duration::from_secs(60));
        let scene = Scene::new(plan, 7, Faults::none());
        let handle = scene.open().await;
        scene.arm(&handle).await.unwrap();
        scene.world.inbox().set("team", Receiver::Busy(Duration::from_secs(120)));
        scene.world.inbox().set("pager", Receiver::Refuses);
        command(&handle, Verb::Cutover).await.unwrap();
        scene.world.cut_over();
        scene.until_run(&handle, RunState::RolledBack).await;
        tokio::time::sleep(Duration::from_secs(300)).await;
        scene.world.inbox().set("team", Receiver::Takes);
        scene.until(&handle, |snapshot| snapshot.state.outbox.waiting.is_empty()).await;
        handle.shutdown().await;
        scene.witness.records()
    })
}

fn throttled_send() -> Vec<Record> {
    virtually(async {
        let scene = Scene::new(plan_of([("dns", weights())]), 1, Faults::none());
        scene.world.with_faults(|faults| faults.fail_send("dns", SendFault::Throttled));
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        scene.until_run(&handle, RunState::RolledBack).await;
        handle.shutdown().await;
        scene.witness.records()
    })
}

/// Held, resumed, rolled back and armed again for a second attempt, whose run is aborted in the middle.
fn armed_twice() -> Vec<Record> {
    virtually(async {
        let mut plan = plan_of([("dns", weights()), ("db", restore())]);
        plan.steps["db"].needs = vec!["dns".to_owned()];
        let scene = Scene::new(plan, 3, Faults::none());
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        let held = scene.until_run(&handle, RunState::Running).await;
        let run = held.state.run.as_ref().unwrap().id.clone();
        command(&handle, Verb::Hold { run: run.clone() }).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        command(&handle, Verb::Resume { run }).await.unwrap();
        scene.until_run(&handle, RunState::RolledBack).await;
        scene.armed_and_cut_over(&handle).await;
        let changed = |snapshot: &Snapshot| snapshot.state.open_run().is_some_and(Run::has_changed_anything);
        let sent = scene.until(&handle, changed).await;
        let run = sent.state.run.as_ref().unwrap().id.clone();
        command(&handle, Verb::Abort { run }).await.unwrap();
        scene.until_run(&handle, RunState::Aborted).await;
        handle.shutdown().await;
        scene.witness.records()
    })
}
