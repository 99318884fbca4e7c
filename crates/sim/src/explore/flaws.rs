//! Plans with one flaw each: the search finds it, by the shortest way, and says what would be right.
#![expect(clippy::print_stdout, reason = "the counts are for whoever runs it with --nocapture")]

use std::time::Duration;

use belay_plan::model::*;
use indexmap::IndexMap;
use serde_json::json;

use super::{
    Customers, Data, Disposition, EndGroup, Outcome, Proof, Property, Report, Rule, Verdict, Writers, brute, explore,
    fixture::*, model::Model, node::Node,
};

fn explored(plan: &Plan) -> Report {
    explore(plan, 1_000_000, &mut |_| true).unwrap()
}

fn of(report: &Report, property: Property) -> &Proof {
    report.properties.iter().find(|proof| proof.property == property).unwrap()
}

fn refuted(report: &Report) -> Vec<Property> {
    let refuted = report.properties.iter().filter(|proof| proof.verdict == Verdict::Refuted);
    refuted.map(|proof| proof.property).collect()
}

fn advice(report: &Report) -> Vec<(Rule, &str)> {
    report.advice.iter().map(|advice| (advice.rule, advice.pointer.as_str())).collect()
}

/// Nothing to say against it.
fn sound() -> Plan {
    let verified = |step| Step { verify: vec![gate("page", 300, 60)], ..step };
    let asked = || approve(Some(600), Otherwise::Halt);
    let mut plan = plan([
        ("stop_writers", Step { approve: asked(), ..manual() }),
        (
            "db",
            verified(Step {
                approve: asked(),
                timeout: Duration::from_secs(3600),
                ..needing(&["stop_writers"], restore())
            }),
        ),
        ("dns", verified(needing(&["db"], weights()))),
        ("db_by_hand", Step { approve: asked(), ..manual() }),
    ]);
    plan.steps["db"].on_failure = OnFailure::Fallback("db_by_hand".to_owned());
    plan.objectives.rpo = Some(Duration::from_secs(60));
    plan.triggers = IndexMap::from([("hurt".to_owned(), trigger("errors"))]);
    plan.confirm = vec![gate("errors", 900, 60)];
    plan
}

fn trigger(signal: &str) -> Trigger {
    Trigger {
        when: Condition::Signal(signal.to_owned()),
        dwell: Duration::ZERO,
        severity: Severity::Critical,
        scope: TriggerScope::SystemWide,
        fix: Fix::Unknown,
        if_unknown: None,
        red_at_arm: RedAtArm::Refuse,
        problem: None,
        customer_facing: None,
        during: Vec::new(),
    }
}

#[test]
fn of_a_sound_plan_everything_is_proven_and_nothing_advised() {
    let report = explored(&sound());
    assert_eq!(report.verdict, Verdict::Proven, "{:#}", json!(report.properties));
    assert!(report.complete);
    assert!(report.advice.is_empty(), "{:?}", report.advice);
    assert_eq!(report.ends[0].outcome, Outcome::RolledBack);
    assert!(report.ends.iter().all(|end| end.way_out.is_some()), "{:#}", json!(report.ends));
    let fell_back = report.ends.iter().find(|end| end.steps["db"] == Disposition::FellBack).unwrap();
    assert_eq!((fell_back.outcome, fell_back.steps["db_by_hand"]), (Outcome::RolledBack, Disposition::InPlace));
}

