//! What is so right now. It is made anew for each scrape, so that what is over leaves no series behind.

use std::time::Duration;

use belay_core::run::Phase;
use belay_engine::{Sampler, Snapshot, view::MigrationView};
use jiff::Timestamp;
use prometheus_client::{
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{Labels, SecondsGauge, table::register, word};

const HEALTHS: [&str; 3] = ["healthy", "unhealthy", "unknown"];

#[derive(Default)]
struct Present {
    migration_state: Family<Labels<2>, Gauge>,
    faults: Family<Labels<1>, Gauge>,
    signals: Family<Labels<2>, Gauge>,
    blind: Family<Labels<1>, Gauge>,
    trigger_state: Family<Labels<4>, Gauge>,
    trigger_held: Family<Labels<2>, SecondsGauge>,
    muted: Family<Labels<1>, Gauge>,
    phase: Family<Labels<2>, Gauge>,
    phase_age: Family<Labels<1>, SecondsGauge>,
    window_left: Family<Labels<1>, SecondsGauge>,
    loss: Family<Labels<2>, SecondsGauge>,
    readiness: Family<Labels<2>, Gauge>,
    timebox_left: Family<Labels<1>, SecondsGauge>,
    run_state: Family<Labels<3>, Gauge>,
    run_age: Family<Labels<1>, SecondsGauge>,
    steps: Family<Labels<2>, Gauge>,
    poll: SecondsGauge,
    lag: Family<Labels<1>, SecondsGauge>,
}

pub(super) fn registry<'s>(
    snapshots: impl IntoIterator<Item = &'s Snapshot>,
    sampler: &Sampler,
    now: Timestamp,
) -> Registry {
    let present = Present::default();
    present.poll.set(sampler.poll().as_secs_f64());
    for (kind, lag) in sampler.lag(now) {
        present.lag.get_or_create(&[("kind", kind)]).set(lag.as_secs_f64());
    }
    snapshots.into_iter().for_each(|snapshot| present.migration(snapshot, now));
    let mut registry = Registry::default();
    register(&mut registry, "belay_migration_state", present.migration_state);
    register(&mut registry, "belay_engine_faults", present.faults);
    register(&mut registry, "belay_signals", present.signals);
    register(&mut registry, "belay_blind_sources", present.blind);
    register(&mut registry, "belay_trigger_state", present.trigger_state);
    register(&mut registry, "belay_trigger_held_seconds", present.trigger_held);
    register(&mut registry, "belay_muted", present.muted);
    register(&mut registry, "belay_phase", present.phase);
    register(&mut registry, "belay_phase_age_seconds", present.phase_age);
    register(&mut registry, "belay_window_left_seconds", present.window_left);
    register(&mut registry, "belay_loss_seconds", present.loss);
    register(&mut registry, "belay_readiness_checks", present.readiness);
    register(&mut registry, "belay_timebox_left_seconds", present.timebox_left);
    register(&mut registry, "belay_run_state", present.run_state);
    register(&mut registry, "belay_run_age_seconds", present.run_age);
    register(&mut registry, "belay_steps", present.steps);
    register(&mut registry, "belay_poll_interval_seconds", present.poll);
    register(&mut registry, "belay_watch_lag_seconds", present.lag);
    registry
}

impl Present {
    /// What people decide by.
    fn decision(&self, view: &MigrationView, migration: &(&'static str, String)) {
        let alone = [migration.clone()];
        let left = |until: Timestamp| until.duration_since(view.now).as_secs_f64().max(0.0);
        self.muted.get_or_create(&alone).set(view.muted_until.is_some().into());
        if let (Some(phase), Some(since)) = (&view.phase, view.phase_since) {
            self.phase.get_or_create(&[migration.clone(), ("phase", phase.clone())]).set(1);
            self.phase_age.get_or_create(&alone).set(view.now.duration_since(since).as_secs_f64().max(0.0));
        }
        if let Some(left) = view.window.as_ref().and_then(|window| window.left_s) {
            self.window_left.get_or_create(&alone).set(left);
        }
        for (step, loss) in &view.loss {
            if let Some(lost_s) = loss.now_s {
                let lost = Duration::from_secs(lost_s).as_secs_f64();
                self.loss.get_or_create(&[migration.clone(), ("step", step.clone())]).set(lost);
            }
        }
        if let Some(found) = &view.readiness {
            let counts = [("go", found.go), ("warn", found.warn), ("unknown", found.unknown), ("no_go", found.no_go)];
            for (verdict, count) in counts {
                self.readiness.get_or_create(&[migration.clone(), ("verdict", verdict.to_owned())]).set(count as i64);
            }
        }
        if let Some(ends) = view.incident.as_ref().and_then(|incident| incident.timebox_ends) {
            self.timebox_left.get_or_create(&alone).set(left(ends));
        }
    }

    fn migration(&self, snapshot: &Snapshot, now: Timestamp) {
        let state = snapshot.state.as_ref();
        let migration = ("migration", state.name.clone());
        let alone = [migration.clone()];
        self.migration_state.get_or_create(&[migration.clone(), ("state", word(state.state()))]).set(1);
        self.faults.get_or_create(&alone).set(snapshot.faults.len() as i64);
        self.blind.get_or_create(&alone).set(state.blind.len() as i64);
        for health in HEALTHS {
            self.signals.get_or_create(&[migration.clone(), ("health", health.to_owned())]).set(0);
        }
        for signal in state.signals.values() {
            self.signals.get_or_create(&[migration.clone(), ("health", word(signal.health))]).inc();
        }
        let view = MigrationView::new(snapshot, None, now);
        self.decision(&view, &migration);
        for (name, trigger) in view.triggers {
            let trigger_name = ("trigger", name);
            self.trigger_held.get_or_create(&[migration.clone(), trigger_name.clone()]).set(trigger.held_s);
            let severity = ("severity", word(trigger.severity));
            let labels = [migration.clone(), trigger_name, severity, ("state", word(trigger.state))];
            self.trigger_state.get_or_create(&labels).set(1);
        }
        let Some(run) = state.open_run() else { return };
        let labels = [migration.clone(), ("kind", word(run.kind)), ("state", word(run.state))];
        self.run_state.get_or_create(&labels).set(1);
        let age = now.duration_since(run.started).as_secs_f64().max(0.0);
        self.run_age.get_or_create(&alone).set(age);
        // Somebody waits for this one: it is there even when it is zero.
        self.steps.get_or_create(&[migration.clone(), ("phase", word(Phase::AwaitingApproval))]).set(0);
        for step in run.steps.values() {
            self.steps.get_or_create(&[migration.clone(), ("phase", word(step.phase))]).inc();
        }
    }
}
