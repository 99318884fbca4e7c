//! Whole plans, played.

use std::{collections::BTreeMap, path::Path};

use belay_plan::{catalogue::Catalogue, model::Plan};
use belay_sim::rehearsal::{Outcome, Played, Rehearsal, script::Script};

#[allow(unreachable_pub, reason = "it belongs to the tests of another crate")]
#[path = "../../../plan/tests/catalogue/mod.rs"]
mod systems;

pub(crate) fn catalogue() -> Catalogue {
    systems::catalogue()
}

pub(crate) fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

pub(crate) fn plan(text: &str) -> Plan {
    match belay_plan::load("plan.yaml", text, &catalogue()) {
        Ok(loaded) => loaded.plan,
        Err(errors) => panic!("{}", errors.iter().map(|error| error.render(false) + "\n").collect::<String>()),
    }
}

pub(crate) fn rehearsal(plan: &Plan, script: Script) -> Rehearsal {
    Rehearsal::new(plan, "abc", script, BTreeMap::new(), "0.1.0")
}

fn usual(plan: &Plan, seed: u64) -> Played {
    rehearsal(plan, Script::usual(plan, None)).play(seed).unwrap()
}

/// The samples of the language, and the demo. The examples are played by the binary's tests, which know every action.
fn shipped() -> Vec<(String, Plan)> {
    let valid = repository().join("crates/plan/tests/samples/valid");
    let mut files: Vec<_> = std::fs::read_dir(valid).unwrap().map(|file| file.unwrap().path()).collect();
    files.push(repository().join("config/demo.yaml"));
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files.into_iter().map(|path| (path.display().to_string(), plan(&std::fs::read_to_string(&path).unwrap()))).collect()
}

#[test]
fn every_plan_that_is_valid_can_be_played() {
    for (name, plan) in shipped() {
        let report = usual(&plan, 1).report;
        // Its interlock is the very signal that opens the incident, so it cannot pass.
        let halts = ["every-form.yaml", "overlays.yaml"].iter().any(|halts| name.ends_with(halts));
        let expected = if halts { Outcome::Halted } else { Outcome::RolledBack };
        assert_eq!(report.outcome, expected, "{name}: {}", report.why);
    }
}

#[test]
fn the_same_seed_gives_the_same_journal_to_the_byte() {
    for (name, plan) in shipped() {
        let [one, two] = [(); 2].map(|()| serde_json::to_string(&usual(&plan, 7).records).unwrap());
        assert!(one == two, "{name}");
    }
}
