//! A daemon is killed, signalled, put to sleep, has its disk filled and its clock moved, in every state that it can be in.
//! Afterwards it is in the state that it should be in, nothing was sent twice, and the run goes on to its right end.
//!
//! Where a state outlives its process, everything befalls it one after the other. `BELAY_TORTURE=all` begins anew for
//! each, and for each pair.

mod blows;
mod scene;
mod states;

use blows::{BLOWS, Blow, is_open};
use scene::Scene;
use states::{Sight, State, Traffic};

use belay_tests::wait_until;
use serde_json::json;

/// One state, and all that befalls it.
#[track_caller]
fn torture(state: &State) {
    let mut scene = Scene::open(&state.name.replace('_', ""), state.plan);
    let all = std::env::var("BELAY_TORTURE").is_ok_and(|value| value == "all");
    let singly = || BLOWS.iter().map(|blow| vec![blow]);
    let rounds: Vec<Vec<&Blow>> = if all {
        let pairs = BLOWS.iter().flat_map(|first| BLOWS.iter().map(move |second| vec![first, second]));
        singly().chain(pairs).collect()
    } else if state.after_death.is_some() {
        singly().collect()
    } else {
        vec![BLOWS.iter().collect()]
    };
    for round in rounds {
        play(&mut scene, state, &round);
    }
}

/// Comes into the state, takes the blows, and is moved on to the end.
#[track_caller]
fn play(scene: &mut Scene, state: &State, blows: &[&Blow]) {
    let names: Vec<&str> = blows.iter().map(|blow| blow.name).collect();
    scene.reset();
    (state.enter)(scene);
    let mut here = (state.is, state.sent);
    assert_here(scene, state.name, "at first", here);
    for blow in blows {
        let told = Told(format!("{}: {}", state.name, blow.name));
        (blow.strike)(scene);
        drop(told);
        if let Some(after_death) = state.after_death.filter(|_| blow.deadly) {
            here = after_death;
        }
        assert_here(scene, state.name, blow.name, here);
        scene.assert_intact(&format!("{} after {}", state.name, blow.name));
    }
    (state.leave)(scene);
    let (end, traffic, sent) = state.end;
    scene.wait_for(&format!("{} to end {end} after {}", state.name, names.join(", ")), |m| m["state"] == end);
    wait_until(&format!("{traffic:?} to have the traffic"), || (serving(scene) == traffic).then_some(()));
    assert_eq!(scene.sent(), sent.max(here.1), "nothing is sent twice: {:#?}", scene.stage.proxy.mutating_calls());
    scene.assert_intact(state.name);
}

/// The state, how much was sent, and a way out.
#[track_caller]
fn assert_here(scene: &Scene, state: &str, after: &str, (is, sent): Sight) {
    let moment = format!("{state} after {after}");
    let migration = scene.wait_for(&moment, is);
    assert_eq!(migration["faults"], json!([]), "{moment}");
    let waiting = migration["waiting_for"].as_array().unwrap();
    let way_out = waiting.iter().any(|waiting| waiting["verbs"].as_array().is_some_and(|verbs| !verbs.is_empty()));
    assert!(way_out || !is_open(&migration) || migration["run"]["aborting"] == true, "{moment}: {migration:#}");
    scene.stage.proxy.wait_until(&format!("{moment}: {sent} calls"), |calls| {
        (calls.iter().filter(|call| call.is_mutating()).count() == sent).then_some(())
    });
}

/// What was being done, when a test fails over it.
struct Told(String);

impl Drop for Told {
    #[allow(clippy::print_stderr)]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- while: {}", self.0);
        }
    }
}

fn serving(scene: &Scene) -> Traffic {
    match scene.stage.weights()[0] {
        (100, 0) => Traffic::Blue,
        (0, 100) => Traffic::Green,
        other => panic!("nobody asked for {other:?}"),
    }
}

macro_rules! tortures {
    ($($test:ident: $state:ident,)*) => {
        $(#[test] fn $test() { torture(&states::$state) })*
    };
}

tortures! {
    disarmed: DISARMED,
    armed: ARMED,
    dwelling: DWELLING,
    an_incident: INCIDENT,
    rolled_back: ROLLED_BACK_STATE,
    aborted: ABORTED,
    observing: OBSERVING,
    awaiting_approval: AWAITING_APPROVAL,
    requiring: REQUIRING,
    sending: SENDING,
    answering: ANSWERING,
    settling: SETTLING,
    waiting: WAITING,
    backing_off: BACKING_OFF,
    verifying: VERIFYING,
    confirming: CONFIRMING,
    held: HELD,
    halted: HALTED,
    aborting: ABORTING,
}
