//! What scenarios say of parts: of a rollback, a cutover, calls, targets; of signals that lag, and of a journal that another process
//! has, or that is gone.

use std::time::Duration;

use belay_core::event::{Event, StepEvent};
use belay_plan::model::Plan;
use belay_sim::{
    rehearsal::{Outcome, Played},
    scenario,
};

use crate::{
    rehearsals::{plan, rehearsal},
    scenarios::{SHOP, script},
};

fn play_of(plan: &Plan, text: &str) -> Played {
    rehearsal(plan, script(&format!("scenario: 1\nsummary: In part.\n{text}"), plan)).play(1).unwrap()
}

fn play(text: &str) -> Played {
    play_of(&plan(SHOP), text)
}

fn refused(text: &str, plan_text: &str) -> String {
    let text = format!("scenario: 1\nsummary: It goes wrong.\n{text}");
    let errors = scenario::load("scenario.yaml", &text, &plan(plan_text), None, None).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].render(false)
}

fn steps(played: &Played) -> Vec<&str> {
    played.report.steps.keys().map(String::as_str).collect()
}

#[test]
fn a_person_rolls_back_a_part() {
    let green = "{ signal: { signals: all, shows: healthy } }";
    let part = play(&format!("events: [{{ rollback: {{ only: database_back }}, at: 5m }}, {green}]\n"));
    assert_eq!(steps(&part), ["listener_back", "look", "pause", "database_back"], "what it needs comes with it");
    assert_eq!(part.report.outcome, Outcome::RolledBack, "{}", part.report.why);
    let of_action =
        play(&format!("events: [{{ rollback: {{ only: {{ action: route53.weights }} }}, at: 5m }}, {green}]\n"));
    assert_eq!(steps(&of_action), ["dns_back"]);
    // The names go back, and the errors do not stop: the listener still leads to where they come from.
    let verified = SHOP.replace(
        "    require: [blue_ready]\n  look",
        "    require: [blue_ready]\n    verify: [{ signal: errors, within: 5m }]\n  look",
    );
    let left = play_of(&plan(&verified), "events: [{ rollback: { only: dns_back }, at: 1s }]\n");
    assert_eq!((left.report.outcome, steps(&left)), (Outcome::Halted, vec!["dns_back"]), "{}", left.report.why);
    let late = play("events: [{ rollback: { only: dns_back }, at: 20h }]\n");
    assert_eq!(late.report.unmet, ["event 1 (`rollback`) met nothing"]);
    let unknown = refused("events: [{ rollback: { only: [dns_back, listner_back] } }]\n", SHOP);
    assert!(unknown.contains("unknown step `listner_back`\n --> scenario.yaml:3:41"), "{unknown}");
    assert!(unknown.contains("did you mean `listener_back`?"), "{unknown}");
    let falls_back = SHOP.replace("  look:\n", "    on_failure: { fallback: by_hand }\n  by_hand: { action: manual, with: { instructions: Move it. } }\n  look:\n");
    let stands_in = refused("events: [{ rollback: { only: by_hand } }]\n", &falls_back);
    assert!(stands_in.contains("by_hand only stands in for other steps"), "{stands_in}");
}

#[test]
fn a_signal_shows_late() {
    let (usual, late) = (play(""), play("events: [{ lag: { signals: { trigger: breached }, time: 20m } }]\n"));
    let detection = |played: &Played| played.report.times.detection.unwrap();
    assert!(detection(&usual) < Duration::from_secs(5 * 60) && detection(&late) >= Duration::from_secs(20 * 60));
    // It is seen to be well again only long after it is: the confirmation does not wait for that.
    assert_eq!(late.report.outcome, Outcome::Halted);
    let long = SHOP.replace("within: 15m", "within: 40m");
    let waited =
        play_of(&plan(&long), "events: [{ lag: { signals: errors, time: 20m..30m }, at: { done: database_back } }]\n");
    assert_eq!(waited.report.outcome, Outcome::RolledBack, "{}", waited.report.why);
    assert!(waited.report.times.confidence.unwrap() > play_of(&plan(&long), "").report.times.confidence.unwrap());
    // What was well all along has nothing to show.
    let nothing = play("events: [{ lag: { signals: blue_ready, time: 5m } }]\n");
    assert_eq!(nothing.report.unmet, ["event 1 (`lag`) met nothing"]);
    for (text, expected) in [
        (
            "events: [{ lag: { signals: errors, time: 20m..5m } }]\n",
            "a range from 20m to 5m runs backwards\n --> scenario.yaml:3:42",
        ),
        ("events: [{ lag: { signals: error, time: 5m } }]\n", "did you mean `errors`?"),
        ("events: [{ lag: { signals: errors, time: 30h } }]\n", "1d6h is beyond the end"),
        (
            "events: [{ lag: { signals: errors, time: 1m } }, { lag: { signals: all, time: 2m } }]\n",
            "event 1 says `lag` of errors",
        ),
    ] {
        let found = refused(text, SHOP);
        assert!(found.contains(expected), "{expected}\nis not in\n{found}");
    }
}

