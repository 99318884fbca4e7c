//! Drills: a breach at the sensor, everything behind it as in earnest.

use std::{sync::Arc, time::Duration};

use belay_core::{
    event::{DrillVerdict, Event, RunKind},
    input::Verb,
    reading::Health,
    run::RunState,
};
use belay_engine::{
    Circumstances, DrillReport, ExpectedFrom, INJECTED, Injection, Measured, drill_report, measured, relatives,
    standing,
};
use belay_plan::model::{self, Answer, Overlaid, Plan};
use belay_ports::Journal;
use belay_sim::{Faults, Rule};
use futures::FutureExt;

use crate::{
    plans::{gate, plan, restore, step, trigger, weights},
    scene::{Scene, command, virtually},
};

/// `errors` says what customers see; the breach is injected there, and it is a gate, too.
pub(crate) fn drilled() -> Plan {
    let mut plan = plan([("dns", weights()), ("db", restore())]);
    plan.steps["dns"].require.push(gate("errors", 0, 0));
    plan.steps["db"].needs = vec!["dns".to_owned()];
    plan.signals.insert("errors".to_owned(), plan.signals["in_place"].clone());
    plan.triggers["hurt"] = trigger("errors", 30);
    plan.confirm = vec![gate("errors", 600, 20)];
    plan.objectives.rto = Some(Duration::from_secs(600));
    plan
}

pub(crate) fn scene(plan: Plan) -> Scene {
    let mut scene = Scene::new(plan, 1, Faults::none());
    let injection = Injection::default();
    scene.ports.sensors = injection.before(scene.ports.sensors.clone(), scene.clock.clone());
    scene.ports.observer = Arc::new(injection);
    scene.world.set_rule("errors", Rule::Always(Health::Healthy));
    scene
}

pub(crate) fn fire() -> Verb {
    Verb::Drill { trigger: Some("hurt".to_owned()) }
}

fn report(scene: &Scene) -> DrillReport {
    let report = async { drill_report(scene.journal.as_ref(), &scene.plan.migration, &Measured::new()).await };
    report.now_or_never().unwrap().unwrap().unwrap()
}

#[test]
fn a_fired_trigger_goes_all_the_way_and_is_measured() {
    virtually(async {
        let scene = scene(drilled());
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        command(&handle, fire()).await.unwrap();
        let done = scene.until_run(&handle, RunState::RolledBack).await;
        let run = done.state.run.clone().unwrap();
        assert_eq!(run.kind, RunKind::Drill);
        // The interlock on the very signal that was injected passes at once: it reads the true sensor.
        let turns: Vec<_> = scene
            .witness
            .records()
            .iter()
            .filter_map(|record| match &record.event {
                Event::SignalTurned { signal, to, evidence, .. } if signal == "errors" => Some((*to, evidence.clone())),
                _ => None,
            })
            .collect();
        assert_eq!(turns.iter().filter(|(to, _)| *to == Health::Unhealthy).count(), 1, "{turns:?}");
        assert!(turns.contains(&(Health::Unhealthy, INJECTED.to_owned())), "{turns:?}");

        let report = report(&scene);
        assert_eq!((report.verdict, report.trigger.as_deref()), (DrillVerdict::Within, Some("hurt")));
        let detection_s = report.detection_s.unwrap();
        assert!((30.0..=41.0).contains(&detection_s), "dwell and at most two polls: {detection_s}");
        assert_eq!(report.decision_s, Some(0.0));
        // A shift takes five seconds in this world, a restore twice two minutes, and each look finds it a little later.
        let recovery_s = report.recovery_s.unwrap();
        assert!((detection_s + 245.0..detection_s + 260.0).contains(&recovery_s), "{recovery_s}");
        assert!((20.0..40.0).contains(&report.confidence_s.unwrap()), "{report:?}");
        let db = &report.steps["db"];
        assert!((240.0..250.0).contains(&db.phases["settling"]), "{db:?}");
        assert_eq!(db.expected_from, ExpectedFrom::Default);
        let spent: f64 = db.phases.values().sum();
        assert!((spent - db.took_s.unwrap()).abs() < 0.01, "{db:?}");
        assert_eq!(report.stays.len(), 1, "a restore cannot be taken back: {:?}", report.stays);

        let value = serde_json::to_value(&report).unwrap();
        let over = Verb::DrillOver { verdict: report.verdict, report: value.clone() };
        command(&handle, over).await.unwrap();
        let state = handle.snapshot().state.clone();
        assert_eq!(state.run.as_ref().unwrap().drill, Some(value));
        scene.assert_sound(Some(&state));
    });
}

#[test]
fn the_time_to_decide_ends_with_the_decision_that_starts_the_run() {
    virtually(async {
        let mut plan = drilled();
        plan.decision.rules =
            vec![model::Rule { timebox: Some(Duration::from_secs(600)), ..model::Rule::always(Answer::Decide) }];
        let scene = scene(plan);
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        command(&handle, fire()).await.unwrap();
        scene.until(&handle, |snapshot| snapshot.state.incident.is_some()).await;
        tokio::time::sleep(Duration::from_secs(40)).await;
        command(&handle, Verb::Decide { roll_back: true }).await.unwrap();
        scene.until_run(&handle, RunState::RolledBack).await;
        let decision_s = report(&scene).decision_s.unwrap();
        assert!((40.0..45.0).contains(&decision_s), "{decision_s}");
    });
}

