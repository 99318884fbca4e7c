//! Plans to search, for tests and for the benchmark.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each user takes a part of it")]

use std::time::Duration;

use belay_plan::model::*;
use indexmap::IndexMap;
use serde_json::{Value, json};

pub fn step(action: &str, to: Target) -> Step {
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

pub fn weights() -> Step {
    Step {
        require: vec![gate("blue_ready", 0, 0)],
        ..step("sim.weights", Target::Explicit(json!({ "blue": 100, "green": 0 })))
    }
}

/// In two parts, with a gate between them.
pub fn staged() -> Step {
    Step { stages: vec![50, 100], verify: vec![gate("page", 300, 0)], ..weights() }
}

pub fn manual() -> Step {
    step("manual", Target::Own)
}

pub fn gate(signal: &str, within_s: u64, hold_s: u64) -> Gate {
    Gate { signal: signal.to_owned(), within: Duration::from_secs(within_s), hold: Duration::from_secs(hold_s) }
}

pub fn needing(needs: &[&str], step: Step) -> Step {
    Step { needs: needs.iter().map(|name| (*name).to_owned()).collect(), ..step }
}

pub fn plan<const N: usize>(steps: [(&str, Step); N]) -> Plan {
    from(steps.map(|(name, step)| (name.to_owned(), step)))
}

pub fn from(steps: impl IntoIterator<Item = (String, Step)>) -> Plan {
    let mut steps: IndexMap<Name, Step> = steps.into_iter().collect();
    for (name, step) in &mut steps {
        if !matches!(step.action.as_str(), "manual" | "wait") && step.resource.is_empty() {
            step.resource = format!("sim:{name}");
        }
    }
    let signal = || Signal { kind: "alarm".to_owned(), spec: json!({}), aws: AwsTarget::default() };
    Plan {
        migration: "moving".to_owned(),
        summary: None,
        aws: AwsTarget::default(),
        objectives: Objectives::default(),
        phases: IndexMap::new(),
        signals: ["errors", "blue_ready", "page"].map(|name| (name.to_owned(), signal())).into_iter().collect(),
        triggers: IndexMap::new(),
        decision: Decision::default(),
        window: None,
        steps,
        confirm: Vec::new(),
        notify: std::sync::Arc::default(),
        evidence: None,
        checklist: belay_plan::checklist::Checklist::default(),
        accepts: Vec::new(),
        overlaid: None,
    }
}

pub fn restore() -> Step {
    Step { loses_data: true, ..step("sim.restore", Target::Own) }
}

pub fn approve(within_s: Option<u64>, otherwise: Otherwise) -> Option<Approve> {
    Some(Approve { role: "lead".to_owned(), quorum: 1, within: within_s.map(Duration::from_secs), otherwise })
}

/// Twelve steps in four branches that meet at the end, with everything that makes a search large: interlocks, gates that
/// hold, approvals, steps by hand, failures that are passed over, a fallback.
pub fn twelve_steps() -> Plan {
    let verified = |signal: &str, step: Step| Step { verify: vec![gate(signal, 300, 60)], ..step };
    // Where the first one is passed over, the second one does it all.
    let edge = |step| Step { resource: "sim:edge".to_owned(), ..step };
    let mut plan = plan([
        ("stop_writers", Step { approve: approve(Some(600), Otherwise::Halt), ..manual() }),
        ("orders_back", Step { approve: approve(Some(600), Otherwise::Halt), ..needing(&["stop_writers"], restore()) }),
        ("orders_on", verified("page", needing(&["orders_back"], weights()))),
        ("stock_back", Step { on_failure: OnFailure::Fallback("stock_by_hand".to_owned()), ..restore() }),
        ("stock_on", verified("page", needing(&["stock_back"], weights()))),
        ("edge_drain", edge(Step { on_failure: OnFailure::Continue, ..weights() })),
        ("edge_wait", Step { with: json!({ "for": "2m" }), ..needing(&["edge_drain"], step("wait", Target::Own)) }),
        ("edge_on", edge(verified("errors", needing(&["edge_wait"], weights())))),
        ("jobs_back", Step { on_failure: OnFailure::Continue, ..step("sim.job", Target::Own) }),
        (
            "jobs_on",
            Step { approve: approve(None, Otherwise::Halt), ..needing(&["jobs_back"], step("sim.job", Target::Own)) },
        ),
        ("reopen", verified("errors", needing(&["orders_on", "stock_on", "edge_on", "jobs_on"], weights()))),
        ("stock_by_hand", manual()),
    ]);
    plan.objectives.rpo = Some(Duration::from_secs(300));
    plan.confirm = vec![gate("errors", 900, 300), gate("page", 300, 0)];
    plan
}
