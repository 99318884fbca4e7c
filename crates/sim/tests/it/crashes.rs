//! A crash at any append changes no outcome, nor does an answer that is lost after the call has taken effect.

use std::{collections::BTreeMap, time::Duration};

use belay_core::{input::Verb, run::RunState};
use belay_journal::AppendFault;
use belay_plan::model::{Plan, Target};
use belay_sim::{Chance, Faults, SendFault};
use serde_json::{Value, json};

use crate::{
    plans::{self, gate, plan, restore, step, weights},
    scene::{Scene, command, run_state, virtually},
};

/// What the world and the run came to.
#[derive(Debug, PartialEq)]
struct Outcome {
    resources: BTreeMap<String, Value>,
    state: Option<RunState>,
    effects: Vec<(String, String)>,
}

/// Armed, cut over, and rolled back by its trigger; the process dies once on the way, if it is to. Answers how many
/// appends it took, too.
async fn play(plan: Plan, lost: Option<u64>, death: Option<(u64, AppendFault)>) -> (Outcome, u64) {
    let mut faults = Faults::none();
    if let Some(call) = lost {
        faults.fail_call(call, SendFault::AnswerLost);
    }
    let scene = Scene::new(plan, 7, faults);
    if let Some((append, fault)) = death {
        scene.journal.fail_at(append, fault);
    }
    let mut handle = scene.open().await;
    let life = async |handle: &belay_engine::Handle| {
        if handle.snapshot().state.armed.is_none() && handle.snapshot().state.run.is_none() {
            scene.arm(handle).await.unwrap();
        }
        if handle.snapshot().state.cutover.is_none() && handle.snapshot().state.run.is_none() {
            command(handle, Verb::Cutover).await.unwrap();
        }
        if scene.world.calls().is_empty() && handle.snapshot().state.run.is_none() {
            scene.world.cut_over();
        }
        scene.until(handle, |snapshot| run_state(snapshot).is_some_and(RunState::is_over)).await
    };
    let died = tokio::select! {
        biased;
        _ = life(&handle) => false,
        () = scene.journal.crashed() => true,
    };
    if died {
        scene.journal.restart();
        handle = scene.open().await;
        life(&handle).await;
    }
    handle.shutdown().await;
    scene.assert_sound(Some(&handle.snapshot().state));
    let calls = scene.world.calls().into_iter().filter(|call| call.took_effect);
    let mut effects: Vec<(String, String)> = calls.map(|call| (call.key.step, call.change.id)).collect();
    effects.sort();
    effects.dedup(); // after a crash what converges may be sent once more
    let outcome = Outcome { resources: scene.world.resources(), state: run_state(&handle.snapshot()), effects };
    (outcome, scene.journal.appends())
}

fn survives_every_crash(plan: &Plan) {
    let (undisturbed, appends) = virtually(play(plan.clone(), None, None));
    assert_eq!(undisturbed.state, Some(RunState::RolledBack));
    for append in 1..=appends {
        for fault in [AppendFault::CrashBefore, AppendFault::CrashAfter] {
            let (disturbed, _) = virtually(play(plan.clone(), None, Some((append, fault))));
            assert_eq!(disturbed, undisturbed, "{fault:?} at append {append} of {appends}");
        }
    }
    for call in 1..=undisturbed.effects.len() as u64 {
        let (disturbed, _) = virtually(play(plan.clone(), Some(call), None));
        assert_eq!(disturbed, undisturbed, "the answer to call {call} was lost");
    }
}

#[test]
fn a_plan_with_everything_in_it_survives_a_crash_at_any_append() {
    let mut plan = plan([
        ("dns", weights()),
        ("listener", step("sim.weights", Target::Explicit(json!({ "blue": 100, "green": 0 })))),
        ("pause", step("wait", Target::Own)),
        ("db", restore()),
    ]);
    plan.steps["pause"].with = json!({ "for": "30s" });
    plan.steps["pause"].needs = vec!["dns".to_owned()];
    plan.steps["db"].needs = vec!["pause".to_owned(), "listener".to_owned()];
    plan.steps["dns"].verify = vec![gate("at_dns", 120, 20)];
    plan.steps["dns"].stages = vec![50, 100];
    plan.signals.insert("at_dns".to_owned(), plans::signal());
    plan.confirm = vec![gate("in_place", 300, 30)];
    survives_every_crash(&plan);
}

#[test]
fn random_plans_survive_a_crash_at_any_append() {
    let mut chance = Chance::new(1);
    let mut tested = 0;
    while tested < 6 {
        let mut plan = plans::random(&mut chance);
        // Nobody is there to approve, and what has no proof would wait for somebody.
        plan.steps.values_mut().filter(|step| step.action == "manual").for_each(|step| {
            step.action = "wait".to_owned();
            step.with = json!({ "for": "5s" });
        });
        plan.steps.values_mut().for_each(|step| step.approve = None);
        plan.objectives.rpo = None;
        // Time-outs are about time, not about crashes.
        plan.steps.values_mut().for_each(|step| step.timeout = Duration::from_secs(3600));
        if plan.steps.values().any(|step| step.action == "sim.weights") && plan.steps.len() < 5 {
            survives_every_crash(&plan);
            tested += 1;
        }
    }
}
