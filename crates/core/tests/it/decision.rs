//! Who decides an incident, until when, and what happens if nobody does.

use std::time::Duration;

use crate::common::*;
use belay_core::{
    event::Event,
    input::{Asked, Authority as Asking, Input, Refusal, RefusalKind, Verb},
    migration::MigrationState,
    reading::Health,
};
use belay_plan::model::*;

const MINUTE: u64 = 60;

/// A plan whose triggers `hurt` (on `errors`, critical) and `slow` (on `latency`, major) fire at once.
fn decided_by(rules: Vec<Rule>) -> Plan {
    let mut plan = plan(vec![("dns", step(&[]))]);
    plan.triggers["hurt"].dwell = Duration::ZERO;
    let slow = Trigger { severity: Severity::Major, ..trigger(Condition::Signal("latency".to_owned()), 0) };
    plan.triggers.insert("slow".to_owned(), slow);
    plan.decision = Decision { rules, authority: Authority::AnyOf(vec!["commander".to_owned()]), custom: true };
    plan
}

fn minutes(minutes: u64) -> Option<Duration> {
    Some(Duration::from_secs(minutes * MINUTE))
}

fn fix_first(time: u64) -> Rule {
    Rule { timebox: minutes(time), ..Rule::always(Answer::FixFirst) }
}

fn decide(time: u64, then: Answer) -> Rule {
    Rule { timebox: minutes(time), then: Some(then), ..Rule::always(Answer::Decide) }
}

fn of(severity: Severity, rule: Rule) -> Rule {
    Rule { severity: Some(severity), ..rule }
}

/// A signal turns, and stays so for a minute.
fn turn(stage: &mut Stage, signal: &str, health: Health) {
    stage.read(signal, health);
    pass(stage, MINUTE);
}

/// The same plan with triggers that have to hold, and to be healthy, for a minute.
fn dwelling(rules: Vec<Rule>) -> Stage {
    let mut plan = decided_by(rules);
    plan.triggers.values_mut().for_each(|trigger| trigger.dwell = Duration::from_secs(MINUTE));
    armed(&plan)
}

fn armed(plan: &Plan) -> Stage {
    let mut stage = Stage::new();
    stage.arm(plan);
    stage.read("errors", Health::Healthy);
    stage.read("latency", Health::Healthy);
    stage
}

fn incident(rules: Vec<Rule>) -> Stage {
    let mut stage = armed(&decided_by(rules));
    stage.read("errors", Health::Unhealthy);
    assert_eq!(stage.state.state(), MigrationState::Incident);
    stage
}

fn word(stage: &mut Stage, who: &str, roles: &[&str], roll_back: bool) -> Result<Vec<Event>, Refusal> {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    let asked = Asked { authority: Asking::Roles(roles), ..Asked::new(who, "seen") };
    stage.command_by(&asked, Verb::Decide { roll_back })
}

fn answer(stage: &Stage) -> Option<Answer> {
    stage.state.incident.as_ref().and_then(|incident| incident.answer)
}

fn ends_in(stage: &Stage) -> Option<u64> {
    let ends = stage.state.incident.as_ref()?.asks.as_ref()?.timebox_ends?;
    u64::try_from(ends.duration_since(stage.now).as_secs()).ok()
}

fn pass(stage: &mut Stage, seconds: u64) -> Vec<Event> {
    stage.pass(seconds);
    stage.tick()
}

#[test]
fn a_fix_that_is_not_there_in_time_is_rolled_back() {
    let mut stage = incident(vec![fix_first(30)]);
    assert_eq!(stage.wants().deadline, Some(stage.now + Duration::from_secs(30 * MINUTE)));
    pass(&mut stage, 30 * MINUTE - 1);
    assert_eq!(stage.state.state(), MigrationState::Incident);
    pass(&mut stage, 1);
    assert_eq!(stage.state.state(), MigrationState::RollingBack);
    assert!(stage.state.run.as_ref().unwrap().reason.contains("hurt still holds"));
}

