//! The life cycle of steps and runs.

use std::time::Duration;

use crate::common::*;
use belay_core::{
    change::{Assessment, Change, Effect, Progress, Proof, Repeats},
    event::{Event, FailureCode},
    input::{Asked, ErrorClass, Input, LookFailure, RefusalKind, Verb},
    reading::Health,
    run::{Phase, RunState},
    wants::Task,
};
use belay_plan::model::*;
use jiff::SignedDuration;

fn remaining(ids: &[&str]) -> Assessment {
    Assessment::Remaining(ids.iter().map(|id| change(id)).collect())
}

#[test]
fn observe_apply_settle_done() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    assert_eq!(stage.phase("dns"), Phase::Observing);
    let events = stage.look("dns", remaining(&["weights"]));
    assert_eq!(intents(&events), 1);
    assert!(is_sending(&stage.wants(), "dns"));
    stage.accept("dns");
    assert_eq!(stage.phase("dns"), Phase::Settling);
    stage.look("dns", Assessment::Settling(Progress::default()));
    stage.look("dns", Assessment::InPlace);
    assert_eq!(stage.phase("dns"), Phase::Done);
    assert_eq!(stage.run_state(), RunState::RolledBack);
    assert!(stage.wants().tasks.is_empty());
}

#[test]
fn what_is_there_already_is_unchanged_and_still_verified() {
    let mut dns = step(&[]);
    dns.verify = vec![gate("errors", 300, 60)];
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", dns)]), &[]);
    stage.look("dns", Assessment::InPlace);
    assert_eq!(stage.phase("dns"), Phase::Verifying);
    stage.read("errors", Health::Healthy);
    stage.pass(60);
    stage.read("errors", Health::Healthy);
    assert_eq!(stage.phase("dns"), Phase::Unchanged);
}

#[test]
fn what_is_put_back_but_differs_is_a_gate_that_failed() {
    let mut stage = Stage::new();
    let run = stage.run(&plan(vec![("db", step(&[])), ("after", step(&["db"]))]), &[]);
    stage.look("db", remaining(&["restore"]));
    stage.accept("db");
    let differs = || Assessment::Differs { why: "class: wanted large, found small".to_owned() };
    stage.look("db", differs());
    assert_eq!((stage.phase("db"), stage.step("db").failure), (Phase::Failed, Some(FailureCode::Verify)));
    assert!(stage.step("db").why.contains("found small"), "{}", stage.step("db").why);
    assert!(stage.step("db").took().is_some(), "it is back, only not as it was");
    assert_eq!(stage.run_state(), RunState::Halted);

    // Repaired by somebody, and looked at again; nothing is sent.
    stage.command(Verb::Retry { run, step: "db".to_owned() }).unwrap();
    stage.look("db", differs());
    assert_eq!(stage.phase("db"), Phase::Failed);
    let run = stage.state.open_run().unwrap().id.clone();
    stage.command(Verb::Retry { run, step: "db".to_owned() }).unwrap();
    stage.look("db", Assessment::InPlace);
    assert_eq!(stage.phase("db"), Phase::Done);
    // Only what was put back is guarded, not each of its settings.
    stage.look("db", differs());
    assert_eq!((stage.phase("db"), stage.phase("after")), (Phase::Done, Phase::Observing));
}

#[test]
fn needs_are_waited_for_and_independent_steps_run_together() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("a", step(&[])), ("b", step(&[])), ("c", step(&["a", "b"]))]), &[]);
    assert_eq!(
        (stage.phase("a"), stage.phase("b"), stage.phase("c")),
        (Phase::Observing, Phase::Observing, Phase::Pending)
    );
    stage.put_back("a");
    assert_eq!(stage.phase("c"), Phase::Pending);
    stage.put_back("b");
    assert_eq!(stage.phase("c"), Phase::Observing);
}

#[test]
fn an_interlock_is_read_afresh_and_a_red_one_stops_the_step() {
    let mut dns = step(&[]);
    dns.require = vec![gate("blue_ready", 0, 0)];
    let plan = plan(vec![("dns", dns), ("after", step(&["dns"])), ("beside", step(&[]))]);
    let mut stage = Stage::new();
    let run = stage.run(&plan, &[]);
    stage.look("dns", remaining(&["weights"]));
    assert_eq!(stage.phase("dns"), Phase::Requiring);
    assert!(!is_sending(&stage.wants(), "dns"));
    stage.read("blue_ready", Health::Unhealthy);
    assert_eq!(stage.phase("dns"), Phase::Failed);
    assert_eq!(stage.step("dns").failure, Some(FailureCode::Require));
    assert_eq!(stage.phase("after"), Phase::Blocked);
    assert_eq!(stage.run_state(), RunState::Running, "independent branches finish");
    stage.put_back("beside");
    assert_eq!(stage.run_state(), RunState::Halted);

    stage.command(Verb::Override { run, step: "dns".to_owned(), subject: "blue_ready".to_owned() }).unwrap();
    stage.look("dns", remaining(&["weights"]));
    stage.look("dns", remaining(&["weights"]));
    assert!(is_sending(&stage.wants(), "dns"), "a person took it on by name");
}

