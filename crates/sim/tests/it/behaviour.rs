//! What the engine does in particular situations.

use std::{sync::Arc, time::Duration};

use belay_core::{
    event::{Event, RunKind, StepEvent},
    input::{Asked, RefusalKind, Verb},
    reading::Health,
    run::{Phase, RunState},
};
use belay_engine::{ArmError, Circumstances, CommandError, Request, Verdict};
use belay_plan::model::{AwsTarget, Plan, Target};
use belay_ports::{Journal, NewRecord, Scope};
use belay_sim::{Faults, Rule, SendFault};
use serde_json::json;

use crate::{
    plans::{self, plan, restore, step, weights},
    scene::{Scene, command, phase, roll_back, virtually},
};

fn scene(plan: Plan) -> Scene {
    Scene::new(plan, 1, Faults::none())
}

fn small() -> Plan {
    plan([("dns", weights())])
}

#[test]
fn a_breach_rolls_back_with_few_commits_and_no_time_of_its_own() {
    virtually(async {
        let scene = scene(small());
        scene.world.set_latency(Duration::ZERO);
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        let before = scene.journal.appends();
        scene.until(&handle, |_| !scene.world.calls().is_empty()).await;
        // The run with its first step, what is to be done, the interlock, the intent; and perhaps the answer.
        assert!(scene.journal.appends() - before <= 5, "{}", scene.journal.appends() - before);
        scene.until_run(&handle, RunState::RolledBack).await;
        let records = scene.witness.records();
        let turned =
            records.iter().rfind(|record| matches!(&record.event, Event::SignalTurned { to: Health::Unhealthy, .. }));
        let called = scene.world.calls()[0].at;
        assert!(called.duration_since(turned.unwrap().at) <= jiff::SignedDuration::from_millis(10));
        assert!(scene.world.is_at_target("dns"));
        scene.assert_sound(Some(&handle.snapshot().state));
    });
}

#[test]
fn settling_costs_little_more_than_its_own_time() {
    virtually(async {
        let mut plan = plan([("one", weights()), ("two", weights()), ("three", weights())]);
        plan.steps["two"].needs = vec!["one".to_owned()];
        plan.steps["three"].needs = vec!["two".to_owned()];
        let scene = scene(plan);
        for step in ["one", "two", "three"] {
            scene.world.set_pace(step, Duration::from_secs(180));
        }
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        let snapshot = scene.until_run(&handle, RunState::RolledBack).await;
        let run = snapshot.state.run.as_ref().unwrap();
        let took = run.ended.unwrap().duration_since(run.started).as_secs_f64();
        assert!(took / (3.0 * 180.0) <= 1.02, "{took} s");
    });
}

#[test]
fn another_writer_stops_the_engine_for_good() {
    virtually(async {
        let scene = scene(small());
        let handle = scene.open().await;
        scene.arm(&handle).await.unwrap();
        let seq = handle.snapshot().state.seq;
        let intruder = NewRecord { at: scene.clock.now(), actor: "eve".to_owned(), event: Event::CutoverMarked };
        scene.journal.append("moving", seq, vec![intruder]).await.unwrap();
        scene.world.cut_over();
        scene.until(&handle, |snapshot| !snapshot.faults.is_empty()).await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(scene.world.calls(), []);
        let refused = command(&handle, roll_back(&[])).await.unwrap_err();
        assert!(
            matches!(&refused, CommandError::Stopped { why } if why.contains("another process wrote to it")),
            "{refused}"
        );
        handle.shutdown().await;
    });
}

#[test]
fn a_shutdown_waits_for_the_answer_and_the_next_start_goes_on() {
    virtually(async {
        let scene = scene(plan([("db", restore())]));
        scene.world.set_latency(Duration::from_secs(4));
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        scene.until(&handle, |_| !scene.world.calls().is_empty()).await;
        handle.shutdown().await;
        let last = scene.witness.records().pop().unwrap();
        assert!(matches!(last.event, Event::Step { what: StepEvent::Accepted { .. }, .. }), "{last:?}");
        drop(handle);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(scene.world.calls().len(), 1, "nobody is there to send anything");
        let handle = scene.open().await;
        scene.until_run(&handle, RunState::RolledBack).await;
        let changes: Vec<String> = scene.world.calls().into_iter().map(|call| call.change.id).collect();
        assert_eq!(changes, ["copy", "switch"]);
        scene.assert_sound(Some(&handle.snapshot().state));
    });
}

