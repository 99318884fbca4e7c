//! One program from its start to its end, and never longer than it may.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use belay_ports::{
    Clock,
    job::{OUTPUT_BYTES_MAX, State},
};
use indexmap::IndexMap;
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    sync::Notify,
};

/// From SIGTERM to SIGKILL.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a program has written is read for so long after its end: something that it left running may hold its output open.
const LAST_WORDS: Duration = Duration::from_millis(500);

pub(crate) struct Job<'a> {
    pub(crate) program: &'a Path,
    pub(crate) arguments: &'a [String],
    pub(crate) environment: IndexMap<String, String>,
    pub(crate) directory: Option<&'a Path>,
    /// It does not run longer than that.
    pub(crate) deadline: Option<Timestamp>,
}

pub(crate) struct Ended {
    pub(crate) pid: u32,
    status: ExitStatus,
    killed: Option<Killed>,
    stdout: Tail,
    stderr: Tail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Killed {
    TimedOut,
    Interrupted,
}

/// Runs it to its end, or to the end of its time.
///
/// # Errors
/// The program could not be started: nothing has happened.
pub(crate) async fn run(job: &Job<'_>, clock: &dyn Clock, interrupted: &Notify) -> io::Result<Ended> {
    let mut command = Command::new(job.program);
    command.args(job.arguments).env_clear().envs(&job.environment);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0);
    if let Some(directory) = job.directory {
        command.current_dir(directory);
    }
    let mut child = command.spawn()?;
    let pid = child.id().unwrap_or_default();
    let mut group = Group(i32::try_from(pid).ok().and_then(Pid::from_raw));
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (mut stdout, mut stderr) = (Tail::default(), Tail::default());
    let (status, killed) = {
        let reading = async { tokio::join!(stdout.read(out), stderr.read(err)) };
        let ending = end(&mut child, &group, job.deadline, clock, interrupted);
        tokio::pin!(reading, ending);
        let mut read = false;
        let ended = loop {
            tokio::select! {
                biased;
                _ = &mut reading, if !read => read = true,
                ended = &mut ending => break ended?,
            }
        };
        if !read {
            tokio::select! {
                _ = &mut reading => {}
                () = clock.sleep(LAST_WORDS) => {}
            }
        }
        ended
    };
    group.0 = None;
    Ok(Ended { pid, status, killed, stdout, stderr })
}

/// Waits for the end, and brings it about when the time is over or an abort comes.
async fn end(
    child: &mut Child,
    group: &Group,
    deadline: Option<Timestamp>,
    clock: &dyn Clock,
    interrupted: &Notify,
) -> io::Result<(ExitStatus, Option<Killed>)> {
    let too_late = async {
        match deadline {
            Some(deadline) => {
                let left = Duration::try_from(deadline.duration_since(clock.now())).unwrap_or_default();
                clock.sleep(left).await;
            }
            None => std::future::pending().await,
        }
    };
    let killed = tokio::select! {
        biased;
        status = child.wait() => return Ok((status?, None)),
        () = interrupted.notified() => Killed::Interrupted,
        () = too_late => Killed::TimedOut,
    };
    group.signal(Signal::TERM);
    let status = tokio::select! {
        biased;
        status = child.wait() => status?,
        () = clock.sleep(PATIENCE) => {
            group.signal(Signal::KILL);
            child.wait().await?
        }
    };
    group.signal(Signal::KILL); // what it has started may be more stubborn than itself
    Ok((status, Some(killed)))
}

/// The processes that belong to a program. Dropped while it runs, it is killed, with all that it has started.
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.0 {
            let _ = kill_process_group(pid, signal); // an error means that nobody is left
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// The end of what was written.
#[derive(Default)]
struct Tail {
    bytes: Vec<u8>,
    cut: bool,
}

impl Tail {
    async fn read(&mut self, from: Option<impl AsyncRead + Unpin>) {
        let Some(mut from) = from else { return };
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut chunk).await {
            self.bytes.extend_from_slice(&chunk[..read]);
            let beyond = self.bytes.len().saturating_sub(OUTPUT_BYTES_MAX);
            self.cut |= beyond > 0;
            self.bytes.drain(..beyond);
        }
    }

    /// Without what would move the cursor of a terminal.
    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let shown: String =
            text.chars().filter(|letter| !letter.is_control() || matches!(letter, '\n' | '\t')).collect();
        format!("{}{}", if self.cut { "..." } else { "" }, shown.trim_end())
    }
}

impl Ended {
    /// What it means for the step.
    pub(crate) fn state(&self, program: &Path) -> State {
        let (stdout, stderr) = (self.stdout.text(), self.stderr.text());
        let output = match (stdout.as_str(), stderr.as_str()) {
            (_, "") => stdout,
            ("", _) => format!("stderr: {stderr}"),
            _ => format!("{stdout}\nstderr: {stderr}"),
        };
        if self.killed.is_none() && self.status.success() {
            return State::Succeeded { output };
        }
        let how = match (self.killed, self.status.code(), self.status.signal()) {
            (Some(Killed::TimedOut), ..) => "was killed: the time of its step was over".to_owned(),
            (Some(Killed::Interrupted), ..) => "was killed: the run is being aborted".to_owned(),
            (None, Some(code), _) => format!("has ended with exit code {code}"),
            (None, None, signal) => format!("was killed by somebody else, with signal {}", signal.unwrap_or_default()),
        };
        let last = self.stderr.text();
        let last = last.lines().last().map_or_else(String::new, |line| format!(": {line}"));
        State::Failed { why: format!("{} {how}{last}", program.display()), output }
    }
}