#[test]
fn traffic_without_any_proof_is_refuted_by_one_look() {
    let flawed = || Step { require: Vec::new(), ..weights() };
    // What stands before it in the plan, and has nothing to do with it, is not part of the counter-example.
    let plan = plan([
        ("a", manual()),
        ("b", step("sim.set", Target::Own)),
        ("c", manual()),
        ("dns", needing(&["c"], flawed())),
    ]);
    let report = explored(&plan);
    assert_eq!(refuted(&report), [Property::Proof]);
    let happenings = of(&report, Property::Proof).counter_example.as_ref().unwrap();
    let what: Vec<&str> = happenings.iter().map(|happening| happening.what.as_str()).collect();
    assert_eq!(
        what,
        [
            "asks for the rollback",
            "does c and says so",
            "dns is looked at: it is not in place; nobody can tell whether its destination is healthy",
        ]
    );
    assert!(happenings[2].belay.iter().any(|said| said.starts_with("dns: FAILED")), "{happenings:?}");
    assert!(advice(&report).contains(&(Rule::NoInterlock, "/steps/dns")));
    let end = report.ends.iter().find(|end| end.steps["dns"] == Disposition::Failed).unwrap();
    assert_eq!(end.outcome, Outcome::Halted);
}

#[test]
fn the_counter_example_is_as_short_as_that_of_a_search_that_reduces_nothing() {
    let flawed = || Step { require: Vec::new(), ..weights() };
    for plan in [
        plan([("a", manual()), ("dns", flawed())]),
        plan([("a", manual()), ("c", manual()), ("dns", needing(&["c"], flawed()))]),
        plan([("dns", Step { approve: approve(Some(60), Otherwise::Halt), ..flawed() }), ("a", manual())]),
    ] {
        let brute = brute::states(&plan, 0, usize::MAX).unwrap();
        let report = explored(&plan);
        let length = of(&report, Property::Proof).counter_example.as_ref().unwrap().len() - 1;
        assert_eq!(length, brute.violations[&Property::Proof]);
    }
}

#[test]
fn an_interlock_on_what_the_trigger_fires_on_never_opens() {
    let mut plan = sound();
    plan.steps["db"].require = vec![gate("errors", 60, 0)];
    plan.steps.shift_remove("db_by_hand");
    plan.steps["db"].on_failure = OnFailure::Halt;
    let report = explored(&plan);
    assert_eq!(refuted(&report), [Property::Succeeds]);
    assert!(advice(&report).contains(&(Rule::GateCannotTurn, "/steps/db/require/0")), "{:?}", advice(&report));
    // Behind what heals it, the same interlock is fine.
    plan.steps["db"].require.clear();
    plan.steps["dns"].require.push(gate("errors", 60, 0));
    plan.steps["db"].verify.push(gate("errors", 300, 0));
    assert_eq!(explored(&plan).verdict, Verdict::Proven);
}

#[test]
fn a_gate_that_has_to_hold_for_all_of_its_time_cannot_turn() {
    let mut plan = sound();
    plan.steps["dns"].verify = vec![gate("page", 60, 60)];
    let report = explored(&plan);
    assert_eq!(refuted(&report), [Property::Succeeds]);
    let why = of(&report, Property::Succeeds).why.clone().unwrap();
    assert!(why.contains("dns: failed"), "{why}");
    assert!(advice(&report).contains(&(Rule::GateCannotTurn, "/steps/dns/verify/0")));
}

#[test]
fn a_metric_that_remembers_longer_than_a_gate_waits_cannot_turn() {
    let mut plan = sound();
    plan.signals["page"] = Signal {
        kind: "metric".to_owned(),
        spec: json!({ "metric": { "period": "1m" }, "datapoints": "3 of 5", "healthy": "< 1" }),
        aws: AwsTarget::default(),
    };
    plan.steps["dns"].verify = vec![gate("page", 120, 0)];
    let report = explored(&plan);
    let found = report.advice.iter().find(|advice| advice.rule == Rule::GateCannotTurn).unwrap();
    assert_eq!(found.pointer, "/steps/dns/verify/0");
    assert!(found.what.contains("3m"), "{}", found.what);
}

#[test]
fn taking_traffic_away_and_giving_none_is_refuted() {
    let mut plan = sound();
    plan.steps["dns"].to = Target::Explicit(json!({ "green": 0 }));
    plan.steps["dns"].others = Some(Others::Keep);
    let report = explored(&plan);
    assert_eq!(refuted(&report), [Property::Succeeds, Property::Weights]);
    assert!(of(&report, Property::Weights).counter_example.is_some());
}