#[test]
fn a_dry_run_changes_nothing_and_says_what_would_stop_it() {
    virtually(async {
        let mut plan = plan([("dns", weights()), ("db", restore())]);
        plan.steps["db"].needs = vec!["dns".to_owned()];
        plan.objectives.rto = Some(Duration::from_secs(60));
        let scene = scene(plan);
        let ports = belay_sim::read_only_ports(&scene.world, &scene.ports);
        let baseline = belay_engine::capture(&ports, &scene.plan, "abc").await.unwrap();
        scene.world.cut_over();
        let circumstances = Circumstances { baseline: Some(Arc::new(baseline)), ..Circumstances::default() };
        let dry_run = || {
            let which = belay_engine::Which::default();
            belay_engine::dry_run(&ports, &scene.plan, "abc", &circumstances, which)
        };
        let fine = dry_run().await.unwrap();
        assert_eq!((fine.verdict, fine.stopped_by.len()), (Verdict::WouldRollBack, 0));
        assert_eq!(fine.steps["dns"].changes[0].title, "blue 0 -> 100, green 100 -> 0");
        assert_eq!(fine.critical_path, ["dns", "db"]);
        assert_eq!((fine.expected_s, fine.within_rto), (245, Some(false)));
        scene.world.set_rule("blue_ready", Rule::Always(Health::Unhealthy));
        let stopped = dry_run().await.unwrap();
        assert_eq!((stopped.verdict, stopped.stopped_by[0].step.as_str()), (Verdict::WouldStop, "dns"));
        assert_eq!(scene.world.calls(), []);
        let json = serde_json::to_value(&stopped).unwrap();
        assert_eq!(serde_json::from_value::<belay_engine::DryRun>(json).unwrap(), stopped);
    });
}

#[test]
fn arming_finds_out_what_stands_against_it() {
    virtually(async {
        let mut wrong_account = small();
        wrong_account.aws.account = Some("111122223333".to_owned());
        wrong_account.steps["dns"].aws = AwsTarget { account: Some("111122223333".to_owned()), ..AwsTarget::default() };
        let here = scene(wrong_account);
        here.world.set_account("999999999999");
        let handle = here.open().await;
        assert!(matches!(here.arm(&handle).await, Err(ArmError::Account(_))));

        let unnamed = plan([("dns", step("sim.weights", Target::Explicit(json!({ "blue": 100 }))))]);
        let here = scene(unnamed);
        here.world.set("dns", json!({ "blue": 100, "green": 0 }));
        let handle = here.open().await;
        let error = here.arm(&handle).await.unwrap_err();
        assert!(matches!(&error, ArmError::Impossible { why, .. } if why.contains("green")), "{error}");

        let here = scene(small());
        let handle = here.open().await;
        here.world.cut_over();
        let Err(ArmError::Command(CommandError::Refused(refusal))) = here.arm(&handle).await else {
            panic!("it is red")
        };
        assert_eq!(refusal.kind, RefusalKind::RedAtArm);
        assert_eq!(handle.snapshot().state.seq, 0, "nothing has changed");
    });
}

#[test]
fn a_second_arming_keeps_the_baseline_and_a_late_one_cannot_capture() {
    virtually(async {
        let scene = scene(small());
        let handle = scene.open().await;
        scene.arm(&handle).await.unwrap();
        let captured = handle.snapshot().state.baseline.clone().unwrap();
        scene.world.set("dns", json!({ "blue": 90, "green": 10 }));
        scene.world.set_rule("in_place", Rule::Always(Health::Healthy));
        scene.arm(&handle).await.unwrap();
        assert_eq!(handle.snapshot().state.baseline.as_ref(), Some(&captured));
        command(&handle, Verb::Cutover).await.unwrap();
        let mut moved = scene.plan.as_ref().clone();
        moved.steps["dns"].resource = "sim:elsewhere".to_owned();
        let late = belay_engine::arm(
            &handle,
            &scene.ports,
            Arc::new(moved),
            "def",
            belay_engine::Arming::default(),
            &Asked::new("alice", "again"),
        )
        .await;
        assert!(matches!(late, Err(ArmError::AfterCutover { .. })), "{late:?}");
    });
}

