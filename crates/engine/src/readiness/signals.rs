//! What the triggers, interlocks and gates go by: whether each signal can be read from here, and what it shows now.

use std::collections::BTreeMap;

use belay_core::{
    change::Baseline,
    reading::{Health, Reading},
    watch::{red, signals_of},
};
use belay_plan::model::{Gate, Name, Plan, RedAtArm};
use belay_ports::{Check, Detects, Ports, Query, SignalReadiness};
use futures::{StreamExt, stream};
use indexmap::IndexMap;
use jiff::Timestamp;

use super::{Circumstances, PARTS_MAX, late, within};
use crate::{
    loss::{self, Loss},
    sampler::read_once,
    scope,
};

pub(super) struct Evaluated {
    pub(super) checks: Vec<(String, Check)>,
    /// How late each signal shows a breach.
    pub(super) detects: BTreeMap<Name, Detects>,
}

pub(super) async fn evaluate(
    ports: &Ports,
    plan: &Plan,
    (captured, circumstances): (&Baseline, &Circumstances),
    losses: &IndexMap<Name, Loss>,
    at: Timestamp,
) -> Evaluated {
    // Before arming, what it would capture: a signal that goes by the baseline can be read as well as a step.
    let known = if circumstances.cutover.is_none() { Some(captured) } else { circumstances.baseline.as_deref() };
    let documents = scope::documents(known.into_iter().flat_map(|baseline| baseline.steps.values()));
    let queries: Vec<_> = plan.signals.keys().filter_map(|name| scope::query(plan, &documents, name)).collect();
    let beyond = beyond_readings(ports, queries.clone());
    let (mut readings, mut beyond) = futures::join!(read_once(ports, queries), beyond);
    let own = plan.signals.iter().filter_map(|(name, signal)| loss::reading(name, signal, plan, losses, at));
    readings.extend(own.map(|reading| (reading.signal.clone(), reading)));
    let mut detects = BTreeMap::new();
    let of_signal = |name: &Name| {
        let reading = readings.get(name)?;
        let mut checks = vec![read(plan, name, reading, circumstances.cutover.is_some())];
        let SignalReadiness { checks: more, detects: shown } = beyond.remove(name).unwrap_or_default();
        detects.insert(name.clone(), shown);
        checks.extend(more);
        let part = format!("signal {name}");
        Some(checks.into_iter().map(move |check| (part.clone(), check)))
    };
    let signals: Vec<(String, Check)> = plan.signals.keys().filter_map(of_signal).flatten().collect();
    let triggers = triggers(plan, circumstances, &readings);
    let checks = signals.into_iter().chain(interlocks(plan, &readings)).chain(triggers).collect();
    Evaluated { checks, detects }
}

/// What the sensors know beside the readings, each asked once for all signals of its kind.
async fn beyond_readings(ports: &Ports, queries: Vec<(String, Query)>) -> BTreeMap<Name, SignalReadiness> {
    let mut kinds: BTreeMap<String, Vec<Query>> = BTreeMap::new();
    for (kind, query) in queries {
        kinds.entry(kind).or_default().push(query);
    }
    let mut parts = Vec::new();
    for (kind, queries) in kinds {
        parts.push(of_kind(ports, kind, queries));
    }
    stream::iter(parts).buffered(PARTS_MAX).collect::<Vec<_>>().await.into_iter().flatten().collect()
}

async fn of_kind(ports: &Ports, kind: String, queries: Vec<Query>) -> Vec<(Name, SignalReadiness)> {
    let Some(sensor) = ports.sensors.sensor(&kind) else { return Vec::new() };
    let checks = within(ports.clock.as_ref(), sensor.readiness(&queries)).await;
    let names = queries.iter().map(|query| query.signal.clone());
    match checks {
        Some(checks) => names.zip(checks).collect(),
        None => {
            let late = |name: &Name| SignalReadiness { checks: vec![late("signal", name)], detects: Detects::Unknown };
            names.map(|name| (name.clone(), late(&name))).collect()
        }
    }
}

