//! Scenarios say who decides what and when: words on incidents, phases, mutes and the cutover.

use std::time::Duration;

use belay_core::event::{Event, IncidentOutcome};
use belay_plan::model::Plan;
use belay_sim::{
    rehearsal::{Outcome, Played},
    scenario,
};

use crate::rehearsals::{plan, rehearsal};

const NIGHT: &str = r#"
belay: 1
migration: night
aws: { account: "111122223333", region: eu-west-1 }
phases:
  backfill: { expected: 4h }
  cutover: { expected: 30m }
  soak: { expected: 7d }
signals:
  errors: { alarm: night-5xx }
  slow: { alarm: night-latency }
  rows: { alarm: night-rows }
triggers:
  hurt: { when: errors, for: 30s, severity: critical, problem: bug }
  slower: { when: slow, for: 30s, severity: major, problem: performance, during: [cutover, soak] }
  wrong: { when: rows, severity: critical, problem: data }
decision:
  authority: [commander]
  rules:
    - { problem: bug, do: decide, timebox: 10m, then: roll_back }
    - { problem: performance, do: decide, timebox: 20m, then: fix_forward, authority: { all: [commander, lead] } }
    - { problem: data, do: roll_back, authority: [commander, auditor] }
    - { do: fix_forward }
steps:
  listener_back:
    action: alb.forward
    with: { listener: "arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2" }
    to: { shop-blue: 100, shop-green: 0 }
    during: [cutover, soak]
  copy_stopped: { action: manual, with: { instructions: "Stop the copy." }, during: [backfill] }
  look: { needs: [listener_back], action: manual, with: { instructions: "Look at the orders." }, during: [soak] }
confirm: [{ signal: errors, within: 15m, for: 5m }]
"#;

pub(crate) fn night() -> Plan {
    plan(NIGHT)
}

fn play(rest: &str) -> Played {
    let plan = night();
    let text = format!("scenario: 1\nsummary: At night.\n{rest}");
    let script = scenario::load("scenario.yaml", &text, &plan, None, None).unwrap_or_else(|errors| {
        panic!("{}", errors.iter().map(|error| error.render(false) + "\n").collect::<String>())
    });
    rehearsal(&plan, script).play(1).unwrap()
}

fn minutes(played: &Played) -> u64 {
    played.report.times.decision.unwrap().as_secs() / 60
}

/// From the breach to each event of a kind.
fn times(played: &Played, what: impl Fn(&Event) -> bool) -> Vec<Duration> {
    let breach = played.report.times.breach.unwrap();
    let found = played.records.iter().filter(|record| what(&record.event));
    found.map(|record| Duration::try_from(record.at.duration_since(breach)).unwrap()).collect()
}

fn opened(played: &Played) -> Vec<u64> {
    times(played, |event| matches!(event, Event::IncidentOpened { .. })).iter().map(|at| at.as_secs() / 60).collect()
}

#[test]
fn nobody_decides_and_what_the_rule_says_then_follows() {
    let rolled_back = play("people: [{ answer: nothing }]\n");
    assert_eq!((rolled_back.report.outcome, minutes(&rolled_back)), (Outcome::RolledBack, 10));
    assert_eq!(rolled_back.report.unmet, [""; 0]);
    let forward = play("breach: { trigger: slower }\npeople: [{ decide: nothing }]\n");
    assert_eq!(forward.report.outcome, Outcome::FixForward, "{}", forward.report.why);
    assert!(forward.report.why.contains("nobody had decided"), "{}", forward.report.why);
    assert!(!forward.report.verdict.within_objectives && forward.report.unmet.is_empty(), "{:?}", forward.report.unmet);
}

#[test]
fn a_person_decides_either_way() {
    let back = play("people: [{ decide: roll_back, role: commander, after: 3m }]\n");
    assert_eq!((back.report.outcome, minutes(&back)), (Outcome::RolledBack, 3));
    let forward = play("people: [{ decide: fix_forward, role: commander, after: 3m }]\n");
    assert_eq!(forward.report.outcome, Outcome::FixForward, "{}", forward.report.why);
    // Who decided can decide otherwise; and people who decide nothing else still do their steps.
    let late =
        "people: [{ decide: fix_forward, after: 3m }, { decide: roll_back, after: 2h }]\nbreach: { phase: soak }\n";
    let late = play(late);
    assert_eq!((late.report.outcome, minutes(&late)), (Outcome::RolledBack, 120), "{}", late.report.why);
    assert_eq!(late.report.steps["look"].phase, "done");
}

