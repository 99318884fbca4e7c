//! Phases, mute, the window, and the time that has gone by.

use std::time::Duration;

use crate::common::*;
use belay_core::{
    event::{Event, FailureCode},
    input::{Input, RefusalKind, Verb},
    migration::MigrationState,
    reading::Health,
    run::{Phase as StepPhase, RunState},
};
use belay_plan::model::*;
use serde_json::json;

const HOUR: u64 = 3600;

fn phased(steps: Vec<(&str, Step)>) -> Plan {
    let mut plan = plan(steps);
    plan.triggers["hurt"].dwell = Duration::ZERO;
    let expected = Some(Duration::from_secs(4 * HOUR));
    plan.phases = [("backfill", expected), ("cutover", None), ("soak", None)]
        .map(|(name, expected)| (name.to_owned(), Phase { expected }))
        .into_iter()
        .collect();
    plan
}

fn during(phases: &[&str]) -> Vec<Name> {
    phases.iter().map(|name| (*name).to_owned()).collect()
}

fn armed(plan: &Plan) -> Stage {
    let mut stage = Stage::new();
    stage.arm(plan);
    stage.read("errors", Health::Healthy);
    stage
}

fn begin(stage: &mut Stage, phase: &str) {
    stage.command(Verb::Phase { phase: phase.to_owned() }).expect("a phase of the plan");
}

#[test]
fn a_migration_goes_through_its_phases() {
    let plan = phased(vec![("dns", step(&[]))]);
    let mut stage = armed(&plan);
    assert_eq!(stage.state.phase_name(), Some("backfill"));
    stage.command(Verb::Cutover).unwrap();
    assert_eq!(stage.state.phase_name(), Some("cutover"));
    begin(&mut stage, "soak");
    begin(&mut stage, "backfill");
    begin(&mut stage, "soak");
    assert_eq!(stage.command(Verb::Phase { phase: "soak".to_owned() }).unwrap_err().kind, RefusalKind::WrongState);
    let unknown = stage.command(Verb::Phase { phase: "soaking".to_owned() }).unwrap_err();
    assert!(unknown.kind == RefusalKind::NotFound && unknown.help.contains("backfill, cutover, soak"), "{unknown:?}");
    // Arming again, and a restart, lose no phase.
    stage.arm(&plan);
    stage.feed(Input::Resumed { belay_version: "1".to_owned() }).unwrap();
    assert_eq!(stage.state.phase_name(), Some("soak"));
    // A rollback does; undoing it brings it back.
    let run = {
        stage.command(Verb::Rollback { kind: belay_core::event::RunKind::Real, only: vec![], pin: None }).unwrap();
        stage.state.run.as_ref().unwrap().id.clone()
    };
    stage.put_back("dns");
    assert_eq!((stage.run_state(), stage.state.phase_name()), (RunState::RolledBack, None));
    stage.command(Verb::Undo { run }).unwrap();
    assert_eq!(stage.state.phase_name(), Some("soak"), "while it runs");
    stage.look("dns", belay_core::change::Assessment::InPlace);
    assert_eq!((stage.run_state(), stage.state.phase_name()), (RunState::Undone, Some("soak")));
}