#[test]
fn an_interlock_that_waits_passes_when_its_signal_turns() {
    let mut dns = step(&[]);
    dns.require = vec![gate("blue_ready", 120, 30)];
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", dns)]), &[]);
    stage.look("dns", remaining(&["weights"]));
    stage.read("blue_ready", Health::Unhealthy);
    stage.pass(10);
    stage.read("blue_ready", Health::Healthy);
    stage.pass(10);
    stage.read("blue_ready", Health::Unknown);
    stage.pass(10);
    stage.read("blue_ready", Health::Healthy);
    stage.pass(29);
    stage.read("blue_ready", Health::Healthy);
    assert_eq!(stage.phase("dns"), Phase::Requiring);
    stage.pass(1);
    stage.read("blue_ready", Health::Healthy);
    assert_eq!(stage.phase("dns"), Phase::Applying);
    assert!(!stage.step("dns").in_flight(), "it looks once more, so that the before-image is fresh");
    stage.look("dns", remaining(&["weights"]));
    assert!(is_sending(&stage.wants(), "dns"));
}

#[test]
fn traffic_is_not_raised_without_proof() {
    let cases = [
        (Proof::None { why: "no health check".to_owned() }, false),
        (Proof::Unhealthy { evidence: "0 of 2 targets healthy".to_owned() }, false),
        (Proof::Healthy { evidence: "2 of 2 targets healthy".to_owned() }, true),
    ];
    for (proof, sent) in cases {
        let mut stage = Stage::new();
        let run = stage.run(&plan(vec![("dns", step(&[]))]), &[]);
        let found = || Assessment::Remaining(vec![change_with("weights", proof.clone())]);
        stage.look("dns", found());
        assert_eq!(is_sending(&stage.wants(), "dns"), sent, "{proof:?}");
        if !sent {
            assert_eq!(stage.step("dns").failure, Some(FailureCode::Unproven));
            assert_eq!(stage.run_state(), RunState::Halted);
            let subject = "blue".to_owned();
            stage.command(Verb::Override { run, step: "dns".to_owned(), subject }).unwrap();
            stage.look("dns", found());
            assert!(is_sending(&stage.wants(), "dns"), "a person took it on by name");
        }
    }
}

#[test]
fn traffic_is_never_zero_everywhere() {
    let mut nothing = change("weights");
    if let Effect::Traffic { shares } = &mut nothing.effects[0] {
        shares.iter_mut().for_each(|share| share.after = 0);
    }
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    stage.look("dns", Assessment::Remaining(vec![nothing]));
    assert_eq!(stage.step("dns").failure, Some(FailureCode::AllZero));
}

#[test]
fn each_lost_answer_uses_up_an_attempt() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    for attempt in 1..=3 {
        let events = stage.look("dns", remaining(&["weights"]));
        assert_eq!(intents(&events), 1, "attempt {attempt}");
        lost(&mut stage, "dns");
        assert_eq!(stage.phase("dns"), Phase::Observing);
        let again = stage.step("dns").again_at.unwrap();
        assert!(again > stage.now);
        assert_eq!(intents(&stage.look("dns", remaining(&["weights"]))), 0, "not before the back-off is over");
        stage.now = again;
    }
    stage.look("dns", remaining(&["weights"]));
    assert_eq!(stage.step("dns").failure, Some(FailureCode::Refused));
    assert_eq!(stage.run_state(), RunState::Halted);
    let why = &stage.step("dns").why;
    assert!(why.contains("connection reset"), "the last cause is in the reason: {why}");
}

#[test]
fn a_permanent_refusal_ends_the_step_at_once() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    stage.look("dns", remaining(&["weights"]));
    no_effect(&mut stage, "dns", ErrorClass::Permanent);
    assert_eq!((stage.step("dns").failure, stage.step("dns").attempt), (Some(FailureCode::Refused), 1));
}

