//! The unmodified binary, run in a folder of its own against one endpoint.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use tempfile::TempDir;

use crate::testbed;
use crate::wait::wait_until_within;

/// How long a run to completion may take, and a process to end.
const RUN_PATIENCE: Duration = Duration::from_secs(180);
const LINE_PATIENCE: Duration = Duration::from_secs(60);

/// A folder, an environment and the binary. Processes outlive neither this nor the test.
pub struct Belay {
    binary: PathBuf,
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Belay {
    /// Against an endpoint, of an emulator or a proxy. The binary is `$BELAY_BIN`, else the one that was built with the
    /// tests: `cargo test --release --workspace` tries a release build.
    pub fn at(endpoint: &str) -> Self {
        Self::with_binary(&binary(), endpoint)
    }

    /// The same with any other program: the harness tests itself with it.
    pub fn with_binary(binary: &Path, endpoint: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("belay-test-").tempdir().expect("a temporary folder");
        Self { binary: binary.to_owned(), folder, environment: testbed::aws_environment(endpoint) }
    }

    /// Sets a variable for all processes from now on.
    pub fn env(&mut self, name: &str, value: &str) -> &mut Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes a variable away again, also one that was set at first.
    pub fn env_remove(&mut self, name: &str) -> &mut Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    /// The folder that it runs in: plans, configuration and `belay.db` lie here.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file there, and gives back its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder().join(name);
        std::fs::write(&path, text).expect("the folder is ours");
        path.to_str().expect("temporary paths are plain").to_owned()
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.spawn(arguments).wait()
    }

    /// Runs it to its end with a text on its standard input.
    #[track_caller]
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Finished {
        let file = self.write("standard-input", input);
        let file = File::open(file).expect("it was just written");
        self.start(arguments, file.into()).wait()
    }

    /// Starts it; for a daemon, wait for a line or an answer before talking to it.
    pub fn spawn(&self, arguments: &[&str]) -> Process {
        self.start(arguments, Stdio::null())
    }

    /// Starts it with a terminal as its standard input, and the keyboard of that terminal.
    #[track_caller]
    pub fn spawn_typed(&self, arguments: &[&str]) -> (Process, Keyboard) {
        // Closed in the child, which would hold its own terminal open.
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let terminal = openpt(flags).expect("a terminal");
        grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("it is ours");
        let name = ptsname(&terminal, Vec::new()).expect("it has a name").into_string().expect("plain");
        let input = File::options().read(true).write(true).open(name).expect("it is there");
        (self.start(arguments, Stdio::from(input)), Keyboard(File::from(terminal)))
    }

    fn start(&self, arguments: &[&str], input: Stdio) -> Process {
        let mut command = Command::new(&self.binary);
        for name in testbed::UNWANTED {
            command.env_remove(name);
        }
        for (name, _) in std::env::vars_os() {
            // The shell that runs the tests may be set up for a Belay of its own.
            if name.to_string_lossy().starts_with("BELAY_") {
                command.env_remove(name);
            }
        }
        command.args(arguments).envs(self.environment.iter().cloned()).current_dir(self.folder());
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.binary.display()));
        let stdout = Collector::of(child.stdout.take().expect("it was asked for"));
        let stderr = Collector::of(child.stderr.take().expect("it was asked for"));
        Process { child, stdout, stderr, status: None }
    }
}

/// Of a terminal; when it is dropped the terminal is gone.
pub struct Keyboard(File);

impl Keyboard {
    /// Types a line.
    #[track_caller]
    pub fn type_line(&mut self, line: &str) {
        writeln!(self.0, "{line}").expect("the terminal is there");
    }
}

/// What a process said, and how it ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; 128 and the number of the signal if one ended it, as shells count.
    pub code: i32,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

impl Finished {
    /// Its standard output as one JSON document. Panics with all it said if it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not one JSON document: {error}\n{self}"))
    }

    /// Its standard output as JSON lines.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        let parse =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON: {error}: {line}\n{self}"));
        self.stdout.lines().map(parse).collect()
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// A running Belay. It is killed when it is dropped.
pub struct Process {
    child: Child,
    stdout: Collector,
    stderr: Collector,
    status: Option<ExitStatus>,
}

impl Process {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Its standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits for a line with `part` on standard error, and gives it back. Panics after a minute, or when it ends first.
    #[track_caller]
    pub fn wait_for_stderr(&mut self, part: &str) -> String {
        self.wait_for_line(part, |process| process.stderr.text())
    }