/// An undo that is aborted leaves the traffic where it has put it: what is armed next is in the phase of before the rollback.
#[test]
fn an_aborted_undo_that_has_changed_something_keeps_the_phase_and_the_mark() {
    for has_changed in [false, true] {
        let plan = phased(vec![("dns", step(&[])), ("alb", step(&[]))]);
        let mut stage = armed(&plan);
        stage.command(Verb::Cutover).unwrap();
        begin(&mut stage, "soak");
        let (soak, cutover) = (stage.state.phase.clone(), stage.state.cutover);
        stage.command(Verb::Rollback { kind: belay_core::event::RunKind::Real, only: vec![], pin: None }).unwrap();
        stage.put_back("dns");
        stage.put_back("alb");
        assert_eq!((stage.run_state(), stage.state.is_attempt_over()), (RunState::RolledBack, true));
        let run = |stage: &Stage| stage.state.run.as_ref().unwrap().id.clone();
        stage.command(Verb::Undo { run: run(&stage) }).unwrap();
        assert_eq!((&stage.state.phase, stage.state.cutover), (&soak, cutover));
        if has_changed {
            stage.look("alb", belay_core::change::Assessment::Remaining(vec![reversed("weights")]));
            stage.accept("alb");
        }
        stage.command(Verb::Abort { run: run(&stage) }).unwrap();
        assert_eq!(stage.run_state(), RunState::Aborted);
        let stands = if has_changed { (soak, cutover) } else { (None, None) };
        assert_eq!((stage.state.phase.clone(), stage.state.cutover), stands, "{has_changed}");
        assert_eq!(stage.state.is_attempt_over(), !has_changed);
        stage.arm(&plan);
        assert_eq!(stage.state.phase_name(), Some(if has_changed { "soak" } else { "backfill" }));
        assert_eq!(stage.state.cutover, stands.1);
        assert_eq!(stage.replay(), stage.state);
    }
}

#[test]
fn a_migration_that_is_disarmed_after_its_cutover_begins_the_next_attempt_with_the_first_phase() {
    let mut plan = phased(vec![("dns", step(&[]))]);
    plan.window = window(Some(4), PastWindow::RequireApproval);
    let mut stage = armed(&plan);
    begin(&mut stage, "soak");
    stage.command(Verb::Disarm).unwrap();
    stage.arm(&plan);
    assert_eq!(stage.state.phase_name(), Some("soak"), "no cutover was marked");
    stage.command(Verb::Cutover).unwrap();
    begin(&mut stage, "soak");
    stage.command(Verb::Disarm).unwrap();
    assert_eq!((stage.state.present_phase(), stage.state.point_of_no_return()), (None, None), "both are over");
    // Another plan may have other phases: nothing of this attempt goes on.
    let mut other = stage.clone();
    let mut renamed = plan.clone();
    renamed.phases = [("copy".to_owned(), Phase::default())].into_iter().collect();
    other.arm(&renamed);
    assert_eq!(other.state.phase_name(), Some("copy"));
    stage.arm(&plan);
    assert_eq!((stage.state.phase_name(), stage.state.cutover), (Some("backfill"), None));
}

#[test]
fn a_step_of_another_phase_is_skipped_and_counts_as_done() {
    let db = Step { during: during(&["soak"]), ..step(&[]) };
    let plan = phased(vec![("db", db), ("dns", step(&["db"]))]);
    let mut stage = armed(&plan);
    stage.read("errors", Health::Unhealthy);
    assert_eq!((stage.phase("db"), stage.phase("dns")), (StepPhase::Skipped, StepPhase::Observing));
    assert_eq!(stage.step("db").why, "it serves soak, and the phase is backfill");
    let mut stage = armed(&plan);
    begin(&mut stage, "soak");
    stage.read("errors", Health::Unhealthy);
    assert_eq!((stage.phase("db"), stage.phase("dns")), (StepPhase::Observing, StepPhase::Pending));
}

#[test]
fn a_rollback_without_a_step_is_refused() {
    let db = Step { during: during(&["soak"]), ..step(&[]) };
    let mut stage = armed(&phased(vec![("db", db), ("dns", step(&[]))]));
    let only =
        |name: &str| Verb::Rollback { kind: belay_core::event::RunKind::Real, only: vec![name.to_owned()], pin: None };
    let refused = stage.command(only("db")).unwrap_err();
    assert!(refused.kind == RefusalKind::WrongState && refused.why.contains("serves soak"), "{refused:?}");
    begin(&mut stage, "soak");
    stage.command(only("db")).unwrap();
}

