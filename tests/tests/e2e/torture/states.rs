//! Every state that a daemon can be met in: how it comes there, how it is recognised, and how it is moved on.

use belay_tests::{Hold, Kind, Signal, When};
use serde_json::{Value, json};

use super::scene::{STEP, Scene, phase_of};

/// How a state is recognised, and how many mutating calls were sent by then.
pub(super) type Sight = (fn(&Value) -> bool, usize);

/// A state, and what is right there.
pub(super) struct State {
    pub(super) name: &'static str,
    /// What the plan says otherwise.
    pub(super) plan: fn(&str) -> String,
    /// From everybody at green, nothing armed.
    pub(super) enter: fn(&mut Scene),
    pub(super) is: fn(&Value) -> bool,
    /// Mutating calls that were sent until then.
    pub(super) sent: usize,
    /// After its process has died, where that is not the same.
    pub(super) after_death: Option<Sight>,
    /// Does what moves it on.
    pub(super) leave: fn(&mut Scene),
    /// The migration's state in the end, who has the traffic then, and what has been sent in all.
    pub(super) end: (&'static str, Traffic, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    Blue,
    Green,
}

const AS_IT_IS: fn(&str) -> String = str::to_owned;
const ROLLED_BACK: (&str, Traffic, usize) = ("rolled_back", Traffic::Blue, 1);
const CHANGE: &str = "ChangeResourceRecordSets";

impl State {
    const fn new(
        name: &'static str,
        enter: fn(&mut Scene),
        is: fn(&Value) -> bool,
        sent: usize,
        leave: fn(&mut Scene),
    ) -> Self {
        Self { name, plan: AS_IT_IS, enter, is, sent, after_death: None, leave, end: ROLLED_BACK }
    }

    const fn plan(mut self, plan: fn(&str) -> String) -> Self {
        self.plan = plan;
        self
    }

    const fn end(mut self, state: &'static str, traffic: Traffic, sent: usize) -> Self {
        self.end = (state, traffic, sent);
        self
    }