#[test]
fn a_fix_in_time_closes_the_incident() {
    let mut stage = incident(vec![fix_first(30)]);
    pass(&mut stage, 20 * MINUTE);
    stage.read("errors", Health::Healthy);
    stage.tick();
    assert!(stage.state.incident.is_none());
    pass(&mut stage, 20 * MINUTE);
    assert_eq!(stage.state.state(), MigrationState::Armed);
}

#[test]
fn flapping_does_not_restart_the_time_and_healing_at_its_end_is_waited_for() {
    let mut plan = decided_by(vec![fix_first(30)]);
    plan.triggers["hurt"].dwell = Duration::from_secs(MINUTE);
    let mut stage = armed(&plan);
    stage.read("errors", Health::Unhealthy);
    pass(&mut stage, MINUTE);
    for _ in 0..3 {
        pass(&mut stage, 9 * MINUTE);
        stage.read("errors", Health::Healthy);
        pass(&mut stage, 30);
        stage.read("errors", Health::Unhealthy);
    }
    assert_eq!(ends_in(&stage), Some(90));
    pass(&mut stage, 80);
    stage.read("errors", Health::Healthy);
    pass(&mut stage, 30);
    assert_eq!(stage.state.state(), MigrationState::Incident, "it is healing, so there is nothing to roll back yet");
    stage.read("errors", Health::Unhealthy);
    assert_eq!(stage.state.state(), MigrationState::RollingBack, "it holds again, and the time is over");
}

#[test]
fn nobody_decides_and_then_follows() {
    for (then, state) in
        [(Answer::RollBack, MigrationState::RollingBack), (Answer::FixForward, MigrationState::Incident)]
    {
        let mut stage = incident(vec![decide(15, then)]);
        pass(&mut stage, 15 * MINUTE);
        assert_eq!(stage.state.state(), state);
    }
    let mut stage = incident(vec![decide(15, Answer::FixForward)]);
    pass(&mut stage, 15 * MINUTE);
    assert_eq!((answer(&stage), ends_in(&stage)), (Some(Answer::FixForward), None));
    // Somebody decides otherwise.
    word(&mut stage, "carl", &["commander"], true).unwrap();
    assert_eq!(stage.state.state(), MigrationState::RollingBack);
    let late = word(&mut stage, "dora", &["commander"], false).unwrap_err();
    assert!(matches!(late.kind, RefusalKind::AlreadyRunning { .. }), "{late:?}");
}

#[test]
fn the_authority_decides_and_nobody_else() {
    let mut stage = incident(vec![decide(15, Answer::RollBack)]);
    let refused = word(&mut stage, "olga", &["operator"], true).unwrap_err();
    assert_eq!(refused.kind, RefusalKind::NotAllowed { role: "commander".to_owned() });
    word(&mut stage, "carl", &["commander"], false).unwrap();
    assert_eq!((answer(&stage), ends_in(&stage)), (Some(Answer::FixForward), None));
    pass(&mut stage, 15 * MINUTE);
    assert_eq!(stage.state.state(), MigrationState::Incident, "what is decided is decided");
    let words = &stage.state.incident.as_ref().unwrap().words;
    assert_eq!((words.len(), words[0].who.as_str(), words[0].word), (1, "carl", Answer::FixForward));
}

