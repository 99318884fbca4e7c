//! AWS in a bad mood. Whatever goes wrong on the way, the effect is there once in the end, or a person knows why not;
//! and each send has an intent of its own on record.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use belay_tests::{Finished, Kind, Outcome, Reaction, When};
use serde_json::{Value, json};

use crate::journal::{events, intents, records, records_in, step_events};
use crate::stage::{DNS_PLAN, PLAN, Stage};

const ELB: &str = "elasticloadbalancing";

/// Every call that may change something has its own intent, and there is no intent without its call.
#[track_caller]
fn assert_each_send_was_intended(stage: &Stage) -> Vec<Value> {
    let records = records(&stage.belay);
    let sent: Vec<String> = stage.proxy.mutating_calls().into_iter().map(|call| call.action).collect();
    let mut intended: Vec<&str> = intents(&records).iter().map(|it| it["change"]["call"].as_str().unwrap()).collect();
    let mut sent_calls: Vec<&str> = sent.iter().map(String::as_str).collect();
    intended.iter_mut().for_each(|call| *call = call.split(':').nth(1).unwrap());
    intended.sort_unstable();
    sent_calls.sort_unstable();
    assert_eq!(intended, sent_calls);
    records
}

/// A rollback of all three steps with one thing going wrong.
#[track_caller]
fn roll_back(stage: &Stage) -> Finished {
    stage.wait_for_target("blue", "healthy");
    let plan = stage.plan(PLAN);
    stage.proxy.clear();
    stage.run(&plan)
}

#[track_caller]
fn assert_rolled_back(stage: &Stage, done: &Finished) {
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(stage.weights(), [(100, 0); 3]);
}

#[test]
fn throttling_is_waited_out() {
    let stage = Stage::cut_over("throttle", &[]);
    stage.proxy.fault("route53", "ChangeResourceRecordSets", When::First(3), Kind::Throttle);
    let busy = stage.proxy.fault(
        "route53",
        "ChangeResourceRecordSets",
        When::Nth(4),
        Kind::code(400, "PriorRequestNotComplete"),
    );
    let alarms = stage.proxy.fault("monitoring", "DescribeAlarms", When::First(2), Kind::Throttle);
    let done = roll_back(&stage);
    assert_rolled_back(&stage, &done);
    assert_eq!((busy.hits(), alarms.hits()), (1, 2));
    // More often than the plan's five attempts could fail: being asked to wait is no failure.
    assert_eq!(stage.proxy.count("route53", "ChangeResourceRecordSets"), 5);
    let records = assert_each_send_was_intended(&stage);
    let refused = step_events(&records, "no_effect");
    // A zone that is busy passes, too, and has nothing to do with the account's quota.
    let throttled: Vec<bool> = refused.iter().map(|event| event["throttled"] == true).collect();
    assert_eq!(throttled, [true, true, true, false], "{refused:#?}");
    assert_eq!(refused[3]["transient"], true, "{refused:#?}");
    let lines = done.json_lines();
    assert_eq!(lines.last().unwrap()["steps"]["dns_back"]["throttled"]["sends"], 3, "{done}");
}

#[test]
fn a_run_under_heavy_throttling_finishes() {
    let stage = Stage::cut_over("storm", &[]);
    stage.wait_for_target("blue", "healthy");
    // Somebody else uses up nearly all of the account's quotas.
    let quotas = ["route53", ELB].map(|service| stage.proxy.fault(service, "*", When::Above(3), Kind::Throttle));
    let plan = stage.plan(PLAN);
    stage.proxy.clear();
    let done = stage.run(&plan);
    assert_rolled_back(&stage, &done);
    let throttled: usize = quotas.iter().map(belay_tests::FaultHandle::hits).sum();
    assert!(throttled > 0);
    // Belay slows down: most of its calls are let through, and each change takes effect once.
    let calls = stage.proxy.calls();
    assert!(throttled * 2 < calls.len(), "{throttled} of {} calls were throttled", calls.len());
    assert!(calls.len() < 400, "{} calls", calls.len());
    let took_effect = stage.proxy.mutating_calls().into_iter().filter(|call| call.outcome == Outcome::Answered(200));
    assert_eq!(took_effect.count(), 3);
    assert_each_send_was_intended(&stage);
}

