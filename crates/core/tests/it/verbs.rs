//! Which verbs are possible in which state: the table of `VERBS.md`, tried on the state machine itself.

use std::{fmt::Write, path::Path};

use crate::common::*;
use belay_core::{
    change::{Assessment, Effect, Proof},
    event::RunKind,
    id::RunId,
    input::{Asked, Input, RefusalKind, Verb},
    possible::{self, VerbWord},
    reading::Health,
};
use belay_plan::model::*;

/// A run of these steps, in whatever state `then` leads to.
fn running(steps: Vec<(&str, Step)>, then: impl FnOnce(&mut Stage)) -> Stage {
    let mut stage = Stage::new();
    stage.arm(&plan(steps));
    stage.command(Verb::Rollback { kind: RunKind::Real, only: vec![], pin: None }).unwrap();
    then(&mut stage);
    stage
}

fn dns() -> Vec<(&'static str, Step)> {
    vec![("dns", step(&[]))]
}

fn with(change: impl FnOnce(&mut Step)) -> Vec<(&'static str, Step)> {
    let mut dns = step(&[]);
    change(&mut dns);
    vec![("dns", dns)]
}

fn remaining() -> Assessment {
    Assessment::Remaining(vec![change("weights")])
}

/// A step that loses data began past the point of no return.
fn past_point() -> Stage {
    let mut plan = plan(with(|dns| dns.loses_data = true));
    let point_of_no_return = Some(std::time::Duration::from_secs(60));
    plan.window = Some(Window { point_of_no_return, past: PastWindow::Refuse, opens: None });
    let mut stage = Stage::new();
    stage.arm(&plan);
    stage.command(Verb::Cutover).unwrap();
    stage.pass(60);
    stage.command(Verb::Rollback { kind: RunKind::Real, only: vec![], pin: None }).unwrap();
    stage.look("dns", remaining());
    stage
}

fn halted(stage: &mut Stage) {
    stage.look("dns", Assessment::Failed { why: "it is gone".to_owned() });
}

/// The undo of `dns`: green gets its traffic back.
fn take_back(stage: &mut Stage) {
    stage.look("dns", Assessment::Remaining(vec![reversed("weights")]));
    stage.accept("dns");
    stage.look("dns", Assessment::InPlace);
}

fn run_verb(stage: &mut Stage, verb: impl FnOnce(RunId) -> Verb) {
    let run = stage.state.run.as_ref().unwrap().id.clone();
    stage.command(verb(run)).unwrap();
}

/// A plan with two phases.
fn phased() -> Plan {
    let mut plan = plan(dns());
    plan.phases = ["copy", "soak"].map(|name| (name.to_owned(), Phase::default())).into_iter().collect();
    plan
}

fn migrations() -> Vec<(&'static str, Stage)> {
    let mut disarmed = Stage::new();
    disarmed.arm(&phased());
    disarmed.command(Verb::Disarm).unwrap();
    let mut armed = Stage::new();
    armed.arm(&phased());
    let mut marked = Stage::new();
    marked.arm(&phased());
    marked.command(Verb::Cutover).unwrap();
    let mut muted = Stage::new();
    muted.arm(&phased());
    muted.command(Verb::Mute { time: std::time::Duration::from_secs(60) }).unwrap();
    let incident = |cutover: bool| {
        let mut stage = Stage::new();
        let mut plan = phased();
        plan.triggers["hurt"].severity = Severity::Minor;
        plan.triggers["hurt"].dwell = std::time::Duration::ZERO;
        stage.arm(&plan);
        if cutover {
            stage.command(Verb::Cutover).unwrap();
        }
        stage.read("errors", Health::Unhealthy);
        stage
    };
    let open = |then: fn(&mut Stage)| running(dns(), then);
    let rolled_back = open(|stage| stage.put_back("dns"));
    let aborted = open(|stage| run_verb(stage, |run| Verb::Abort { run }));
    vec![
        ("disarmed", disarmed),
        ("armed", armed),
        ("armed, cutover marked", marked),
        ("armed, muted", muted),
        ("incident", incident(false)),
        ("incident, cutover marked", incident(true)),
        ("rolling_back, confirming, halted: a run is open", open(|_| {})),
        ("rolled_back", rolled_back),
        ("aborted", aborted),
    ]
}