#[test]
fn a_foreground_run_goes_on_with_what_the_journal_shows_unfinished() {
    virtually(async {
        let scene = scene(plan([("db", restore())]));
        let request = Request {
            plan: scene.plan.clone(),
            plan_sha256: "abc".to_owned(),
            kind: RunKind::Real,
            baseline: None,
            only: Vec::new(),
            phase: None,
            asked: Asked::new("alice", "it hurts"),
        };
        scene.world.cut_over();
        let handle = scene.open().await;
        let first = belay_engine::run_foreground(&handle, &scene.ports, request.clone()).await.unwrap();
        assert!(!first.continued);
        scene.until(&handle, |snapshot| phase(snapshot, "db") == Some(Phase::Settling)).await;
        drop(handle); // killed
        let handle = scene.open().await;
        let second = belay_engine::run_foreground(&handle, &scene.ports, request).await.unwrap();
        assert_eq!((second.run, second.continued), (first.run, true));
        scene.until_run(&handle, RunState::RolledBack).await;
        scene.assert_sound(None);
    });
}

#[test]
fn one_sensor_that_hangs_leaves_the_others_be() {
    virtually(async {
        let mut plan = small();
        plan.signals
            .insert("silent".to_owned(), belay_plan::model::Signal { kind: "http".to_owned(), ..plans::signal() });
        plan.triggers.insert("no_page".to_owned(), plans::trigger("silent", 0));
        let scene = scene(plan);
        scene.world.set_rule("silent", Rule::Hangs);
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        let snapshot = scene.until_run(&handle, RunState::RolledBack).await;
        let run = snapshot.state.run.as_ref().unwrap();
        let breach = snapshot.state.cutover.unwrap_or(run.started);
        assert!(run.started.duration_since(breach) < jiff::SignedDuration::from_secs(6));
    });
}

#[test]
fn other_credentials_at_a_restart_read_nothing_until_they_are_right() {
    virtually(async {
        let mut plan = small();
        plan.steps["dns"].aws = AwsTarget { account: Some("111122223333".to_owned()), ..AwsTarget::default() };
        let scene = scene(plan);
        scene.world.set_account("111122223333");
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        drop(handle);
        scene.world.set_account("999999999999");
        let handle = scene.open().await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(handle.snapshot().faults[0].why.contains("111122223333"), "{:?}", handle.snapshot().faults);
        assert_eq!(scene.world.calls(), []);
        scene.world.set_account("111122223333");
        scene.until_run(&handle, RunState::RolledBack).await;
    });
}

#[test]
fn credentials_that_have_become_anothers_change_nothing() {
    virtually(async {
        let mut plan = small();
        plan.steps["dns"].aws = AwsTarget { account: Some("111122223333".to_owned()), ..AwsTarget::default() };
        let scene = scene(plan);
        scene.world.set_account("111122223333");
        let handle = scene.open().await;
        scene.arm(&handle).await.unwrap();
        scene.world.cut_over();
        scene.world.set_account("999999999999");
        command(&handle, roll_back(&[])).await.unwrap();
        let halted = scene.until_run(&handle, RunState::Halted).await;
        assert_eq!(scene.world.calls(), []);
        let failed = format!("{:?}", halted.state.run.as_ref().unwrap().steps["dns"]);
        assert!(failed.contains("the credentials belong to 999999999999"), "{failed}");
        scene.world.set_account("111122223333");
        let run = halted.state.run.as_ref().unwrap().id.clone();
        command(&handle, Verb::Retry { run, step: "dns".to_owned() }).await.unwrap();
        scene.until_run(&handle, RunState::RolledBack).await;
    });
}

#[test]
fn sixty_four_chains_run_side_by_side() {
    virtually(async {
        let mut wide = small();
        wide.steps.clear();
        for chain in 0..64 {
            for link in 0..4 {
                let name = format!("c{chain}l{link}");
                let mut step = restore();
                step.resource = format!("sim:{name}");
                step.needs = (0..link).map(|before| format!("c{chain}l{before}")).collect();
                wide.steps.insert(name, step);
            }
        }
        let scene = scene(wide);
        wide_pace(&scene);
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        let before = scene.journal.appends();
        let snapshot = scene.until_run(&handle, RunState::RolledBack).await;
        let run = snapshot.state.run.as_ref().unwrap();
        assert!(run.steps.values().all(|step| step.phase == Phase::Done));
        let took = run.ended.unwrap().duration_since(run.started).as_secs_f64();
        assert!(took <= 4.0 * 2.0 * 60.0 * 1.02, "{took} s");
        // What is ready at the same time shares a commit.
        let appends = scene.journal.appends() - before;
        assert!(appends < 64 * 4 * 2, "{appends} appends");
        scene.assert_sound(Some(&snapshot.state));
    });
}