#[test]
fn what_passes_by_itself_is_bounded_by_time_and_not_by_attempts() {
    for class in [ErrorClass::Throttled, ErrorClass::Transient] {
        let mut stage = Stage::new();
        stage.run(&plan(vec![("dns", step(&[]))]), &[]);
        for _ in 0..60 {
            stage.look("dns", remaining(&["weights"]));
            no_effect(&mut stage, "dns", class);
            match stage.step("dns").again_at {
                Some(again) => {
                    let short = again <= stage.now + Duration::from_secs(10);
                    assert!(short || class == ErrorClass::Throttled, "{class:?}: the back-off stays short");
                    stage.now = again;
                }
                None => break,
            }
            stage.tick();
        }
        assert!(stage.step("dns").attempt > 10, "{class:?}");
        assert_eq!(stage.step("dns").failure, Some(FailureCode::TimedOut), "{class:?}");
        assert!(stage.step("dns").why.contains("Rate exceeded"), "{}", stage.step("dns").why);
    }
}

#[test]
fn what_throttling_has_cost_is_counted_over_all_retries() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    let start = stage.now;
    for _ in 0..3 {
        stage.look("dns", remaining(&["weights"]));
        no_effect(&mut stage, "dns", ErrorClass::Throttled);
        stage.now = stage.step("dns").again_at.unwrap();
        stage.tick();
    }
    assert_eq!(stage.step("dns").throttled.since, Some(start));
    stage.look("dns", remaining(&["weights"]));
    stage.accept("dns");
    let throttled = stage.step("dns").throttled.clone();
    assert_eq!((throttled.sends, throttled.since), (3, None));
    assert_eq!(throttled.time, stage.now.duration_since(start).unsigned_abs());
}

#[test]
fn a_lost_answer_is_resolved_by_looking() {
    // It had taken effect.
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    stage.look("dns", remaining(&["weights"]));
    lost(&mut stage, "dns");
    stage.look("dns", Assessment::InPlace);
    assert_eq!((stage.phase("dns"), stage.step("dns").attempt), (Phase::Done, 1));

    // It had not: sent once more.
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    stage.look("dns", remaining(&["weights"]));
    lost(&mut stage, "dns");
    stage.now = stage.step("dns").again_at.unwrap();
    stage.look("dns", remaining(&["weights"]));
    assert_eq!(stage.step("dns").attempt, 2);
}

#[test]
fn what_must_not_be_sent_twice_halts_when_its_outcome_is_unknown() {
    let never = || Change { repeats: Repeats::Never, ..change("job") };
    let mut stage = Stage::new();
    let run = stage.run(&plan(vec![("job", step(&[]))]), &[]);
    stage.look("job", Assessment::Remaining(vec![never()]));
    lost(&mut stage, "job");
    stage.pass(60);
    stage.look("job", Assessment::Remaining(vec![never()]));
    assert_eq!(stage.step("job").failure, Some(FailureCode::Ambiguous));
    assert_eq!(stage.run_state(), RunState::Halted);
    stage.command(Verb::Retry { run, step: "job".to_owned() }).unwrap();
    stage.look("job", Assessment::Remaining(vec![never()]));
    assert!(is_sending(&stage.wants(), "job"), "a person said so");
}

#[test]
fn an_accepted_change_is_waited_for_and_never_sent_again() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    stage.look("dns", remaining(&["weights"]));
    stage.accept("dns");
    assert_eq!(intents(&stage.look("dns", remaining(&["weights"]))), 0);
    stage.pass(61);
    assert_eq!(intents(&stage.look("dns", remaining(&["weights"]))), 0);
    assert_eq!(stage.step("dns").failure, Some(FailureCode::Contested));
}

#[test]
fn somebody_elses_revert_is_contested_while_verifying_and_while_confirming() {
    let mut dns = step(&[]);
    dns.verify = vec![gate("errors", 300, 60)];
    dns.on_failure = OnFailure::Continue;
    let mut plan = plan(vec![("dns", dns)]);
    plan.confirm = vec![gate("errors", 900, 600)];
    let mut stage = Stage::new();
    stage.run(&plan, &[]);
    stage.put_back("dns");
    stage.look("dns", remaining(&["weights"]));
    assert_eq!(stage.phase("dns"), Phase::Verifying, "one look alone may be stale");
    stage.look("dns", Assessment::InPlace);
    stage.pass(10);
    stage.look("dns", remaining(&["weights"]));
    assert_eq!(stage.phase("dns"), Phase::Verifying);
    stage.pass(5);
    stage.look("dns", remaining(&["weights"]));
    assert_eq!(stage.step("dns").failure, Some(FailureCode::Contested));
    assert_eq!(stage.run_state(), RunState::Halted, "even with on_failure: continue");

    let mut stage = Stage::new();
    stage.run(&plan, &[]);
    stage.put_back("dns");
    stage.read("errors", Health::Healthy);
    stage.pass(60);
    stage.read("errors", Health::Healthy);
    assert_eq!(stage.run_state(), RunState::Confirming);
    stage.look("dns", remaining(&["weights"]));
    stage.read("errors", Health::Healthy);
    stage.pass(600);
    stage.read("errors", Health::Healthy);
    assert_eq!(stage.run_state(), RunState::Confirming, "it does not end in doubt");
    stage.look("dns", remaining(&["weights"]));
    assert_eq!(stage.run_state(), RunState::Halted);
}

