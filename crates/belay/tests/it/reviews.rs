//! Plans with one planted flaw each, and sound ones: the search finds what a good reviewer would, and nothing else. The first
//! line of a flawed plan names what has to be found: `refuted PROPERTY`, if a property does not hold, and the finding; or `refused`,
//! if the plan is not even valid.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{belay, repository, text};

fn plans(kind: &str) -> Vec<PathBuf> {
    let folder = repository("crates/belay/tests/plans").join(kind);
    let mut found: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    assert!(found.len() > 9, "{found:?}");
    found
}

fn explored(path: &Path, more: &[&str], code: i32) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = path.display().to_string();
    let arguments: Vec<&str> = [&["explore", &path, "--json"][..], more].concat();
    let done = belay(folder.path(), &arguments).assert().code(code).get_output().clone();
    serde_json::from_slice(&done.stdout).unwrap()
}

fn list<'v>(report: &'v Value, of: &str, keep: impl Fn(&Value) -> bool, key: &str) -> BTreeSet<&'v str> {
    let items = report[of].as_array().unwrap().iter().filter(|item| keep(item));
    items.map(|item| item[key].as_str().unwrap()).collect()
}

fn findings(report: &Value) -> BTreeSet<&str> {
    list(report, "advice", |advice| advice["level"] == "finding" && advice["accepted"].is_null(), "rule")
}

fn refuted(report: &Value) -> BTreeSet<&str> {
    list(report, "properties", |proof| proof["verdict"] == "refuted", "property")
}

#[test]
fn each_planted_flaw_is_found() {
    for path in plans("flaws") {
        let written = fs::read_to_string(&path).unwrap();
        let mut wanted: Vec<&str> = written.lines().next().unwrap().trim_start_matches("# ").split(' ').collect();
        if wanted == ["refused"] {
            let folder = tempfile::tempdir().unwrap();
            belay(folder.path(), &["explore", &path.display().to_string()]).assert().code(2);
            continue;
        }
        let property = (wanted[0] == "refuted").then(|| wanted.drain(..2).nth(1).unwrap());
        // A finding is a no in a pipeline, also where every property holds.
        let report = explored(&path, &["--deny", "findings"], 3);
        for finding in &wanted {
            assert!(findings(&report).contains(finding), "{}: {finding} in {:#}", path.display(), report["advice"]);
        }
        assert_eq!(refuted(&report), property.into_iter().collect(), "{}: {:#}", path.display(), report["properties"]);
    }
}

#[test]
fn a_sound_plan_is_left_alone() {
    for path in plans("sound") {
        let report = explored(&path, &["--deny", "findings", "--require-complete"], 0);
        assert_eq!(report["verdict"], "proven", "{}", path.display());
        assert_eq!(findings(&report), BTreeSet::new(), "{}: {:#}", path.display(), report["advice"]);
        for end in report["ends"].as_array().unwrap() {
            assert!(end["way_out"].is_array(), "{}: {end:#}", path.display());
        }
    }
}

/// A counter-example can be played: in the simulated world, the run comes to the end that the search has found.
#[test]
fn a_counter_example_can_be_played() {
    let folder = tempfile::tempdir().unwrap();
    for path in plans("flaws").into_iter().filter(|path| fs::read_to_string(path).unwrap().starts_with("# refuted")) {
        let scenario = folder.path().join("scenario.yaml").display().to_string();
        let report = explored(&path, &["--write-scenario", &scenario], 3);
        let refuted =
            report["properties"].as_array().unwrap().iter().find(|proof| proof["verdict"] == "refuted").unwrap();
        let replay = &refuted["replay"];
        assert_eq!(fs::read_to_string(&scenario).unwrap(), replay["scenario"].as_str().unwrap());
        let plan = path.display().to_string();
        let drill = ["drill", &plan, "--simulate", "--runs", "5", "--scenario", &scenario, "--json"];
        let done = belay(folder.path(), &drill).output().unwrap();
        let played: Value =
            serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{plan}: {}", text(&done.stderr)));
        let outcomes = played["rehearsals"][0]["distribution"]["outcomes"].as_object().unwrap();
        if replay["beyond"].as_array().is_some_and(|beyond| !beyond.is_empty()) {
            continue; // the answer says what the scenario has no word for
        }
        // What is refuted half way plays on from there.
        let ends = if replay["ends"] == "running" { "rolled_back" } else { replay["ends"].as_str().unwrap() };
        assert!(outcomes.keys().eq([ends]), "{plan}: {outcomes:?} instead of {ends}: {}", replay["scenario"]);
    }
}