#[test]
fn an_error_500_is_looked_into_before_the_call_is_sent_again() {
    let stage = Stage::cut_over("error", &[]);
    let fault = stage.proxy.fault(ELB, "ModifyListener", When::First(1), Kind::Error500);
    let done = roll_back(&stage);
    assert_rolled_back(&stage, &done);
    assert_eq!(fault.hits(), 1);
    assert_eq!(stage.proxy.count(ELB, "ModifyListener"), 2);
    let records = assert_each_send_was_intended(&stage);
    assert_eq!(step_events(&records, "outcome_unknown").len(), 1);
    let calls = stage.proxy.calls();
    let sends: Vec<usize> =
        calls.iter().filter(|call| call.action == "ModifyListener").map(|call| call.index).collect();
    let looked = |call: &&belay_tests::Call| {
        call.action == "DescribeListeners" && call.index > sends[0] && call.index < sends[1]
    };
    assert!(calls.iter().any(|call| looked(&call)), "it looks between the two sends");
}

#[test]
fn a_lost_answer_is_found_to_have_taken_effect() {
    let stage = Stage::cut_over("lost", &[]);
    stage.proxy.fault(ELB, "ModifyListener", When::First(1), Kind::LostAnswer);
    stage.proxy.fault("route53", "ChangeResourceRecordSets", When::First(1), Kind::LostAnswer);
    let done = roll_back(&stage);
    assert_rolled_back(&stage, &done);
    // Sent once each: what took effect is not sent again.
    assert_eq!(stage.proxy.count(ELB, "ModifyListener"), 1);
    assert_eq!(stage.proxy.count("route53", "ChangeResourceRecordSets"), 1);
    let records = assert_each_send_was_intended(&stage);
    assert_eq!(step_events(&records, "outcome_unknown").len(), 2);
    assert_eq!(step_events(&records, "effective").len(), 3);
}

#[test]
fn a_connection_that_breaks_is_made_again() {
    let stage = Stage::cut_over("cut", &[]);
    stage.proxy.fault(ELB, "ModifyRule", When::First(2), Kind::Cut);
    stage.proxy.fault(ELB, "DescribeTargetHealth", When::First(2), Kind::Cut);
    let done = roll_back(&stage);
    assert_rolled_back(&stage, &done);
    let rules: Vec<Outcome> =
        stage.proxy.calls().into_iter().filter(|call| call.action == "ModifyRule").map(|call| call.outcome).collect();
    assert_eq!(rules, [Outcome::Cut, Outcome::Cut, Outcome::Answered(200)]);
    assert_each_send_was_intended(&stage);
}

#[test]
fn a_missing_permission_halts_and_says_which() {
    let stage = Stage::cut_over("denied", &[]);
    let fault = stage.proxy.fault(ELB, "ModifyListener", When::All, Kind::AccessDenied);
    let done = roll_back(&stage);
    assert_eq!(done.code, 4, "{done}");
    assert_eq!(fault.hits(), 1, "a refusal is not tried again");
    let lines = done.json_lines();
    let run = lines.last().unwrap();
    assert_eq!(run["state"], "halted");
    let step = &run["steps"]["listener_back"];
    let why = step["why"].as_str().unwrap();
    let listener = stage.world.text("/alb/listener");
    for part in ["elasticloadbalancing:ModifyListener", listener, "AccessDenied", "the role needs"] {
        assert!(why.contains(part), "no {part} in {why}");
    }
    assert_eq!(step["waiting_for"][0]["verbs"], json!(["retry", "skip", "resume", "abort"]));
    // The independent branch has gone on, what needs the failed one has not begun.
    assert_eq!(stage.weights(), [(0, 100), (0, 100), (100, 0)]);
    assert_eq!(run["steps"]["rule_back"]["phase"], "done");
    assert_eq!(run["steps"]["dns_back"]["phase"], "blocked");
    assert_each_send_was_intended(&stage);

    // The permission is given: the run goes on.
    stage.proxy.clear_faults();
    let done = stage.run(&stage.plan(PLAN));
    assert_rolled_back(&stage, &done);
    assert_each_send_was_intended(&stage);
}

#[test]
fn credentials_that_expire_are_renewed_and_the_run_goes_on() {
    let stage = Stage::cut_over("expired", &[]);
    stage.proxy.fault(ELB, "DescribeListeners", When::First(2), Kind::ExpiredToken);
    let send = stage.proxy.fault(ELB, "ModifyRule", When::First(1), Kind::ExpiredToken);
    let done = roll_back(&stage);
    assert_rolled_back(&stage, &done);
    assert_eq!(send.hits(), 1);
    assert_each_send_was_intended(&stage);
}