fn wide_pace(scene: &Scene) {
    for step in scene.plan.steps.keys() {
        scene.world.set_pace(step, Duration::from_secs(60));
    }
}

#[test]
fn an_answer_that_was_lost_is_found_out_by_looking() {
    for (fault, calls) in [(SendFault::AnswerLost, 1), (SendFault::Vanished, 2)] {
        virtually(async {
            let scene = scene(small());
            scene.world.with_faults(|faults| faults.fail_send("dns", fault));
            let handle = scene.open().await;
            scene.armed_and_cut_over(&handle).await;
            scene.until_run(&handle, RunState::RolledBack).await;
            assert_eq!(scene.world.calls().len(), calls, "{fault:?}");
            scene.assert_sound(Some(&handle.snapshot().state));
        });
    }
}

#[test]
fn somebody_else_who_reverts_is_not_fought() {
    virtually(async {
        let mut plan = plan([("dns", weights()), ("db", restore())]);
        plan.steps["db"].needs = vec!["dns".to_owned()];
        let scene = scene(plan);
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        scene.until(&handle, |snapshot| phase(snapshot, "dns") == Some(Phase::Done)).await;
        scene.world.revert("dns", Duration::from_secs(10));
        let snapshot = scene.until_run(&handle, RunState::Halted).await;
        assert!(snapshot.state.run.as_ref().unwrap().why.contains("somebody else"));
        let sends = scene.world.calls().iter().filter(|call| call.key.step == "dns").count();
        assert_eq!(sends, 1);
        scene.assert_sound(Some(&snapshot.state));
    });
}

#[test]
fn the_witness_sees_a_call_that_nobody_has_put_on_record() {
    virtually(async {
        let scene = scene(small());
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        let snapshot = scene.until_run(&handle, RunState::RolledBack).await;
        let call = scene.world.calls().remove(0);
        let run = snapshot.state.run.as_ref().unwrap();
        let step = &run.plan.steps["dns"];
        let scope = Scope {
            migration: "moving".to_owned(),
            step: "dns".to_owned(),
            run: Some(run.id.clone()),
            tries: 0,
            deadline: None,
            aws: step.aws.clone(),
            with: step.with.clone(),
            to: step.to.clone(),
            others: step.others,
            baseline: None,
            cutover: None,
            stages: None,
            timeout: step.timeout,
            before: None,
            sent: Vec::new(),
            previous: None,
            objectives: Default::default(),
            interlocks: Vec::new(),
        };
        let actuator = scene.ports.actuators.actuator(&step.action).unwrap();
        actuator.apply(&scope, &call.key, &call.change).await.unwrap();
        assert_eq!(scene.witness.violations().len(), 1);
    });
}

#[test]
fn an_undo_puts_back_what_the_rollback_changed() {
    virtually(async {
        let mut plan = plan([("one", weights()), ("two", weights())]);
        plan.steps["two"].needs = vec!["one".to_owned()];
        let scene = scene(plan);
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        let snapshot = scene.until_run(&handle, RunState::RolledBack).await;
        let rollback = snapshot.state.run.as_ref().unwrap().id.clone();
        assert!(scene.world.is_at_target("one") && scene.world.is_at_target("two"));
        let sent = scene.world.calls().len();
        let asked = Asked::new("alice", "it was right after all");
        let undo = belay_engine::undo(&handle, &scene.ports, rollback.clone(), &asked).await.unwrap();
        // Nobody has said that the other side is healthy.
        let halted = scene.until_run(&handle, RunState::Halted).await;
        let run = halted.state.run.as_ref().unwrap();
        assert_eq!((&run.id, run.undoes.as_ref()), (&undo, Some(&rollback)));
        scene.world.set_destination("green", true);
        command(&handle, Verb::Resume { run: undo }).await.unwrap();
        scene.until_run(&handle, RunState::Undone).await;
        assert!(!scene.world.is_at_target("one") && !scene.world.is_at_target("two"));
        let order: Vec<String> = scene.world.calls()[sent..].iter().map(|call| call.key.step.clone()).collect();
        assert_eq!(order, ["two", "one"], "in the opposite order");
        scene.assert_sound(Some(&handle.snapshot().state));
    });
}
