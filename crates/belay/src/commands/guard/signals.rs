//! Unix signals that this process gets, with who sent them.

use std::{fs, io, thread};

use signal_hook::{
    consts::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2},
    iterator::{
        SignalsInfo,
        exfiltrator::{WithOrigin, origin::Origin},
    },
    low_level::{siginfo::Cause, signal_name},
};
use tokio::sync::mpsc;

/// Those that are passed on to the command.
const PASSED_ON: [i32; 6] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2];
/// Signals that wait to be passed on; more of them at once mean nothing new.
const WAITING_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caught {
    pub(super) number: i32,
    /// The terminal has sent it, and so to every process in its foreground.
    pub(super) by_terminal: bool,
    pub(super) sender: Option<u32>,
}

impl Caught {
    pub(super) fn name(self) -> &'static str {
        signal_name(self.number).unwrap_or("a signal")
    }

    pub(super) fn words(self) -> String {
        let from = if self.by_terminal { " from the terminal" } else { "" };
        format!("{}{from}", self.name())
    }

    /// It asks a program to end.
    pub(super) fn asks_to_end(self) -> bool {
        asks_to_end(self.number)
    }

    /// The exit code of a program that it has ended, as shells count.
    pub(super) fn exit_code(self) -> u8 {
        ended_by(self.number)
    }
}

pub(super) fn asks_to_end(signal: i32) -> bool {
    matches!(signal, SIGINT | SIGTERM | SIGHUP | SIGQUIT)
}

pub(super) fn ended_by(signal: i32) -> u8 {
    u8::try_from(signal).map_or(u8::MAX, |number| number.saturating_add(128))
}

/// From when it is made to the end of the process.
pub(super) struct Signals(mpsc::Receiver<Caught>);

impl Signals {
    pub(super) fn catch() -> io::Result<Self> {
        let ignored = fs::read_to_string("/proc/self/status").map_or(0, |status| ignored(&status));
        // What was ignored when this process began stays so, for the command as well: `nohup` does that.
        let wanted = PASSED_ON.into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
        let mut signals = SignalsInfo::<WithOrigin>::new(wanted)?;
        let (caught, heard) = mpsc::channel(WAITING_MAX);
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for origin in signals.forever() {
                let _ = caught.try_send(of(&origin)); // full: the same is on its way many times
            }
        })?;
        Ok(Self(heard))
    }

    /// Those that have come and were not looked at.
    pub(super) fn waiting(&mut self) -> impl Iterator<Item = Caught> + '_ {
        std::iter::from_fn(|| self.0.try_recv().ok())
    }

    /// Can be dropped and called again without missing any.
    pub(super) async fn next(&mut self) -> Caught {
        match self.0.recv().await {
            Some(caught) => caught,
            None => std::future::pending().await,
        }
    }
}

fn of(origin: &Origin) -> Caught {
    let sender = origin.process.as_ref().and_then(|process| u32::try_from(process.pid).ok());
    Caught { number: origin.signal, by_terminal: matches!(origin.cause, Cause::Kernel), sender }
}

/// The mask of ignored signals, as Linux shows it.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_read_from_the_mask() {
        let mask = ignored("Name:\tbelay\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000002\n");
        assert_eq!(mask & (1 << (SIGHUP - 1)), 1 << (SIGHUP - 1));
        assert_eq!(mask & (1 << (SIGTERM - 1)), 0);
        assert_eq!(ignored("nothing of that kind"), 0);
    }
}