#[test]
fn it_takes_one_person_of_each_role() {
    let with = |people: &str| play(&format!("breach: {{ trigger: slower }}\npeople: [{people}]\n"));
    let agreed =
        with("{ decide: roll_back, role: commander, after: 3m }, { decide: roll_back, role: lead, after: 5m }");
    assert_eq!((agreed.report.outcome, minutes(&agreed)), (Outcome::RolledBack, 5));
    for not_enough in [
        "{ decide: roll_back, role: commander, after: 3m }, { decide: fix_forward, role: lead, after: 5m }",
        "{ decide: roll_back, role: commander, after: 3m }, { decide: roll_back, role: commander, after: 5m }",
        "{ decide: roll_back, role: commander, after: 3m }",
    ] {
        let played = with(not_enough);
        assert_eq!(played.report.outcome, Outcome::FixForward, "{not_enough}: {}", played.report.why);
        assert_eq!(played.report.unmet, [""; 0], "{not_enough}");
    }
    // The people whom a rehearsal has where nobody says are as many as the rule asks for.
    let usual = with("");
    assert_eq!((usual.report.outcome, minutes(&usual)), (Outcome::RolledBack, 1), "{}", usual.report.why);
}

#[test]
fn a_word_that_meets_nothing_is_told() {
    let late = play("people: [{ answer: nothing }, { decide: fix_forward, after: 11m }]\n");
    assert_eq!(late.report.outcome, Outcome::RolledBack);
    let expected =
        ["entry 1 of `people` was never asked", "entry 2 of `people` (`decide`) came too late: the rollback had begun"];
    assert_eq!(late.report.unmet, expected);
    let no_say = play("people: [{ decide: fix_forward, role: lead, after: 1m }]\n");
    assert_eq!(no_say.report.unmet, ["entry 1 of `people` (`decide`) has no say: the rule does not ask for the role"]);
    let elsewhere = play("people: [{ decide: fix_forward, trigger: slower }, { decide: roll_back, incident: 2 }]\n");
    assert_eq!(elsewhere.report.unmet.len(), 2, "{:?}", elsewhere.report.unmet);
    assert!(elsewhere.report.unmet[0].contains("no such incident"), "{:?}", elsewhere.report.unmet);
    let over = "{ signal: { signals: errors, shows: healthy }, at: 5m }";
    let over = play(&format!("people: [{{ decide: roll_back, after: 9m }}]\nevents: [{over}]\n"));
    assert_eq!(over.report.outcome, Outcome::Recovered);
    assert_eq!(over.report.unmet, ["entry 1 of `people` (`decide`) came too late: the incident was over"]);
    let muted = play(
        "events: [{ mute: 30m, at: { sent: listener_back, after: 1m } }, { phase: cutover }]\npeople: [{ answer: nothing }]\n",
    );
    assert_eq!(
        muted.report.unmet,
        [
            "event 1 (`mute`) met nothing: a rollback was under way",
            "event 2 (`phase`) met nothing: it is in phase cutover already"
        ]
    );
}

#[test]
fn a_trigger_heals_and_comes_back() {
    let healthy = "{ signal: { signals: errors, shows: healthy }, at: 3m, for: 10m }";
    let played = play(&format!(
        "people: [{{ decide: nothing, incident: 1 }}, {{ decide: roll_back, incident: 2, after: 2m }}]\nevents: [{healthy}]\n"
    ));
    let closed: Vec<IncidentOutcome> = played
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::IncidentClosed { outcome } => Some(*outcome),
            _ => None,
        })
        .collect();
    assert_eq!(closed, [IncidentOutcome::Recovered, IncidentOutcome::RolledBack]);
    assert_eq!(played.report.unmet, [""; 0]);
}

