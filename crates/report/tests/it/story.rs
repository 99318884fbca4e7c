//! One incident with everything in it: a decision, a gate that broke, a step that failed and was retried, people's approvals,
//! lost data, notices that were sent, late and given up.

use std::{sync::Arc, time::Duration};

use belay_core::{
    change::{Assessment, Change, Effect},
    event::Event,
    id::RunId,
    input::{Asked, ErrorClass, Input, NotSent, Retry, SendFailure, Verb},
    reading::{Health, Reading},
    run::RunState,
};
use belay_plan::{
    model::*,
    notify::{Channel, NoticeKind, Notify},
};
use jiff::SignedDuration;
use serde_json::json;

use crate::common::{Stage, change, gate, plan, step};

/// What a signal shows, with markup of all kinds in it.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script> | [x](https://evil.example) **5xx** \u{1b}[31m\u{202e}";

pub(crate) struct Story {
    pub(crate) stage: Stage,
    pub(crate) run: RunId,
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

fn channel(events: &[NoticeKind]) -> Channel {
    Channel {
        kind: "slack".to_owned(),
        spec: json!({ "slack": "env:HOOK" }),
        aws: AwsTarget::default(),
        events: events.to_vec(),
        customer_facing: false,
        within: Some(minutes(5)),
        after: None,
        every: None,
    }
}

pub(crate) fn guarded() -> Plan {
    let dns = Step { require: vec![gate("blue_ready", 600, 0)], verify: vec![gate("errors", 600, 60)], ..step(&[]) };
    let approve = Approve { role: "commander".to_owned(), quorum: 1, within: None, otherwise: Otherwise::Halt };
    let db = Step { action: "rds.restore".to_owned(), loses_data: true, approve: Some(approve), ..step(&["dns"]) };
    let mut plan = plan(vec![("dns", dns), ("db", db)]);
    plan.summary = Some("The shop's checkout moves to the new cluster.".to_owned());
    let (rto, rpo, confidence) = (Some(minutes(10)), Some(minutes(30)), Some(minutes(10)));
    plan.objectives = Objectives { rto, rpo, confidence, recovery: None };
    let asked = Rule { timebox: Some(minutes(10)), ..Rule::always(Answer::Decide) };
    plan.decision.rules = vec![asked];
    plan.confirm = vec![gate("errors", 900, 300)];
    let story = [NoticeKind::Incident, NoticeKind::Decision, NoticeKind::StepFailed, NoticeKind::Finished];
    let channels = [("team", channel(&story)), ("executives", channel(&[NoticeKind::Incident]))];
    plan.notify = Arc::new(Notify {
        channels: channels.map(|(name, channel)| (name.to_owned(), channel)).into_iter().collect(),
        timezone: Some("Europe/Berlin".to_owned()),
        ..Notify::default()
    });
    plan
}

pub(crate) fn by(actor: &str, reason: &str) -> Asked {
    Asked::new(actor, reason)
}

fn restore(stage: &Stage) -> Change {
    Change {
        title: "shop-db: restored from before the cutover".to_owned(),
        before: json!({ "shop-db": "as migrated" }),
        after: json!({ "shop-db": "as of 01:50" }),
        call: "rds:RestoreDBInstanceToPointInTime".to_owned(),
        effects: vec![Effect::LosesData { since: Some(stage.now - SignedDuration::from_mins(20)) }],
        ..change("restore")
    }
}

fn reads(stage: &mut Stage, signal: &str, health: Health, evidence: &str) {
    let reading = read(stage, signal, health, evidence);
    stage.feed(Input::Reading(reading)).expect("a reading is never refused");
}

fn read(stage: &Stage, signal: &str, health: Health, evidence: &str) -> Reading {
    Reading {
        signal: signal.to_owned(),
        taken: stage.now,
        health,
        evidence: evidence.to_owned(),
        source: "cloudwatch".to_owned(),
        unreadable: false,
        permanent: false,
        measured: None,
    }
}

/// What waits for a channel is sent, or not.
fn send(stage: &mut Stage, channel: &str, result: &Result<(), Retry>) {
    let waiting = |stage: &Stage| {
        let due = stage.state.outbox.waiting.iter();
        due.filter(|(_, waiting)| waiting.channel == channel).map(|(id, _)| id.clone()).next()
    };
    while let Some(notice) = waiting(stage) {
        let answer = result.map(|()| "200".to_owned());
        let result = answer.map_err(|retry| NotSent { why: "503 Service Unavailable".to_owned(), retry });
        let again = result.is_err();
        stage.feed(Input::Noticed { notice, result }).expect("an answer is never refused");
        if again {
            return;
        }
    }
}

/// Armed, breached and decided, with the run under way.
pub(crate) fn begun() -> Story {
    let mut stage = Stage::new();
    stage.arm(&guarded());
    ["errors", "latency", "blue_ready"].iter().for_each(|name| {
        stage.read(name, Health::Healthy);
    });
    stage.pass(600);
    stage.command(Verb::Cutover).expect("it is armed");
    stage.pass(300);
    reads(&mut stage, "errors", Health::Unhealthy, HOSTILE);
    stage.pass(60);
    stage.tick();
    send(&mut stage, "team", &Ok(()));
    send(&mut stage, "executives", &Err(Retry::Later { after: None }));
    reads(&mut stage, "blue_ready", Health::Unhealthy, "0 of 3 targets healthy");
    stage.pass(90);
    stage.command_by(&by("carl", "customers cannot pay"), Verb::Decide { roll_back: true }).expect("carl may decide");
    let run = stage.state.run.as_ref().expect("it began").id.clone();
    Story { stage, run }
}

/// The interlock of `dns` breaks and passes; its calls are refused; a person retries it.
pub(crate) fn halted() -> Story {
    let Story { mut stage, run } = begun();
    stage.look("dns", Assessment::Remaining(vec![change("weights")]));
    stage.pass(5);
    reads(&mut stage, "blue_ready", Health::Unhealthy, "1 of 3 targets healthy");
    stage.pass(30);
    reads(&mut stage, "blue_ready", Health::Healthy, "3 of 3 targets healthy");
    stage.look("dns", Assessment::Remaining(vec![change("weights")]));
    stage.pass(1);
    let why = "AccessDenied: not allowed to change the zone".to_owned();
    let refused = SendFailure::NoEffect { why, class: ErrorClass::Permanent };
    let attempt = stage.step("dns").attempt;
    stage.feed(Input::Applied { step: "dns".to_owned(), attempt, result: Err(refused) }).expect("an answer");
    assert_eq!(stage.run_state(), RunState::Halted);
    Story { stage, run }
}

/// The whole of it.
pub(crate) fn over() -> Story {
    let Story { mut stage, run } = halted();
    stage.pass(120);
    send(&mut stage, "team", &Ok(()));
    let retry = Verb::Retry { run: run.clone(), step: "dns".to_owned() };
    stage.command_by(&by("bert", "the role may do it now"), retry).expect("it has failed");
    stage.look("dns", Assessment::Remaining(vec![change("weights")]));
    reads(&mut stage, "blue_ready", Health::Healthy, "3 of 3 targets healthy");
    stage.look("dns", Assessment::Remaining(vec![change("weights")]));
    stage.pass(2);
    stage.accept("dns");
    stage.pass(20);
    stage.look("dns", Assessment::InPlace);
    stage.pass(5);
    reads(&mut stage, "errors", Health::Healthy, "0.1% of requests fail");
    stage.pass(70);
    reads(&mut stage, "errors", Health::Healthy, "0.1% of requests fail");
    stage.tick();
    let restore = restore(&stage);
    stage.look("db", Assessment::Remaining(vec![restore.clone()]));
    stage.pass(40);
    let approve = Verb::Approve { run: run.clone(), step: "db".to_owned(), approve: true };
    stage.command_by(&by("carl", "twenty minutes of orders are exported"), approve).expect("it is asked");
    stage.look("db", Assessment::Remaining(vec![restore]));
    stage.pass(3);
    stage.accept("db");
    stage.pass(100);
    stage.awake(Duration::from_secs(40), SignedDuration::ZERO);
    reads(&mut stage, "errors", Health::Healthy, "0.1% of requests fail");
    stage.look("db", Assessment::InPlace);
    assert_eq!(stage.run_state(), RunState::Confirming);
    reads(&mut stage, "errors", Health::Healthy, "0.1% of requests fail");
    stage.pass(310);
    reads(&mut stage, "errors", Health::Healthy, "0.1% of requests fail");
    assert_eq!(stage.run_state(), RunState::RolledBack);
    stage.pass(4);
    send(&mut stage, "team", &Ok(()));
    send(&mut stage, "executives", &Err(Retry::Never));
    stage.pass(86_400);
    let held = Verb::PostmortemHeld { run: run.clone(), link: "https://wiki.example.com/incidents/17".to_owned() };
    stage.command_by(&by("carl", "it was talked over"), held).expect("it is over");
    assert!(stage.journal.iter().any(|record| matches!(record.event, Event::NoticeLate { .. })));
    Story { stage, run }
}