#[test]
fn one_person_of_each_role_and_who_disagrees_stops_it() {
    let all = Authority::AllOf { all: vec!["commander".to_owned(), "lead".to_owned()] };
    let mut stage = incident(vec![Rule { authority: Some(all), ..decide(15, Answer::RollBack) }]);
    let both = ["commander", "lead"];
    word(&mut stage, "carl", &both, false).unwrap();
    assert_eq!(answer(&stage), Some(Answer::Decide), "one person is one of the two");
    assert_eq!(word(&mut stage, "carl", &both, false).unwrap_err().kind, RefusalKind::WrongState);
    word(&mut stage, "dora", &["commander"], true).unwrap();
    word(&mut stage, "lea", &["lead"], false).unwrap();
    assert_eq!(answer(&stage), Some(Answer::Decide), "dora disagrees");
    assert_eq!(ends_in(&stage), Some(15 * MINUTE));
    let counting = |stage: &Stage| -> Vec<String> {
        stage.state.incident.iter().flat_map(|incident| incident.last_words()).map(|word| word.who.clone()).collect()
    };
    assert_eq!(counting(&stage), ["carl", "dora", "lea"]);
    word(&mut stage, "dora", &["commander"], false).unwrap();
    assert_eq!(answer(&stage), Some(Answer::FixForward));
    assert_eq!(counting(&stage), [""; 0], "it is settled");
    assert_eq!(stage.replay(), stage.state);
}

#[test]
fn two_people_with_the_same_role_are_not_one_of_each() {
    let all = Authority::AllOf { all: vec!["commander".to_owned(), "lead".to_owned()] };
    let mut stage = incident(vec![Rule { authority: Some(all), ..decide(15, Answer::RollBack) }]);
    word(&mut stage, "carl", &["commander"], true).unwrap();
    word(&mut stage, "dora", &["commander"], true).unwrap();
    assert_eq!(stage.state.state(), MigrationState::Incident);
    word(&mut stage, "lea", &["lead"], true).unwrap();
    assert_eq!(stage.state.state(), MigrationState::RollingBack);
}

#[test]
fn a_trigger_that_joins_only_makes_it_stricter_or_sooner() {
    let rules = |joining: Rule| vec![of(Severity::Critical, decide(30, Answer::RollBack)), joining];
    let joined = |joining: Rule| {
        let mut stage = incident(rules(joining));
        pass(&mut stage, 5 * MINUTE);
        stage.read("latency", Health::Unhealthy);
        stage
    };
    let stage = joined(Rule::always(Answer::FixForward));
    assert_eq!((answer(&stage), ends_in(&stage)), (Some(Answer::Decide), Some(25 * MINUTE)));
    let stage = joined(decide(10, Answer::FixForward));
    assert_eq!(ends_in(&stage), Some(25 * MINUTE), "an end that rolls nothing back is no shorter one");
    let stage = joined(fix_first(60));
    assert_eq!((answer(&stage), ends_in(&stage)), (Some(Answer::Decide), Some(25 * MINUTE)));
    let stage = joined(fix_first(10));
    assert_eq!((answer(&stage), ends_in(&stage)), (Some(Answer::FixFirst), Some(10 * MINUTE)));
    let stage = joined(Rule::always(Answer::RollBack));
    assert_eq!(stage.state.state(), MigrationState::RollingBack);

    // A laxer question becomes the stricter one, and gets no more time.
    let mut stage = incident(vec![of(Severity::Critical, decide(20, Answer::FixForward)), fix_first(60)]);
    stage.read("latency", Health::Unhealthy);
    assert_eq!((answer(&stage), ends_in(&stage)), (Some(Answer::FixFirst), Some(20 * MINUTE)));
}

/// A question to other people is another one: who has no say in it does not stop it, and who has spoken can say so again.
#[test]
fn a_question_to_other_people_is_asked_anew() {
    let all = |roles: &[&str]| Authority::AllOf { all: roles.iter().map(|role| (*role).to_owned()).collect() };
    let first = Rule { authority: Some(all(&["commander", "lead"])), ..decide(30, Answer::FixForward) };
    let joined = |authority: Authority| {
        let worse = Rule { authority: Some(authority), ..decide(30, Answer::RollBack) };
        let mut stage = armed(&decided_by(vec![of(Severity::Major, first.clone()), worse]));
        stage.read("latency", Health::Unhealthy);
        word(&mut stage, "lea", &["lead"], false).unwrap();
        word(&mut stage, "carl", &["commander", "auditor"], true).unwrap();
        stage.read("errors", Health::Unhealthy);
        stage
    };
    let mut stage = joined(Authority::AnyOf(vec!["commander".to_owned()]));
    word(&mut stage, "carl", &["commander", "auditor"], true).unwrap();
    assert_eq!(stage.state.state(), MigrationState::RollingBack, "lea has no say in it any more");
    let mut stage = joined(all(&["auditor", "tester"]));
    word(&mut stage, "tess", &["tester"], true).unwrap();
    word(&mut stage, "carl", &["commander", "auditor"], true).unwrap();
    assert_eq!(stage.state.state(), MigrationState::RollingBack, "carl speaks as an auditor now");
    assert_eq!(stage.replay(), stage.state);
    // The same people are not asked twice.
    let mut stage = joined(all(&["commander", "lead"]));
    word(&mut stage, "lea", &["lead"], true).unwrap();
    assert_eq!(stage.state.state(), MigrationState::RollingBack);
}