fn confirming() -> Stage {
    let mut stage = Stage::new();
    let mut plan = plan(dns());
    plan.confirm = vec![gate("errors", 900, 600)];
    stage.run(&plan, &[]);
    stage.put_back("dns");
    stage
}

fn runs() -> Vec<(&'static str, Stage)> {
    let put_back = || running(dns(), |stage| stage.put_back("dns"));
    let undo = |stage: &mut Stage| run_verb(stage, |run| Verb::Undo { run });
    let aborting = |stage: &mut Stage| {
        stage.look("dns", remaining());
        run_verb(stage, |run| Verb::Abort { run });
    };
    let half_way = |stage: &mut Stage| {
        stage.look("dns", remaining());
        stage.accept("dns");
        run_verb(stage, |run| Verb::Abort { run });
    };
    let mut armed_again = put_back();
    armed_again.arm(&plan(dns()));
    armed_again.state.run.clone_from(&armed_again.state.past_runs.last().map(|run| run.as_ref().clone()));
    let undone = |then: fn(&mut Stage)| {
        let mut stage = put_back();
        undo(&mut stage);
        then(&mut stage);
        stage
    };
    vec![
        ("running", running(dns(), |_| {})),
        ("held", running(dns(), |stage| run_verb(stage, |run| Verb::Hold { run }))),
        ("confirming", confirming()),
        ("halted", running(dns(), halted)),
        ("halted past the point of no return", past_point()),
        ("aborting, a call is under way", running(dns(), aborting)),
        ("rolled_back", put_back()),
        ("rolled_back, nothing was changed", running(dns(), |stage| drop(stage.look("dns", Assessment::InPlace)))),
        ("rolled_back, armed again", armed_again),
        ("aborted, something was changed", running(dns(), half_way)),
        ("aborted, nothing was changed", running(dns(), |stage| run_verb(stage, |run| Verb::Abort { run }))),
        ("undone", undone(take_back)),
    ]
}

fn steps() -> Vec<(&'static str, Stage)> {
    let in_phase = |then: fn(&mut Stage)| running(dns(), then);
    let unproven = |stage: &mut Stage| {
        let proof = Proof::Unhealthy { evidence: "0 of 2".to_owned() };
        stage.look("dns", Assessment::Remaining(vec![change_with("weights", proof)]));
    };
    let needing = vec![("first", step(&[])), ("dns", step(&["first"]))];
    let approve = Approve { role: "commander".to_owned(), quorum: 1, within: None, otherwise: Otherwise::Halt };
    let interlocked = || with(|dns| dns.require = vec![gate("blue_ready", 60, 0)]);
    vec![
        ("pending", running(needing.clone(), |_| {})),
        ("blocked", running(needing, |stage| drop(stage.look("first", Assessment::Failed { why: "gone".to_owned() })))),
        ("observing", in_phase(|_| {})),
        (
            "awaiting_approval",
            running(with(|dns| dns.approve = Some(approve)), |stage| drop(stage.look("dns", remaining()))),
        ),
        ("requiring", running(interlocked(), |stage| drop(stage.look("dns", remaining())))),
        ("applying, a call is under way", in_phase(|stage| drop(stage.look("dns", remaining())))),
        (
            "settling",
            in_phase(|stage| {
                stage.look("dns", remaining());
                stage.accept("dns");
            }),
        ),
        ("verifying", running(with(|dns| dns.verify = vec![gate("errors", 60, 0)]), |stage| stage.put_back("dns"))),
        (
            "failed on an interlock",
            running(interlocked(), |stage| {
                stage.look("dns", remaining());
                stage.pass(61);
                stage.tick();
            }),
        ),
        ("failed without a proof of health", running(dns(), unproven)),
        ("failed past the point of no return", past_point()),
        ("failed otherwise", in_phase(halted)),
        ("done", running(vec![("dns", step(&[])), ("other", step(&[]))], |stage| stage.put_back("dns"))),
        (
            "unchanged",
            running(vec![("dns", step(&[])), ("other", step(&[]))], |stage| {
                stage.look("dns", Assessment::InPlace);
            }),
        ),
        (
            "skipped",
            running(vec![("dns", step(&[])), ("other", step(&[]))], |stage| {
                run_verb(stage, |run| Verb::Skip { run, step: "dns".to_owned() });
            }),
        ),
    ]
}

