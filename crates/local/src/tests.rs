use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use belay_core::{change::Outcome, id::RunId, input::ErrorClass};
use belay_plan::model::{AwsTarget, Target};
use jiff::Timestamp;
use tokio::sync::{Notify, futures::Notified};

use super::*;

/// Time passes when somebody says so.
#[derive(Default)]
struct Hand {
    passes: Notify,
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep<'a>(&'a self, _time: Duration) -> Fut<'a, ()> {
        let passed: Notified<'a> = self.passes.notified();
        Box::pin(passed)
    }
}

fn with(argv: &[&str]) -> With {
    let argv = argv.iter().map(|&word| word.to_owned()).collect();
    With { argv, env: IndexMap::new(), directory: None, idempotent: false }
}

/// Each of a step of its own: the processes of one are none of the other's.
fn scope(with: &With, tries: u32) -> Scope {
    static STEPS: AtomicU32 = AtomicU32::new(0);
    Scope {
        migration: "checkout".to_owned(),
        step: format!("fence{}", STEPS.fetch_add(1, Ordering::Relaxed)),
        run: Some(RunId("01k8abcd2345".to_owned())),
        tries,
        deadline: None,
        aws: AwsTarget { region: Some("eu-west-1".to_owned()), ..AwsTarget::default() },
        with: json!(with),
        to: Target::Own,
        others: None,
        baseline: None,
        cutover: None,
        stages: None,
        timeout: Duration::from_secs(300),
        before: None,
        sent: Vec::new(),
        previous: None,
        objectives: Default::default(),
        interlocks: Vec::new(),
    }
}

fn key() -> Key {
    Key { run: RunId("01k8abcd2345".to_owned()), step: "fence".to_owned(), attempt: 3 }
}

fn programs() -> Programs {
    Programs::new(Arc::new(Hand::default()), true, Gate::default())
}

async fn assessed(programs: &Programs, scope: &Scope, receipts: &[Receipt]) -> Assessment {
    let actuator = programs.actuator(ACTION).unwrap();
    let found = actuator.observe(scope, receipts).await.unwrap();
    actuator.assess(scope, &found, receipts).unwrap()
}

async fn start(programs: &Programs, scope: &Scope) -> Change {
    match assessed(programs, scope, &[]).await {
        Assessment::Remaining(mut changes) if changes.len() == 1 => changes.remove(0),
        other => panic!("{other:?}"),
    }
}

fn receipt(body: Value) -> Receipt {
    Receipt { change: job::START.to_owned(), at: Timestamp::UNIX_EPOCH, body }
}