#[test]
fn an_objective_that_was_missed_is_told() {
    virtually(async {
        let mut plan = drilled();
        plan.objectives.rto = Some(Duration::from_secs(60));
        plan.objectives.rpo = Some(Duration::from_secs(60));
        let scene = scene(plan);
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        command(&handle, Verb::Drill { trigger: None }).await.unwrap();
        scene.until_run(&handle, RunState::RolledBack).await;
        let report = report(&scene);
        assert_eq!((report.verdict, report.detection_s), (DrillVerdict::Outside, None));
        let missed: Vec<&str> = report.objectives.iter().filter(|o| !o.within).map(|o| o.name.as_str()).collect();
        assert_eq!(missed, ["rto"], "{:?}", report.objectives);
    });
}

#[test]
fn a_drill_goes_on_in_the_next_process() {
    virtually(async {
        let scene = scene(drilled());
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        command(&handle, fire()).await.unwrap();
        scene.until(&handle, |snapshot| snapshot.state.signals["errors"].health == Health::Unhealthy).await;
        drop(handle);
        let handle = scene.open().await;
        let done = scene.until_run(&handle, RunState::RolledBack).await;
        assert_eq!(done.state.run.as_ref().unwrap().kind, RunKind::Drill);
        assert_eq!(report(&scene).verdict, DrillVerdict::Within);
    });
}

#[test]
fn what_a_drill_measured_is_what_is_expected_from_then_on() {
    virtually(async {
        let scene = scene(drilled());
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        command(&handle, fire()).await.unwrap();
        let state = scene.until_run(&handle, RunState::RolledBack).await.state.clone();
        let measured = measured(&scene.plan, &state, std::iter::empty());
        assert_eq!(measured.len(), 2);
        assert_eq!(measured["db"].len(), 1);
        assert!((240..250).contains(&measured["db"][0].time.as_secs()), "{measured:?}");

        scene.world.cut_over();
        scene.world.set_pace("db", Duration::from_secs(600)); // which only the default goes by
        let ports = belay_sim::read_only_ports(&scene.world, &scene.ports);
        let circumstances =
            |measured| Circumstances { baseline: state.baseline.clone(), measured, ..Circumstances::default() };
        let known = belay_engine::dry_run(
            &ports,
            &scene.plan,
            "abc",
            &circumstances(measured.clone()),
            belay_engine::Which::default(),
        )
        .await
        .unwrap();
        let db = &known.steps["db"];
        assert_eq!(
            (db.expected_from, db.measured_runs, db.expected_s),
            (ExpectedFrom::Measured, 1, measured["db"][0].time.as_secs())
        );
        let unknown = belay_engine::dry_run(
            &ports,
            &scene.plan,
            "abc",
            &circumstances(Measured::new()),
            belay_engine::Which::default(),
        )
        .await
        .unwrap();
        assert_eq!(unknown.steps["db"].expected_from, ExpectedFrom::Default);
        assert!(known.expected_s < unknown.expected_s);
    });
}

#[test]
fn what_was_measured_under_an_overlay_counts_for_the_plan_of_the_same_file() {
    virtually(async {
        let mut staging = drilled();
        staging.migration = "moving-staging".to_owned();
        staging.overlaid = Some(Overlaid {
            file_migration: "moving".to_owned(),
            overlay: Some("staging".to_owned()),
            set: Vec::new(),
        });
        let scene = scene(staging);
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        command(&handle, fire()).await.unwrap();
        scene.until_run(&handle, RunState::RolledBack).await;
        let journal: &dyn Journal = scene.journal.as_ref();
        let found = relatives(journal, "moving").await.unwrap();
        assert_eq!(found.iter().map(|state| state.name.as_str()).collect::<Vec<_>>(), ["moving-staging"]);
        assert_eq!(relatives(journal, "mov").await.unwrap(), []);
        assert_eq!(relatives(journal, "moving-staging-two").await.unwrap(), [], "another file's name");
        let nothing = belay_core::migration::Migration::new("moving");
        let mut plan = drilled();
        plan.steps["dns"].resource = "other:dns".to_owned();
        let measured = measured(&plan, &nothing, found.iter().map(AsRef::as_ref));
        assert_eq!(measured.keys().collect::<Vec<_>>(), ["db"], "another kind of resource says nothing");
    });
}

#[test]
fn whether_the_cutover_was_made_can_be_seen() {
    virtually(async {
        let mut plan = plan([("dns", weights()), ("db", restore())]);
        plan.steps.insert("by_hand".to_owned(), step("manual", model::Target::Own));
        let scene = scene(plan);
        let baseline = belay_engine::capture(&scene.ports, &scene.plan, "abc").await.unwrap();
        let before = standing(&scene.ports, &scene.plan, Some(&baseline)).await.unwrap();
        assert_eq!((before.tells, before.away.len()), (true, 0), "a restore says nothing of it");
        scene.world.cut_over();
        let after = standing(&scene.ports, &scene.plan, Some(&baseline)).await.unwrap();
        assert_eq!(after.away, ["dns"]);
        assert_ne!(before.seen, after.seen);
    });
}