/// Carl has spoken about what there was: what joins later is asked about, with a time of its own.
#[test]
fn a_persons_word_stands_until_something_joins_that_nobody_has_spoken_about() {
    let joined = |joining: Rule| {
        let mut stage = incident(vec![of(Severity::Critical, decide(30, Answer::RollBack)), joining]);
        word(&mut stage, "carl", &["commander"], false).unwrap();
        stage.read("latency", Health::Unhealthy);
        stage
    };
    assert_eq!(answer(&joined(Rule::always(Answer::FixForward))), Some(Answer::FixForward));
    assert_eq!(joined(Rule::always(Answer::RollBack)).state.state(), MigrationState::RollingBack);
    let mut stage = joined(decide(5, Answer::RollBack));
    assert_eq!((answer(&stage), ends_in(&stage)), (Some(Answer::Decide), Some(5 * MINUTE)));
    // What joins has healed: what carl said stands.
    stage.read("latency", Health::Healthy);
    assert_eq!((answer(&stage), ends_in(&stage)), (Some(Answer::FixForward), None));
    pass(&mut stage, 60 * MINUTE);
    assert_eq!(stage.state.state(), MigrationState::Incident);
    assert_eq!(stage.replay(), stage.state);
}

/// What was spoken about can come and go as it likes, as long as it has not healed for its dwell.
#[test]
fn a_word_stands_for_what_flaps() {
    let rules = vec![of(Severity::Critical, decide(30, Answer::RollBack)), decide(5, Answer::RollBack)];
    let mut stage = dwelling(rules);
    turn(&mut stage, "errors", Health::Unhealthy);
    word(&mut stage, "carl", &["commander"], false).unwrap();
    turn(&mut stage, "latency", Health::Unhealthy);
    for health in [Health::Healthy, Health::Unhealthy] {
        stage.read("errors", health);
        assert_eq!((answer(&stage), ends_in(&stage)), (Some(Answer::Decide), Some(5 * MINUTE)));
    }
    word(&mut stage, "carl", &["commander"], false).unwrap();
    for health in [Health::Healthy, Health::Unhealthy] {
        stage.read("latency", health);
        assert_eq!((answer(&stage), ends_in(&stage)), (Some(Answer::FixForward), None), "{health:?}");
    }
    assert_eq!(stage.replay(), stage.state);
}

