//! Unix signals: the way to a rollback when nothing else is at hand.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// `SIGUSR1`
    RollBack,
    /// `SIGUSR2`
    DryRun,
    /// `SIGHUP`
    Reload,
    /// `SIGTERM`, `SIGINT`
    Stop,
}

/// Signals from the moment it is installed on. Before that the system's defaults hold: they end the process.
pub struct UnixSignals {
    usr1: Signal,
    usr2: Signal,
    hup: Signal,
    term: Signal,
    int: Signal,
}

impl UnixSignals {
    /// # Errors
    /// When the system does not let us.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            usr1: signal(SignalKind::user_defined1())?,
            usr2: signal(SignalKind::user_defined2())?,
            hup: signal(SignalKind::hangup())?,
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }

    /// The next signal. A rollback goes before everything else.
    pub async fn next(&mut self) -> Wish {
        tokio::select! {
            biased;
            Some(()) = self.usr1.recv() => Wish::RollBack,
            Some(()) = self.term.recv() => Wish::Stop,
            Some(()) = self.int.recv() => Wish::Stop,
            Some(()) = self.usr2.recv() => Wish::DryRun,
            Some(()) = self.hup.recv() => Wish::Reload,
            else => Wish::Stop,
        }
    }
}