#[test]
fn a_dance_of_several_changes_sends_each_once_and_goes_through_after_the_first() {
    let mut db = step(&[]);
    db.require = vec![gate("blue_ready", 0, 0)];
    let mut stage = Stage::new();
    stage.run(&plan(vec![("db", db)]), &[]);
    stage.look("db", remaining(&["restore", "rename_failed", "rename_restored"]));
    stage.read("blue_ready", Health::Healthy);
    stage.look("db", remaining(&["restore", "rename_failed", "rename_restored"]));
    stage.accept("db");
    stage.look("db", Assessment::Settling(Progress::default()));
    stage.look("db", remaining(&["rename_failed", "rename_restored"]));
    assert!(is_sending(&stage.wants(), "db"), "half way through is no place to stop at an interlock");
    stage.accept("db");
    stage.look("db", remaining(&["rename_restored"]));
    stage.accept("db");
    stage.look("db", Assessment::InPlace);
    assert_eq!((stage.phase("db"), stage.step("db").attempt), (Phase::Done, 3));
}

#[test]
fn a_step_that_does_not_settle_times_out_and_a_retry_goes_on() {
    let mut stage = Stage::new();
    let run = stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    stage.look("dns", remaining(&["weights"]));
    stage.accept("dns");
    stage.pass(180);
    stage.tick();
    assert_eq!(stage.step("dns").failure, Some(FailureCode::TimedOut));
    stage.command(Verb::Retry { run, step: "dns".to_owned() }).unwrap();
    stage.look("dns", Assessment::InPlace);
    assert_eq!((stage.phase("dns"), stage.run_state()), (Phase::Done, RunState::RolledBack));
    assert_eq!(stage.step("dns").attempt, 1);
}

#[test]
fn reads_that_fail_for_good_fail_the_step_at_once_others_are_tried_again() {
    let failed = |permanent| Input::Looked {
        step: "dns".to_owned(),
        result: Err(LookFailure { why: "AccessDenied".to_owned(), permanent }),
    };
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    assert_eq!(stage.feed(failed(false)).unwrap().len(), 1);
    assert_eq!(stage.feed(failed(false)).unwrap().len(), 0, "the same reason is journaled once");
    stage.feed(failed(true)).unwrap();
    assert_eq!(stage.step("dns").failure, Some(FailureCode::Unreadable));
}

#[test]
fn a_fallback_runs_only_as_one_and_satisfies_those_who_wait() {
    let mut a = step(&[]);
    a.on_failure = OnFailure::Fallback("plan_b".to_owned());
    let plan = plan(vec![("a", a), ("plan_b", step(&[])), ("after", step(&["a"]))]);

    let mut stage = Stage::new();
    stage.run(&plan, &[]);
    assert_eq!(stage.phase("plan_b"), Phase::Pending);
    stage.look("a", Assessment::Failed { why: "gone".to_owned() });
    assert_eq!((stage.phase("plan_b"), stage.phase("after")), (Phase::Observing, Phase::Pending));
    stage.put_back("plan_b");
    stage.put_back("after");
    assert_eq!(stage.run_state(), RunState::RolledBack);

    let mut stage = Stage::new();
    stage.run(&plan, &[]);
    stage.put_back("a");
    stage.put_back("after");
    assert_eq!((stage.phase("plan_b"), stage.run_state()), (Phase::Skipped, RunState::RolledBack));
}

#[test]
fn continue_goes_on_and_is_named_at_the_end() {
    let mut a = step(&[]);
    a.on_failure = OnFailure::Continue;
    let mut stage = Stage::new();
    stage.run(&plan(vec![("a", a), ("after", step(&["a"]))]), &[]);
    stage.look("a", Assessment::Failed { why: "gone".to_owned() });
    stage.put_back("after");
    let run = stage.state.run.as_ref().unwrap();
    assert_eq!(run.state, RunState::RolledBack);
    assert!(run.why.contains('a'), "{}", run.why);
}