#[test]
fn nobody_fights_another_controller() {
    let stage = Stage::cut_over("fight", &[]);
    stage.wait_for_target("blue", "healthy");
    // The page stays away, so that the step verifies for as long as this test wants.
    stage.page.set_healthy(false);
    let plan = PLAN
        .replace("  blue_ready:", "  page: { http: { url: \"$page\" } }\n  blue_ready:")
        .replace("verify: [{ signal: errors, within: 1m }]", "verify: [{ signal: page, within: 2m }]");
    let plan = stage.plan(&plan);
    let mut run = stage.belay.spawn(&["run", &plan, "--reason", "a test"]);
    run.wait_for_stdout("page is unhealthy");
    // Somebody else moves the traffic away again while the answer is still being checked.
    stage.world.set_some_weights(0, 100, &["dns"]);
    let done = run.wait();
    assert_eq!(done.code, 4, "{done}");
    assert!(done.stdout.contains("somebody else changed it"), "{done}");
    let sent = stage.proxy.count("route53", "ChangeResourceRecordSets");
    assert_eq!(sent, 1, "what was put back once is not put back again\n{done}");
    assert_eq!(stage.world.dns_weights()["green"], 100);
}

#[test]
fn an_intent_is_durable_before_aws_sees_the_call() {
    let stage = Stage::cut_over("intent", &[]);
    stage.wait_for_target("blue", "healthy");
    let folder = stage.belay.folder().to_owned();
    let seen: Arc<Mutex<Vec<(usize, usize)>>> = Arc::default();
    let told = Arc::clone(&seen);
    // Between the effect and its answer: the journal on the disk must already know of all that was sent.
    stage.proxy.on_call(move |call| {
        if call.is_mutating() {
            let mut told = told.lock().unwrap();
            let sent = told.len() + 1;
            told.push((sent, intents(&records_in(&folder)).len()));
        }
        Reaction::Forward
    });
    let plan = stage.plan(PLAN);
    let done = stage.run(&plan);
    assert_rolled_back(&stage, &done);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|(sent, intended)| intended >= sent), "{seen:?}");
    assert_each_send_was_intended(&stage);
}

#[test]
fn a_blind_watcher_alerts_and_does_not_roll_back() {
    let mut stage = Stage::cut_over("blind", &[]);
    // Even where the plan would roll back on what it cannot know.
    let plan = DNS_PLAN.replace("for: 1s,", "for: 1s, if_unknown: { after: 1s, do: roll_back },");
    let plan = stage.plan(&plan);
    let daemon = stage.serve_armed(&plan);
    let fault = stage.proxy.fault("monitoring", "DescribeAlarms", When::All, Kind::Error500);
    let blind = daemon.wait_until("the daemon to be blind", |migration| {
        let told = migration["triggers"]["customers_hurt"]["unknown_since"].is_string();
        (told && migration["blind"].as_object().is_some_and(|blind| !blind.is_empty())).then(|| migration.clone())
    });
    assert_eq!(blind["signals"]["errors"]["health"], "unknown");
    assert!(
        blind["signals"]["errors"]["evidence"].as_str().unwrap().contains("cloudwatch:DescribeAlarms"),
        "{blind:#}"
    );
    let told = |kind: &str| !events(&records(&stage.belay), kind).is_empty();
    daemon.wait_until("the alert", |_| told("unknown_alerted").then_some(()));
    assert!(told("blinded"));
    assert_eq!(daemon.migration()["state"], "armed", "blindness is not an outage");
    assert!(stage.proxy.mutating_calls().is_empty());

    fault.remove();
    daemon.wait_until("the daemon to see again", |migration| {
        (migration["blind"] == json!({}) && migration["signals"]["errors"]["health"] == "healthy").then_some(())
    });
    assert!(told("sighted") && told("trigger_known"));
    stage.world.set_alarm("/alarms/errors", "ALARM");
    daemon.wait_for_state("rolled_back");
    assert_eq!(stage.weights()[0], (100, 0));
}

#[test]
fn throttled_alarms_delay_a_rollback_and_do_not_prevent_it() {
    let mut stage = Stage::cut_over("slowly", &[]);
    let plan = stage.plan(DNS_PLAN);
    let daemon = stage.serve_armed(&plan);
    stage.world.set_alarm("/alarms/errors", "ALARM");
    let fault = stage.proxy.fault("monitoring", "DescribeAlarms", When::First(3), Kind::Throttle);
    stage.proxy.fault("monitoring", "DescribeAlarms", When::Nth(4), Kind::Delay(Duration::from_secs(1)));
    daemon.wait_for_state("rolled_back");
    assert_eq!(fault.hits(), 3);
    assert_eq!(stage.weights()[0], (100, 0));
    assert_each_send_was_intended(&stage);
}
