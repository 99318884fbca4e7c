//! People hear of it, whatever happens to the process and to those who carry the word; and no rollback waits for either.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use belay_core::{event::RunKind, input::Verb, run::RunState};
use belay_journal::AppendFault;
use belay_plan::{
    model::{AwsTarget, Plan},
    notify::{Channel, NoticeKind, Notify},
};
use belay_ports::Notice;
use belay_sim::{Faults, Receiver};
use jiff::Timestamp;
use serde_json::json;

use crate::{
    plans::{plan, weights},
    scene::{Scene, command, run_state, virtually},
};

pub(crate) fn channel(events: &[NoticeKind]) -> Channel {
    Channel {
        kind: "slack".to_owned(),
        spec: json!({ "slack": "env:HOOK" }),
        aws: AwsTarget::default(),
        events: events.to_vec(),
        customer_facing: false,
        within: None,
        after: None,
        every: None,
    }
}

pub(crate) fn telling(channels: impl IntoIterator<Item = (String, Channel)>) -> Plan {
    let mut plan = plan([("dns", weights())]);
    plan.notify = Arc::new(Notify { channels: channels.into_iter().collect(), ..Notify::default() });
    plan
}

pub(crate) fn team_and_pager() -> Plan {
    let story = [NoticeKind::Incident, NoticeKind::Finished];
    telling([("pager".to_owned(), channel(&story)), ("team".to_owned(), channel(&NoticeKind::ALL))])
}

/// Armed, cut over, rolled back by its trigger, and everybody told who can be; the process dies once on the way, if it is to.
async fn play(scene: &Scene, death: Option<(u64, AppendFault)>) -> u64 {
    if let Some((append, fault)) = death {
        scene.journal.fail_at(append, fault);
    }
    let mut handle = scene.open().await;
    let life = async |handle: &belay_engine::Handle| {
        let state = handle.snapshot().state.clone();
        if state.armed.is_none() && state.run.is_none() {
            scene.arm(handle).await.unwrap();
        }
        if handle.snapshot().state.cutover.is_none() && handle.snapshot().state.run.is_none() {
            command(handle, Verb::Cutover).await.unwrap();
        }
        if scene.world.calls().is_empty() && handle.snapshot().state.run.is_none() {
            scene.world.cut_over();
        }
        scene
            .until(handle, |snapshot| {
                run_state(snapshot).is_some_and(RunState::is_over) && snapshot.state.outbox.waiting.is_empty()
            })
            .await
    };
    let died = tokio::select! {
        biased;
        _ = life(&handle) => false,
        () = scene.journal.crashed() => true,
    };
    if died {
        scene.journal.restart();
        handle = scene.open().await;
        life(&handle).await;
    }
    handle.shutdown().await;
    scene.assert_sound(Some(&handle.snapshot().state));
    scene.journal.appends()
}

/// How often each notice arrived, by channel and what it tells.
fn arrived(scene: &Scene) -> BTreeMap<(String, NoticeKind, u32), Vec<Notice>> {
    let mut arrived: BTreeMap<_, Vec<Notice>> = BTreeMap::new();
    for got in scene.world.inbox().got() {
        let (kind, update) = (got.notice.facts.kind, got.notice.facts.update);
        arrived.entry((got.notice.channel.clone(), kind, update)).or_default().push(got.notice);
    }
    arrived
}

#[test]
fn a_crash_at_any_append_loses_no_notice_and_doubles_them_under_the_same_key_only() {
    let (undisturbed, appends) = virtually(async {
        let scene = Scene::new(team_and_pager(), 7, Faults::none());
        let appends = play(&scene, None).await;
        (arrived(&scene), appends)
    });
    assert_eq!(undisturbed.len(), 5, "{:?}", undisturbed.keys());
    assert!(undisturbed.values().all(|notices| notices.len() == 1));
    for append in 1..=appends {
        for fault in [AppendFault::CrashBefore, AppendFault::CrashAfter] {
            let disturbed = virtually(async {
                let scene = Scene::new(team_and_pager(), 7, Faults::none());
                play(&scene, Some((append, fault))).await;
                arrived(&scene)
            });
            let place = format!("{fault:?} at append {append} of {appends}");
            assert!(disturbed.keys().eq(undisturbed.keys()), "{place}: {:?}", disturbed.keys());
            for notices in disturbed.values() {
                let first = &notices[0];
                assert!(
                    notices.iter().all(|notice| (&notice.key, &notice.facts) == (&first.key, &first.facts)),
                    "{place}"
                );
                assert!(notices.len() <= 2, "{place}: {} times", notices.len());
            }
        }
    }
}

/// When the first change was sent, and when the run ended.
fn times(scene: &Scene) -> (Timestamp, Timestamp) {
    use belay_core::event::{Event, StepEvent};
    let records = scene.witness.records();
    let at = |wanted: fn(&Event) -> bool| records.iter().find(|record| wanted(&record.event)).unwrap().at;
    let sent = at(|event| matches!(event, Event::Step { what: StepEvent::Intended { .. }, .. }));
    (sent, at(|event| matches!(event, Event::RunEnded { .. })))
}

