//! What the service manager (systemd) is told, where there is one: `sd_notify(3)`.

use std::time::Duration;

use belay_core::migration::MigrationState;
use sd_notify::NotifyState;

use crate::{daemon::Daemon, health::Weight};

/// Names in a status line; the rest is counted.
const NAMES_MAX: usize = 8;

/// How long it waits for a sign of life, if it does.
pub(crate) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// The port answers, and every engine has been taken up; or what SIGHUP asked for has been done.
pub(crate) fn ready(daemon: &Daemon) {
    tell(&[NotifyState::Ready, NotifyState::Status(&status(daemon))]);
}

pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the service manager was not told of the reload"),
    }
}

/// Also a last sign of life: stopping is bounded by itself.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Watchdog, NotifyState::Status("stopping")]);
}

pub(crate) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

pub(crate) fn show(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told anything");
    }
}

/// One line: what is in which state, and what is wrong.
pub(crate) fn status(daemon: &Daemon) -> String {
    let guards = daemon.guards();
    let states: Vec<(String, MigrationState)> =
        guards.iter().map(|guard| (guard.name().to_owned(), guard.snapshot().state.state())).collect();
    let troubles = daemon.troubles();
    let worst = troubles.first().filter(|trouble| trouble.weight >= Weight::NotReady);
    let mut parts: Vec<String> = worst.map(|trouble| format!("NOT READY: {trouble}")).into_iter().collect();
    let words = [
        (MigrationState::RollingBack, "rolling back"),
        (MigrationState::Confirming, "confirming"),
        (MigrationState::Incident, "incident"),
        (MigrationState::Halted, "halted"),
        (MigrationState::Armed, "armed"),
        (MigrationState::RolledBack, "rolled back"),
        (MigrationState::Aborted, "aborted"),
        (MigrationState::Disarmed, "disarmed"),
    ];
    for (state, word) in words {
        let names: Vec<&str> =
            states.iter().filter(|(_, found)| *found == state).map(|(name, _)| name.as_str()).collect();
        if !names.is_empty() {
            parts.push(format!("{word}: {}", listed(&names)));
        }
    }
    if states.is_empty() {
        parts.push("nothing to guard".to_owned());
    }
    // A line end would begin another message.
    parts.join("; ").replace(['\n', '\r'], " ")
}

fn listed(names: &[&str]) -> String {
    match names.len().checked_sub(NAMES_MAX).filter(|more| *more > 0) {
        Some(more) => format!("{} and {more} more", names[..NAMES_MAX].join(", ")),
        None => names.join(", "),
    }
}