/// `errors` keeps the incident open for days; `latency` was fixed, and is asked about when it fires again.
#[test]
fn a_trigger_that_fires_again_after_it_has_healed_is_asked_about() {
    let rules = vec![of(Severity::Critical, Rule::always(Answer::FixForward)), decide(5, Answer::RollBack)];
    let asked = (Some(Answer::Decide), Some(5 * MINUTE));
    for answered in [true, false] {
        let mut stage = dwelling(rules.clone());
        turn(&mut stage, "errors", Health::Unhealthy);
        turn(&mut stage, "latency", Health::Unhealthy);
        assert_eq!((answer(&stage), ends_in(&stage)), asked);
        if answered {
            word(&mut stage, "carl", &["commander"], false).unwrap();
        }
        turn(&mut stage, "latency", Health::Healthy);
        assert_eq!((answer(&stage), ends_in(&stage)), (Some(Answer::FixForward), None));
        pass(&mut stage, 60 * MINUTE);
        let mut muted = stage.clone();
        turn(&mut stage, "latency", Health::Unhealthy);
        assert_eq!((answer(&stage), ends_in(&stage)), asked, "answered before: {answered}");
        let incident = stage.state.incident.as_ref().unwrap();
        assert_eq!(incident.triggers, ["hurt", "slow"]);
        assert_eq!(stage.replay(), stage.state);
        pass(&mut stage, 5 * MINUTE);
        assert_eq!(stage.state.state(), MigrationState::RollingBack, "its time is over");
        // It waits for the end of a mute like one that is new, and holds nothing open until then.
        muted.command(Verb::Mute { time: Duration::from_secs(30 * MINUTE) }).unwrap();
        turn(&mut muted, "latency", Health::Unhealthy);
        assert_eq!((answer(&muted), ends_in(&muted)), (Some(Answer::FixForward), None));
        pass(&mut muted, 30 * MINUTE);
        assert_eq!((answer(&muted), ends_in(&muted)), asked);
        assert_eq!(muted.replay(), muted.state);
    }
}

/// Its rule says to roll back at once, and a person has decided otherwise about the first time only.
#[test]
fn a_trigger_that_fires_again_after_it_has_healed_rolls_back_by_its_rule() {
    let mut stage = dwelling(vec![
        of(Severity::Critical, Rule::always(Answer::FixForward)),
        Rule { during: vec!["soak".to_owned()], ..decide(5, Answer::FixForward) },
        Rule::always(Answer::RollBack),
    ]);
    let mut plan = stage.state.plan.as_deref().unwrap().clone();
    plan.phases = ["soak", "late"].map(|name| (name.to_owned(), Phase::default())).into_iter().collect();
    stage = armed(&plan);
    turn(&mut stage, "errors", Health::Unhealthy);
    turn(&mut stage, "latency", Health::Unhealthy);
    word(&mut stage, "carl", &["commander"], false).unwrap();
    turn(&mut stage, "latency", Health::Healthy);
    stage.command(Verb::Phase { phase: "late".to_owned() }).unwrap();
    turn(&mut stage, "latency", Health::Unhealthy);
    assert_eq!(stage.state.state(), MigrationState::RollingBack, "the rule is that of the phase in which it fires");
}

/// Once it has healed, it sleeps outside of its phases again.
#[test]
fn a_trigger_that_has_healed_is_asleep_outside_of_its_phases() {
    let mut plan = decided_by(vec![Rule::always(Answer::FixForward)]);
    plan.phases = ["soak", "late"].map(|name| (name.to_owned(), Phase::default())).into_iter().collect();
    plan.triggers["slow"].during = vec!["soak".to_owned()];
    let mut stage = armed(&plan);
    stage.read("errors", Health::Unhealthy);
    stage.read("latency", Health::Unhealthy);
    stage.command(Verb::Phase { phase: "late".to_owned() }).unwrap();
    let asleep = |stage: &Stage| stage.state.is_asleep("slow", &plan.triggers["slow"]);
    assert!(!asleep(&stage), "it is part of the incident");
    stage.read("latency", Health::Healthy);
    assert!(asleep(&stage));
}

/// Whose word changes what stands are the people of what still holds, not those of what has healed.
#[test]
fn what_joined_and_healed_takes_its_people_with_it() {
    let all = Authority::AllOf { all: vec!["commander".to_owned(), "lead".to_owned()] };
    let joining = Rule { authority: Some(all), ..decide(5, Answer::RollBack) };
    for asked_again in [false, true] {
        let mut stage = incident(vec![of(Severity::Critical, decide(30, Answer::RollBack)), joining.clone()]);
        word(&mut stage, "carl", &["commander"], false).unwrap();
        stage.read("latency", Health::Unhealthy);
        if asked_again {
            word(&mut stage, "carl", &["commander"], false).unwrap();
            word(&mut stage, "lea", &["lead"], false).unwrap();
        }
        stage.read("latency", Health::Healthy);
        let asks = stage.state.incident.as_ref().unwrap().asks.clone().unwrap();
        assert_eq!((asks.rule, asks.authority), (0, Authority::AnyOf(vec!["commander".to_owned()])));
        word(&mut stage, "carl", &["commander"], true).unwrap();
        assert_eq!(stage.state.state(), MigrationState::RollingBack);
        assert_eq!(stage.replay(), stage.state);
    }
}