/// A fifth of the traffic was moved when it broke. The plan goes back from there, and a step that expects a whole cutover asks.
#[test]
fn a_cutover_is_half_way() {
    let expects = SHOP.replace(
        "    to: { shop-blue: 100, shop-green: 0 }\n",
        "    to: { shop-blue: 100, shop-green: 0 }\n    expect: { shop-blue: 0, shop-green: 100 }\n    on_drift: halt\n",
    );
    let plan = plan(&expects);
    let (whole, part) = (play_of(&plan, ""), play_of(&plan, "breach: { share: 20% }\n"));
    let before = |played: &Played| {
        let of = |record: &belay_core::event::Record| match &record.event {
            Event::Step { step, what: StepEvent::Intended { change, .. } } if step == "listener_back" => {
                Some(change.before.clone())
            }
            _ => None,
        };
        played.records.iter().find_map(of).unwrap()
    };
    assert_eq!(before(&whole), serde_json::json!({ "shop-blue": 0, "shop-green": 100 }));
    assert_eq!(before(&part), serde_json::json!({ "shop-blue": 80, "shop-green": 20 }));
    let asked = |played: &Played| {
        let asks = |event: &Event| matches!(event, Event::Step { step, what: StepEvent::ApprovalAwaited { .. } } if step == "listener_back");
        played.records.iter().any(|record| asks(&record.event))
    };
    assert_eq!((asked(&whole), asked(&part)), (false, true));
    assert_eq!((whole.report.outcome, part.report.outcome), (Outcome::RolledBack, Outcome::RolledBack));
    for (text, plan, expected) in [
        ("breach: { share: 0% }\n", SHOP, "0% is no share of anything\n --> scenario.yaml:3:18"),
        ("breach: { share: 101% }\n", SHOP, "give a share from 1% to 100%"),
        ("breach: { share: 20 }\n", SHOP, "a share such as `20%`"),
        ("breach: { share: 20% }\n", ONLY_A_JOB, "no step of this plan shifts traffic"),
    ] {
        let found = refused(text, plan);
        assert!(found.contains(expected), "{expected}\nis not in\n{found}");
    }
    let phases = SHOP.replace("triggers:\n", "phases: { copy: {}, cutover: {} }\ntriggers:\n");
    let early = refused("breach: { share: 20%, phase: copy }\n", &phases);
    assert!(early.contains("nothing is cut over yet in phase copy"), "{early}");
    script(
        "scenario: 1\nsummary: x\nbreach: { share: 20%, phase: copy }\nevents: [{ cutover: {}, at: 1m }]\n",
        &self::plan(&phases),
    );
}

