//! A guard with pipes at its sides: it is waited for by what it says, and its command by what the command says.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{daemon::Guarded, program};

/// A line that does not come within this never does.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const PLAN: &str = "\
belay: 1
migration: shop
aws: { account: \"111122223333\", region: eu-west-1 }
signals:
  errors: { alarm: shop-5xx }
  blue_ready: { target_health: { target_group: shop-blue, at_least: 1 } }
triggers:
  hurt: { when: errors, for: 30s, severity: critical, scope: system_wide, fix: unknown }
steps:
  dns_back:
    action: route53.weights
    with: { zone: Z0123456789ABC, record: shop.example.com, type: A }
    to: baseline
    require: [blue_ready]
";

/// Says that it runs, and ends as soon as its standard input does.
pub(super) const UNTIL_INPUT_ENDS: &[&str] = &["sh", "-c", "echo started; cat >&2"];

pub(crate) struct Lines(Receiver<String>);

impl Lines {
    pub(crate) fn of(pipe: impl Read + Send + 'static) -> Self {
        let (read, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let _ = read.send(line); // who has gone waits for none
            }
        });
        Self(lines)
    }

    /// The lines up to the one with this in it.
    #[track_caller]
    pub(crate) fn until(&self, part: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match self.0.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(part) => {
                    lines.push(line);
                    return lines;
                }
                Ok(line) => lines.push(line),
                Err(_) => panic!("no line with {part:?} after:\n{}", lines.join("\n")),
            }
        }
    }

    /// All that are left, when the pipe has ended.
    pub(crate) fn rest(self) -> Vec<String> {
        self.0.iter().collect()
    }
}

/// A running guard; killed when it is dropped.
pub(super) struct Running {
    pub(super) child: Child,
    pub(super) input: Option<ChildStdin>,
    pub(super) stdout: Lines,
    pub(super) stderr: Lines,
}

/// How it ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    /// What was not read before.
    pub(super) stdout: Vec<String>,
    pub(super) stderr: Vec<String>,
}

impl Ended {
    #[track_caller]
    pub(super) fn says(&self, part: &str) {
        assert!(self.stderr.iter().any(|line| line.contains(part)), "{part:?} is not in {self:#?}");
    }

    #[track_caller]
    pub(super) fn does_not_say(&self, part: &str) {
        assert!(!self.stderr.iter().any(|line| line.contains(part)), "{part:?} is in {self:#?}");
    }
}

impl Running {
    pub(super) fn of(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (input, stdout, stderr) = (child.stdin.take(), child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self { child, input, stdout: Lines::of(stdout), stderr: Lines::of(stderr) }
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Lets the command end that waits for the end of its input.
    pub(super) fn end_input(&mut self) {
        drop(self.input.take());
    }

    pub(super) fn type_line(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    pub(super) fn wait(mut self) -> Ended {
        self.end_input();
        let code = self.child.wait().unwrap().code();
        let none = || Lines(channel().1);
        let (stdout, stderr) =
            (std::mem::replace(&mut self.stdout, none()), std::mem::replace(&mut self.stderr, none()));
        Ended { code, stdout: stdout.rest(), stderr: stderr.rest() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

impl Guarded {
    /// `belay guard shop.yaml OPTIONS -- COMMAND`
    pub(super) fn guard(&self, options: &[&str], command: &[&str]) -> Running {
        let mut guard = program(self.folder.path(), &[&["guard", "shop.yaml"], options, &["--"], command].concat());
        guard.env("BELAY_URL", &self.url).env("BELAY", env!("CARGO_BIN_EXE_belay"));
        Running::of(guard)
    }

    #[track_caller]
    pub(super) fn is(&self, state: &str) {
        assert_eq!(self.json(&["status", "shop"])["state"], state);
    }
}