/// The flaw that a change brings in shows, and the end that it costs.
#[test]
fn two_versions_of_a_plan_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let of = |kind: &str| repository("crates/belay/tests/plans").join(kind).display().to_string();
    let sound = of("sound/interlock-behind-who-heals-it.yaml");
    let flawed = of("flaws/gate-before-its-maker.yaml");
    let compare = |old: &str, new: &str, code: i32| -> (Value, String) {
        let done = belay(folder.path(), &["explore", old, new, "--json"]).assert().code(code).get_output().clone();
        let shown = belay(folder.path(), &["explore", old, new]).assert().code(code).get_output().clone();
        (serde_json::from_slice(&done.stdout).unwrap(), text(&shown.stdout))
    };
    let (found, shown) = compare(&sound, &flawed, 3);
    let changed = found["properties"].as_array().unwrap();
    assert!(changed.iter().any(|one| one["property"] == "succeeds" && one["new"] == "refuted"), "{found:#}");
    assert!(!found["ends"]["gained"].as_array().unwrap().is_empty(), "{found:#}");
    assert!(!found["findings"]["gained"].as_array().unwrap().is_empty(), "{found:#}");
    assert!(shown.contains("proven -> refuted") && shown.contains("gained"), "{shown}");
    let (back, _) = compare(&flawed, &sound, 0);
    assert_eq!(back["ends"]["lost"], found["ends"]["gained"]);
    let (_, shown) = compare(&sound, &sound, 0);
    assert!(shown.contains("the same"), "{shown}");
}

/// Two rules that ask people, and what follows when they do not answer.
const ASKS: &str = "\
belay: 1
migration: night
aws: { account: \"111122223333\", region: eu-west-1 }
signals:
  errors: { alarm: night-5xx }
  slow: { alarm: night-latency }
  blue_ready: { target_health: { target_group: night-blue, at_least: 1 } }
triggers:
  hurt: { when: errors, for: 1m, severity: critical }
  slower: { when: slow, for: 1m, severity: major }
decision:
  rules:
    - { severity: critical, do: decide, timebox: 5m, then: roll_back }
    - { severity: major, do: decide, timebox: 30m, then: fix_forward }
    - { do: fix_forward }
steps:
  dns_back:
    action: route53.weights
    with: { zone: Z0123456789ABC, record: night.example.com, type: A }
    to: { blue: 100, green: 0 }
    require: [blue_ready]
    verify: [{ signal: errors, within: 5m, for: 60s }]
";

/// Who decides, within which time, and what follows otherwise: a change of these is one that a review has to show.
#[test]
fn ways_to_a_decision_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let changed = ASKS
        .replace("timebox: 30m, then: fix_forward", "timebox: 30m, then: roll_back")
        .replace("timebox: 5m,", "timebox: 10m,");
    fs::write(folder.path().join("old.yaml"), ASKS).unwrap();
    fs::write(folder.path().join("new.yaml"), changed).unwrap();
    let compare = ["explore", "old.yaml", "new.yaml"];
    let done = belay(folder.path(), &compare).arg("--json").assert().code(0).get_output().clone();
    let found: Value = serde_json::from_slice(&done.stdout).unwrap();
    let incidents = &found["incidents"];
    let has = |side: &str, way: &str| incidents[side].as_array().unwrap().iter().any(|one| one == way);
    assert!(has("gained", "slower: nobody decides in time: it is rolled back"), "{found:#}");
    let forward = "slower: nobody decides in time: fixed forward, traffic stays where it fails";
    assert!(has("lost", forward), "{found:#}");
    let questions: Vec<&str> =
        found["questions"].as_array().unwrap().iter().map(|asked| asked["trigger"].as_str().unwrap()).collect();
    assert_eq!(questions, ["hurt", "slower"], "{found:#}");
    let of_hurt = &found["questions"][0];
    assert!(of_hurt["old"].as_str().unwrap().contains("within 5m"), "{found:#}");
    assert!(of_hurt["new"].as_str().unwrap().contains("within 10m"), "{found:#}");
    let shown = belay(folder.path(), &compare).assert().code(0).get_output().clone();
    let shown = text(&shown.stdout);
    assert!(shown.contains("gained") && shown.contains("within 5m") && !shown.contains("the same"), "{shown}");
    let same = belay(folder.path(), &["explore", "old.yaml", "old.yaml"]).assert().code(0).get_output().clone();
    assert!(text(&same.stdout).contains("the same"), "{same:?}");
}