#[test]
fn a_loss_past_the_point_of_no_return_is_cores_to_ask_for() {
    let mut plan = sound();
    plan.window = Some(Window {
        point_of_no_return: Some(Duration::from_secs(3600)),
        past: PastWindow::RequireApproval,
        opens: None,
    });
    let report = explored(&plan);
    assert_eq!((report.verdict, report.not_explored.len()), (Verdict::Proven, 0));
    // Core asks for it, also where the plan does not.
    plan.steps["db"].approve = None;
    assert_eq!(explored(&plan).verdict, Verdict::Proven);
}

/// What Belay itself knows cannot stand in a gate, so no confirmation looks at it.
#[test]
fn a_trigger_on_what_would_be_lost_needs_no_gate() {
    let mut plan = sound();
    plan.triggers = IndexMap::from([("losing".to_owned(), trigger("lost"))]);
    let lost = |kind: &str, spec| Signal { kind: kind.to_owned(), spec, aws: AwsTarget::default() };
    plan.signals.insert("lost".to_owned(), lost("loss", json!({ "loss": "db", "healthy": "<= 10m" })));
    let report = explored(&plan);
    assert_eq!((report.verdict, advice(&report)), (Verdict::Proven, Vec::new()));
    plan.signals.insert("lost".to_owned(), lost("alarm", json!({ "alarm": "lost" })));
    assert_eq!(advice(&explored(&plan)), [(Rule::ConfirmsNoTrigger, "/confirm")]);
}

/// Whether a usual run reaches a time-out that is longer than the usual is not for the plan to say.
#[test]
fn a_time_out_that_some_usual_runs_reach_is_assumed_not_to_come() {
    let mut plan = sound();
    plan.steps["db"].timeout = Duration::from_secs(30);
    let report = explored(&plan);
    let succeeds = of(&report, Property::Succeeds);
    assert_eq!((succeeds.verdict, succeeds.assumes.len()), (Verdict::Assumed, 1), "{succeeds:?}");
    assert!(succeeds.assumes[0].contains("`db` is over within its time-out of 30s"), "{succeeds:?}");
    assert_eq!((report.verdict, advice(&report)), (Verdict::Proven, Vec::new()));
    // Less than is usual: the run halts, or the fallback takes over in every run.
    plan.steps["db"].timeout = Duration::from_secs(5);
    assert_eq!(advice(&explored(&plan)), [(Rule::TimeoutTooShort, "/steps/db/timeout")]);
    plan.steps["db"].on_failure = OnFailure::Halt;
    assert_eq!(refuted(&explored(&plan)), [Property::Succeeds]);
}

/// A proof names what only the night can show.
#[test]
fn proofs_list_what_they_rest_on() {
    let report = explored(&sound());
    let rests = |property| of(&report, property).rests_on.join("; ");
    let [succeeds, loss] = [Property::Succeeds, Property::Loss].map(rests);
    assert!(succeeds.contains("1 person (lead) approves `db` within 10m"), "{succeeds}");
    assert!(
        succeeds.contains("`errors` shows within 2m10s that stop_writers and db and dns is in place"),
        "{succeeds}"
    );
    assert!(loss.contains("`stop_writers` stops everything that writes to what `db` replaces, by its name"), "{loss}");
    assert!(loss.contains("more than 1m is asked about"), "{loss}");
    assert!(of(&report, Property::Succeeds).assumes.is_empty());
    let mut flawed = sound();
    flawed.steps["dns"].verify = vec![gate("page", 60, 60)];
    assert!(of(&explored(&flawed), Property::Succeeds).rests_on.is_empty());
}

