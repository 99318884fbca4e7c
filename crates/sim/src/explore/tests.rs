//! The reduced search against one that reduces nothing; and each property refuted.
#![expect(clippy::print_stdout, reason = "the counts are for whoever runs it with --nocapture")]

use std::{collections::BTreeSet, time::Duration};

use belay_plan::model::*;
use serde_json::json;

use super::{
    brute,
    ends::{End, count, list},
    fixture::*,
    model::Model,
    node::Node,
    properties::Property,
    search::{Graph, Task},
};
use crate::chance::Chance;

fn searched(plan: &Plan) -> Graph {
    let model = Model::new(plan);
    let task = Task { plan, model: &model, order: (0..plan.steps.len()).collect(), states_max: usize::MAX };
    task.run(Node::start(plan, &model).unwrap().0, &mut |_| true)
}

fn ends(graph: &Graph, plan: &Plan) -> BTreeSet<End> {
    list(graph, plan.steps.len(), usize::MAX / 8).into_iter().map(|(end, _)| end).collect()
}

/// Larger than this, and a search that reduces nothing takes too long for a test.
const BRUTE_MAX: usize = 20_000;

fn compare(what: &str, plan: &Plan, brute: Option<brute::Brute>) -> bool {
    let Some(brute) = brute else {
        println!("{what}: too large for a search that reduces nothing");
        return false;
    };
    let graph = searched(plan);
    let found = ends(&graph, plan);
    println!(
        "{what}: {} ends; states {} against {}, transitions {} against {}",
        found.len(),
        graph.states,
        brute.states,
        graph.transitions,
        brute.transitions
    );
    assert_eq!(found, brute.ends, "{what}");
    assert_eq!(count(&graph), brute.ends.len() as u128, "{what}");
    let refuted: BTreeSet<Property> = graph.violations.iter().map(|found| found.violation.property).collect();
    assert_eq!(refuted, brute.violations.keys().copied().collect(), "{what}: {:?}", graph.violations);
    true
}

#[test]
fn one_step_has_the_ends_that_every_path_leads_to() {
    for (what, plan) in [
        ("a change", plan([("a", step("sim.set", Target::Own))])),
        ("by hand", plan([("a", manual())])),
        ("by hand, twice", plan([("a", manual()), ("b", needing(&["a"], manual()))])),
        ("by hand, beside each other", plan([("a", manual()), ("b", manual())])),
    ] {
        assert!(compare(what, &plan, Some(brute::paths(&plan))));
    }
}

#[test]
fn steps_beside_each_other_have_the_ends_of_every_order() {
    let plans = [
        ("a weight", plan([("a", weights())])),
        ("two changes", plan([("a", step("sim.set", Target::Own)), ("b", step("sim.set", Target::Own))])),
        ("by hand and behind", plan([("a", manual()), ("b", weights()), ("c", needing(&["a"], manual()))])),
    ];
    for (what, plan) in plans {
        assert!(compare(what, &plan, brute::states(&plan, 0, usize::MAX)));
    }
}

#[test]
fn a_crash_anywhere_leads_to_no_other_end() {
    let plans = [("a weight", plan([("a", weights())])), ("by hand", plan([("a", manual()), ("b", weights())]))];
    for (what, plan) in plans {
        assert!(compare(what, &plan, brute::states(&plan, 1, usize::MAX)));
    }
}

#[test]
fn two_changes_one_after_the_other_have_the_ends_of_every_order() {
    let approved = Step { approve: approve(Some(60), Otherwise::Skip), ..restore() };
    let fallback = OnFailure::Fallback("b".to_owned());
    let mut plans = [
        ("a restore", plan([("a", restore())])),
        ("stages", plan([("a", staged())])),
        ("an approved restore", plan([("a", approved), ("b", needing(&["a"], manual()))])),
        ("a fallback", plan([("a", Step { on_failure: fallback, ..restore() }), ("b", manual())])),
    ];
    for (what, plan) in &mut plans {
        plan.objectives.rpo = Some(Duration::from_secs(60));
        assert!(compare(what, plan, brute::states(plan, 1, usize::MAX)));
    }
}

/// Small enough for a search that reduces nothing, and with everything in it.
fn random(chance: &mut Chance) -> Plan {
    let number = 1 + chance.below(3);
    let mut steps: Vec<(String, Step)> = Vec::new();
    for index in 0..number {
        let mut made = match chance.below(9) {
            0 | 1 if index > 0 => step("sim.set", Target::Own),
            2 => weights(),
            3 => Step { stages: vec![50, 100], ..weights() },
            4 => Step { with: json!({ "for": "45s" }), ..step("wait", Target::Own) },
            _ => manual(),
        };
        for earlier in 0..index {
            if chance.per_mille(400) {
                made.needs.push(format!("s{earlier}"));
            }
        }
        if chance.per_mille(250) {
            made.verify.push(gate("page", 300, chance.below(2) * 60));
        }
        if chance.per_mille(250) && made.action == "manual" {
            let otherwise = if chance.per_mille(500) { Otherwise::Halt } else { Otherwise::Skip };
            let within = chance.per_mille(700).then(|| Duration::from_secs(600));
            made.approve = Some(Approve { role: "lead".to_owned(), quorum: 1, within, otherwise });
        }
        if chance.per_mille(250) {
            made.on_failure = OnFailure::Continue;
        }
        steps.push((format!("s{index}"), made));
    }
    if chance.per_mille(300) {
        let last = steps.len() - 1;
        steps[last].1.on_failure = OnFailure::Fallback("plan_b".to_owned());
        steps.push(("plan_b".to_owned(), manual()));
    }
    let mut plan = from(steps);
    if chance.per_mille(300) {
        plan.confirm.push(gate("errors", 600, 60));
    }
    plan
}

#[test]
fn random_plans_have_the_ends_of_a_search_that_reduces_nothing() {
    let seeds: u64 = std::env::var("BELAY_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(25);
    let compared = (0..seeds).filter(|seed| {
        let plan = random(&mut Chance::new(*seed));
        compare(&format!("seed {seed}"), &plan, brute::states(&plan, u32::from(seed % 4 == 0), BRUTE_MAX))
    });
    assert!(compared.count() as u64 > seeds / 2);
}