async fn outcome(with: &With) -> Outcome {
    let (programs, scope) = (programs(), scope(with, 1));
    let change = start(&programs, &scope).await;
    let body = programs.actuator(ACTION).unwrap().apply(&scope, &key(), &change).await.unwrap();
    match assessed(&programs, &scope, &[receipt(body)]).await {
        Assessment::Over(outcome) => outcome,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn exit_code_zero_is_success_and_the_output_is_kept() {
    let done = outcome(&with(&["echo", "one two", "$HOME", ";", "*"])).await;
    assert_eq!((done.failure, done.report.output.as_str()), (None, "one two $HOME ; *"));
}

#[tokio::test]
async fn another_exit_code_is_a_failure_with_its_last_words() {
    let done = outcome(&with(&["sh", "-c", "echo working; echo first >&2; echo 'no such queue' >&2; exit 3"])).await;
    let why = done.failure.unwrap();
    assert!(why.ends_with("sh has ended with exit code 3: no such queue"), "{why}");
    assert_eq!(done.report.output, "working\nstderr: first\nno such queue");
    let killed = outcome(&with(&["sh", "-c", "kill -9 $$"])).await.failure.unwrap();
    assert!(killed.ends_with("with signal 9"), "{killed}");
}

#[tokio::test]
async fn only_the_end_of_much_output_is_kept() {
    let done = outcome(&with(&["sh", "-c", "i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done"])).await;
    let output = done.report.output;
    let bounded = output.len() <= job::OUTPUT_BYTES_MAX + 3;
    assert!(bounded && output.starts_with("...") && output.ends_with("line 4999"), "{output}");
}

#[tokio::test]
async fn a_program_gets_what_the_plan_names_and_little_more() {
    let mut told = with(&["env"]);
    told.env.insert("QUEUE".to_owned(), "orders".to_owned());
    told.env.insert("BELAY_RUN".to_owned(), "forged".to_owned());
    let output = outcome(&told).await.report.output;
    for expected in [
        "QUEUE=orders",
        "BELAY_RUN=01k8abcd2345",
        "BELAY_STEP=fence",
        "BELAY_MIGRATION=checkout",
        "BELAY_ATTEMPT=3",
        "AWS_REGION=eu-west-1",
        "PATH=",
    ] {
        assert!(output.lines().any(|line| line.starts_with(expected)), "{expected} in {output}");
    }
    assert!(!output.contains("CARGO"), "{output}");
    let directory = With { directory: Some("/".into()), ..with(&["pwd"]) };
    assert_eq!(outcome(&directory).await.report.output, "/");
}

#[tokio::test]
async fn what_a_program_leaves_running_is_not_waited_for() {
    // Something holds the output open for as long as the test would run.
    let clock = Arc::new(Hand::default());
    clock.passes.notify_one();
    let programs = Programs::new(clock, true, Gate::default());
    let scope = scope(&with(&["sh", "-c", "echo done; sleep 600 & echo $! >&2"]), 1);
    let change = start(&programs, &scope).await;
    let body = programs.actuator(ACTION).unwrap().apply(&scope, &key(), &change).await.unwrap();
    assert_eq!(body["state"], "succeeded", "{body}");
    let left: i32 = body["output"].as_str().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    let left = rustix::process::Pid::from_raw(left).unwrap();
    rustix::process::kill_process(left, rustix::process::Signal::KILL).expect("it is left alone");
}

/// A program that never ends, with a child of its own that does not listen; says where it says that it has begun.
fn stubborn(folder: &Path) -> (With, PathBuf) {
    let begun = folder.join("begun");
    let script = format!(
        "sh -c 'trap \"\" TERM; echo $$ >{0}.new; mv {0}.new {0}; while :; do sleep 1; done' & wait",
        begun.display()
    );
    (with(&["sh", "-c", &script]), begun)
}

async fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = found() {
            return found;
        }
        tokio::task::yield_now().await;
    }
}

/// A process that is only left to be reaped is gone.
fn is_gone(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    status.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
}

#[tokio::test]
async fn an_abort_kills_the_program_and_all_that_it_has_started() {
    let folder = tempfile::tempdir().unwrap();
    let (stubborn, begun) = stubborn(folder.path());
    let programs = programs();
    let scope = scope(&stubborn, 1);
    let change = start(&programs, &scope).await;
    let actuator = programs.actuator(ACTION).unwrap();
    let abort = async {
        let child = until(|| fs::read_to_string(&begun).ok()).await;
        actuator.interrupt(&scope, Interruption::Abort);
        actuator.interrupt(&scope, Interruption::Stop);
        child
    };
    let key = key();
    let (answer, child) = tokio::join!(actuator.apply(&scope, &key, &change), abort);
    let answer = answer.unwrap();
    assert!(answer["why"].as_str().unwrap().contains("the run is being aborted"), "{answer}");
    until(|| is_gone(&child).then_some(())).await;
    assert!(programs.running().is_empty());
    actuator.interrupt(&scope, Interruption::Abort);
}

#[tokio::test]
async fn a_child_in_a_session_of_its_own_is_killed_too() {
    let folder = tempfile::tempdir().unwrap();
    let begun = folder.path().join("begun");
    // Its parent has ended, and it has left the group: only its environment shows whose it is.
    let script = format!(
        "(setsid sh -c 'echo $$ >{0}.new; mv {0}.new {0}; exec sleep 600' >/dev/null 2>&1 &); sleep 600",
        begun.display()
    );
    let programs = programs();
    let scope = scope(&with(&["sh", "-c", &script]), 1);
    let change = start(&programs, &scope).await;
    let actuator = programs.actuator(ACTION).unwrap();
    let abort = async {
        let child = until(|| fs::read_to_string(&begun).ok()).await;
        actuator.interrupt(&scope, Interruption::Abort);
        child
    };
    let key = key();
    let (answer, child) = tokio::join!(actuator.apply(&scope, &key, &change), abort);
    assert_eq!(answer.unwrap()["state"], "failed");
    until(|| is_gone(&child).then_some(())).await;
}