#[test]
fn neither_a_thousand_channels_nor_those_that_hang_hold_a_rollback_up() {
    let alone = virtually(async {
        let scene = Scene::new(telling([]), 7, Faults::none());
        play(&scene, None).await;
        times(&scene)
    });
    let crowd = |receiver: fn(usize) -> Receiver| {
        virtually(async move {
            let name = |number: usize| format!("channel{number}");
            let channels =
                (0..1000).map(|number| (name(number), channel(&[NoticeKind::Incident, NoticeKind::Finished])));
            let scene = Scene::new(telling(channels), 7, Faults::none());
            (0..1000).for_each(|number| scene.world.inbox().set(&name(number), receiver(number)));
            let handle = scene.open().await;
            scene.armed_and_cut_over(&handle).await;
            scene.until_run(&handle, RunState::RolledBack).await;
            tokio::time::sleep(Duration::from_secs(20)).await;
            (times(&scene), scene.world.inbox().got().len(), handle.snapshot().state.outbox.waiting.len())
        })
    };
    assert_eq!(crowd(|_| Receiver::Takes), (alone, 2000, 0));
    assert_eq!(crowd(|_| Receiver::Hangs), (alone, 0, 2000));
    assert_eq!(crowd(|number| Receiver::Slow(Duration::from_millis(number as u64))), (alone, 2000, 0));
}

#[test]
fn a_receiver_that_is_down_over_a_restart_gets_it_when_it_is_back() {
    virtually(async {
        let scene = Scene::new(team_and_pager(), 7, Faults::none());
        scene.world.inbox().set("pager", Receiver::Down);
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        scene.until_run(&handle, RunState::RolledBack).await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        handle.shutdown().await;
        let failing = handle.snapshot().state.outbox.channels["pager"].failing.clone();
        assert!(failing.unwrap().1.contains("down"));
        drop(handle);

        scene.world.inbox().set("pager", Receiver::Takes);
        let handle = scene.open().await;
        let done = scene.until(&handle, |snapshot| snapshot.state.outbox.waiting.is_empty()).await;
        assert_eq!(done.state.outbox.channels["pager"].failing, None);
        let kinds: Vec<NoticeKind> = scene
            .world
            .inbox()
            .got()
            .iter()
            .filter(|got| got.notice.channel == "pager")
            .map(|got| got.notice.facts.kind)
            .collect();
        assert_eq!(kinds, [NoticeKind::Incident, NoticeKind::Finished]);
        scene.assert_sound(Some(&handle.snapshot().state));
    });
}

#[test]
fn an_answer_that_is_lost_doubles_one_notice_under_its_key_and_a_busy_receiver_is_left_in_peace() {
    virtually(async {
        let scene = Scene::new(team_and_pager(), 7, Faults::none());
        let inbox = scene.world.inbox();
        inbox.set("team", Receiver::Silent);
        inbox.set("pager", Receiver::Busy(Duration::from_secs(120)));
        let handle = scene.open().await;
        scene.arm(&handle).await.unwrap();
        scene.until(&handle, |snapshot| snapshot.state.outbox.channels.contains_key("team")).await;
        inbox.set("team", Receiver::Takes);
        scene.world.cut_over();
        let tried = scene.until(&handle, |snapshot| snapshot.state.outbox.channels.contains_key("pager")).await.at;
        inbox.set("pager", Receiver::Takes);
        scene.until(&handle, |snapshot| snapshot.state.outbox.waiting.is_empty()).await;
        let armed: Vec<_> = inbox.got().into_iter().filter(|got| got.notice.facts.kind == NoticeKind::Armed).collect();
        assert_eq!(armed.len(), 2);
        assert_eq!(armed[0].notice, armed[1].notice, "the same key, the same words");
        let paged = inbox.got().into_iter().find(|got| got.notice.channel == "pager").unwrap();
        assert!(paged.at.duration_since(tried) >= jiff::SignedDuration::from_secs(119), "{} {tried}", paged.at);
    });
}

#[test]
fn what_is_urgent_is_sent_beside_what_has_no_answer_yet() {
    virtually(async {
        let scene = Scene::new(team_and_pager(), 7, Faults::none());
        let inbox = scene.world.inbox();
        inbox.set("team", Receiver::Slow(Duration::from_secs(20)));
        let handle = scene.open().await;
        scene.arm(&handle).await.unwrap();
        let rollback = Verb::Rollback { kind: RunKind::Real, only: Vec::new(), pin: None };
        command(&handle, rollback).await.unwrap();
        scene
            .until(&handle, |snapshot| {
                run_state(snapshot).is_some_and(RunState::is_over) && snapshot.state.outbox.waiting.is_empty()
            })
            .await;
        let got = inbox.got();
        let team: Vec<_> = got.iter().filter(|got| got.notice.channel == "team").collect();
        let kinds: Vec<NoticeKind> = team.iter().map(|got| got.notice.facts.kind).collect();
        assert_eq!(kinds, [NoticeKind::Armed, NoticeKind::Decision, NoticeKind::Finished]);
        // The message of the arming is on its way until second 20.
        let took = team[1].at.duration_since(team[1].notice.facts.at);
        assert!(took <= jiff::SignedDuration::from_secs(23), "{took:#}");
        scene.assert_sound(Some(&handle.snapshot().state));
    });
}