#[test]
fn the_confirmation_decides_and_can_be_checked_again() {
    let mut plan = plan(vec![("dns", step(&[]))]);
    plan.confirm = vec![gate("errors", 900, 600)];
    let mut stage = Stage::new();
    let run = stage.run(&plan, &[]);
    stage.put_back("dns");
    assert_eq!(stage.run_state(), RunState::Confirming);
    stage.read("errors", Health::Unhealthy);
    stage.pass(900);
    stage.tick();
    assert_eq!(stage.run_state(), RunState::Halted);
    stage.command(Verb::Resume { run }).unwrap();
    assert_eq!(stage.run_state(), RunState::Confirming);
    stage.read("errors", Health::Healthy);
    stage.pass(600);
    stage.read("errors", Health::Healthy);
    assert_eq!(stage.run_state(), RunState::RolledBack);
}

#[test]
fn manual_waits_for_a_person_and_wait_for_the_time() {
    let mut by_hand = step(&[]);
    by_hand.action = "manual".to_owned();
    by_hand.to = Target::Own;
    by_hand.with = serde_json::json!({ "instructions": "Scale the workers to zero." });
    let mut pause = step(&["by_hand"]);
    pause.action = "wait".to_owned();
    pause.with = serde_json::json!({ "for": "2m" });
    let plan = plan(vec![("by_hand", by_hand), ("pause", pause)]);
    let mut stage = Stage::new();
    let run = stage.run(&plan, &[]);
    assert_eq!(stage.phase("by_hand"), Phase::AwaitingApproval);
    stage.pass(3600);
    stage.tick();
    assert_eq!(stage.phase("by_hand"), Phase::AwaitingApproval);
    stage.command(Verb::Approve { run, step: "by_hand".to_owned(), approve: true }).unwrap();
    assert_eq!((stage.phase("by_hand"), stage.phase("pause")), (Phase::Done, Phase::Settling));
    assert_eq!(stage.wants().deadline, Some(stage.now + Duration::from_secs(120)));
    stage.pass(120);
    stage.tick();
    assert_eq!(stage.run_state(), RunState::RolledBack);
}

#[test]
fn what_a_person_does_waits_behind_a_step_that_failed() {
    let mut by_hand = step(&["dns"]);
    by_hand.action = "manual".to_owned();
    by_hand.to = Target::Own;
    by_hand.with = serde_json::json!({ "instructions": "Tell the shops." });
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[])), ("by_hand", by_hand)]), &[]);
    stage.look("dns", Assessment::Failed { why: "it is gone".to_owned() });
    assert_eq!((stage.phase("by_hand"), stage.run_state()), (Phase::Blocked, RunState::Halted));
}

#[test]
fn losing_more_data_than_the_rpo_asks_a_person() {
    let mut plan = plan(vec![("db", step(&[]))]);
    plan.objectives.rpo = Some(Duration::from_secs(300));
    let lossy = |stage: &Stage, ago: u64| {
        let since = Some(stage.now - Duration::from_secs(ago));
        Assessment::Remaining(vec![Change { effects: vec![Effect::LosesData { since }], ..change("restore") }])
    };
    let mut stage = Stage::new();
    stage.run(&plan, &[]);
    let found = lossy(&stage, 299);
    stage.look("db", found);
    assert!(is_sending(&stage.wants(), "db"));

    let mut stage = Stage::new();
    let run = stage.run(&plan, &[]);
    let found = lossy(&stage, 301);
    stage.look("db", found.clone());
    assert_eq!(stage.phase("db"), Phase::AwaitingApproval);
    stage.command(Verb::Approve { run, step: "db".to_owned(), approve: true }).unwrap();
    stage.look("db", found);
    assert!(is_sending(&stage.wants(), "db"));
}

