//! Drift: what a resource should be after the cutover is captured once it has stood still; what somebody changes then is told, and
//! waits for a person where the plan says so.

use std::{sync::Arc, time::Duration};

use belay_core::{
    event::Event,
    input::Verb,
    readiness::CheckVerdict,
    run::{Phase, RunState},
};
use belay_engine::{Circumstances, Handle, ReadinessCheck, Verdict};
use belay_plan::model::{self, OnDrift, Plan, Step};
use belay_ports::{
    Evidence, Fut, Gathered, Permission,
    evidence::{Changed, Finding, Question},
};
use belay_sim::Faults;
use serde_json::{Value, json};

use crate::{
    plans::{plan, weights},
    readiness::{Decided, open},
    scene::{Scene, command, phase, roll_back, virtually},
};

fn scene(on_drift: OnDrift, expect: Option<Value>) -> Scene {
    let dns = Step { on_drift, expect, ..weights() };
    let mut plan: Plan = plan([("dns", dns)]);
    plan.triggers.clear();
    let scene = Scene::new(plan, 1, Faults::none());
    scene.world.set("dns", json!({ "blue": 100, "green": 0 }));
    scene
}

async fn armed(scene: &Scene) -> Handle {
    let handle = open(scene, &Arc::new(Decided::default())).await;
    scene.arm(&handle).await.unwrap();
    handle
}

async fn cut_over(scene: &Scene, handle: &Handle) {
    command(handle, Verb::Cutover).await.unwrap();
    scene.world.set("dns", json!({ "blue": 0, "green": 100 }));
}

fn captures(scene: &Scene) -> usize {
    let records = scene.witness.records();
    records.iter().filter(|record| matches!(record.event, Event::ExpectedCaptured { .. })).count()
}

/// As the evaluation that follows finds it.
async fn check(scene: &Scene, handle: &Handle) -> ReadinessCheck {
    let asked = scene.clock.now();
    let snapshot = scene.until(handle, |snapshot| snapshot.readiness.as_ref().is_some_and(|r| r.at > asked)).await;
    let found = snapshot.readiness.as_ref().unwrap();
    found.checks.iter().find(|check| check.id == "drift").cloned().unwrap_or_else(|| panic!("{found:#?}"))
}

#[test]
fn what_stands_still_after_the_cutover_is_captured_and_another_state_is_drift() {
    virtually(async {
        let scene = scene(OnDrift::Proceed, None);
        let handle = armed(&scene).await;
        assert_eq!(check(&scene, &handle).await.found, "as at the baseline");
        cut_over(&scene, &handle).await;
        let moved = check(&scene, &handle).await;
        assert!(moved.verdict == CheckVerdict::Go && moved.found.starts_with("moved by the cutover"), "{moved:?}");
        scene.until(&handle, |snapshot| snapshot.state.expected.contains_key("dns")).await;
        assert_eq!(check(&scene, &handle).await.found, "as expected after the cutover");
        scene.world.set("dns", json!({ "blue": 0, "green": 60, "canary": 40 }));
        let drifted = check(&scene, &handle).await;
        assert_eq!(drifted.verdict, CheckVerdict::Warn, "{drifted:?}");
        assert!(
            drifted.found.starts_with("not as expected after the cutover: to bring it back would take "),
            "{drifted:?}"
        );
        scene.world.set("dns", json!({ "blue": 100, "green": 0 }));
        assert_eq!(check(&scene, &handle).await.found, "as it was before the cutover");
        scene.arm(&handle).await.unwrap();
        assert_eq!(
            (handle.snapshot().state.expected.len(), captures(&scene)),
            (1, 1),
            "arming the same plan loses nothing"
        );
        scene.assert_sound(Some(&handle.snapshot().state));
    });
}

#[test]
fn a_resource_that_keeps_moving_is_not_captured() {
    virtually(async {
        let scene = scene(OnDrift::Proceed, None);
        let handle = armed(&scene).await;
        cut_over(&scene, &handle).await;
        for green in [10, 25, 50, 75] {
            scene.world.set("dns", json!({ "blue": 100 - green, "green": green }));
            assert!(check(&scene, &handle).await.found.starts_with("moved by the cutover"));
        }
        assert_eq!(captures(&scene), 0);
        scene.until(&handle, |snapshot| snapshot.state.expected.contains_key("dns")).await;
        assert_eq!(captures(&scene), 1);
    });
}