/// That it can be read, and that no trigger would fire by it at once.
fn read(plan: &Plan, name: &Name, reading: &Reading, cut_over: bool) -> Check {
    let evidence = reading.evidence.as_str();
    let fires = plan.triggers.iter().find(|(_, trigger)| signals_of(&trigger.when).contains(&name));
    match (reading.health, fires) {
        (Health::Unknown, _) if reading.permanent => {
            Check::no_go("signal", name, format!("cannot be read: {evidence}"))
                .wanted("a signal that can be read: else no trigger fires by it, and no step passes that it guards")
                .cure("correct the signal in the plan, or what it names")
        }
        (Health::Unknown, _) => Check::unknown("signal", name, format!("unknown: {evidence}"))
            .wanted(
                "healthy or unhealthy: while it is unknown, no trigger fires by it, and no step passes that it guards",
            )
            .cure(match cut_over {
                true => "bring back what it is read from, or its data",
                false => "bring back what it is read from, or its data, before the cutover",
            }),
        (Health::Unhealthy, Some((trigger, _))) if cut_over => {
            Check::warn("signal", name, format!("unhealthy now, and trigger {trigger} goes by it: {evidence}"))
                .wanted("healthy: else the trigger fires when its time has passed")
                .cure("look at the cause; `belay rollback` goes back without waiting for the trigger")
        }
        (Health::Unhealthy, Some((trigger, _))) => {
            Check::warn("signal", name, format!("unhealthy now, and trigger {trigger} goes by it: {evidence}"))
                .wanted("healthy: else the trigger may fire without a cutover")
                .cure("look at the cause before the cutover")
        }
        (Health::Unhealthy, None) => Check::go("signal", name, format!("can be read: unhealthy: {evidence}")),
        (Health::Healthy, _) => Check::go("signal", name, format!("healthy: {evidence}")),
    }
}

/// A step waits for its interlocks before it sends anything.
fn interlocks(plan: &Plan, readings: &BTreeMap<Name, Reading>) -> Vec<(String, Check)> {
    const LATER: &str = "healthy once the steps before this one are over";
    const REHEARSE: &str = "see that the steps before this one bring it to health: a drill in staging shows it";
    let of_gate = |step: &Name, gate: &Gate, waits: bool| {
        let reading = readings.get(&gate.signal)?;
        let evidence = reading.evidence.as_str();
        let check = match reading.health {
            Health::Healthy => Check::go("interlock", &gate.signal, "holds"),
            // A step before this one may be what makes it hold.
            Health::Unknown if waits => {
                Check::warn("interlock", &gate.signal, format!("unknown now: {evidence}")).wanted(LATER).cure(REHEARSE)
            }
            _ if waits => Check::warn("interlock", &gate.signal, format!("does not hold now: {evidence}"))
                .wanted(LATER)
                .cure(REHEARSE),
            Health::Unhealthy => Check::no_go("interlock", &gate.signal, format!("does not hold: {evidence}"))
                .wanted("healthy: else the step waits for it")
                .cure("bring back to health what it shows before the cutover"),
            Health::Unknown => Check::unknown("interlock", &gate.signal, format!("unknown: {evidence}"))
                .wanted("healthy: else the step waits for it")
                .cure("bring back what it is read from, or its data, before the cutover"),
        };
        Some((format!("step {step}"), check))
    };
    let steps = plan.steps.iter();
    let gates =
        steps.flat_map(|(name, step)| step.require.iter().map(move |gate| (name, gate, !step.needs.is_empty())));
    gates.filter_map(|(step, gate, waits)| of_gate(step, gate, waits)).collect()
}

/// Whether the plan could be armed as its triggers stand: arming refuses one that is red, or waits until it is green.
fn triggers(plan: &Plan, circumstances: &Circumstances, readings: &BTreeMap<Name, Reading>) -> Vec<(String, Check)> {
    let health = |name: &str| readings.get(name).map_or(Health::Unknown, |reading| reading.health);
    let red = if circumstances.armed { Vec::new() } else { red(plan, circumstances.phase.as_deref(), &health) };
    let of_trigger = |name: &Name| {
        let trigger = &plan.triggers[name];
        let signals = signals_of(&trigger.when).into_iter().filter_map(|signal| readings.get(signal));
        let unhealthy = signals.filter(|reading| reading.health == Health::Unhealthy);
        let evidence = unhealthy.map(|reading| reading.evidence.as_str()).collect::<Vec<_>>().join("; ");
        let check = match trigger.red_at_arm {
            RedAtArm::Refuse => {
                Check::no_go("trigger", name, format!("is red already, and arming refuses it: {evidence}"))
                    .wanted("green")
                    .cure(
                        "wait until it is green, or arm with `--wait-for-green`: it fires only after it has been green",
                    )
            }
            RedAtArm::WaitForGreen => Check::warn(
                "trigger",
                name,
                format!("is red already, and fires only after it has been green: {evidence}"),
            )
            .wanted("green")
            .cure("wait until it is green; until then only `belay rollback` rolls back at once"),
        };
        (format!("trigger {name}"), check)
    };
    red.into_iter().map(of_trigger).chain(no_trigger(plan)).collect()
}

/// Without a trigger only people start a rollback.
fn no_trigger(plan: &Plan) -> Option<(String, Check)> {
    plan.triggers.is_empty().then(|| {
        let found = "the plan has no trigger: only people start a rollback";
        let check = Check::warn("trigger", &plan.migration, found)
            .wanted("a trigger that starts it without a person")
            .cure("add one to `triggers`");
        (String::new(), check)
    })
}