fn verb(word: VerbWord, stage: &Stage) -> Verb {
    let run = || stage.state.run.as_ref().unwrap().id.clone();
    let step = || "dns".to_owned();
    match word {
        VerbWord::Arm => Verb::Arm {
            plan: std::sync::Arc::new(plan(dns())),
            plan_sha256: "p".to_owned(),
            baseline: None,
            readings: vec![],
            wait_for_green: false,
            detours: vec![],
        },
        VerbWord::Disarm => Verb::Disarm,
        VerbWord::Cutover => Verb::Cutover,
        VerbWord::Phase => Verb::Phase { phase: "soak".to_owned() },
        VerbWord::Mute => Verb::Mute { time: std::time::Duration::from_secs(60) },
        VerbWord::Unmute => Verb::Unmute,
        VerbWord::Rollback => Verb::Rollback { kind: RunKind::Real, only: vec![], pin: None },
        VerbWord::Decide => Verb::Decide { roll_back: false },
        VerbWord::Hold => Verb::Hold { run: run() },
        VerbWord::Resume => Verb::Resume { run: run() },
        VerbWord::Abort => Verb::Abort { run: run() },
        VerbWord::Undo => Verb::Undo { run: run() },
        VerbWord::Approve => Verb::Approve { run: run(), step: step(), approve: true },
        VerbWord::Override => Verb::Override { run: run(), step: step(), subject: subject(stage) },
        VerbWord::Retry => Verb::Retry { run: run(), step: step() },
        VerbWord::Skip => Verb::Skip { run: run(), step: step() },
    }
}

/// Something that holds the step up, so that only the state can stand against the override.
fn subject(stage: &Stage) -> String {
    let step = stage.step("dns");
    let raises = |effect: &Effect| matches!(effect, Effect::Traffic { .. });
    let unproven = step.planned.iter().any(|change| change.effects.iter().any(raises)) && step.require.is_empty();
    if unproven { "blue".to_owned() } else { "blue_ready".to_owned() }
}

/// What the state machine takes: by trying, on a copy.
fn accepted(stage: &Stage, word: VerbWord) -> bool {
    let input = Input::Command(Asked::new("ada", "test").command(verb(word, stage)));
    match stage.state.decide(stage.now, 7, &input) {
        Ok(_) => true,
        Err(refusal) => {
            let of_state = matches!(refusal.kind, RefusalKind::WrongState | RefusalKind::AlreadyRunning { .. });
            assert!(of_state, "{word} is refused for something else than the state: {refusal:?}");
            assert!(!refusal.help.is_empty(), "{refusal:?}");
            false
        }
    }
}

fn table(
    title: &str,
    words: &[VerbWord],
    rows: &[(&str, Stage)],
    possible: impl Fn(&Stage) -> Vec<VerbWord>,
) -> String {
    let mut text = format!("| {title} |");
    words.iter().for_each(|word| write!(text, " `{word}` |").unwrap());
    text.push_str("\n|---|");
    words.iter().for_each(|_| text.push_str(":-:|"));
    text.push('\n');
    for (name, stage) in rows {
        let possible = possible(stage);
        write!(text, "| {name} |").unwrap();
        for word in words {
            let taken = accepted(stage, *word);
            assert_eq!(taken, possible.contains(word), "{title} {name}: {word}");
            text.push_str(if taken { " yes |" } else { " - |" });
        }
        text.push('\n');
    }
    text
}

#[test]
fn the_table_says_what_the_state_machine_takes() {
    let run = |stage: &Stage| possible::of_run(&stage.state, stage.state.run.as_ref().unwrap());
    let step = |stage: &Stage| possible::of_step(stage.state.run.as_ref().unwrap(), stage.step("dns"));
    let tables = [
        table("migration", &VerbWord::OF_MIGRATION, &migrations(), |stage| possible::of_migration(&stage.state)),
        table("run", &VerbWord::OF_RUN, &runs(), run),
        table("step of an open run", &VerbWord::OF_STEP, &steps(), step),
    ];
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("VERBS.md");
    let text = std::fs::read_to_string(&path).unwrap();
    for table in tables {
        assert!(text.contains(&table), "{} should hold this table:\n{table}", path.display());
    }
}