#[test]
fn a_person_who_never_answers_is_an_end_with_a_way_out() {
    let mut plan = sound();
    plan.steps["db"].approve = approve(None, Otherwise::Halt);
    let report = explored(&plan);
    assert_eq!(report.verdict, Verdict::Proven);
    let waits = report.ends.iter().find(|end| end.outcome == Outcome::Waiting).unwrap();
    assert_eq!(waits.way_out.as_deref(), Some(&["1 person (lead) approves db".to_owned()][..]));
    assert_eq!(advice(&report), [(Rule::NoDeadline, "/steps/db/approve")]);
}

#[test]
fn a_fallback_that_fails_leaves_both_to_a_person() {
    let report = explored(&sound());
    let both = report.ends.iter().find(|end| end.steps["db_by_hand"] == Disposition::Failed).unwrap();
    assert_eq!(
        (both.outcome, both.steps["db"], both.steps["dns"]),
        (Outcome::Halted, Disposition::Failed, Disposition::Blocked)
    );
    assert!(both.words.contains("the data of db is not restored"), "{}", both.words);
}

#[test]
fn traffic_that_is_put_back_in_part_is_told_as_split() {
    let web = Step { resource: "elbv2:web".to_owned(), ..weights() };
    let report = explored(&plan([("dns", weights()), ("web", web), ("writers", needing(&["web"], manual()))]));
    let split = report
        .ends
        .iter()
        .find(|end| end.steps["web"] == Disposition::Failed && end.steps["dns"] == Disposition::InPlace);
    let words = &split.unwrap().words;
    assert!(words.contains("traffic of dns is on blue, and that of web is not put back"), "{words}");
    let wise = report.advice.iter().find(|advice| advice.rule == Rule::FallbackWise).unwrap();
    assert!(
        wise.what
            .starts_with("if `web` fails, customers are split: the traffic of dns is on blue, and that of web is not"),
        "{}",
        wise.what
    );
}

#[test]
fn a_halt_in_the_middle_and_a_missing_need_are_advised_on() {
    let mut plan = sound();
    plan.steps["dns"].needs.clear();
    plan.steps["db"].on_failure = OnFailure::Halt;
    plan.steps.shift_remove("db_by_hand");
    let report = explored(&plan);
    let found = advice(&report);
    assert!(found.contains(&(Rule::TrafficBesideData, "/steps/dns")), "{found:?}");
    assert!(found.contains(&(Rule::FallbackWise, "/steps/db")), "{found:?}");
    let half = report.ends.iter().find(|end| end.steps["db"] == Disposition::Failed).unwrap();
    assert_eq!(half.words, "halted; db: failed; traffic is on blue; the data of db is not restored");
    // Customers are back on what has no data; a copy that is there already is half a restore, and another group.
    assert_eq!(half.consequence.customers, Some(Customers::Old));
    assert_ne!(half.consequence.data, Some(Data::Restored));
    assert_eq!(half.consequence.writers, Some(Writers::Stopped));
    let of_groups: usize = report.groups.iter().map(|group| group.ends.len()).sum();
    assert_eq!(of_groups, report.ends.len());
    let known = |group: &EndGroup| {
        let same = |end: &usize| {
            report.ends[*end].consequence == group.consequence && report.ends[*end].outcome == group.outcome
        };
        group.ends.iter().all(same)
    };
    assert!(report.groups.len() > 3 && report.groups.iter().all(known), "{:?}", report.groups);
}

#[test]
fn what_nobody_answers_may_be_skipped_unseen() {
    let mut plan = sound();
    plan.steps["db"].approve = approve(Some(60), Otherwise::Skip);
    let report = explored(&plan);
    assert!(advice(&report).contains(&(Rule::SilenceSkips, "/steps/db/approve")));
    let skipped = report.ends.iter().find(|end| end.steps["db"] == Disposition::Skipped).unwrap();
    assert_eq!(skipped.outcome, Outcome::RolledBack);
    assert!(skipped.words.contains("the data of db is not restored"), "{}", skipped.words);
}