    const fn after_death(mut self, is: fn(&Value) -> bool, sent: usize) -> Self {
        self.after_death = Some((is, sent));
        self
    }
}

// --- nothing is under way ----------------------------------------------------------------------------------------------

pub(super) const DISARMED: State = State::new("disarmed", |_| {}, |m| m["state"] == "disarmed", 0, Scene::roll_back);

pub(super) const ARMED: State = State::new(
    "armed",
    |scene| scene.must("arm"),
    |m| m["state"] == "armed" && m["triggers"]["hurt"]["state"] == "quiet",
    0,
    |scene| scene.levers.shop.set_healthy(false),
)
.plan(critical);

pub(super) const DWELLING: State = State::new(
    "dwelling",
    hurt,
    |m| m["state"] == "armed" && m["triggers"]["hurt"]["state"] == "dwelling",
    0,
    |scene| scene.daemon_mut().process().signal(Signal::USR1),
)
.plan(|plan| critical(plan).replace("for: 0s", "for: 1h"));

pub(super) const INCIDENT: State = State::new(
    "incident",
    hurt,
    |m| m["state"] == "incident",
    0,
    |scene| {
        let incident = scene.migration()["incident"]["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/incidents/{incident}/decide");
        let answer = scene.daemon().post(&path, &json!({ "decision": "roll_back", "reason": "by a test" }));
        assert_eq!(answer.status, 200, "{answer:?}");
    },
);

pub(super) const ROLLED_BACK_STATE: State = State::new(
    "rolled_back",
    |scene| {
        scene.roll_back();
        scene.wait_for_state("rolled_back");
    },
    |m| m["state"] == "rolled_back",
    1,
    |scene| {
        // Guarded again, it is as safe as before.
        scene.must("arm");
        scene.must("rollback");
    },
);

pub(super) const ABORTED: State = State::new(
    "aborted",
    |scene| {
        (REQUIRING.enter)(scene);
        scene.wait_for_phase("requiring");
        scene.must_run("abort", json!({}));
    },
    |m| m["state"] == "aborted",
    0,
    |scene| {
        scene.levers.ready.set_healthy(true);
        scene.must("arm");
        scene.must("rollback");
    },
);

// --- a run is under way ------------------------------------------------------------------------------------------------

pub(super) const OBSERVING: State = State::new(
    "observing",
    |scene| {
        scene.must("arm");
        hold_calls(scene, "ListResourceRecordSets", When::All);
        scene.must("rollback");
        scene.wait_for_pending("ListResourceRecordSets");
    },
    |m| phase_of(m) == "observing",
    0,
    release,
);

pub(super) const AWAITING_APPROVAL: State = State::new(
    "awaiting_approval",
    Scene::roll_back,
    |m| m["run"]["steps"]["by_hand"]["phase"] == "awaiting_approval",
    0,
    |scene| scene.must_run("steps/by_hand/approve", json!({ "answer": "approve" })),
)
.plan(|plan| {
    plan.replace("steps:\n", "steps:\n  by_hand: { action: manual, with: { instructions: Stop the writers. } }\n")
        .replace("dns_back:\n", "dns_back:\n    needs: [by_hand]\n")
});

pub(super) const REQUIRING: State = State::new(
    "requiring",
    |scene| {
        scene.levers.ready.set_healthy(false);
        scene.roll_back();
    },
    |m| phase_of(m) == "requiring",
    0,
    |scene| scene.levers.ready.set_healthy(true),
);

/// A call is under way, and has not reached AWS yet.
pub(super) const SENDING: State = State::new("sending", send, |m| phase_of(m) == "applying", 1, pass_on)
    // Nobody can know that it is still under way: it is made again, as the same change twice does no harm.
    .after_death(|m| phase_of(m) == "verifying", 2);

/// A call has taken effect, and its answer is under way.
pub(super) const ANSWERING: State = State::new(
    "answering",
    |scene| {
        scene.levers.well.set_healthy(false);
        scene.must("arm");
        scene.hold = Hold::new();
        scene.stage.proxy.fault("route53", CHANGE, When::All, Kind::HoldAnswer(scene.hold.clone()));
        scene.must("rollback");
        scene.wait_for_pending(CHANGE);
    },
    |m| phase_of(m) == "applying",
    1,
    pass_on,
)
.after_death(|m| phase_of(m) == "verifying", 1);

pub(super) const SETTLING: State = State::new(
    "settling",
    |scene| {
        hold_calls(scene, "GetChange", When::All);
        scene.roll_back();
        scene.wait_for_pending("GetChange");
    },
    |m| phase_of(m) == "settling",
    1,
    release,
);

/// The built-in step that lets time pass.
pub(super) const WAITING: State = State::new(
    "waiting",
    Scene::roll_back,
    |m| m["run"]["steps"]["pause"]["phase"] == "settling",
    0,
    |scene| scene.must_run("steps/pause/skip", json!({})),
)
.plan(|plan| {
    plan.replace("steps:\n", "steps:\n  pause: { action: wait, with: { for: 72h } }\n")
        .replace("dns_back:\n", "dns_back:\n    needs: [pause]\n")
});

/// Between two tries.
pub(super) const BACKING_OFF: State = State::new(
    "backing_off",
    |scene| {
        scene.stage.proxy.fault("route53", CHANGE, When::First(1), Kind::Throttle);
        scene.roll_back();
    },
    |m| phase_of(m) == "observing" && m["run"]["steps"][STEP]["why"].as_str().is_some_and(|why| why.contains("Rate")),
    1,
    |scene| scene.must_run("steps/dns_back/skip", json!({})),
)
.plan(|plan| plan.replace("100ms..1s", "72h..72h"))
.end("rolled_back", Traffic::Green, 1);

pub(super) const VERIFYING: State = State::new(
    "verifying",
    |scene| {
        scene.levers.well.set_healthy(false);
        scene.roll_back();
    },
    |m| phase_of(m) == "verifying",
    1,
    |scene| scene.levers.well.set_healthy(true),
);

pub(super) const CONFIRMING: State = State::new(
    "confirming",
    |scene| {
        scene.levers.calm.set_healthy(false);
        scene.roll_back();
    },
    |m| m["state"] == "confirming",
    1,
    |scene| scene.levers.calm.set_healthy(true),
);

pub(super) const HELD: State = State::new(
    "held",
    |scene| {
        (REQUIRING.enter)(scene);
        scene.wait_for_phase("requiring");
        scene.must_run("hold", json!({}));
    },
    |m| m["run"]["state"] == "held" && phase_of(m) == "requiring",
    0,
    |scene| {
        scene.levers.ready.set_healthy(true);
        scene.must_run("resume", json!({}));
    },
);

pub(super) const HALTED: State = State::new(
    "halted",
    |scene| {
        scene.stage.proxy.fault("route53", CHANGE, When::First(1), Kind::AccessDenied);
        scene.roll_back();
    },
    |m| m["state"] == "halted" && phase_of(m) == "failed",
    1,
    |scene| scene.must_run("steps/dns_back/retry", json!({})),
)
.end("rolled_back", Traffic::Blue, 2);

/// An abort waits for the call under way.
pub(super) const ABORTING: State = State::new(
    "aborting",
    |scene| {
        send(scene);
        scene.must_run("abort", json!({}));
    },
    |m| m["state"] == "rolling_back" && phase_of(m) == "applying",
    1,
    release,
)
.after_death(|m| m["state"] == "aborted", 1)
.end("aborted", Traffic::Blue, 1);

// --- how they come and go ------------------------------------------------------------------------------------------------

fn critical(plan: &str) -> String {
    plan.replace("severity: minor", "severity: critical")
}

/// The trigger's signal turns red while it is armed.
fn hurt(scene: &mut Scene) {
    scene.must("arm");
    scene.levers.shop.set_healthy(false);
}

/// A call that changes something is sent, and does not reach AWS yet. The gate after it is shut.
fn send(scene: &mut Scene) {
    scene.levers.well.set_healthy(false);
    scene.must("arm");
    hold_calls(scene, CHANGE, When::First(1));
    scene.must("rollback");
    scene.wait_for_pending(CHANGE);
}

/// From now on these calls wait.
fn hold_calls(scene: &mut Scene, action: &str, when: When) {
    scene.hold = Hold::new();
    scene.stage.proxy.fault("route53", action, when, Kind::HoldCall(scene.hold.clone()));
}

fn release(scene: &mut Scene) {
    scene.hold.release();
}

/// Releases, and opens the gate after it.
fn pass_on(scene: &mut Scene) {
    scene.hold.release();
    scene.levers.well.set_healthy(true);
}