#[test]
fn only_runs_the_named_steps_and_what_they_need() {
    let plan = plan(vec![("a", step(&[])), ("b", step(&["a"])), ("c", step(&[]))]);
    let mut stage = Stage::new();
    stage.run(&plan, &["b"]);
    let names: Vec<_> = stage.state.run.as_ref().unwrap().steps.keys().cloned().collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn a_hold_sends_nothing_and_a_resume_goes_on() {
    let mut stage = Stage::new();
    let run = stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    stage.command(Verb::Hold { run: run.clone() }).unwrap();
    assert_eq!(intents(&stage.look("dns", remaining(&["weights"]))), 0);
    stage.command(Verb::Resume { run }).unwrap();
    assert_eq!(intents(&stage.look("dns", remaining(&["weights"]))), 1);
}

#[test]
fn an_abort_waits_for_the_call_under_way() {
    let mut stage = Stage::new();
    let run = stage.run(&plan(vec![("dns", step(&[])), ("after", step(&["dns"]))]), &[]);
    stage.look("dns", remaining(&["weights"]));
    stage.command(Verb::Abort { run }).unwrap();
    assert_eq!(stage.run_state(), RunState::Running);
    stage.accept("dns");
    assert_eq!(stage.run_state(), RunState::Aborted);
    assert!(stage.step("dns").why.contains("half way"), "{}", stage.step("dns").why);
}

#[test]
fn a_second_rollback_is_refused_with_the_first_ones_id() {
    let plan = plan(vec![("dns", step(&[]))]);
    let mut stage = Stage::new();
    let run = stage.run(&plan, &[]);
    let pin = belay_core::input::Pin { plan: plan.into(), plan_sha256: "p".to_owned(), baseline: None, phase: None };
    let refusal = stage
        .command(Verb::Rollback { kind: belay_core::event::RunKind::Real, only: vec![], pin: Some(pin) })
        .unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::AlreadyRunning { run });
}

#[test]
fn a_rollback_to_a_baseline_that_is_not_there_is_refused() {
    let mut dns = step(&[]);
    dns.to = Target::Baseline;
    let pin = belay_core::input::Pin {
        plan: plan(vec![("dns", dns)]).into(),
        plan_sha256: "p".to_owned(),
        baseline: None,
        phase: None,
    };
    let mut stage = Stage::new();
    let refusal = stage
        .command(Verb::Rollback { kind: belay_core::event::RunKind::Real, only: vec![], pin: Some(pin) })
        .unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::NoBaseline);
    assert!(stage.journal.is_empty());
}

#[test]
fn after_a_crash_the_call_under_way_is_looked_up() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    stage.look("dns", remaining(&["weights"]));
    stage.pass(2);
    stage.feed(Input::Resumed { belay_version: "1".to_owned() }).unwrap();
    let wants = stage.wants();
    assert!(matches!(wants.tasks.first(), Some(Task::Look(_))), "it is observed, not sent again");
    stage.look("dns", Assessment::InPlace);
    assert_eq!(stage.run_state(), RunState::RolledBack);
}

#[test]
fn a_sleep_leaves_a_call_under_way_to_its_answer() {
    let mut stage = Stage::new();
    let run = stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    stage.look("dns", remaining(&["weights"]));
    stage.pass(3600);
    stage.awake(Duration::from_secs(3600), SignedDuration::ZERO);
    assert!(is_sending(&stage.wants(), "dns"), "the same call is still waited for");
    stage.command(Verb::Abort { run }).unwrap();
    assert_eq!(stage.run_state(), RunState::Running, "an abort waits for it too");
    stage.accept("dns");
    assert_eq!(stage.step("dns").attempt, 1);
    assert_eq!(stage.run_state(), RunState::Aborted);
}

#[test]
fn after_a_long_outage_what_nobody_can_explain_waits_for_a_person() {
    let mut stage = Stage::new();
    let run = stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    stage.look("dns", remaining(&["weights"]));
    stage.pass(601);
    stage.feed(Input::Resumed { belay_version: "1".to_owned() }).unwrap();
    let strange = Change { before: serde_json::json!({ "blue": 7, "green": 93 }), ..change("weights") };
    stage.look("dns", Assessment::Remaining(vec![strange.clone()]));
    assert_eq!(stage.run_state(), RunState::Held);
    stage.command(Verb::Resume { run }).unwrap();
    stage.look("dns", Assessment::Remaining(vec![strange]));
    assert!(is_sending(&stage.wants(), "dns"));
}

/// What Belay cannot have left, of a step that it has begun.
fn strange() -> Assessment {
    let before = serde_json::json!({ "blue": 7, "green": 93 });
    Assessment::Remaining(vec![Change { before, ..change("weights") }])
}

#[test]
fn what_nobody_can_explain_holds_the_run_once_however_often_it_is_looked_at() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[])), ("edge", step(&[]))]), &[]);
    stage.look("dns", remaining(&["weights"]));
    stage.look("edge", remaining(&["weights"]));
    stage.pass(601);
    stage.feed(Input::Resumed { belay_version: "1".to_owned() }).unwrap();
    assert!(matches!(stage.look("dns", strange())[..], [Event::RunHeld { .. }]));
    assert_eq!(stage.look("dns", strange()), []);
    assert_eq!(stage.look("dns", strange()), []);
    assert!(matches!(stage.look("edge", strange())[..], [Event::RunHeld { .. }]), "another step is news");
    assert_eq!(stage.look("dns", strange()), []);
    assert_eq!(stage.look("edge", strange()), []);
    let why = &stage.state.run.as_ref().unwrap().why;
    assert!(why.contains("dns is in a state") && why.contains("edge is in a state"), "{why}");
}