/// A rollback by the word of people is one, too: it would end as rolled back, and nothing would have been done.
#[test]
fn a_decision_for_a_rollback_without_a_step_is_refused() {
    let db = Step { during: during(&["soak"]), ..step(&[]) };
    let mut stage = armed(&phased(vec![("db", db)]));
    stage.read("errors", Health::Unhealthy);
    assert_eq!(stage.state.state(), MigrationState::Incident, "no step serves backfill, so people decide");
    let refused = stage.command(Verb::Decide { roll_back: true }).unwrap_err();
    assert!(refused.kind == RefusalKind::WrongState && refused.why.contains("serves soak"), "{refused:?}");
    assert_eq!(stage.state.incident.as_ref().unwrap().words, []);
    begin(&mut stage, "soak");
    stage.command(Verb::Decide { roll_back: true }).unwrap();
    assert_eq!(stage.state.state(), MigrationState::RollingBack);
}

/// A step that stands in for another does nothing where that other is not to be done.
#[test]
fn a_step_that_only_stands_in_serves_no_phase_by_itself() {
    let mut first = Step { during: during(&["cutover"]), ..step(&[]) };
    first.on_failure = OnFailure::Fallback("second".to_owned());
    let mut stage = armed(&phased(vec![("first", first), ("second", step(&[]))]));
    let rollback = || Verb::Rollback { kind: belay_core::event::RunKind::Real, only: vec![], pin: None };
    let refused = stage.command(rollback()).unwrap_err();
    assert!(refused.kind == RefusalKind::WrongState && refused.why.contains("no step is left"), "{refused:?}");
    stage.read("errors", Health::Unhealthy);
    assert_eq!(stage.state.state(), MigrationState::Incident, "people decide: a rollback would do nothing");
    begin(&mut stage, "cutover");
    stage.command(Verb::Decide { roll_back: true }).unwrap();
    assert_eq!(stage.phase("first"), StepPhase::Observing);
}

/// What a phase is for may be red before it: rows differ as long as they are being copied.
#[test]
fn a_trigger_that_sleeps_at_arming_may_be_red() {
    let mut plan = phased(vec![("dns", step(&[]))]);
    plan.triggers["hurt"].during = during(&["cutover"]);
    let reading = |health| belay_core::reading::Reading {
        signal: "errors".to_owned(),
        taken: "2026-01-01T02:00:00Z".parse().unwrap(),
        health,
        evidence: String::new(),
        source: "cloudwatch".to_owned(),
        unreadable: false,
        permanent: false,
        measured: None,
    };
    let arm = |stage: &mut Stage, plan: &Plan, wait_for_green| {
        stage.command(Verb::Arm {
            plan: std::sync::Arc::new(plan.clone()),
            plan_sha256: "p".to_owned(),
            baseline: None,
            readings: vec![reading(Health::Unhealthy)],
            wait_for_green,
            detours: vec![],
        })
    };
    for wait_for_green in [false, true] {
        let mut stage = Stage::new();
        arm(&mut stage, &plan, wait_for_green).expect("it sleeps");
        begin(&mut stage, "cutover");
        assert_eq!(stage.state.state(), MigrationState::RollingBack, "it wakes up, and holds");
    }
    // Armed again in its phase, it counts.
    let mut stage = armed(&plan);
    begin(&mut stage, "cutover");
    stage.command(Verb::Disarm).unwrap();
    assert_eq!(arm(&mut stage, &plan, false).unwrap_err().kind, RefusalKind::RedAtArm);
    // That it turns green is noted while it sleeps.
    arm(&mut stage, &plan, true).unwrap();
    begin(&mut stage, "soak");
    stage.read("errors", Health::Healthy);
    stage.read("errors", Health::Unhealthy);
    assert_eq!(stage.state.state(), MigrationState::Armed);
    begin(&mut stage, "cutover");
    assert_eq!(stage.state.state(), MigrationState::RollingBack, "it has been green once");
}

