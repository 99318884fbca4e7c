//! Random plans, outcomes, readings, verbs and ticks: what always holds.

use std::time::Duration;

use crate::common::*;
use belay_core::{
    change::{Assessment, Effect, Progress, Proof},
    event::{Event, StepEvent},
    input::{Asked, Authority, ErrorClass, Input, LookFailure, Refusal, RefusalKind, SendFailure, Verb},
    migration::Migration,
    possible::{self, VerbWord},
    proof::rises,
    reading::Health,
    run::{Phase, Run, RunState},
    wants::Task,
};
use belay_plan::model::*;
use proptest::prelude::*;

/// A small generator of its own, so that one number replays a case.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[usize::try_from(self.roll(items.len() as u64)).unwrap()]
    }
}

const SIGNALS: [&str; 3] = ["errors", "latency", "blue_ready"];

fn random_gates(dice: &mut Dice) -> Vec<Gate> {
    let mut gates = Vec::new();
    for signal in SIGNALS {
        if dice.one_in(3) {
            let within_s = dice.roll(3) * 60;
            gates.push(gate(signal, within_s, within_s.min(dice.roll(2) * 20)));
        }
    }
    gates
}

pub(crate) fn random_plan(dice: &mut Dice) -> Plan {
    let names = ["a", "b", "c", "d", "e", "f"];
    let count = 1 + usize::try_from(dice.roll(6)).unwrap();
    let mut steps = Vec::new();
    for index in 0..count {
        let needs: Vec<&str> = names[..index].iter().filter(|_| dice.one_in(3)).copied().collect();
        let mut made = step(&needs);
        made.require = if dice.one_in(2) { random_gates(dice) } else { vec![] };
        made.verify = if dice.one_in(2) { random_gates(dice) } else { vec![] };
        made.on_failure = if dice.one_in(3) { OnFailure::Continue } else { OnFailure::Halt };
        match dice.roll(8) {
            0 => (made.action, made.with) = ("manual".to_owned(), serde_json::json!({ "instructions": "do it" })),
            1 => (made.action, made.with) = ("wait".to_owned(), serde_json::json!({ "for": "1m" })),
            2 | 3 => made.stages = vec![50, 100],
            _ => {}
        }
        made.approve = dice.one_in(6).then(|| random_approval(dice));
        steps.push((names[index], made));
    }
    if dice.one_in(3) {
        steps[0].1.on_failure = OnFailure::Fallback("plan_b".to_owned());
        steps.push(("plan_b", step(&[])));
    }
    let mut plan = plan(steps);
    plan.triggers["hurt"].dwell = Duration::from_secs(dice.roll(2) * 30);
    plan.confirm = if dice.one_in(2) { random_gates(dice) } else { vec![] };
    plan
}

fn random_approval(dice: &mut Dice) -> Approve {
    Approve {
        role: (*dice.pick(&["operator", "commander"])).to_owned(),
        quorum: 1 + u32::try_from(dice.roll(2)).unwrap(),
        within: (!dice.one_in(3)).then(|| Duration::from_secs(60)),
        otherwise: if dice.one_in(2) { Otherwise::Halt } else { Otherwise::Skip },
    }
}

fn random_person(dice: &mut Dice) -> Asked {
    let role = (*dice.pick(&["operator", "commander"])).to_owned();
    let authority = if dice.one_in(2) { Authority::Everything } else { Authority::Roles(vec![role]) };
    Asked { authority, ..Asked::new(*dice.pick(&["ada", "bert", "cleo"]), "because") }
}

fn random_assessment(dice: &mut Dice) -> Assessment {
    let proof = match dice.roll(6) {
        0 => Proof::None { why: "no health check".to_owned() },
        1 => Proof::Unhealthy { evidence: "0 of 2".to_owned() },
        _ => Proof::Healthy { evidence: "2 of 2".to_owned() },
    };
    match dice.roll(8) {
        0 if dice.one_in(8) => Assessment::Differs { why: "class: wanted large, found small".to_owned() },
        0 | 1 => Assessment::InPlace,
        2 => Assessment::Settling(Progress::default()),
        3 if dice.one_in(4) => Assessment::Failed { why: "gone".to_owned() },
        4 if dice.one_in(4) => Assessment::Ambiguous { why: "whose?".to_owned() },
        5 => Assessment::Remaining(vec![change_with("first", proof.clone()), change_with("second", proof)]),
        _ => Assessment::Remaining(vec![change_with("second", proof)]),
    }
}

fn class(dice: &mut Dice) -> ErrorClass {
    *dice.pick(&[ErrorClass::Permanent, ErrorClass::Transient, ErrorClass::Throttled])
}