#[test]
fn what_nobody_can_explain_leaves_a_persons_reason_to_hold() {
    let mut stage = Stage::new();
    let run = stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    stage.look("dns", remaining(&["weights"]));
    stage.pass(601);
    stage.feed(Input::Resumed { belay_version: "1".to_owned() }).unwrap();
    stage.command_by(&Asked::new("ada", "the network team is at work"), Verb::Hold { run }).unwrap();
    stage.look("dns", strange());
    stage.look("dns", strange());
    let why = &stage.state.run.as_ref().unwrap().why;
    assert!(why.starts_with("the network team is at work; after an outage, dns is in a state"), "{why}");
}

#[test]
fn a_crash_uses_up_no_attempt_but_dying_of_a_send_has_an_end() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    for attempt in 1..=10 {
        stage.look("dns", remaining(&["weights"]));
        assert_eq!(stage.step("dns").attempt, attempt);
        stage.pass(2);
        stage.feed(Input::Resumed { belay_version: "1".to_owned() }).unwrap();
    }
    stage.look("dns", remaining(&["weights"]));
    assert_eq!(stage.step("dns").failure, Some(FailureCode::Refused));
}

#[test]
fn the_last_attempt_is_looked_up_like_any_other() {
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    for _ in 1..=3 {
        stage.look("dns", remaining(&["weights"]));
        lost(&mut stage, "dns");
        stage.now = stage.step("dns").again_at.unwrap();
    }
    stage.look("dns", Assessment::InPlace);
    assert_eq!(stage.run_state(), RunState::RolledBack);
}

#[test]
fn interlocks_that_passed_before_a_hold_or_a_crash_are_read_again() {
    let held = |stage: &mut Stage, run: &belay_core::id::RunId| {
        stage.command(Verb::Hold { run: run.clone() }).unwrap();
        stage.pass(7200);
        stage.command(Verb::Resume { run: run.clone() }).unwrap();
    };
    let crashed = |stage: &mut Stage, _: &belay_core::id::RunId| {
        stage.pass(60);
        stage.feed(Input::Resumed { belay_version: "1".to_owned() }).unwrap();
    };
    for interrupt in [&held as &dyn Fn(&mut Stage, &belay_core::id::RunId), &crashed] {
        let mut dns = step(&[]);
        dns.require = vec![gate("blue_ready", 0, 0)];
        let mut stage = Stage::new();
        let run = stage.run(&plan(vec![("dns", dns)]), &[]);
        stage.look("dns", remaining(&["weights"]));
        stage.read("blue_ready", Health::Healthy);
        assert_eq!(stage.phase("dns"), Phase::Applying);
        interrupt(&mut stage, &run);
        stage.look("dns", remaining(&["weights"]));
        assert_eq!(stage.phase("dns"), Phase::Requiring);
        stage.read("blue_ready", Health::Unhealthy);
        assert_eq!(stage.step("dns").failure, Some(FailureCode::Require));
    }
}

#[test]
fn an_interlock_has_to_hold_until_all_have_passed() {
    let mut dns = step(&[]);
    dns.require = vec![gate("blue_ready", 600, 0), gate("latency", 600, 0)];
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", dns)]), &[]);
    stage.look("dns", remaining(&["weights"]));
    stage.read("blue_ready", Health::Healthy);
    stage.read("blue_ready", Health::Unhealthy);
    stage.read("latency", Health::Healthy);
    assert_eq!(stage.phase("dns"), Phase::Requiring);
    stage.read("blue_ready", Health::Healthy);
    assert_eq!(stage.phase("dns"), Phase::Applying);
}

#[test]
fn throttling_ends_with_the_time_out_of_a_step_with_interlocks_too() {
    let mut dns = step(&[]);
    dns.require = vec![gate("blue_ready", 0, 0)];
    let mut stage = Stage::new();
    stage.run(&plan(vec![("dns", dns)]), &[]);
    for _ in 0..60 {
        stage.look("dns", remaining(&["weights"]));
        stage.read("blue_ready", Health::Healthy);
        stage.look("dns", remaining(&["weights"]));
        if !is_sending(&stage.wants(), "dns") {
            break;
        }
        no_effect(&mut stage, "dns", ErrorClass::Throttled);
        stage.now = stage.step("dns").again_at.unwrap();
        stage.tick();
        if stage.phase("dns").is_over() {
            break;
        }
    }
    assert_eq!(stage.step("dns").failure, Some(FailureCode::TimedOut));
}