#[test]
fn a_trigger_out_of_its_phases_sleeps() {
    let mut plan = phased(vec![("dns", step(&[]))]);
    plan.triggers["hurt"].during = during(&["cutover", "soak"]);
    plan.triggers["hurt"].dwell = Duration::from_secs(60);
    plan.decision.rules = vec![Rule::always(Answer::FixForward)];
    let mut stage = armed(&plan);
    stage.read("errors", Health::Unhealthy);
    stage.pass(HOUR);
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::Armed);
    begin(&mut stage, "cutover");
    stage.pass(59);
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::Armed, "the dwell begins when it wakes up");
    stage.pass(1);
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::Incident);
    // In an incident it stays awake.
    begin(&mut stage, "backfill");
    assert_eq!(stage.state.state(), MigrationState::Incident);
    stage.read("errors", Health::Healthy);
    stage.pass(60);
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::Armed);
}

#[test]
fn while_muted_nothing_opens_an_incident_and_afterwards_it_does() {
    let mut stage = armed(&phased(vec![("dns", step(&[]))]));
    stage.command(Verb::Mute { time: Duration::from_secs(1800) }).unwrap();
    assert_eq!(
        stage.command(Verb::Mute { time: Duration::from_secs(5 * HOUR) }).unwrap_err().kind,
        RefusalKind::WrongState
    );
    let events = stage.read("errors", Health::Unhealthy);
    assert!(events.iter().any(|event| matches!(event, Event::TriggerFired { .. })), "{events:?}");
    assert_eq!(stage.state.state(), MigrationState::Armed);
    assert_eq!(stage.wants().deadline, Some(stage.now + Duration::from_secs(1800)));
    let mut unmuted = stage.clone();
    unmuted.command(Verb::Unmute).unwrap();
    assert_eq!(unmuted.state.state(), MigrationState::RollingBack);
    stage.pass(1800);
    stage.tick();
    assert_eq!((stage.state.state(), &stage.state.muted), (MigrationState::RollingBack, &None));

    let mut stage = armed(&phased(vec![("dns", step(&[]))]));
    stage.command(Verb::Mute { time: Duration::from_secs(1800) }).unwrap();
    stage.read("errors", Health::Unhealthy);
    stage.read("errors", Health::Healthy);
    stage.pass(1800);
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::Armed, "what has healed meanwhile opens nothing");
}

#[test]
fn while_muted_nothing_joins_an_open_incident_and_afterwards_it_does() {
    let mut plan = phased(vec![("dns", step(&[]))]);
    let slow = Trigger { severity: Severity::Major, ..trigger(Condition::Signal("latency".to_owned()), 0) };
    plan.triggers.insert("slow".to_owned(), slow);
    plan.decision.rules = vec![
        Rule { severity: Some(Severity::Critical), ..Rule::always(Answer::FixForward) },
        Rule::always(Answer::RollBack),
    ];
    let mut stage = armed(&plan);
    stage.read("latency", Health::Healthy);
    stage.read("errors", Health::Unhealthy);
    assert_eq!(stage.state.state(), MigrationState::Incident);
    stage.command(Verb::Mute { time: Duration::from_secs(1800) }).unwrap();
    let events = stage.read("latency", Health::Unhealthy);
    assert!(events.iter().any(|event| matches!(event, Event::TriggerFired { .. })), "{events:?}");
    assert_eq!(stage.state.incident.as_ref().unwrap().triggers, ["hurt"]);
    assert_eq!(stage.state.state(), MigrationState::Incident);
    stage.pass(1800);
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::RollingBack);
    assert_eq!(stage.state.incident.as_ref().unwrap().triggers, ["hurt", "slow"]);
    assert_eq!(stage.replay(), stage.state);
}