/// The end of a timebox at which nothing was rolled back is no word about what fires later.
#[test]
fn what_joins_after_a_timebox_that_ended_is_asked_about() {
    let mut stage = incident(vec![of(Severity::Critical, decide(10, Answer::FixForward)), decide(5, Answer::RollBack)]);
    pass(&mut stage, 10 * MINUTE);
    assert_eq!(answer(&stage), Some(Answer::FixForward));
    stage.read("latency", Health::Unhealthy);
    assert_eq!((answer(&stage), ends_in(&stage)), (Some(Answer::Decide), Some(5 * MINUTE)));
    pass(&mut stage, 5 * MINUTE);
    assert_eq!(stage.state.state(), MigrationState::RollingBack);
    assert_eq!(stage.state.run.as_ref().unwrap().reason, "trigger slow still holds at the end of its timebox");
}

/// `errors` is fixed forward by its rule; the rollback is what `latency` asks for, as long as that holds.
#[test]
fn what_a_trigger_asks_for_ends_when_it_has_healed() {
    let joined = || {
        let rules = vec![of(Severity::Critical, Rule::always(Answer::FixForward)), decide(10, Answer::RollBack)];
        let mut stage = incident(rules);
        stage.read("latency", Health::Unhealthy);
        assert_eq!((answer(&stage), ends_in(&stage)), (Some(Answer::Decide), Some(10 * MINUTE)));
        stage
    };
    let mut stage = joined();
    pass(&mut stage, 2 * MINUTE);
    stage.read("latency", Health::Healthy);
    let incident = stage.state.incident.as_ref().unwrap();
    assert_eq!((answer(&stage), ends_in(&stage)), (Some(Answer::FixForward), None));
    assert!(incident.why.starts_with("slow has healed; hurt is critical"), "{}", incident.why);
    assert_eq!(incident.trigger().map(String::as_str), Some("hurt"));
    pass(&mut stage, 10 * MINUTE);
    assert_eq!(stage.state.state(), MigrationState::Incident, "nothing holds that asks for a rollback");
    assert_eq!(stage.replay(), stage.state);
    // The other one heals: nothing changes for this one.
    let mut stage = joined();
    stage.read("errors", Health::Healthy);
    pass(&mut stage, 10 * MINUTE);
    assert_eq!(stage.state.run.as_ref().unwrap().reason, "trigger slow still holds at the end of its timebox");
}

/// The time that a trigger leaves goes with it; the one that stays has as much as ever.
#[test]
fn a_trigger_that_has_healed_takes_its_shorter_time_with_it() {
    let mut stage = dwelling(vec![of(Severity::Critical, decide(30, Answer::RollBack)), decide(5, Answer::RollBack)]);
    turn(&mut stage, "errors", Health::Unhealthy);
    turn(&mut stage, "latency", Health::Unhealthy);
    assert_eq!(ends_in(&stage), Some(5 * MINUTE));
    stage.read("latency", Health::Healthy);
    pass(&mut stage, MINUTE - 1);
    stage.read("latency", Health::Unhealthy);
    assert_eq!(ends_in(&stage), Some(4 * MINUTE + 1), "flapping gives no more time");
    turn(&mut stage, "latency", Health::Healthy);
    assert_eq!(ends_in(&stage), Some(27 * MINUTE + 1));
    turn(&mut stage, "latency", Health::Unhealthy);
    assert_eq!(ends_in(&stage), Some(5 * MINUTE), "a new firing has a time of its own");
    let late = |stage: &mut Stage| {
        turn(stage, "latency", Health::Healthy);
        pass(stage, 20 * MINUTE);
        turn(stage, "latency", Health::Unhealthy);
    };
    late(&mut stage);
    assert_eq!(ends_in(&stage), Some(4 * MINUTE + 1), "the other one has as much as ever, and no more");
}