/// Where every property holds, what is written is the night in which nobody decides; and it can be played.
#[test]
fn a_way_to_no_decision_can_be_played() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plan.yaml"), ASKS).unwrap();
    let explore = ["explore", "plan.yaml", "--write-scenario", "night.yaml"];
    let done = belay(folder.path(), &explore).assert().code(0).get_output().clone();
    let note = text(&done.stderr);
    assert!(note.contains("night.yaml leads from slower to this: nobody decides in time"), "{note}");
    let drill = ["drill", "plan.yaml", "--simulate", "--runs", "3", "--scenario", "night.yaml", "--json"];
    let done = belay(folder.path(), &drill).assert().code(3).get_output().clone();
    let played: Value = serde_json::from_slice(&done.stdout).unwrap();
    let outcomes = played["rehearsals"][0]["distribution"]["outcomes"].as_object().unwrap();
    assert!(outcomes.keys().eq(["fix_forward"]), "{outcomes:?}");
    // A plan whose rules always roll back leaves nothing to nobody.
    let sound = plans("sound")[0].display().to_string();
    let explore = ["explore", sound.as_str(), "--write-scenario", "none.yaml"];
    let done = belay(folder.path(), &explore).assert().code(0).get_output().clone();
    assert!(text(&done.stderr).contains("there is no counter-example"), "{}", text(&done.stderr));
    assert!(!folder.path().join("none.yaml").exists());
}

/// What the proofs were held against is listed, and what was never met is named.
#[test]
fn coverage_is_part_of_the_answer() {
    let report = explored(&repository("crates/belay/tests/plans/sound/quorum-of-four.yaml"), &[], 0);
    let gates = report["coverage"]["gates"].as_array().unwrap();
    assert!(gates.len() > 1 && gates.iter().all(|gate| gate["passed"] == true && gate["failed"] == true), "{gates:#?}");
    let path = repository("crates/belay/tests/plans/flaws/alarm-as-interlock-of-the-only-step.yaml");
    let report = explored(&path, &[], 3);
    let gates = report["coverage"]["gates"].as_array().unwrap();
    let alarm = gates.iter().find(|gate| gate["signal"] == "failures" && gate["of"] == "require").unwrap();
    assert_eq!((&alarm["passed"], &alarm["failed"]), (&Value::Bool(false), &Value::Bool(true)), "{gates:#?}");
    let folder = tempfile::tempdir().unwrap();
    let shown = belay(folder.path(), &["explore", &path.display().to_string()]).assert().code(3).get_output().clone();
    assert!(text(&shown.stdout).contains("never met: failures of front_back (require) never passed"), "{shown:?}");
}

/// What ships is an example in this, too: nothing is found in it, or the plan says why it is so.
#[test]
fn nothing_is_found_in_what_ships() {
    for path in crate::examples() {
        explored(&path, &["--deny", "findings", "--require-complete"], 0);
    }
}

