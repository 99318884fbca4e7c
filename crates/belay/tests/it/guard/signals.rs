//! Signals: passed on to the command once, and the end of guard when there is no command any more.

use std::{
    fs::File,
    io::Write,
    process::{Command, Stdio},
};

use rustix::{
    process::{Pid, Signal, kill_process_group},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

use super::stage::{Lines, PLAN, Running};
use crate::{daemon::Guarded, program};

/// Counts the signals that it gets; ends with 5 at the end of its input. A signal that comes right before `read` begins to wait is
/// handled only when that returns, so it returns by itself now and then.
const COUNTING: &str = "n=0; for s in INT TERM HUP QUIT USR1 USR2; do trap \"n=\\$((n+1)); echo $s \\$n\" $s; done; \
                        echo started; while :; do read -r -t 0.2 line; c=$?; \
                        if [ $c -eq 0 ]; then echo \"$line\"; elif [ $c -le 128 ]; then exit 5; fi; done";

#[test]
fn each_signal_is_passed_on_once_and_nothing_is_rolled_back_for_a_cancelled_command() {
    let guarded = Guarded::with(PLAN);
    let mut guard = guarded.guard(&[], &["bash", "-c", COUNTING]);
    guard.stdout.until("started");
    let signals = [
        (Signal::INT, "INT"),
        (Signal::HUP, "HUP"),
        (Signal::QUIT, "QUIT"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
        (Signal::TERM, "TERM"),
    ];
    for (number, (signal, name)) in signals.into_iter().enumerate() {
        guard.signal(signal);
        guard.stderr.until(&format!("SIG{name} is passed on to bash"));
        assert_eq!(guard.stdout.until(name), [format!("{name} {}", number + 1)]);
    }
    guard.type_line("still there");
    assert_eq!(guard.stdout.until("still"), ["still there"]);
    let ended = guard.wait();
    assert_eq!((ended.code, ended.stdout.as_slice()), (Some(5), [].as_slice()), "{ended:#?}");
    ended.says("was told to end: nothing is rolled back");
    ended.says("shop stays armed");
    guarded.is("armed");
}

/// A runner that gives up a job signals its process group.
#[test]
fn a_signal_to_the_group_reaches_the_command_once() {
    let guarded = Guarded::with(PLAN);
    let mut command = program(guarded.folder.path(), &["guard", "shop.yaml", "--", "bash", "-c", COUNTING]);
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.env("BELAY_URL", &guarded.url);
    let guard = Running::of(command);
    guard.stdout.until("started");
    kill_process_group(Pid::from_child(&guard.child), Signal::TERM).unwrap();
    guard.stderr.until("SIGTERM is passed on");
    assert_eq!(guard.stdout.until("TERM"), ["TERM 1"]);
    let ended = guard.wait();
    assert_eq!((ended.code, ended.stdout.as_slice()), (Some(5), [].as_slice()), "{ended:#?}");
}

#[test]
fn a_command_that_dies_of_the_signal_ends_guard_with_its_code() {
    let guarded = Guarded::with(PLAN);
    let guard = guarded.guard(&[], &["sh", "-c", "echo started; sleep 600"]);
    guard.stdout.until("started");
    guard.signal(Signal::TERM);
    let ended = guard.wait();
    assert_eq!(ended.code, Some(143), "{ended:#?}");
    ended.says("sh was ended by SIGTERM");
    guarded.is("armed");
    let reported = guarded.json(&["status", "shop"])["guard"].clone();
    assert_eq!(reported["stage"], "over", "{reported}");
    let found = reported["found"].as_str().unwrap();
    assert!(found.contains("told to end") && found.ends_with("the cutover is not marked"), "{found}");
}

#[test]
fn in_the_soak_a_signal_ends_guard_and_the_daemon_watches_on() {
    let guarded = Guarded::with(PLAN);
    // What the command makes of a signal is its own affair: it went well, so the soak follows.
    let guard = guarded.guard(&[], &["sh", "-c", "trap 'exit 0' TERM; echo started; while :; do read x; done"]);
    guard.stdout.until("started");
    guard.signal(Signal::TERM);
    guard.stderr.until("shop is watched for 30m");
    guard.signal(Signal::TERM);
    let ended = guard.wait();
    assert_eq!(ended.code, Some(143), "{ended:#?}");
    ended.says("SIGTERM ends this process");
    ended.says("shop stays armed: the daemon watches on");
    guarded.is("armed");
}

/// At a terminal both are in the foreground, and both get what is typed.
#[test]
fn what_is_typed_at_a_terminal_reaches_the_command_once() {
    let guarded = Guarded::with(PLAN);
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&terminal).and_then(|()| unlockpt(&terminal)).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let screen = File::options().read(true).write(true).open(name).unwrap();
    let guard = program(guarded.folder.path(), &["guard", "shop.yaml", "--", "bash", "-c", COUNTING]);
    // A shell's background jobs ignore SIGINT, and what is ignored at the start cannot be trapped: neither is to be inherited.
    let mut command = Command::new("env");
    command
        .args(["--default-signal=INT,QUIT", "setsid", "--ctty", "--wait"])
        .arg(guard.get_program())
        .args(guard.get_args());
    command.current_dir(guarded.folder.path()).env("BELAY_URL", &guarded.url);
    let mut child = command.stdin(screen).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(command);
    let (stdout, stderr) = (Lines::of(child.stdout.take().unwrap()), Lines::of(child.stderr.take().unwrap()));
    stdout.until("started");
    let mut keyboard = File::from(terminal);
    keyboard.write_all(b"\x03").unwrap();
    assert_eq!(stdout.until("INT"), ["INT 1"]);
    stderr.until("SIGINT from the terminal has reached bash as well");
    keyboard.write_all(b"typed\n\x04").unwrap();
    assert_eq!(stdout.until("typed"), ["typed"]);
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert_eq!(stdout.rest(), Vec::<String>::new());
    guarded.is("armed");
}

#[test]
fn what_was_ignored_before_stays_ignored() {
    let guarded = Guarded::with(PLAN);
    let mut command = Command::new("sh");
    let guard = program(guarded.folder.path(), &[]);
    command.args(["-c", "trap '' HUP; exec \"$0\" guard shop.yaml --soak 0s -- sh -c 'echo started; cat'"]);
    command.arg(guard.get_program()).current_dir(guarded.folder.path()).env("BELAY_URL", &guarded.url);
    let mut guard = Running::of(command);
    guard.stdout.until("started");
    guard.signal(Signal::HUP);
    guard.type_line("still there");
    guard.stdout.until("still there");
    let ended = guard.wait();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    ended.does_not_say("SIGHUP");
}