#[test]
fn a_retry_while_confirming_runs_the_step_and_confirms_anew() {
    let mut dns = step(&[]);
    dns.on_failure = OnFailure::Continue;
    let mut plan = plan(vec![("dns", dns)]);
    plan.confirm = vec![gate("errors", 900, 0)];
    let mut stage = Stage::new();
    let run = stage.run(&plan, &[]);
    stage.look("dns", Assessment::Failed { why: "not now".to_owned() });
    assert_eq!(stage.run_state(), RunState::Confirming);
    stage.command(Verb::Retry { run, step: "dns".to_owned() }).unwrap();
    assert_eq!((stage.run_state(), stage.phase("dns")), (RunState::Running, Phase::Observing));
    stage.put_back("dns");
    stage.read("errors", Health::Healthy);
    assert_eq!(stage.run_state(), RunState::RolledBack);
}

#[test]
fn a_step_that_loses_data_without_telling_how_much_asks_a_person() {
    let mut lossy = step(&[]);
    lossy.loses_data = true;
    let mut plan = plan(vec![("queue", lossy)]);
    plan.objectives.rpo = Some(Duration::from_secs(300));
    let mut stage = Stage::new();
    stage.run(&plan, &[]);
    stage.look("queue", remaining(&["purge"]));
    assert_eq!(stage.phase("queue"), Phase::AwaitingApproval);
}

#[test]
fn only_what_holds_a_step_up_can_be_overridden() {
    let mut dns = step(&[]);
    dns.require = vec![gate("blue_ready", 0, 0)];
    let mut stage = Stage::new();
    let run = stage.run(&plan(vec![("dns", dns)]), &[]);
    stage.look("dns", remaining(&["weights"]));
    stage.read("blue_ready", Health::Unhealthy);
    let refusal =
        stage.command(Verb::Override { run, step: "dns".to_owned(), subject: "blue_raedy".to_owned() }).unwrap_err();
    assert!(refusal.help.contains("blue_ready"), "{}", refusal.help);
}

#[test]
fn a_retry_half_way_through_a_restore_does_not_ask_again() {
    let mut plan = plan(vec![("db", step(&[]))]);
    plan.steps["db"].loses_data = true;
    plan.objectives.rpo = Some(Duration::from_secs(300));
    let mut stage = Stage::new();
    let run = stage.run(&plan, &[]);
    let since = Some(stage.now - Duration::from_secs(60));
    let restore = Change { effects: vec![Effect::LosesData { since }], ..change("restore") };
    stage.look("db", Assessment::Remaining(vec![restore, change("rename")]));
    stage.accept("db");
    stage.pass(180);
    stage.tick();
    assert_eq!(stage.step("db").failure, Some(FailureCode::TimedOut));
    stage.command(Verb::Retry { run, step: "db".to_owned() }).unwrap();
    stage.look("db", remaining(&["rename"]));
    assert!(is_sending(&stage.wants(), "db"));
}

#[test]
fn what_is_queued_on_a_resource_is_not_applied_without_a_person() {
    let queued = || vec![Effect::Applies { queued: vec!["engine version to 16.9".to_owned()] }];
    let remaining = || {
        let rename = Change { effects: queued(), ..change("rename") };
        Assessment::Remaining(vec![change("restore"), rename])
    };
    let mut stage = Stage::new();
    let run = stage.run(&plan(vec![("db", step(&[]))]), &[]);
    // Before the first change: nobody is waited for in the middle.
    stage.look("db", remaining());
    assert_eq!(stage.phase("db"), Phase::AwaitingApproval);
    assert!(stage.step("db").why.contains("engine version to 16.9"), "{}", stage.step("db").why);
    stage.command(Verb::Approve { run, step: "db".to_owned(), approve: true }).unwrap();
    stage.look("db", remaining());
    assert!(is_sending(&stage.wants(), "db"));
    // What was queued only later is asked for then.
    let mut stage = Stage::new();
    stage.run(&plan(vec![("db", step(&[]))]), &[]);
    stage.look("db", Assessment::Remaining(vec![change("restore"), change("rename")]));
    stage.accept("db");
    stage.look("db", Assessment::Remaining(vec![Change { effects: queued(), ..change("rename") }]));
    assert_eq!(stage.phase("db"), Phase::AwaitingApproval);
}
