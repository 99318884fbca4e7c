//! Plans: small ones by hand, and random ones by seed.

use std::{sync::Arc, time::Duration};

use belay_plan::model::*;
use belay_sim::Chance;
use indexmap::IndexMap;
use serde_json::{Value, json};

pub(crate) fn step(action: &str, to: Target) -> Step {
    Step {
        action: action.to_owned(),
        with: Value::Null,
        aws: AwsTarget::default(),
        to,
        others: None,
        resource: String::new(),
        needs: Vec::new(),
        require: Vec::new(),
        verify: Vec::new(),
        timeout: Duration::from_secs(600),
        retry: Retry { attempts: 3, backoff_min: Duration::from_secs(1), backoff_max: Duration::from_secs(30) },
        on_failure: OnFailure::Halt,
        loses_data: false,
        approve: None,
        stages: Vec::new(),
        expect: None,
        on_drift: OnDrift::Proceed,
        fences: Vec::new(),
        during: Vec::new(),
        nature: None,
        usual: None,
    }
}

pub(crate) fn gate(signal: &str, within_s: u64, hold_s: u64) -> Gate {
    Gate { signal: signal.to_owned(), within: Duration::from_secs(within_s), hold: Duration::from_secs(hold_s) }
}

pub(crate) fn signal() -> Signal {
    Signal { kind: "alarm".to_owned(), spec: json!({}), aws: AwsTarget::default() }
}

pub(crate) fn trigger(signal: &str, dwell_s: u64) -> Trigger {
    Trigger {
        when: Condition::Signal(signal.to_owned()),
        dwell: Duration::from_secs(dwell_s),
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

/// A plan of these steps: the signal `in_place` is healthy when all is back, and its trigger has no dwell.
pub(crate) fn plan(steps: impl IntoIterator<Item = (&'static str, Step)>) -> Plan {
    let mut steps: IndexMap<Name, Step> = steps.into_iter().map(|(name, step)| (name.to_owned(), step)).collect();
    for (name, step) in &mut steps {
        step.resource = format!("sim:{name}");
    }
    Plan {
        migration: "moving".to_owned(),
        summary: None,
        aws: AwsTarget::default(),
        objectives: Objectives::default(),
        phases: IndexMap::new(),
        signals: IndexMap::from([("in_place".to_owned(), signal()), ("blue_ready".to_owned(), signal())]),
        triggers: IndexMap::from([("hurt".to_owned(), trigger("in_place", 0))]),
        decision: Decision::default(),
        window: None,
        steps,
        confirm: Vec::new(),
        notify: Arc::default(),
        evidence: None,
        checklist: belay_plan::checklist::Checklist::default(),
        accepts: Vec::new(),
        overlaid: None,
    }
}

/// Back to the baseline's weights, with an interlock on the side that takes the traffic.
pub(crate) fn weights() -> Step {
    Step { require: vec![gate("blue_ready", 0, 0)], ..step("sim.weights", Target::Baseline) }
}

pub(crate) fn restore() -> Step {
    Step { loses_data: true, ..step("sim.restore", Target::Own) }
}

/// Any plan that arming accepts, by seed.
pub(crate) fn random(chance: &mut Chance) -> Plan {
    let count = 1 + chance.below(7);
    let mut steps: IndexMap<Name, Step> = IndexMap::new();
    for number in 0..count {
        let name = format!("s{number}");
        let mut step = random_step(chance);
        for earlier in 0..number {
            if chance.per_mille(300) {
                step.needs.push(format!("s{earlier}"));
            }
        }
        step.resource =
            if matches!(step.action.as_str(), "manual" | "wait") { String::new() } else { format!("sim:{name}") };
        if chance.per_mille(400) {
            let hold_s = chance.below(3) * 20;
            step.verify.push(gate(&format!("at_{name}"), 300, hold_s));
        }
        steps.insert(name, step);
    }
    for number in 0..count {
        if chance.per_mille(120) {
            let name = format!("f{number}");
            let mut step = random_step(chance);
            step.resource =
                if matches!(step.action.as_str(), "manual" | "wait") { String::new() } else { format!("sim:{name}") };
            steps[&format!("s{number}")].on_failure = OnFailure::Fallback(name.clone());
            steps.insert(name, step);
        }
    }
    let mut signals: IndexMap<Name, Signal> = steps.keys().map(|name| (format!("at_{name}"), signal())).collect();
    signals.insert("in_place".to_owned(), signal());
    signals.insert("blue_ready".to_owned(), signal());
    let mut plan = plan([]);
    plan.triggers["hurt"].dwell = Duration::from_secs(chance.below(3) * 30);
    if chance.per_mille(300) {
        let at = |name: &Name| Condition::Signal(format!("at_{name}"));
        let of: Vec<Condition> = steps.keys().map(at).collect();
        let n = 1 + u32::try_from(chance.below(of.len() as u64)).unwrap_or(0);
        let when = Condition::Any(vec![Condition::AtLeast { n, of: of.clone() }, Condition::All(of)]);
        plan.triggers.insert("many_hurt".to_owned(), Trigger { when, ..trigger("in_place", chance.below(3) * 20) });
    }
    if chance.per_mille(300) {
        plan.objectives.rpo = Some(Duration::from_secs(60 * (1 + chance.below(20))));
    }
    if chance.per_mille(500) {
        plan.confirm.push(gate("in_place", 900, chance.below(3) * 60));
    }
    Plan { steps, signals, ..plan }
}

fn random_step(chance: &mut Chance) -> Step {
    let mut new = match chance.below(10) {
        0 => Step { with: json!({ "instructions": "Turn the handle." }), ..step("manual", Target::Own) },
        1 => Step { with: json!({ "for": "45s" }), ..step("wait", Target::Own) },
        2 | 3 => restore(),
        4 => step("sim.weights", Target::Explicit(json!({ "blue": 100, "green": 0 }))),
        _ => step("sim.weights", Target::Baseline),
    };
    if new.action == "sim.weights" && chance.per_mille(300) {
        new.stages = if chance.per_mille(500) { vec![50, 100] } else { vec![1, 30, 100] };
    }
    if chance.per_mille(500) {
        new.require.push(gate("blue_ready", chance.below(2) * 120, 0));
    }
    new.retry.attempts = 1 + u32::try_from(chance.below(4)).unwrap_or(0);
    new.timeout = Duration::from_secs(120 + chance.below(10) * 120);
    if chance.per_mille(200) {
        new.on_failure = OnFailure::Continue;
    }
    if chance.per_mille(100) {
        let within = chance.per_mille(500).then(|| Duration::from_secs(60 * (1 + chance.below(30))));
        let otherwise = if chance.per_mille(500) { Otherwise::Halt } else { Otherwise::Skip };
        let quorum = 1 + u32::try_from(chance.below(2)).unwrap_or(0);
        new.approve = Some(Approve { role: "commander".to_owned(), quorum, within, otherwise });
    }
    new
}