/// The verdict of the first evaluation after the cutover is another one, so the next comes after a minute.
#[test]
fn what_stands_still_for_less_than_five_minutes_is_not_captured() {
    virtually(async {
        let scene = scene(OnDrift::Halt, None);
        let host = Arc::new(Decided::default());
        let handle = open(&scene, &host).await;
        scene.arm(&handle).await.unwrap();
        check(&scene, &handle).await;
        cut_over(&scene, &handle).await;
        host.set(CheckVerdict::Unknown);
        check(&scene, &handle).await;
        host.set(CheckVerdict::Go);
        scene.until(&handle, |snapshot| snapshot.state.expected.contains_key("dns")).await;
        let records = scene.witness.records();
        let at = |found: fn(&Event) -> bool| records.iter().find(|record| found(&record.event)).unwrap().at;
        let marked = at(|event| matches!(event, Event::CutoverMarked));
        let captured = at(|event| matches!(event, Event::ExpectedCaptured { .. }));
        let stood = captured.duration_since(marked).as_secs();
        assert!((300..=720).contains(&stood), "captured {stood} s after the mark");
    });
}

/// Somebody has sent a part of the traffic elsewhere, and then the cutover is rolled back.
async fn drifted_and_rolled_back(scene: &Scene, handle: &Handle) {
    scene.world.set("dns", json!({ "blue": 0, "green": 60, "canary": 40 }));
    command(handle, roll_back(&[])).await.unwrap();
}

#[test]
fn a_step_that_would_overwrite_what_somebody_changed_waits_for_a_person_where_the_plan_says_so() {
    virtually(async {
        let scene = scene(OnDrift::Halt, None);
        let handle = armed(&scene).await;
        cut_over(&scene, &handle).await;
        scene.until(&handle, |snapshot| snapshot.state.expected.contains_key("dns")).await;
        // The expectation outlives the process.
        handle.shutdown().await;
        let handle = open(&scene, &Arc::new(Decided::default())).await;
        drifted_and_rolled_back(&scene, &handle).await;
        let waits = scene.until(&handle, |snapshot| phase(snapshot, "dns") == Some(Phase::AwaitingApproval)).await;
        let run = waits.state.open_run().unwrap();
        let why = &run.steps["dns"].why;
        assert!(why.starts_with("it is not as expected after the cutover: "), "{why}");
        assert!(scene.world.calls().is_empty());
        command(&handle, Verb::Approve { run: run.id.clone(), step: "dns".to_owned(), approve: true }).await.unwrap();
        scene.until_run(&handle, RunState::RolledBack).await;
        assert!(handle.snapshot().state.expected.is_empty(), "the cutover is over");
        scene.assert_sound(Some(&handle.snapshot().state));
    });
}

#[test]
fn what_is_as_expected_waits_for_nobody() {
    virtually(async {
        for expect in [None, Some(json!({ "green": 100, "blue": 0 }))] {
            let scene = scene(OnDrift::Halt, expect.clone());
            let handle = armed(&scene).await;
            cut_over(&scene, &handle).await;
            if expect.is_none() {
                scene.until(&handle, |snapshot| snapshot.state.expected.contains_key("dns")).await;
            }
            command(&handle, roll_back(&[])).await.unwrap();
            scene.until_run(&handle, RunState::RolledBack).await;
            assert_eq!(captures(&scene), usize::from(expect.is_none()), "what the plan names is not captured");
        }
    });
}

#[test]
fn by_default_the_rollback_comes_first() {
    virtually(async {
        let scene = scene(OnDrift::Proceed, Some(json!({ "green": 100, "blue": 0 })));
        let handle = armed(&scene).await;
        cut_over(&scene, &handle).await;
        drifted_and_rolled_back(&scene, &handle).await;
        scene.until_run(&handle, RunState::RolledBack).await;
    });
}

#[test]
fn what_the_plan_expects_is_held_against_at_once() {
    virtually(async {
        let scene = scene(OnDrift::Halt, Some(json!({ "green": 100, "blue": 0 })));
        let handle = armed(&scene).await;
        cut_over(&scene, &handle).await;
        drifted_and_rolled_back(&scene, &handle).await;
        let waits = scene.until(&handle, |snapshot| phase(snapshot, "dns") == Some(Phase::AwaitingApproval)).await;
        let run = waits.state.open_run().unwrap().id.clone();
        command(&handle, Verb::Approve { run, step: "dns".to_owned(), approve: false }).await.unwrap();
        scene.until_run(&handle, RunState::Halted).await;
        assert!(scene.world.calls().is_empty(), "what a person denies is not overwritten");
    });
}

/// CloudTrail, as the test knows it.
struct Trail(Gathered);

impl Evidence for Trail {
    fn gather<'a>(&'a self, _question: &'a Question) -> Fut<'a, Gathered> {
        Box::pin(std::future::ready(Gathered::default()))
    }

    fn changes<'a>(&'a self, changed: Changed<'a>) -> Fut<'a, Gathered> {
        assert!(changed.since < changed.until && changed.step.expect.is_some());
        Box::pin(std::future::ready(self.0.clone()))
    }