#[test]
fn a_mute_lies_over_the_breach() {
    let muted = play("events: [{ mute: 20m }]\n");
    assert_eq!((muted.report.outcome, opened(&muted)), (Outcome::RolledBack, vec![20]));
    let unmuted = play("events: [{ mute: 20m }, { unmute: {}, at: 8m }]\n");
    assert_eq!((unmuted.report.outcome, opened(&unmuted)), (Outcome::RolledBack, vec![8]));
    assert_eq!(unmuted.report.unmet, [""; 0]);
}

/// The whole plan is played, and what its phase does not have is not in the answer.
#[test]
fn the_phase_moves() {
    let steps = |played: &Played| played.report.steps.keys().cloned().collect::<Vec<_>>();
    let usual = play("");
    assert_eq!((usual.report.outcome, steps(&usual)), (Outcome::RolledBack, vec!["listener_back".to_owned()]));
    let soak = play("breach: { phase: soak }\n");
    assert_eq!(soak.report.outcome, Outcome::RolledBack, "{}", soak.report.why);
    assert_eq!(steps(&soak), ["listener_back", "look"]);
    let early = play("breach: { phase: backfill }\n");
    assert_eq!((early.report.outcome, steps(&early)), (Outcome::RolledBack, vec!["copy_stopped".to_owned()]));
    assert!(times(&early, |event| *event == Event::CutoverMarked).is_empty());
    // The trigger wakes up with the cutover, though it goes wrong before.
    let cut_over = play(
        "breach: { phase: backfill, trigger: slower }\nevents: [{ cutover: {}, at: 30m }]\npeople: [{ decide: roll_back, after: 1m }, { decide: roll_back, role: lead }]\n",
    );
    assert_eq!(
        (cut_over.report.outcome, opened(&cut_over)),
        (Outcome::RolledBack, vec![30]),
        "{}",
        cut_over.report.why
    );
    assert_eq!(steps(&cut_over), ["listener_back"]);
    let moved = play("events: [{ phase: soak, at: 5m }]\npeople: [{ decide: nothing }]\n");
    assert_eq!(
        (moved.report.outcome, steps(&moved)),
        (Outcome::RolledBack, vec!["listener_back".to_owned(), "look".to_owned()])
    );
}

#[test]
fn what_does_not_fit_the_plan_is_said_with_its_place_and_its_cure() {
    let cases = [
        ("people: [{ decide: roll_back, role: comander }]\n", "unknown role `comander`\n --> scenario.yaml:3:37"),
        ("people: [{ decide: roll_back, role: comander }]\n", "did you mean `commander`?"),
        ("people: [{ decide: roll_back, trigger: hrt }]\n", "unknown trigger `hrt`\n --> scenario.yaml:3:40"),
        (
            "people: [{ decide: roll_back, trigger: wrong }]\n",
            "nobody is ever asked about an incident of wrong: its rule rolls back at once",
        ),
        ("people: [{ decide: roll_back, steps: look }]\n", "`decide` and `steps` do not go together"),
        ("people: [{ answer: deny, role: lead }]\n", "`role` is about an incident, and this entry decides none"),
        ("people: [{ decide: rollback }]\n", "did you mean `roll_back`?"),
        ("people: [{ decide: roll_back, after: 30h }]\n", "1d6h is beyond the end"),
        ("breach: { phase: soek }\n", "unknown phase `soek`\n --> scenario.yaml:3:18"),
        ("events: [{ phase: soek }]\n", "did you mean `soak`?"),
        ("events: [{ mute: 5h }]\n", "a mute lasts for up to 4h, not for 5h"),
        ("events: [{ unmute: {} }]\n", "nothing is muted that could be unmuted"),
        ("events: [{ cutover: {} }]\n", "the cutover was made before the breach"),
        ("breach: { phase: backfill, trigger: slower }\n", "slower sleeps in phase backfill\n --> scenario.yaml:3:37"),
    ];
    for (rest, expected) in cases {
        let text = format!("scenario: 1\nsummary: At night.\n{rest}");
        let errors = scenario::load("scenario.yaml", &text, &night(), None, None).unwrap_err();
        let found: String = errors.iter().map(|error| error.render(false) + "\n\n").collect();
        assert!(found.contains(expected), "{expected}\nis not in\n{found}");
        assert_eq!(errors.len(), 1, "{found}");
    }
}
