//! One program from its start to its end, and never longer than it may.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use belay_ports::{Clock, Interruption, job::State};
use indexmap::IndexMap;
use jiff::Timestamp;
use rustix::process::Signal;
use tokio::{
    process::{Child, Command},
    sync::watch,
};

use crate::{
    family::{Family, Mark},
    output::{Secrets, Tail},
};

/// From SIGTERM to SIGKILL.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a program has written is read for so long after its end: something that it left running may hold its output open.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The last line of what a program wrote is cut to so much where it stands in a reason.
const LINE_CHARS_MAX: usize = 300;

pub(crate) struct Job {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: IndexMap<String, String>,
    pub(crate) directory: Option<PathBuf>,
    /// What all processes of it have in their environment.
    pub(crate) mark: Mark,
    /// It does not run longer than that.
    pub(crate) deadline: Option<Timestamp>,
}

pub(crate) struct Ended {
    pub(crate) pid: u32,
    status: ExitStatus,
    killed: Option<Killed>,
    stdout: String,
    stderr: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Killed {
    TimedOut,
    Interrupted(Interruption),
}

/// What the end of a program means for its step.
#[derive(Debug, PartialEq)]
pub(crate) enum Meaning {
    Over(State),
    /// It was ended before it had done its work, and not by anything that its step is about.
    Unknown {
        why: String,
    },
}

/// Runs it to its end, or to the end of its time.
///
/// # Errors
/// The program could not be started: nothing has happened.
pub(crate) async fn run(
    job: Job,
    clock: &dyn Clock,
    interrupted: watch::Receiver<Option<Interruption>>,
    secrets: &Secrets,
) -> io::Result<Ended> {
    let deadline = job.deadline;
    // A program, or a folder, on a file system that hangs must not hang the daemon.
    let (mut child, mut family) =
        tokio::task::spawn_blocking(move || start(&job)).await.map_err(io::Error::other).flatten()?;
    let pid = child.id().unwrap_or_default();
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (mut stdout, mut stderr) = (Tail::new(secrets), Tail::new(secrets));
    let (status, killed) = {
        let reading = async { tokio::join!(stdout.read(out), stderr.read(err)) };
        let ending = end(&mut child, &family, deadline, clock, interrupted);
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
    family.let_go();
    Ok(Ended { pid, status, killed, stdout: stdout.text(), stderr: stderr.text() })
}

fn start(job: &Job) -> io::Result<(Child, Family)> {
    let mut command = Command::new(&job.program);
    command.args(&job.arguments).env_clear().envs(&job.environment);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0);
    if let Some(directory) = &job.directory {
        command.current_dir(directory);
    }
    let child = command.spawn()?;
    let family = Family::new(child.id().unwrap_or_default(), Arc::new(job.mark.clone()));
    Ok((child, family))
}

/// Waits for the end, and brings it about when the time is over or somebody interrupts.
async fn end(
    child: &mut Child,
    family: &Family,
    deadline: Option<Timestamp>,
    clock: &dyn Clock,
    mut interrupted: watch::Receiver<Option<Interruption>>,
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
    let interruption = async {
        match interrupted.wait_for(Option::is_some).await.map(|found| *found) {
            Ok(Some(why)) => why,
            _ => std::future::pending().await, // nobody is left to interrupt
        }
    };
    let killed = tokio::select! {
        biased;
        status = child.wait() => return Ok((status?, None)),
        why = interruption => Killed::Interrupted(why),
        () = too_late => Killed::TimedOut,
    };
    family.signal(Signal::TERM).await;
    let ended = tokio::select! {
        biased;
        status = child.wait() => Some(status?),
        () = clock.sleep(PATIENCE) => None,
    };
    family.signal(Signal::KILL).await; // what it has started may be more stubborn than itself
    let status = match ended {
        Some(status) => status,
        None => child.wait().await?,
    };
    Ok((status, Some(killed)))
}

impl Ended {
    pub(crate) fn meaning(&self, program: &Path) -> Meaning {
        let last = last_line(&self.stderr);
        let how = match (self.killed, self.status.code(), self.status.signal()) {
            (None, Some(0), _) => return Meaning::Over(State::Succeeded { output: self.output() }),
            (None, Some(code), _) => format!("has ended with exit code {code}{last}"),
            (None, None, signal) => {
                format!("was killed by somebody else, with signal {}{last}", signal.unwrap_or_default())
            }
            (Some(Killed::TimedOut), ..) => format!("was killed: the time of its step was over{last}"),
            (Some(Killed::Interrupted(Interruption::Abort)), ..) => {
                format!("was killed: the run is being aborted{last}")
            }
            (Some(Killed::Interrupted(Interruption::Stop)), ..) => {
                let why = format!("{} was killed before its end, because Belay was stopped{last}", program.display());
                return Meaning::Unknown { why };
            }
        };
        Meaning::Over(State::Failed { why: format!("{} {how}", program.display()), output: self.output() })
    }

    fn output(&self) -> String {
        match (self.stdout.as_str(), self.stderr.as_str()) {
            (stdout, "") => stdout.to_owned(),
            ("", stderr) => format!("stderr: {stderr}"),
            (stdout, stderr) => format!("{stdout}\nstderr: {stderr}"),
        }
    }
}

fn last_line(text: &str) -> String {
    let Some(line) = text.lines().last() else { return String::new() };
    match line.char_indices().nth(LINE_CHARS_MAX) {
        Some((end, _)) => format!(": {}...", &line[..end]),
        None => format!(": {line}"),
    }
}