    fn permissions(&self, _plan: &Plan) -> Vec<Permission> {
        Vec::new()
    }
}

#[test]
fn who_has_changed_it_is_told_where_the_plan_asks_cloudtrail_and_changes_no_verdict() {
    let found = |gathered: Gathered, asks: bool| {
        virtually(async move {
            let dns = Step { expect: Some(json!({ "green": 100, "blue": 0 })), ..weights() };
            let mut plan: Plan = plan([("dns", dns)]);
            plan.triggers.clear();
            plan.evidence =
                asks.then(|| model::Evidence { cloudtrail: Some(Duration::from_secs(1800)), ..Default::default() });
            let mut scene = Scene::new(plan, 1, Faults::none());
            scene.ports.evidence = Arc::new(Trail(gathered));
            scene.world.set("dns", json!({ "blue": 100, "green": 0 }));
            let handle = armed(&scene).await;
            cut_over(&scene, &handle).await;
            scene.world.set("dns", json!({ "blue": 40, "green": 60 }));
            let drifted = check(&scene, &handle).await;
            assert_eq!(drifted.verdict, CheckVerdict::Warn, "{drifted:?}");
            let state = handle.snapshot().state.clone();
            let circumstances = Circumstances::of(&scene.plan, &state, &[]);
            let which = belay_engine::Which::default();
            let report = belay_engine::dry_run(&scene.ports, &scene.plan, "abc", &circumstances, which).await.unwrap();
            let shown = report.steps["dns"].checks.iter().find(|check| check.id == "drift").cloned();
            assert_eq!(shown.map(|check| check.found), Some(drifted.found.clone()), "the dry run shows the same");
            assert!(
                report.warnings.iter().any(|line| line.contains("not as expected after the cutover")),
                "{report:#?}"
            );
            let (_, who) = drifted.found.split_once("; ").unwrap();
            who.to_owned()
        })
    };
    let change = |who: &str| Finding {
        at: "2026-01-01T02:00:00Z".parse().unwrap(),
        what: "ChangeResourceRecordSets".to_owned(),
        resource: "dns".to_owned(),
        who: Some(who.to_owned()),
        detail: None,
    };
    let by = |people: &[&str]| Gathered { findings: people.iter().map(|who| change(who)).collect(), notes: vec![] };
    let alice = "changed by alice at 2026-01-01T02:00:00Z (ChangeResourceRecordSets)";
    assert_eq!(found(by(&["alice"]), true), alice);
    assert!(found(by(&["alice", "bob", "carol"]), true).ends_with(", and 1 more"));
    assert_eq!(found(Gathered::note("denied"), true), "who has changed it is not known: denied");
    assert!(found(by(&["alice"]), false).starts_with("who has changed it is asked of CloudTrail where the plan has"));
}

#[test]
fn a_dry_run_stops_where_what_was_changed_waits_for_a_person() {
    virtually(async {
        let scene = scene(OnDrift::Halt, Some(json!({ "green": 100, "blue": 0 })));
        let handle = armed(&scene).await;
        cut_over(&scene, &handle).await;
        scene.world.set("dns", json!({ "blue": 40, "green": 60 }));
        let circumstances = Circumstances::of(&scene.plan, &handle.snapshot().state, &[]);
        let which = belay_engine::Which::default();
        let report = belay_engine::dry_run(&scene.ports, &scene.plan, "abc", &circumstances, which).await.unwrap();
        assert_eq!(report.verdict, Verdict::WouldStop);
        assert!(report.stopped_by[0].why.contains("not as expected after the cutover"), "{report:#?}");
    });
}

#[test]
fn an_expect_that_cannot_be_compared_is_found_before_the_cutover_and_after_it() {
    virtually(async {
        for (on_drift, verdict) in [(OnDrift::Proceed, CheckVerdict::Warn), (OnDrift::Halt, CheckVerdict::NoGo)] {
            let scene = scene(on_drift, Some(json!({ "green": 100 })));
            let handle = armed(&scene).await;
            for marked in [false, true] {
                if marked {
                    cut_over(&scene, &handle).await;
                }
                let asked = scene.clock.now();
                let evaluated = |at: jiff::Timestamp| at > asked;
                let snapshot =
                    scene.until(&handle, |now| now.readiness.as_ref().is_some_and(|found| evaluated(found.at))).await;
                let checks = &snapshot.readiness.as_ref().unwrap().checks;
                let found: Vec<_> =
                    checks.iter().filter(|check| ["drift", "expect"].contains(&check.id.as_str())).collect();
                assert_eq!(found.len(), 1, "{found:#?}");
                assert_eq!((found[0].id.as_str(), found[0].verdict), ("expect", verdict), "{found:#?}");
                assert!(found[0].found.starts_with("`expect` cannot be compared with it: "), "{found:#?}");
            }
        }
    });
}