/// The mute ends while nobody looks: what fired in it may have healed since.
#[test]
fn after_a_restart_what_was_muted_is_read_before_it_opens_an_incident() {
    let mut stage = armed(&phased(vec![("dns", step(&[]))]));
    stage.command(Verb::Mute { time: Duration::from_secs(1800) }).unwrap();
    stage.read("errors", Health::Unhealthy);
    stage.pass(3600);
    let mut asleep = stage.clone();
    asleep.awake(Duration::from_secs(3600), jiff::SignedDuration::ZERO);
    stage.feed(Input::Resumed { belay_version: "1".to_owned() }).unwrap();
    for mut stage in [stage, asleep] {
        stage.tick();
        assert_eq!(
            (stage.state.state(), &stage.state.muted),
            (MigrationState::Armed, &None),
            "nobody has looked since"
        );
        let mut healed = stage.clone();
        healed.read("errors", Health::Healthy);
        assert_eq!(healed.state.state(), MigrationState::Armed);
        stage.read("errors", Health::Unhealthy);
        assert_eq!(stage.state.state(), MigrationState::RollingBack);
    }
}

fn window(point_h: Option<u64>, past: PastWindow) -> Option<Window> {
    let point_of_no_return = point_h.map(|hours| Duration::from_secs(hours * HOUR));
    Some(Window { point_of_no_return, past, opens: None })
}

#[test]
fn past_the_point_of_no_return_people_decide() {
    let mut plan = phased(vec![("dns", step(&[]))]);
    plan.window = window(Some(4), PastWindow::RequireApproval);
    let mut stage = armed(&plan);
    stage.command(Verb::Cutover).unwrap();
    let point = stage.now + Duration::from_secs(4 * HOUR);
    assert_eq!(stage.state.point_of_no_return(), Some(point));
    stage.pass(4 * HOUR - 1800);
    let events = stage.tick();
    assert!(events.contains(&Event::PointOfNoReturnNear { at: point }), "{events:?}");
    assert_eq!(stage.tick(), vec![], "once");
    stage.pass(1800);
    assert!(stage.tick().contains(&Event::PointOfNoReturnPassed { at: point }));
    stage.read("errors", Health::Unhealthy);
    assert_eq!(stage.state.state(), MigrationState::Incident);
    let incident = stage.state.incident.clone().unwrap();
    assert_eq!(incident.answer, Some(Answer::Decide));
    assert!(incident.why.contains("point of no return"), "{}", incident.why);
    stage.pass(24 * HOUR);
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::Incident, "without end");
    stage.command(Verb::Decide { roll_back: true }).unwrap();
    assert_eq!(stage.state.state(), MigrationState::RollingBack);
}

#[test]
fn past_the_point_of_no_return_losing_data_takes_a_persons_word_or_is_refused() {
    for past in [PastWindow::RequireApproval, PastWindow::Refuse] {
        let mut plan = phased(vec![("dns", Step { loses_data: true, ..step(&[]) })]);
        plan.window = window(Some(4), past);
        let mut stage = armed(&plan);
        stage.command(Verb::Cutover).unwrap();
        stage.pass(4 * HOUR);
        stage.command(Verb::Rollback { kind: belay_core::event::RunKind::Real, only: vec![], pin: None }).unwrap();
        stage.look("dns", belay_core::change::Assessment::Remaining(vec![change("weights")]));
        match past {
            PastWindow::RequireApproval => assert_eq!(stage.phase("dns"), StepPhase::AwaitingApproval),
            PastWindow::Refuse => {
                assert_eq!(
                    (stage.phase("dns"), stage.step("dns").failure),
                    (StepPhase::Failed, Some(FailureCode::PastPoint))
                );
            }
        }
        assert!(stage.step("dns").why.contains("point of no return"), "{}", stage.step("dns").why);
    }
}