const ONLY_A_JOB: &str = "\
belay: 1
migration: shop
aws: { account: \"111122223333\", region: eu-west-1 }
signals: { errors: { alarm: shop-5xx } }
triggers: { hurt: { when: errors, for: 30s, severity: critical } }
steps: { look: { action: manual, with: { instructions: Look. } } }
";

#[test]
fn a_share_of_the_calls_fails() {
    let plan = plan(SHOP);
    let failed = |played: &Played| {
        let is_it = |event: &Event| {
            matches!(event, Event::Step { what: StepEvent::NoEffect { .. } | StepEvent::LookFailed { .. }, .. })
        };
        played.records.iter().filter(|record| is_it(&record.event)).count()
    };
    let runs = |text: &str| -> Vec<Played> {
        let rehearsal = rehearsal(&plan, script(&format!("scenario: 1\nsummary: Some.\n{text}"), &plan));
        (0..12).map(|seed| rehearsal.play(seed).unwrap()).collect()
    };
    let some =
        runs("events: [{ fail: { steps: dns_back, how: throttled, share: 5% }, at: { sent: dns_back }, for: 20s }]\n");
    assert!(some.iter().all(|played| played.report.outcome == Outcome::RolledBack));
    assert!(some.iter().any(|played| failed(played) > 0), "no call was hit");
    let found = refused("events: [{ fail: { steps: dns_back, how: throttled, share: 120% } }]\n", SHOP);
    assert!(found.contains("120% is no share of anything"), "{found}");
}

/// Two of three targets are enough for the group that asks for two, and one is not.
#[test]
fn a_share_of_the_targets_is_unhealthy() {
    let with = |share: &str| {
        play(&format!("events: [{{ targets: {{ steps: listener_back, are: unhealthy, share: {share} }} }}]\n")).report
    };
    assert_eq!(with("1 of 3").outcome, Outcome::RolledBack);
    let few = with("2 of 3");
    assert_eq!(few.outcome, Outcome::Halted);
    assert!(few.why.contains("blue_ready is unhealthy"), "{}", few.why);
    // Without an interlock, one healthy target is proof enough.
    let trusting = plan(&SHOP.replace("    require: [blue_ready]\n", ""));
    let with = |share: &str| {
        play_of(
            &trusting,
            &format!("events: [{{ targets: {{ steps: listener_back, are: unhealthy, share: {share} }} }}]\n"),
        )
        .report
    };
    assert_eq!((with("2 of 3").outcome, with("3 of 3").outcome), (Outcome::RolledBack, Outcome::Halted));
    for (share, expected) in [
        ("0 of 3", "0 of 3 targets is not possible\n --> scenario.yaml:3:68"),
        ("4 of 3", "4 of 3 targets is not possible"),
        ("1 of 1", "`blue_ready` asks for 2 healthy targets, and here are 1"),
        ("some", "a part such as `1 of 3`"),
    ] {
        let found = refused(
            &format!("events: [{{ targets: {{ steps: listener_back, are: unhealthy, share: {share} }} }}]\n"),
            SHOP,
        );
        assert!(found.contains(expected), "{expected}\nis not in\n{found}");
    }
}

/// Another process has the journal: the first one stops acting, the other one goes on, and nothing is sent twice.
#[test]
fn another_process_takes_the_journal() {
    let plan = plan(SHOP);
    let text = "events: [{ lease: { down: 1m..5m }, at: { sent: database_back, after: 0s..10m } }]\n";
    let rehearsal = rehearsal(&plan, script(&format!("scenario: 1\nsummary: Taken.\n{text}"), &plan));
    for seed in 0..6 {
        let played = rehearsal.play(seed).unwrap();
        assert_eq!(played.report.outcome, Outcome::RolledBack, "{}", played.report.why);
        assert_eq!(played.report.steps["database_back"].sends, 2, "a copy and a switch");
        let resumed = played.records.iter().filter(|record| matches!(record.event, Event::WatchResumed { .. }));
        assert_eq!(resumed.count(), 1);
    }
    let found = refused("events: [{ lease: { down: 5m..1m } }]\n", SHOP);
    assert!(found.contains("a range from 5m to 1m runs backwards"), "{found}");
}

/// Without the journal, the plan and the baseline are not known: what was under way stays as it is, and the report says so.
#[test]
fn a_journal_that_is_gone_ends_the_rollback() {
    let lost = play(
        "events: [{ kill: { journal: lost, down: 5m }, at: { sent: database_back, after: 1m } }, { change: { steps: dns_back }, at: 2h }]\n",
    );
    let report = &lost.report;
    assert_eq!((report.outcome, report.verdict.within_objectives), (Outcome::NotOver, false));
    assert!(report.why.contains("started 5m later knows neither the plan nor the baseline"), "{}", report.why);
    assert!(
        report.why.contains("dns_back is done") && report.why.contains("database_back is settling"),
        "{}",
        report.why
    );
    assert_eq!(report.unmet, ["event 2 (`change`) met nothing"]);
    let early = play("events: [{ kill: { journal: lost }, at: 0s }]\n").report;
    assert!(early.why.contains("no rollback had begun"), "{}", early.why);
    let kept = play("events: [{ kill: { journal: kept }, at: { sent: database_back } }]\n").report;
    assert_eq!(kept.outcome, Outcome::RolledBack);
    let found = refused("events: [{ kill: { journal: gone } }]\n", SHOP);
    assert!(found.contains("`kept` or `lost`") || found.contains("`kept`, `lost`"), "{found}");
}
