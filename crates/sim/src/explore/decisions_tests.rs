use belay_plan::model::*;

use super::{
    super::{
        explore_from_triggers,
        fixture::{self, manual, weights},
    },
    *,
};

fn trigger(signal: &str, severity: Severity) -> Trigger {
    Trigger {
        when: Condition::Signal(signal.to_owned()),
        dwell: Duration::from_secs(60),
        severity,
        scope: TriggerScope::SystemWide,
        fix: Fix::Unknown,
        if_unknown: None,
        red_at_arm: RedAtArm::Refuse,
        problem: None,
        customer_facing: None,
        during: Vec::new(),
    }
}

fn of(severity: Severity, rule: Rule) -> Rule {
    Rule { severity: Some(severity), ..rule }
}

fn decide(minutes: u64, then: Answer) -> Rule {
    Rule { timebox: Some(Duration::from_secs(minutes * 60)), then: Some(then), ..Rule::always(Answer::Decide) }
}

/// One trigger of each severity, which fires in the phase `cutover`, where the plan has phases.
fn plan(rules: Vec<Rule>) -> Plan {
    let mut plan = fixture::plan([("dns", weights())]);
    plan.triggers = [("bad", Severity::Critical), ("slow", Severity::Major), ("odd", Severity::Minor)]
        .map(|(name, severity)| (name.to_owned(), trigger(&format!("{name}_signal"), severity)))
        .into_iter()
        .collect();
    let signal = Signal { kind: "alarm".to_owned(), spec: serde_json::json!({}), aws: AwsTarget::default() };
    for name in ["bad_signal", "slow_signal", "odd_signal"] {
        plan.signals.insert(name.to_owned(), signal.clone());
    }
    plan.decision = Decision { rules, authority: Authority::AnyOf(vec!["commander".to_owned()]), custom: true };
    plan
}

fn ends(plan: &Plan, phase: Option<&str>, trigger: &str, when: When) -> Vec<IncidentEnd> {
    let ways = incidents(plan, phase, &mut |_| true);
    let of = ways.iter().find(|ways| ways.triggers.iter().any(|name| name == trigger)).unwrap();
    assert!(of.complete);
    let mut ends: Vec<IncidentEnd> = of.ways.iter().filter(|way| way.when == when).map(|way| way.end).collect();
    ends.dedup();
    ends
}

use IncidentEnd::{
    FixForwardByPeople, FixForwardByRule, FixForwardInTheEnd, Recovers, RollsBackByPeople, RollsBackByRule,
    RollsBackInTheEnd, Waits,
};

#[test]
fn each_rule_has_its_ends() {
    let plan = plan(vec![
        of(Severity::Critical, Rule::always(Answer::RollBack)),
        of(Severity::Major, decide(10, Answer::RollBack)),
        decide(30, Answer::FixForward),
    ]);
    let alone = |trigger: &str| {
        let mut alone = plan.clone();
        alone.triggers.retain(|name, _| name == trigger);
        ends(&alone, None, trigger, When::Open)
    };
    assert_eq!(alone("bad"), [RollsBackByRule]);
    assert_eq!(alone("slow"), [RollsBackByPeople, RollsBackInTheEnd, Recovers, FixForwardByPeople]);
    assert_eq!(alone("odd"), [RollsBackByPeople, Recovers, FixForwardByPeople, FixForwardInTheEnd]);
    // Another trigger joins, and makes it stricter.
    let all = [RollsBackByRule, RollsBackByPeople, RollsBackInTheEnd, Recovers, FixForwardByPeople, FixForwardInTheEnd];
    assert_eq!(ends(&plan, None, "odd", When::Open), all);
    assert_eq!(ends(&plan, None, "bad", When::Open), [RollsBackByRule]);
}

/// What stands when a trigger has joined and healed is the end of the time that people had: no rule says to fix forward.
#[test]
fn what_the_end_of_a_timebox_decided_is_no_rule() {
    let plan = plan(vec![of(Severity::Critical, decide(15, Answer::FixForward)), Rule::always(Answer::Decide)]);
    let found = ends(&plan, None, "bad", When::Open);
    assert!(found.contains(&FixForwardInTheEnd) && !found.contains(&FixForwardByRule), "{found:?}");
}

#[test]
fn people_who_disagree_or_never_answer_wait_for_each_other() {
    let all = Authority::AllOf { all: vec!["commander".to_owned(), "lead".to_owned()] };
    let plan = plan(vec![Rule { authority: Some(all), ..Rule::always(Answer::Decide) }]);
    assert_eq!(ends(&plan, None, "bad", When::Open), [RollsBackByPeople, Recovers, FixForwardByPeople, Waits]);
    let ways = incidents(&plan, None, &mut |_| true);
    let by_people = ways[0].ways.iter().find(|way| way.end == RollsBackByPeople).unwrap();
    let who: Vec<&str> = by_people.happenings.iter().map(|happening| happening.who.as_str()).collect();
    assert_eq!(who, ["the world", "commander 1", "lead 1"], "it takes both: {:#?}", by_people.happenings);
    let forward = self::plan(vec![Rule::always(Answer::FixForward)]);
    assert_eq!(
        ends(&forward, None, "bad", When::Open),
        [RollsBackByPeople, Recovers, FixForwardByRule, FixForwardByPeople]
    );
}