/// A database that a person restores loses as much as one that Belay restores.
#[test]
fn past_the_point_of_no_return_what_a_person_does_by_hand_loses_no_data_either() {
    for (past, phase) in
        [(PastWindow::RequireApproval, StepPhase::AwaitingApproval), (PastWindow::Refuse, StepPhase::Failed)]
    {
        let by_hand = |action: &str, with: serde_json::Value| Step {
            loses_data: true,
            action: action.to_owned(),
            with,
            ..step(&[])
        };
        let restore = by_hand("manual", json!({ "instructions": "Restore the orders." }));
        let gated = Step { require: vec![gate("errors", 600, 0)], ..restore.clone() };
        let pause = by_hand("wait", json!({ "for": "10m" }));
        let mut plan = phased(vec![("restore", restore), ("gated", gated), ("pause", pause)]);
        plan.window = window(Some(4), past);
        let mut stage = armed(&plan);
        stage.command(Verb::Cutover).unwrap();
        stage.pass(4 * HOUR);
        stage.command(Verb::Rollback { kind: belay_core::event::RunKind::Real, only: vec![], pin: None }).unwrap();
        stage.read("errors", Health::Healthy);
        for (name, what) in [("restore", "Restore the orders."), ("gated", "Restore the orders."), ("pause", "wait")] {
            let (found, why) = (stage.phase(name), &stage.step(name).why);
            assert_eq!(found, phase, "{name}: {why}");
            assert!(why.contains("point of no return") && why.ends_with(what), "{name}: {why}");
        }
        if past == PastWindow::RequireApproval {
            let run = stage.state.run.as_ref().unwrap().id.clone();
            for name in ["restore", "pause"] {
                stage.command(Verb::Approve { run: run.clone(), step: name.to_owned(), approve: true }).unwrap();
            }
            assert_eq!((stage.phase("restore"), stage.phase("pause")), (StepPhase::Done, StepPhase::Settling));
        }
    }
}

#[test]
fn nothing_starts_by_itself_before_the_window_opens() {
    let mut plan = phased(vec![("dns", step(&[]))]);
    let mut stage = Stage::new();
    let opens = stage.now + Duration::from_secs(HOUR);
    plan.window = Some(Window { opens: Some(opens), ..window(None, PastWindow::Refuse).unwrap() });
    stage.arm(&plan);
    stage.read("errors", Health::Unhealthy);
    assert_eq!((stage.state.state(), stage.wants().deadline), (MigrationState::Incident, Some(opens)));
    stage.pass(HOUR);
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::RollingBack, "it still holds when the window opens");
}

/// The end of a timebox is told as what comes of it: a rollback, as soon as the window is open.
#[test]
fn a_timebox_that_ends_before_the_window_opens_still_leads_to_a_rollback() {
    let mut plan = phased(vec![("dns", step(&[]))]);
    let timebox = Some(Duration::from_secs(300));
    plan.decision.rules = vec![Rule { timebox, then: Some(Answer::RollBack), ..Rule::always(Answer::Decide) }];
    let mut stage = Stage::new();
    let opens = stage.now + Duration::from_secs(HOUR);
    plan.window = Some(Window { opens: Some(opens), ..window(None, PastWindow::Refuse).unwrap() });
    stage.arm(&plan);
    stage.read("errors", Health::Unhealthy);
    let incident = stage.state.incident.clone().unwrap();
    assert_eq!(belay_core::decision::follows(&stage.state, &incident), Some(Answer::RollBack));
    stage.pass(HOUR);
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::RollingBack);
}

