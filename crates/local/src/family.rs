//! Every process that belongs to a program: its process group, what carries its mark in the environment, and what those
//! have started. So a child that has left the group (`setsid`, a daemon) is found, too.

use std::{
    collections::BTreeSet,
    fs,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// What forks while it is killed is looked for again, this often at most.
const ROUNDS_MAX: usize = 5;

/// The environment of a process whose memory is locked cannot be read: nothing waits longer for it.
const SCAN_TIME_MAX: Duration = Duration::from_millis(500);

/// Tells the processes of one step's program from all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark(Vec<Vec<u8>>);

impl Mark {
    /// All of these variables have these values.
    pub(crate) fn new<const N: usize>(variables: [(&str, &str); N]) -> Self {
        Self(variables.map(|(name, value)| format!("{name}={value}").into_bytes()).into())
    }

    fn is_in(&self, environment: &[u8]) -> bool {
        let variables: BTreeSet<&[u8]> = environment.split(|byte| *byte == 0).collect();
        self.0.iter().all(|one| variables.contains(one.as_slice()))
    }

    /// The processes that carry it, by their ids. Empty where the system does not list processes.
    pub(crate) fn carriers(&self) -> Vec<i32> {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        processes().filter(|one| one.pid != own && self.is_in(&one.environment())).map(|one| one.pid).collect()
    }
}

/// The processes that belong to a program. Dropped while it runs, all of them are killed.
pub(crate) struct Family {
    /// None once the program has ended by itself: what it leaves running is left alone.
    group: Option<Pid>,
    mark: Arc<Mark>,
}

impl Family {
    pub(crate) fn new(program: u32, mark: Arc<Mark>) -> Self {
        Self { group: i32::try_from(program).ok().and_then(Pid::from_raw), mark }
    }

    pub(crate) fn let_go(&mut self) {
        self.group = None;
    }

    pub(crate) async fn signal(&self, signal: Signal) {
        let Some(group) = self.group else { return };
        to_group(group, signal);
        let mark = self.mark.clone();
        // An error means that the scan panicked, and that is logged; the group has its signal.
        let _ = tokio::task::spawn_blocking(move || to_members(group, &mark, signal)).await;
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        let Some(group) = self.group else { return };
        to_group(group, Signal::KILL);
        let (mark, (done, killed)) = (self.mark.clone(), mpsc::channel());
        thread::spawn(move || {
            to_members(group, &mark, Signal::KILL);
            let _ = done.send(()); // nobody waits any more
        });
        let _ = killed.recv_timeout(SCAN_TIME_MAX);
    }
}

fn to_group(group: Pid, signal: Signal) {
    let _ = kill_process_group(group, signal); // an error means that nobody is left
}

fn to_members(group: Pid, mark: &Mark, signal: Signal) {
    let rounds = if signal == Signal::KILL { ROUNDS_MAX } else { 1 };
    for _ in 0..rounds {
        let members = members(group.as_raw_nonzero().get(), mark);
        for member in members.iter().filter_map(|pid| Pid::from_raw(*pid)) {
            let _ = kill_process(member, signal);
        }
        if members.is_empty() {
            return;
        }
    }
}

fn members(group: i32, mark: &Mark) -> BTreeSet<i32> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let all: Vec<Process> = processes().filter(|one| one.pid != own).collect();
    let belongs = |one: &&Process| one.group == group || mark.is_in(&one.environment());
    let mut members: BTreeSet<i32> = all.iter().filter(belongs).map(|one| one.pid).collect();
    loop {
        let children = all.iter().filter(|one| members.contains(&one.parent)).map(|one| one.pid);
        let found: BTreeSet<i32> = children.filter(|pid| !members.contains(pid)).collect();
        if found.is_empty() {
            return members;
        }
        members.extend(found);
    }
}

struct Process {
    pid: i32,
    parent: i32,
    group: i32,
}

impl Process {
    /// `PID (NAME) STATE PARENT GROUP ...`; a name may have spaces and brackets in it. None: it has ended.
    fn parse(stat: &str) -> Option<Self> {
        let (pid, rest) = (stat.split_once(' ')?.0, stat.rsplit_once(") ")?.1);
        let mut fields = rest.split(' ');
        let ended = matches!(fields.next()?, "Z" | "X");
        let (parent, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (!ended).then_some(Self { pid: pid.parse().ok()?, parent, group })
    }

    /// Empty where it cannot be read: then it is another user's.
    fn environment(&self) -> Vec<u8> {
        fs::read(format!("/proc/{}/environ", self.pid)).unwrap_or_default()
    }
}

fn processes() -> impl Iterator<Item = Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Process::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_process_table_is_read_whatever_the_name() {
        let found = Process::parse("42 (a) b (c) S 7 40 40 0 -1").unwrap();
        assert_eq!((found.pid, found.parent, found.group), (42, 7, 40));
        assert!(Process::parse("42 (sh) Z 7 40 40").is_none());
        assert!(Process::parse("").is_none());
    }

    #[test]
    fn a_mark_is_whole_variables() {
        let mark = Mark::new([("BELAY_RUN", "r1"), ("BELAY_STEP", "fence")]);
        assert!(mark.is_in(b"A=1\0BELAY_STEP=fence\0BELAY_RUN=r1\0"));
        for other in
            [&b"BELAY_RUN=r1\0"[..], b"BELAY_RUN=r12\0BELAY_STEP=fence\0", b"X=BELAY_RUN=r1\0BELAY_STEP=fence\0"]
        {
            assert!(!mark.is_in(other), "{}", String::from_utf8_lossy(other));
        }
    }
}