fn random_answer(dice: &mut Dice) -> Result<serde_json::Value, SendFailure> {
    match dice.roll(7) {
        6 => Err(SendFailure::Declined { why: "not like this".to_owned(), body: serde_json::Value::Null }),
        0 => Err(SendFailure::NoEffect { why: "no".to_owned(), class: class(dice) }),
        1 => Err(SendFailure::OutcomeUnknown { why: "lost".to_owned() }),
        _ => Ok(serde_json::json!({})),
    }
}

fn random_verb(dice: &mut Dice, run: &Run) -> Verb {
    let id = run.id.clone();
    let steps: Vec<&Name> = run.steps.keys().collect();
    let step = (*dice.pick(&steps)).clone();
    match dice.roll(10) {
        9 => Verb::Undo { run: id },
        0 => Verb::Hold { run: id },
        1 | 2 => Verb::Resume { run: id },
        3 => Verb::Retry { run: id, step },
        4 => Verb::Skip { run: id, step },
        5 => Verb::Approve { run: id, step, approve: !dice.one_in(4) },
        6 => Verb::Override { run: id, step, subject: (*dice.pick(&["blue", "blue_ready", "errors"])).to_owned() },
        7 if dice.one_in(6) => Verb::Abort { run: id },
        _ => Verb::Disarm,
    }
}

/// Feeds something that could happen now, and says what came of it.
pub(crate) fn happen(stage: &mut Stage, dice: &mut Dice) {
    let tasks = stage.wants().tasks;
    match dice.roll(12) {
        0..=4 if !tasks.is_empty() => match dice.pick(&tasks).clone() {
            Task::Look(look) => {
                let result = if dice.one_in(10) {
                    Err(LookFailure { why: "throttled".to_owned(), permanent: dice.one_in(4) })
                } else {
                    let (doc, assessment) = (std::sync::Arc::default(), random_assessment(dice));
                    Ok(belay_core::input::Look { doc, assessment, stage: look.stage })
                };
                let _ = stage.feed(Input::Looked { step: look.step, result });
            }
            Task::Apply(apply) => {
                let result = random_answer(dice);
                let _ = stage.feed(Input::Applied { step: apply.key.step, attempt: apply.key.attempt, result });
            }
        },
        0..=7 => {
            let health = *dice.pick(&[Health::Healthy, Health::Healthy, Health::Unhealthy, Health::Unknown]);
            let signal: &str = dice.pick::<&str>(&SIGNALS);
            stage.read(signal, health);
        }
        8 | 9 => {
            stage.pass(dice.roll(40));
            stage.tick();
        }
        10 if dice.one_in(4) => {
            stage.pass(dice.roll(900));
            stage.feed(Input::Resumed { belay_version: "1".to_owned() }).unwrap();
        }
        _ => {
            if let Some(run) = &stage.state.run {
                let verb = random_verb(dice, run);
                let asked = random_person(dice);
                let _ = stage.command_by(&asked, verb);
            }
        }
    }
}

/// What is said to be possible is taken, and nothing else is; what is refused changes nothing (the stage checks that).
fn check_possible(stage: &Stage) {
    let Some(run) = &stage.state.run else { return };
    let taken = |verb: Verb| {
        let decided = stage.state.decide(stage.now, 7, &Input::Command(Asked::new("dora", "test").command(verb)));
        !matches!(decided, Err(Refusal { kind: RefusalKind::WrongState | RefusalKind::AlreadyRunning { .. }, .. }))
    };
    let id = || run.id.clone();
    let of_run = possible::of_run(&stage.state, run);
    for (word, verb) in [
        (VerbWord::Hold, Verb::Hold { run: id() }),
        (VerbWord::Resume, Verb::Resume { run: id() }),
        (VerbWord::Abort, Verb::Abort { run: id() }),
        (VerbWord::Undo, Verb::Undo { run: id() }),
    ] {
        assert_eq!(taken(verb), of_run.contains(&word), "{word} of a run that is {:?}", run.state);
    }
    for (name, state) in &run.steps {
        let of_step = possible::of_step(run, state);
        let step = || name.clone();
        for (word, verb) in [
            (VerbWord::Approve, Verb::Approve { run: id(), step: step(), approve: true }),
            (VerbWord::Override, Verb::Override { run: id(), step: step(), subject: "blue".to_owned() }),
            (VerbWord::Retry, Verb::Retry { run: id(), step: step() }),
            (VerbWord::Skip, Verb::Skip { run: id(), step: step() }),
        ] {
            assert_eq!(taken(verb), of_step.contains(&word), "{word} of {name}, {:?} in {:?}", state.phase, run.state);
        }
    }
    let can_move = !of_run.is_empty() || run.steps.values().any(|step| !possible::of_step(run, step).is_empty());
    assert!(run.state.is_over() || run.aborting || can_move, "no verb moves a run that is {:?}", run.state);
}