#[tokio::test]
async fn what_a_stop_of_belay_has_cut_short_is_not_known() {
    let folder = tempfile::tempdir().unwrap();
    let (stubborn, begun) = stubborn(folder.path());
    let programs = programs();
    let scope = scope(&stubborn, 1);
    let change = start(&programs, &scope).await;
    let actuator = programs.actuator(ACTION).unwrap();
    let stop = async {
        until(|| fs::read_to_string(&begun).ok()).await;
        actuator.interrupt(&scope, Interruption::Stop);
    };
    let key = key();
    let (answer, ()) = tokio::join!(actuator.apply(&scope, &key, &change), stop);
    let Err(ApplyError::OutcomeUnknown { why }) = answer else { panic!("{answer:?}") };
    assert!(why.contains("because Belay was stopped"), "{why}");
}

#[tokio::test]
async fn a_retry_waits_for_what_an_earlier_try_has_left_running() {
    let programs = programs();
    let twice = With { idempotent: true, ..with(&["sleep", "600"]) };
    let first = scope(&twice, 1);
    // As after Belay was killed: the process is there, and nobody waits for it.
    let environment = program::environment(program::own_environment(), &twice.env, &first, &key());
    let mut left =
        tokio::process::Command::new("sleep").arg("600").envs(environment).kill_on_drop(true).spawn().unwrap();
    let pid = left.id().unwrap();
    for waiting in [first.clone(), Scope { tries: 2, ..first.clone() }] {
        let Assessment::Settling(progress) = assessed(&programs, &waiting, &[]).await else { panic!("two at once") };
        assert!(progress.note.contains(&format!("still runs, as process {pid}")), "{}", progress.note);
    }
    let other = Scope { step: "another".to_owned(), ..first.clone() };
    assert!(matches!(assessed(&programs, &other, &[]).await, Assessment::Remaining(_)));
    left.kill().await.unwrap();
    assert!(matches!(assessed(&programs, &first, &[]).await, Assessment::Remaining(_)));
}

#[tokio::test]
async fn the_end_of_the_time_ends_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let (stubborn, begun) = stubborn(folder.path());
    let clock = Arc::new(Hand::default());
    let programs = Programs::new(clock.clone(), true, Gate::default());
    let scope = Scope { deadline: Some("1970-01-01T00:05:00Z".parse().unwrap()), ..scope(&stubborn, 1) };
    let change = start(&programs, &scope).await;
    let actuator = programs.actuator(ACTION).unwrap();
    let pass = async {
        let child = until(|| fs::read_to_string(&begun).ok()).await;
        clock.passes.notify_one();
        child
    };
    let key = key();
    let (answer, child) = tokio::join!(actuator.apply(&scope, &key, &change), pass);
    let why = answer.unwrap()["why"].as_str().unwrap().to_owned();
    assert!(why.ends_with("/sh was killed: the time of its step was over"), "{why}");
    until(|| is_gone(&child).then_some(())).await;
}

#[tokio::test]
async fn a_program_does_not_outlive_whoever_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (stubborn, begun) = stubborn(folder.path());
    let programs = programs();
    let scope = scope(&stubborn, 1);
    let change = start(&programs, &scope).await;
    let actuator = programs.actuator(ACTION).unwrap();
    let key = key();
    let child = tokio::select! {
        _ = actuator.apply(&scope, &key, &change) => panic!("it never ends"),
        child = until(|| fs::read_to_string(&begun).ok()) => child,
    };
    until(|| is_gone(&child).then_some(())).await;
}

