//! The command that is guarded: it has this process's standard streams, and gets the signals that this process gets.

use std::{ffi::OsString, fs::File, io, os::unix::process::ExitStatusExt, path::Path, process::ExitStatus};

use rustix::{
    process::{Pid, Signal, getpgrp, kill_process, kill_process_group},
    termios::tcgetpgrp,
};
use tokio::process::{Child, Command};

use super::signals::{Caught, asks_to_end, ended_by};

/// The exit codes of shells for what cannot be started.
const NOT_FOUND: u8 = 127;
const NOT_STARTED: u8 = 126;

pub(super) struct Guarded {
    child: Child,
    /// It has a process group of its own.
    apart: bool,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Exit(u8),
    Signal(i32),
}

impl Ended {
    pub(super) fn well(self) -> bool {
        self == Self::Exit(0)
    }

    /// Somebody has told it to end.
    pub(super) fn was_told_to(self) -> bool {
        matches!(self, Self::Signal(signal) if asks_to_end(signal))
    }

    /// As shells count.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Exit(code) => code,
            Self::Signal(signal) => ended_by(signal),
        }
    }

    pub(super) fn words(self) -> String {
        match self {
            Self::Exit(code) => format!("ended with exit code {code}"),
            Self::Signal(signal) => {
                let name = signal_hook::low_level::signal_name(signal);
                format!("was ended by {}", name.map_or_else(|| format!("signal {signal}"), str::to_owned))
            }
        }
    }
}

/// What the exit code says where it could not even be started.
pub(super) fn code_of(error: &io::Error) -> u8 {
    if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_STARTED }
}

/// The program as people know it, without its arguments, which may be secret.
pub(super) fn program(command: &[OsString]) -> String {
    let program = command.first().map(Path::new);
    let name = program.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| "the command".to_owned())
}

impl Guarded {
    pub(super) fn start(command: &[OsString]) -> io::Result<Self> {
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let apart = !has_the_terminal();
        let mut start = Command::new(program);
        start.args(arguments);
        if apart {
            // Whoever signals our group means both of us: alone in its group, the command gets each signal once, from us.
            start.process_group(0);
        }
        Ok(Self { child: start.spawn()?, apart })
    }

    /// Can be dropped and called again.
    pub(super) async fn ended(&mut self) -> io::Result<Ended> {
        self.child.wait().await.map(ended)
    }

    /// Passes a signal on. False when the command has it already.
    pub(super) fn pass_on(&self, caught: Caught) -> bool {
        // At a terminal both are in its foreground; and a command may signal the group that it shares with us.
        let has_it = !self.apart && (caught.by_terminal || caught.sender == self.child.id());
        if !has_it {
            self.send(caught.number, caught.asks_to_end());
        }
        !has_it
    }

    /// Asks it to end.
    pub(super) fn stop(&self) {
        self.send(Signal::TERM.as_raw(), true);
    }

    /// What asks to end goes to all processes of the command; what means something to a program of its own, to it alone.
    fn send(&self, signal: i32, to_all: bool) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        // Nobody has a pid that was waited for.
        let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(signal)) else { return };
        // An error means that it has ended.
        let _ = match self.apart && to_all {
            true => kill_process_group(pid, signal),
            false => kill_process(pid, signal),
        };
    }
}

fn ended(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exit(u8::try_from(code).unwrap_or(u8::MAX)),
        (None, signal) => Ended::Signal(signal.unwrap_or_default()),
    }
}

/// Whether this process is in the foreground of a terminal. A command in a group of its own could not read from it.
fn has_the_terminal() -> bool {
    File::open("/dev/tty").is_ok_and(|terminal| tcgetpgrp(terminal).is_ok_and(|group| group == getpgrp()))
}