fn satisfied(run: &Run, need: &str) -> bool {
    let over_well = |phase| matches!(phase, Phase::Done | Phase::Unchanged | Phase::Skipped);
    let state = &run.steps[need];
    over_well(state.phase)
        || (state.phase == Phase::Failed
            && match &run.plan.steps[need].on_failure {
                OnFailure::Continue => true,
                OnFailure::Fallback(name) => {
                    matches!(run.steps[name].phase, Phase::Done | Phase::Unchanged)
                }
                OnFailure::Halt => false,
            })
}

/// Replays the journal record by record, and checks what each one says against the state just before it.
fn check_journal(stage: &Stage) {
    let mut state = Migration::new("shop");
    for record in &stage.journal {
        if let (Event::Step { step, what }, Some(run)) = (&record.event, &state.run) {
            let plan = &run.plan.steps[step];
            match what {
                StepEvent::Started { .. } => {
                    assert!(plan.needs.iter().all(|need| satisfied(run, need)), "{step} started before its needs");
                }
                StepEvent::Intended { change, attempt, .. } => {
                    let before = &run.steps[step];
                    assert!(!before.in_flight(), "two sends of one step at once");
                    assert_eq!(*attempt, before.attempt + 1);
                    assert!(!before.effective.contains(&change.id), "sent again what had taken effect");
                    assert_eq!(run.state, RunState::Running);
                    let interlocked = !plan.require.is_empty() && before.require_passed;
                    for effect in &change.effects {
                        let Effect::Traffic { shares } = effect else {
                            continue;
                        };
                        assert!(shares.iter().any(|share| share.after > 0));
                        for share in shares.iter().filter(|share| rises(share, shares)) {
                            let proven = match &share.proof {
                                Proof::Healthy { .. } => true,
                                Proof::None { .. } => interlocked,
                                Proof::Unhealthy { .. } => false,
                            };
                            assert!(proven || before.overrides.contains(&share.destination), "traffic without proof");
                        }
                    }
                }
                _ => {}
            }
        }
        state.evolve(record).unwrap();
    }
    assert_eq!(state, stage.state, "replaying the journal gives the live state");
}

/// Something is on its way, or a person has a verb that moves it.
fn check_way_out(stage: &Stage) {
    let Some(run) = stage.state.open_run() else {
        return;
    };
    let wants = stage.wants();
    let person = matches!(run.state, RunState::Held | RunState::Halted)
        || run.steps.values().any(|step| step.phase == Phase::AwaitingApproval);
    assert!(
        person || !wants.tasks.is_empty() || wants.deadline.is_some() || !wants.watch.is_empty(),
        "stuck: {:?}",
        run.steps.iter().map(|(name, step)| (name, step.phase)).collect::<Vec<_>>()
    );
}

/// From now on everything goes well and a person presses on: the run has to end.
fn bring_to_an_end(stage: &mut Stage) {
    for _ in 0..3000 {
        let Some(run) = stage.state.open_run().cloned() else {
            return;
        };
        if run.state == RunState::Held
            || (run.state == RunState::Halted && run.steps.values().all(|s| s.failure.is_none()))
        {
            stage.command(Verb::Resume { run: run.id.clone() }).unwrap();
        }
        for (name, step) in &run.steps {
            let (run, step_name) = (run.id.clone(), name.clone());
            match step.phase {
                Phase::AwaitingApproval => {
                    for person in ["ada", "bert"] {
                        let verb = Verb::Approve { run: run.clone(), step: step_name.clone(), approve: true };
                        let _ = stage.command_by(&Asked::new(person, "yes"), verb);
                    }
                }
                Phase::Failed if stage.run_state() == RunState::Halted || step.failure.is_some() => {
                    let _ = stage.command(Verb::Skip { run, step: step_name });
                }
                _ => {}
            }
        }
        for task in stage.wants().tasks {
            match task {
                Task::Look(look) => {
                    let (doc, assessment) = (serde_json::json!({}), Assessment::InPlace);
                    let result = Ok(belay_core::input::Look { doc: doc.into(), assessment, stage: look.stage });
                    let _ = stage.feed(Input::Looked { step: look.step, result });
                }
                Task::Apply(apply) => {
                    let result = Ok(serde_json::json!({}));
                    let _ = stage.feed(Input::Applied { step: apply.key.step, attempt: apply.key.attempt, result });
                }
            }
        }
        stage.pass(11);
        for signal in SIGNALS {
            stage.read(signal, Health::Healthy);
        }
        stage.tick();
    }
    panic!("the run does not end: {:?}", stage.state.run);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn invariants_hold_whatever_happens(seed in 1..u64::MAX) {
        let mut dice = Dice(seed);
        let plan = random_plan(&mut dice);
        let mut stage = Stage::new();
        stage.arm(&plan);
        for _ in 0..150 {
            happen(&mut stage, &mut dice);
            check_way_out(&stage);
            if dice.one_in(4) {
                check_possible(&stage);
            }
        }
        bring_to_an_end(&mut stage);
        check_journal(&stage);
    }
}