#[tokio::test]
async fn what_stands_against_a_command_is_found_out_before_it_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let script = |name: &str, text: &str, mode: u32| {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        file.display().to_string()
    };
    let gone = folder.path().join("gone").display().to_string();
    let cases = [
        (with(&["no-such-program-anywhere"]), "there is no program no-such-program-anywhere in PATH"),
        (with(&["/etc/passwd"]), "there is no program /etc/passwd that can be run"),
        (with(&[&script("mode", "#!/bin/sh\n", 0o644)]), "mode that can be run"),
        (with(&[&script("old", "#!/opt/python1/bin/python -u\n", 0o755)]), "`/opt/python1/bin/python -u`"),
        (with(&[&script("env", "#!/usr/bin/env -S A=1 no-such-python -u\n", 0o755)]), "no no-such-python in PATH"),
        (with(&[&script("bare", "echo hello\n", 0o755)]), "begin it with a line such as #!/bin/sh"),
        (with(&[&script("windows", "#!/bin/sh\r\n", 0o755)]), "end as on Windows"),
        (With { directory: Some(gone.clone().into()), ..with(&["true"]) }, "there is no directory"),
        (With { directory: Some("/etc/passwd".into()), ..with(&["true"]) }, "is no directory"),
    ];
    let programs = programs();
    for (with, expected) in cases {
        let arming = Scope { run: None, tries: 0, ..scope(&with, 0) };
        let Assessment::Failed { why } = assessed(&programs, &arming, &[]).await else { panic!("{expected}") };
        assert!(why.contains(expected), "{why}");
    }
    for file in [script("plain", "#! /bin/sh -e\ntrue\n", 0o755), script("found", "#!/usr/bin/env sh\n", 0o755)] {
        assert_eq!(outcome(&with(&[&file])).await.failure, None, "{file}");
    }
    let elsewhere = With { env: IndexMap::from([("PATH".to_owned(), gone)]), ..with(&["/usr/bin/env"]) };
    assert_eq!(outcome(&elsewhere).await.failure, None);
    assert_eq!(program::find("sh", OsStr::new("bin:/nowhere")), None);
}

#[tokio::test]
async fn nothing_is_started_where_only_reading_is_allowed() {
    let programs = Programs::new(Arc::new(Hand::default()), false, Gate::default());
    let scope = scope(&with(&["true"]), 1);
    let change = start(&programs, &scope).await;
    let refused = programs.actuator(ACTION).unwrap().apply(&scope, &key(), &change).await;
    assert!(matches!(refused, Err(ApplyError::NoEffect { class: ErrorClass::Permanent, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_program_that_cannot_be_started_has_done_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("work");
    fs::create_dir(&directory).unwrap();
    let gone = With { directory: Some(directory.clone()), ..with(&["true"]) };
    let (programs, scope) = (programs(), scope(&gone, 1));
    let change = start(&programs, &scope).await;
    fs::remove_dir(&directory).unwrap();
    let refused = programs.actuator(ACTION).unwrap().apply(&scope, &key(), &change).await;
    assert!(matches!(refused, Err(ApplyError::NoEffect { class: ErrorClass::Permanent, .. })), "{refused:?}");
}

#[tokio::test]
async fn the_change_says_that_it_cannot_be_looked_up() {
    let (programs, once) = (programs(), with(&["true", "a b"]));
    let change = start(&programs, &scope(&once, 1)).await;
    assert_eq!(change.title, "run true 'a b' (a lost outcome cannot be looked up)");
    assert_eq!(change.repeats, Repeats::Never);
    let twice = With { idempotent: true, ..once };
    let change = start(&programs, &scope(&twice, 1)).await;
    assert_eq!((change.title.as_str(), change.repeats), ("run true 'a b'", Repeats::Converges));
}

#[test]
fn a_relative_path_is_refused() {
    let spec = spec();
    let findings = |program: &str| (spec.check)(&json!({ "argv": [program] }), None);
    assert!(findings("/usr/bin/fence").is_empty() && findings("fence").is_empty());
    assert_eq!(findings("./fence")[0].pointer, "/with/argv/0");
}