/// The usual case of a sound plan rolls back in the simulated world as well: explorer and simulator agree.
#[test]
fn a_sound_plan_rolls_back_in_the_simulated_world() {
    let folder = tempfile::tempdir().unwrap();
    for path in plans("sound") {
        let plan = path.display().to_string();
        let arguments = ["drill", plan.as_str(), "--simulate", "--runs", "4", "--json"];
        let done = belay(folder.path(), &arguments).output().unwrap();
        let report: Value = serde_json::from_slice(&done.stdout).unwrap();
        let played = &report["rehearsals"][0]["distribution"];
        let outcomes = played["outcomes"].as_object().unwrap();
        assert!(outcomes.keys().eq(["rolled_back"]), "{plan}: {outcomes:?}");
        assert_eq!(played["within_objectives"], 4, "{plan}: {played:#}");
    }
}

/// A quorum is one act, and nobody is told to let writers in before data goes back.
#[test]
fn ways_out_ask_before_they_give_up() {
    let path = repository("crates/belay/tests/plans/sound/two-quorums.yaml");
    let report = explored(&path, &[], 0);
    let ends = report["ends"].as_array().unwrap();
    let ways: BTreeSet<String> = ends.iter().map(|end| end["way_out"].to_string()).collect();
    let asked = ["resume", "2 people (ops) approve stop_workers", "2 people (incident_commander) approve ledger_back"];
    assert!(ways.contains(&serde_json::json!(asked).to_string()), "{ways:?}");
    assert!(!ways.iter().any(|way| way.contains("skip")), "{ways:?}");
}

/// What is accepted is shown with its reason, and what accepts nothing is told.
#[test]
fn a_finding_can_be_accepted_with_a_reason() {
    let path = repository("crates/belay/tests/plans/sound/a-finding-that-is-accepted.yaml");
    let report = explored(&path, &[], 0);
    let accepted = report["advice"].as_array().unwrap().iter().find(|advice| advice["rule"] == "loss_not_fenced");
    assert!(accepted.unwrap()["accepted"].as_str().unwrap().contains("nobody writes"), "{report:#}");
    let folder = tempfile::tempdir().unwrap();
    let shown = belay(folder.path(), &["explore", &path.display().to_string()]).assert().code(0).get_output().clone();
    assert!(text(&shown.stdout).contains("accepted by the plan"), "{}", text(&shown.stdout));
    let written = fs::read_to_string(&path).unwrap();
    let other = folder.path().join("plan.yaml");
    fs::write(&other, written.replace("finding: loss_not_fenced", "finding: no_trigger")).unwrap();
    let report = explored(&other, &["--deny", "findings"], 3);
    assert!(
        report["advice"].as_array().unwrap().iter().any(|advice| advice["rule"] == "accepts_nothing"),
        "{report:#}"
    );
    fs::write(&other, written.replace("step: ledger_back", "step: ledger_bak")).unwrap();
    let refused = belay(folder.path(), &["explore", "plan.yaml"]).assert().code(2).get_output().clone();
    assert!(text(&refused.stderr).contains("did you mean `ledger_back`"), "{}", text(&refused.stderr));
}

/// A need that hands an interlock's signal on is no needless one.
#[test]
fn a_need_that_an_interlock_explains_is_left_alone() {
    let report = explored(&repository("crates/belay/tests/plans/sound/one-after-the-other.yaml"), &[], 0);
    let parallel = list(&report, "advice", |advice| advice["rule"] == "could_run_parallel", "pointer");
    assert_eq!(parallel, BTreeSet::from(["/steps/name_back/needs/0"]), "{:#}", report["advice"]);
}

#[test]
fn a_bound_is_a_no_where_everything_has_to_be_searched() {
    let folder = tempfile::tempdir().unwrap();
    let path = plans("sound")[0].display().to_string();
    let bounded = ["explore", path.as_str(), "--max-states", "20"];
    let done = belay(folder.path(), &bounded).env("CI", "true").assert().code(3).get_output().clone();
    assert!(text(&done.stderr).contains("--require-complete"), "{}", text(&done.stderr));
    belay(folder.path(), &bounded).env("CI", "false").assert().code(0);
    let done = belay(folder.path(), &["explore", &path, "--within", "0s"]).assert().code(0);
    assert!(text(&done.get_output().stdout).contains("bounded"));
}