    /// Waits for a line with `part` on standard output, in the same way.
    #[track_caller]
    pub fn wait_for_stdout(&mut self, part: &str) -> String {
        self.wait_for_line(part, |process| process.stdout.text())
    }

    /// From now on nobody reads its standard error, as long as this is not taken back: the pipe fills up.
    pub fn read_stderr(&self, read: bool) {
        self.stderr.gate.set(read);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        signal_process(self.id(), signal);
    }

    /// A handle that sends signals from elsewhere: from a hook of the proxy, for one.
    pub fn signaller(&self) -> impl Fn(Signal) + Send + Sync + 'static {
        let id = self.id();
        move |signal| signal_process(id, signal)
    }

    /// SIGKILL, and waits until it is gone.
    #[track_caller]
    pub fn kill(mut self) -> Finished {
        self.signal(Signal::KILL);
        self.finish()
    }

    /// SIGTERM, and waits until it has ended.
    #[track_caller]
    pub fn terminate(mut self) -> Finished {
        self.signal(Signal::TERM);
        self.finish()
    }

    /// Waits until it ends by itself. Panics after three minutes with all it said.
    #[track_caller]
    pub fn wait(mut self) -> Finished {
        self.finish()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.ended().is_none()
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("it is our child");
        }
        self.status
    }

    #[track_caller]
    fn wait_for_line(&mut self, part: &str, text: impl Fn(&Self) -> String) -> String {
        let what = format!("a line with {part:?}");
        let found = wait_until_within(LINE_PATIENCE, &what, || {
            // Looked at first: what it said before it ended counts.
            let ended = self.ended();
            let text = text(self);
            let line = text.lines().find(|line| line.contains(part)).map(str::to_owned);
            line.map(Ok).or_else(|| ended.map(Err))
        });
        found.unwrap_or_else(|status| {
            panic!("it ended ({status}) without {what}\n--- stdout\n{}\n--- stderr\n{}", self.stdout(), self.stderr())
        })
    }

    #[track_caller]
    fn finish(&mut self) -> Finished {
        let what = format!("process {} to end", self.id());
        let status = wait_until_within(RUN_PATIENCE, &what, || self.ended());
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
        Finished {
            code: code.expect("a process ends by itself or by a signal"),
            stdout: self.stdout.all(),
            stderr: self.stderr.all(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            // It cannot fail: it runs, and it is ours.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Reads one of the pipes, so that the process never has to wait for us, unless we want it to.
struct Collector {
    text: Arc<Mutex<Vec<u8>>>,
    gate: Arc<Gate>,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let (text, gate) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Gate::default()));
        let (shared, passed) = (Arc::clone(&text), Arc::clone(&gate));
        let thread = std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            // A pipe that breaks has ended.
            while pipe.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                shared.lock().expect("nobody panics while holding it").append(&mut line);
                passed.pass();
            }
        });
        Self { text, gate, thread: Some(thread) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().expect("nobody panics while holding it")).into_owned()
    }

    /// Everything, once the process has ended.
    fn all(&mut self) -> String {
        self.gate.set(true);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("reading does not panic");
        }
        self.text()
    }
}

/// Open at first. Who comes while it is shut waits before it.
#[derive(Default)]
struct Gate {
    shut: Mutex<bool>,
    moved: Condvar,
}

impl Gate {
    fn set(&self, open: bool) {
        *self.shut.lock().expect("nobody panics while holding it") = !open;
        self.moved.notify_all();
    }

    fn pass(&self) {
        let shut = self.shut.lock().expect("nobody panics while holding it");
        drop(self.moved.wait_while(shut, |shut| *shut));
    }
}

fn signal_process(id: u32, signal: Signal) {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw).expect("process ids are small and not zero");
    // It may have ended in the meantime.
    let _ = kill_process(id, signal);
}

/// The binary under test: see [`Belay::at`]. Tests and benchmarks lie in `deps` beside it.
pub fn binary() -> PathBuf {
    if let Some(set) = std::env::var_os("BELAY_BIN") {
        return PathBuf::from(set);
    }
    let test = std::env::current_exe().expect("a running program has a path");
    let built = test.ancestors().skip(1).map(|folder| folder.join("belay")).find(|path| path.is_file());
    built.unwrap_or_else(|| {
        panic!("no belay beside {}: run `cargo test --workspace` or `cargo build`, or set BELAY_BIN", test.display())
    })
}

/// Where cargo builds this workspace.
pub(crate) fn target_folder() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace");
    // A relative folder is relative to where cargo was called; from the root of the workspace, here.
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), |set| workspace.join(set))
}