#[test]
fn where_nothing_may_start_by_itself_people_are_asked() {
    let mut plan = plan(vec![Rule::always(Answer::RollBack)]);
    plan.window = Some(Window {
        opens: Some(BEGIN),
        point_of_no_return: Some(Duration::from_secs(3600)),
        past: PastWindow::RequireApproval,
    });
    assert_eq!(ends(&plan, None, "bad", When::Open), [RollsBackByRule]);
    let early = ends(&plan, None, "bad", When::BeforeItOpens);
    // The rule counts for what fires anew after it has opened.
    assert_eq!(early, [RollsBackByRule, RollsBackByPeople, RollsBackInTheEnd, Recovers, FixForwardByPeople]);
    let past = ends(&plan, None, "bad", When::PastThePoint);
    assert_eq!(past, [RollsBackByPeople, Recovers, FixForwardByPeople, Waits], "nothing starts by itself any more");
}

#[test]
fn the_phase_moves_and_the_run_is_one_of_another_phase() {
    let mut plan = plan(vec![Rule::always(Answer::RollBack)]);
    plan.phases = ["backfill", "cutover"].map(|name| (name.to_owned(), Phase { expected: None })).into_iter().collect();
    plan.steps["dns"].during = vec!["cutover".to_owned()];
    assert_eq!(ends(&plan, Some("cutover"), "bad", When::Open), [RollsBackByRule]);
    let ways = incidents(&plan, Some("backfill"), &mut |_| true);
    let rolls_back = |way: &&WayToDecide| way.end.rolls_back();
    let phases: Vec<Option<&str>> = ways[0].ways.iter().filter(rolls_back).map(|way| way.phase.as_deref()).collect();
    // No step serves the backfill: neither the rule nor people roll back there.
    assert!(!phases.is_empty() && phases.iter().all(|phase| *phase == Some("cutover")), "{phases:?}");
    assert!(ways[0].ways.iter().any(|way| way.end == Waits));
}

/// Whoever sets a bound gets it here, too, and what was not searched is no proof.
#[test]
fn a_bound_is_kept() {
    let roles = ["a", "b", "c", "d", "e", "f", "g"].map(str::to_owned).to_vec();
    let plan = plan(vec![Rule { authority: Some(Authority::AllOf { all: roles }), ..Rule::always(Answer::Decide) }]);
    let mut asked = 0;
    let ways = incidents(&plan, None, &mut |_| {
        asked += 1;
        false
    });
    assert!(asked > 0 && ways.iter().all(|ways| !ways.complete && ways.states < 2000), "{ways:?}");
    let report = explore_from_triggers(&plan, None, 100_000, &mut |states| states < 50).unwrap();
    assert!(!report.complete);
    assert_eq!(report.verdict, super::super::Verdict::Bounded);
}

/// A restart gives nobody another end: what is found with it is found without.
#[test]
fn a_restart_adds_no_end() {
    let plan = plan(vec![
        of(Severity::Critical, decide(10, Answer::RollBack)),
        of(Severity::Major, Rule { timebox: Some(Duration::from_secs(60)), ..Rule::always(Answer::FixFirst) }),
        decide(30, Answer::FixForward),
    ]);
    for ways in incidents(&plan, None, &mut |_| true) {
        for way in &ways.ways {
            let died = way.happenings.iter().any(|happening| happening.who == "the process");
            assert!(!died, "the shortest way to {:?} needs a restart: {:#?}", way.end, way.happenings);
        }
    }
}

#[test]
fn the_report_has_the_ends_before_a_run_and_the_run_is_as_before() {
    let mut plan = plan(vec![decide(10, Answer::FixForward)]);
    plan.steps.insert("look".to_owned(), manual());
    let report = explore_from_triggers(&plan, None, 100_000, &mut |_| true).unwrap();
    let alone = super::super::explore(&plan, 100_000, &mut |_| true).unwrap();
    assert_eq!((report.states, report.ends_count, report.verdict), (alone.states, alone.ends_count, alone.verdict));
    assert_eq!(report.incidents.len(), 1);
    let words: Vec<&str> = report.incidents[0].ways.iter().map(|way| way.words.as_str()).collect();
    assert!(words.contains(&"nobody decides in time: fixed forward, traffic stays where it fails"), "{words:?}");
}