#[test]
fn time_that_goes_by_is_a_signal() {
    let mut plan = phased(vec![("dns", step(&[]))]);
    let of = |spec: serde_json::Value| Signal {
        kind: "elapsed".to_owned(),
        spec: json!({ "elapsed": spec }),
        aws: AwsTarget::default(),
    };
    plan.signals.insert("too_slow".to_owned(), of(json!({ "phase": "backfill", "at_most": "150%" })));
    plan.signals.insert("too_old".to_owned(), of(json!({ "since": "cutover", "at_most": "1h" })));
    plan.triggers.insert("late".to_owned(), trigger(Condition::Signal("too_slow".to_owned()), 0));
    let mut stage = armed(&plan);
    assert_eq!(stage.state.signals["too_slow"].health, Health::Healthy);
    assert!(!stage.wants().watch.contains_key("too_slow"), "nobody has to read it");
    let begun = stage.now;
    let turns = begun + Duration::from_secs(6 * HOUR) + Duration::from_millis(1);
    assert_eq!(stage.wants().deadline, Some(turns));
    stage.now = turns;
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::RollingBack);
    assert!(stage.state.signals["too_slow"].evidence.contains("more than 6h since backfill began"));

    let mut stage = armed(&plan);
    let made_up = stage.command(Verb::Drill { trigger: Some("late".to_owned()) }).unwrap_err();
    assert!(made_up.why.contains("cannot make up"), "{made_up:?}");
    begin(&mut stage, "soak");
    stage.pass(24 * HOUR);
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::Armed, "a phase that is over takes no more time");
    stage.command(Verb::Cutover).unwrap();
    stage.pass(HOUR + 1);
    stage.tick();
    assert_eq!(stage.state.signals["too_old"].health, Health::Unhealthy);
}

/// A step that stands in for others is no procedure of its own.
#[test]
fn a_phase_that_only_a_fallback_serves_is_served_by_none() {
    let first = Step { during: during(&["cutover"]), on_failure: OnFailure::Fallback("other".to_owned()), ..step(&[]) };
    let plan = phased(vec![("first", first), ("other", step(&[]))]);
    let mut stage = armed(&plan);
    begin(&mut stage, "soak");
    let refused = stage.command(Verb::Rollback { kind: belay_core::event::RunKind::Real, only: Vec::new(), pin: None });
    let refused = refused.unwrap_err();
    assert!(refused.kind == RefusalKind::WrongState && refused.why.contains("the phase is soak"), "{refused:?}");
    assert_eq!(plan.in_phase(Some("soak")).steps.len(), 0);
    stage.read("errors", Health::Unhealthy);
    assert_eq!(stage.state.state(), MigrationState::Incident, "no step serves soak, so people decide");
}

/// A phase is no mark: nothing is counted from it.
#[test]
fn a_cutover_phase_without_the_mark_is_told() {
    let mut plan = phased(vec![("dns", step(&[]))]);
    plan.window =
        Some(Window { opens: None, point_of_no_return: Some(Duration::from_secs(HOUR)), past: PastWindow::Refuse });
    let mut stage = armed(&plan);
    assert!(!stage.state.is_unmarked(), "it is in the backfill");
    begin(&mut stage, "cutover");
    assert!(stage.state.is_unmarked());
    begin(&mut stage, "soak");
    assert!(stage.state.is_unmarked());
    stage.command(Verb::Cutover).unwrap();
    assert!(!stage.state.is_unmarked());
}

/// Behind the mark, a phase that was renamed is no reason to begin all of them anew.
#[test]
fn a_plan_without_the_present_phase_is_not_armed_behind_the_cutover() {
    let plan = phased(vec![("dns", step(&[]))]);
    let mut renamed = plan.clone();
    renamed.phases.shift_remove("soak");
    renamed.phases.insert("bake".to_owned(), Phase::default());
    let mut stage = armed(&plan);
    begin(&mut stage, "soak");
    stage.arm(&renamed);
    assert_eq!(stage.state.phase_name(), Some("backfill"), "nothing is marked");

    let mut stage = armed(&plan);
    stage.command(Verb::Cutover).unwrap();
    begin(&mut stage, "soak");
    let refused = stage.try_arm(&renamed).unwrap_err();
    assert!(refused.kind == RefusalKind::WrongState && refused.why.contains("in phase soak"), "{refused:?}");
    assert_eq!(stage.state.phase_name(), Some("soak"));
    let mut over = stage.clone();
    over.command(Verb::Disarm).unwrap();
    over.try_arm(&renamed).unwrap();
    assert_eq!(over.state.phase_name(), Some("backfill"), "that attempt is over");
    begin(&mut stage, "cutover");
    stage.try_arm(&renamed).unwrap();
    assert_eq!(stage.state.phase_name(), Some("cutover"));
}