#[test]
fn needs_that_nothing_explains_gates_on_nothing_and_loss_unasked_are_advised_on() {
    let mut plan = sound();
    plan.steps.insert("edge".to_owned(), Step { resource: "sim:edge".to_owned(), ..needing(&["dns"], weights()) });
    plan.signals.insert(
        "green_there".to_owned(),
        Signal {
            kind: "target_health".to_owned(),
            spec: json!({ "target_health": { "target_group": "purple" } }),
            aws: AwsTarget::default(),
        },
    );
    plan.steps["edge"].verify = vec![gate("green_there", 300, 0)];
    plan.steps["db"].approve = None;
    plan.objectives.rpo = None;
    plan.confirm.clear();
    plan.steps["dns"].verify.clear();
    let report = explored(&plan);
    let found = advice(&report);
    for wanted in [
        (Rule::CouldRunParallel, "/steps/edge/needs/0"),
        (Rule::GateNotInfluenced, "/steps/edge/verify/0"),
        (Rule::LossUnasked, "/steps/db"),
        (Rule::NoConfirmation, "/steps"),
        (Rule::NoGate, "/steps/dns"),
    ] {
        assert!(found.contains(&wanted), "{wanted:?} in {found:?}");
    }
}

#[test]
fn twelve_steps_in_four_branches_are_searched_completely() {
    let report = explored(&twelve_steps());
    println!("twelve steps: {} states, {} transitions, {} ends", report.states, report.transitions, report.ends_count);
    assert!(report.complete);
    assert_eq!(report.verdict, Verdict::Proven, "{:#}", json!(report.properties));
    assert!(report.ends_count > 1_000);
}

#[test]
fn a_bound_is_said_to_be_one() {
    let report = explore(&twelve_steps(), 100, &mut |_| true).unwrap();
    assert!(!report.complete);
    assert_eq!(report.verdict, Verdict::Bounded);
    assert!(report.states >= 100);
}

/// Two hundred steps, and signals that no gate reads.
fn large(unused: usize) -> Plan {
    let steps = (0..200).map(|number| {
        let need = (number >= 10).then(|| format!("s{}", number - 10));
        let step = Step { verify: vec![gate("page", 300, 60)], needs: need.into_iter().collect(), ..weights() };
        (format!("s{number}"), step)
    });
    let mut plan = from(steps);
    let signal = plan.signals["errors"].clone();
    plan.signals.extend((0..unused).map(|number| (format!("unused_{number}"), signal.clone())));
    plan.triggers = IndexMap::from([("hurt".to_owned(), trigger("errors"))]);
    plan.confirm = vec![gate("errors", 900, 60)];
    plan
}

/// The work is counted by how often the search says how far it is.
#[test]
fn no_time_left_ends_the_search_within_a_step_and_what_comes_after_it() {
    let explored = |unused: usize| {
        let (mut told, mut late) = (Vec::new(), 0);
        let report = super::explore_from_triggers(&large(unused), None, usize::MAX, &mut |states| {
            let go_on = states < 300;
            late += usize::from(!go_on);
            told.push(states);
            go_on
        });
        (report.unwrap(), told, late)
    };
    let (report, told, late) = explored(1_990);
    assert!(!report.complete && report.states < 300 + 2 * 64, "{} states", report.states);
    assert!(told.windows(2).all(|two| two[1] < two[0] + 200), "said so seldom: {told:?}");
    assert!(late < 2 * super::ENDS_LISTED, "{late} pieces of work after the time was over");
    // What no gate reads is no work.
    let without = explored(0);
    assert_eq!((report.states, report.transitions, told), (without.0.states, without.0.transitions, without.1));
    // Nor is it carried along from state to state.
    let carried = |unused: usize| {
        let plan = large(unused);
        let start = Node::start(&super::executed(&plan).0, &Model::new(&plan)).unwrap().0;
        format!("{start:?}").len()
    };
    assert_eq!(carried(1_990), carried(0));
}

#[test]
fn the_same_plan_gives_the_same_report() {
    let [one, two] = [(); 2].map(|()| json!(explored(&twelve_steps())).to_string());
    assert_eq!(one, two);
}