/// Who is asked is not changed by a trigger that only leaves less time.
#[test]
fn a_trigger_that_only_leaves_less_time_takes_the_decision_from_nobody() {
    let all = Authority::AllOf { all: vec!["commander".to_owned(), "lead".to_owned()] };
    let first = Rule { authority: Some(all.clone()), ..decide(30, Answer::RollBack) };
    let sooner = Rule { authority: Some(Authority::AnyOf(vec!["auditor".to_owned()])), ..decide(10, Answer::RollBack) };
    let mut stage = incident(vec![of(Severity::Critical, first), sooner]);
    word(&mut stage, "carl", &["commander"], true).unwrap();
    stage.read("latency", Health::Unhealthy);
    let asks = stage.state.incident.as_ref().unwrap().asks.clone().unwrap();
    assert_eq!((&asks.authority, asks.rule, ends_in(&stage)), (&all, 0, Some(10 * MINUTE)));
    let refused = word(&mut stage, "ada", &["auditor"], false).unwrap_err();
    assert!(matches!(refused.kind, RefusalKind::NotAllowed { .. }), "{refused:?}");
    word(&mut stage, "lea", &["lead"], true).unwrap();
    assert_eq!(stage.state.state(), MigrationState::RollingBack, "carl's word counts on");
}

#[test]
fn a_restart_gives_nobody_more_time_and_reads_before_it_acts() {
    let mut stage = incident(vec![fix_first(30)]);
    stage.pass(40 * MINUTE);
    stage.feed(Input::Resumed { belay_version: "1".to_owned() }).unwrap();
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::Incident, "nobody has looked since");
    assert_ne!(stage.wants().deadline, Some(stage.now), "it waits for the reading, not for time");
    let mut healed = stage.clone();
    healed.read("errors", Health::Healthy);
    healed.tick();
    assert_eq!(healed.state.state(), MigrationState::Armed);
    stage.read("errors", Health::Unhealthy);
    assert_eq!(stage.state.state(), MigrationState::RollingBack);
}

#[test]
fn the_clock_that_is_set_changes_no_timebox() {
    let mut stage = incident(vec![fix_first(30)]);
    stage.pass(3600);
    let clock_set = jiff::SignedDuration::from_secs(3600);
    stage.feed(Input::Awoke { belay_version: "1".to_owned(), late: Duration::ZERO, clock_set }).unwrap();
    assert_eq!(ends_in(&stage), Some(30 * MINUTE));
}

#[test]
fn rules_match_on_problem_and_phase() {
    let rules = vec![
        Rule { problem: Some("data".to_owned()), ..Rule::always(Answer::RollBack) },
        Rule { during: vec!["soak".to_owned()], ..decide(30, Answer::FixForward) },
        Rule::always(Answer::FixForward),
    ];
    let mut plan = decided_by(rules);
    plan.phases = ["cutover", "soak"].map(|name| (name.to_owned(), Phase::default())).into_iter().collect();
    let mut stage = armed(&plan);
    stage.read("errors", Health::Unhealthy);
    assert_eq!(answer(&stage), Some(Answer::FixForward));
    let mut stage = armed(&plan);
    stage.command(Verb::Phase { phase: "soak".to_owned() }).unwrap();
    stage.read("errors", Health::Unhealthy);
    assert_eq!(answer(&stage), Some(Answer::Decide));
    plan.triggers["hurt"].problem = Some("data".to_owned());
    let mut stage = armed(&plan);
    stage.read("errors", Health::Unhealthy);
    assert_eq!(stage.state.state(), MigrationState::RollingBack);
}
