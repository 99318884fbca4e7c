//! `belay check --prove-restore STEP`: restores beside production what a step would restore, and asks it the step's own queries.

use std::{fmt, sync::Arc, time::Duration};

use belay_core::{
    change::Baseline,
    event::RunKind,
    input::{Asked, Verb},
    migration::Migration,
    reading::Health,
    restore_test::{RestoreOutcome, RestoreTested},
    run::{Run, RunState},
};
use belay_engine::{
    Answer, Circumstances, DryRun, Engine, Handle, Options, Request, RestoreTest, RestoreTestError, RunError, Sampler,
    Which, ask, dry_run, proved, restore_test, restored, run_foreground,
};
use belay_journal::{MemoryJournal, OpenError, SqliteJournal, StateUrl};
use belay_plan::{Loaded, duration, model::Name};
use belay_ports::{Access, Journal, Made, Ports, Restored};
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{
    assembly::{actor, gate, open_to_write, ports},
    client::{Address, Client},
    commands::dry_run::failure as not_rehearsed,
    exit::{Exit, Failure},
    interrupt::interrupted,
    output::{Output, can_ask_aside},
    problem::{account_failure, command_failure},
};

/// How often signals are read; a test has none.
const POLL: Duration = Duration::from_secs(60);

/// A call under way gets so long to be answered when the test is given up.
const ENDING_MAX: Duration = Duration::from_secs(45);

/// Where nobody watches a picture turn, the progress is told so often.
const TOLD_EVERY: Duration = Duration::from_secs(60);

pub(super) struct Test<'a> {
    pub(super) loaded: &'a Loaded,
    pub(super) step: &'a Name,
    pub(super) kept: &'a Migration,
    pub(super) baseline: Option<&'a Baseline>,
    pub(super) state: &'a StateUrl,
    /// The daemon that guards the migration, if there is one.
    pub(super) address: &'a Address,
    /// Nobody is asked whether it may cost money.
    pub(super) yes: bool,
    pub(super) output: Output,
}

/// Where the outcome goes on record.
enum Record {
    /// In the stream of the tests.
    Journal,
    /// With the migration, by the daemon that guards it.
    Daemon(Client),
    Nowhere,
}

/// What came of a test.
#[derive(Debug, Serialize)]
struct Report {
    migration: Name,
    step: Name,
    verdict: Verdict,
    /// Why it was not restored as the step would; empty where it was.
    why: String,
    /// Where the restored database answers.
    database: Option<Database>,
    /// From the call until it was available with its settings.
    restored_in_s: Option<u64>,
    /// Whether the outcome is on record, with the time: the readiness, the checklist and the expected time go by it.
    on_record: bool,
    queries: Vec<Query>,
    /// What costs money until a person deletes it, in the order in which to delete.
    left: Vec<Made>,
    /// Why `left` may not show all.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_unknown: Option<String>,
}

/// What goes on record of the answers; the report has all.
const FOUND_CHARS_MAX: usize = 500;

impl Report {
    /// None: it has shown nothing.
    fn outcome(&self) -> Option<RestoreOutcome> {
        match self.verdict {
            Verdict::Proved => Some(RestoreOutcome::Proved),
            Verdict::Restored => Some(RestoreOutcome::Restored),
            Verdict::Failed => Some(RestoreOutcome::Failed),
            Verdict::Interrupted => None,
        }
    }

    fn found(&self) -> String {
        let asked = self.queries.iter().filter_map(|query| {
            let health = json!(query.health?);
            Some(format!("{}: {}: {}", query.signal, health.as_str().unwrap_or_default(), query.found))
        });
        let parts: Vec<String> =
            Some(self.why.clone()).filter(|why| !why.is_empty()).into_iter().chain(asked).collect();
        match parts.is_empty() {
            true => "none of its data was looked at".to_owned(),
            false => parts.join("; ").chars().take(FOUND_CHARS_MAX).collect(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// Restored, and every query that was asked is healthy.
    Proved,
    /// Restored, and none of its data was looked at.
    Restored,
    Failed,
    Interrupted,
}

#[derive(Debug, Serialize)]
struct Database {
    host: String,
    port: Option<u16>,
}

#[derive(Debug, Serialize)]
struct Query {
    signal: Name,
    /// None: it was not asked.
    health: Option<Health>,
    /// The value, or why there is none.
    found: String,
    took_ms: Option<u64>,
}

impl From<Answer> for Query {
    fn from(Answer { signal, reading, took }: Answer) -> Self {
        match reading {
            Ok(reading) => {
                let took_ms = u64::try_from(took.as_millis()).ok();
                Self { signal, health: Some(reading.health), found: reading.evidence, took_ms }
            }
            Err(why) => Self { signal, health: None, found: why, took_ms: None },
        }
    }
}

impl Test<'_> {
    pub(super) async fn run(&self) -> Result<Exit, Failure> {
        let looking = ports(Access::ReadOnly, Arc::new(MemoryJournal::default()), Arc::new(()), gate(self.output)?)?;
        let test = restore_test(&looking, &self.loaded.plan, self.step, self.baseline, self.kept.cutover);
        let test = test.map_err(no_test)?;
        let rehearsed = self.rehearse(&looking, &test).await?;
        if let Some(stop) = rehearsed.stopped_by.first() {
            return Ok(self.end(self.report(Verdict::Failed, stop.why.clone(), &Restored::default())));
        }
        self.agree(&rehearsed).await?;

        let (journal, record) = self.journal().await?;
        let ports = ports(Access::ReadWrite, journal, Arc::new(()), gate(self.output)?)?;
        let sampler = Sampler::start(ports.sensors.clone(), ports.clock.clone(), ports.observer.clone(), POLL);
        let options = Options { sampler, belay_version: env!("CARGO_PKG_VERSION").to_owned(), readiness: None };
        let handle = Engine::open(ports.clone(), &test.plan.migration, options).await?;
        let report = self.carry_out(&ports, &handle, test, &record).await;
        handle.shutdown().await;
        Ok(self.end(report?))
    }

    /// What it would do, and whether anything stands against it, before anything is paid.
    async fn rehearse(&self, ports: &Ports, test: &RestoreTest) -> Result<DryRun, Failure> {
        let circumstances = Circumstances { baseline: test.baseline.clone().map(Arc::new), ..Circumstances::default() };
        let rehearsed = dry_run(ports, &test.plan, &self.loaded.sha256, &circumstances, Which::default()).await;
        rehearsed.map_err(not_rehearsed)
    }

    /// It costs money, so a person says yes, here or with `--yes`.
    async fn agree(&self, rehearsed: &DryRun) -> Result<(), Failure> {
        let changes = rehearsed.steps.values().flat_map(|step| &step.changes);
        let titles: Vec<&str> = changes.map(|change| change.title.as_str()).collect();
        self.output.note(format_args!("restore test of step {}, beside production:", self.step));
        for title in &titles {
            self.output.note(format_args!("  {title}"));
        }
        self.output.note("It costs money until it is deleted, which Belay does not do.");
        if self.yes {
            return Ok(());
        }
        if !can_ask_aside() {
            return Err(Failure::message(Exit::Usage, "a restore test costs money, and nobody can be asked here")
                .help("add --yes to agree to it; nothing was restored"));
        }
        self.output.note("? restore it? yes or no:");
        let answer = BufReader::new(tokio::io::stdin()).lines().next_line().await.ok().flatten();
        match answer.as_deref().map(str::trim) {
            Some("yes" | "y") => Ok(()),
            _ => Err(Failure::message(Exit::No, "nothing was restored")),
        }
    }

    /// Where the calls go on record before they are sent, and where the outcome does. While a daemon has the journal, the calls are kept in
    /// memory alone.
    async fn journal(&self) -> Result<(Arc<dyn Journal>, Record), Failure> {
        let StateUrl::Sqlite(path) = self.state;
        let opened = path.exists().then(|| SqliteJournal::open(path).map(drop));
        let is_held = matches!(opened, Some(Err(OpenError::Held { .. })));
        let daemon = match is_held || self.address.is_given() {
            true => self.daemon().await,
            false => None,
        };
        if !is_held {
            return Ok((Arc::new(open_to_write(self.state)?), daemon.map_or(Record::Journal, Record::Daemon)));
        }
        let path = path.display();
        let record = match daemon {
            Some(client) => {
                self.output
                    .note(format_args!("{path} belongs to a daemon that runs, which gets the outcome on record"));
                Record::Daemon(client)
            }
            None => {
                self.output.note(format_args!(
                    "{path} belongs to a daemon that runs, and the test does not go on record: name the daemon with --url or BELAY_URL"
                ));
                Record::Nowhere
            }
        };
        Ok((Arc::new(MemoryJournal::default()), record))
    }

    /// The daemon, where it guards this migration: found out before anything is paid.
    async fn daemon(&self) -> Option<Client> {
        let client = match self.address.client() {
            Ok(client) => client,
            Err(failure) => return self.without_daemon(&failure),
        };
        match client.get(&format!("migrations/{}", self.loaded.plan.migration)).await {
            Ok(_) => Some(client),
            Err(failure) => self.without_daemon(&failure),
        }
    }

    fn without_daemon(&self, failure: &Failure) -> Option<Client> {
        self.output.note(format_args!("no daemon gets the outcome on record: {:#}", failure.error));
        None
    }

    /// What came of the test goes on record. An interrupted one has shown nothing.
    async fn keep(&self, report: &Report, changes: Vec<String>, handle: &Handle, record: &Record) -> bool {
        let Some(outcome) = report.outcome() else { return false };
        let planned = &self.loaded.plan.steps[self.step];
        let tested = RestoreTested {
            action: planned.action.clone(),
            resource: planned.resource.clone(),
            outcome,
            found: report.found(),
            took_s: report.restored_in_s,
            changes,
        };
        let reason = format!("restore test of step {}", self.step);
        let kept = match record {
            Record::Nowhere => return false,
            Record::Journal => {
                let verb = Verb::RestoreTested { step: self.step.clone(), tested };
                let kept = handle.command(Asked::new(actor(), reason).command(verb)).await;
                kept.map(drop).map_err(command_failure)
            }
            Record::Daemon(client) => {
                let mut body = json!(tested);
                (body["step"], body["reason"]) = (json!(self.step), json!(reason));
                client.post(&format!("migrations/{}/restore-tests", self.loaded.plan.migration), &body).await.map(drop)
            }
        };
        match kept {
            Ok(()) => true,
            Err(failure) => {
                self.output.note(format_args!("the outcome is not on record: {:#}", failure.error));
                false
            }
        }
    }

    async fn carry_out(
        &self,
        ports: &Ports,
        handle: &Handle,
        test: RestoreTest,
        record: &Record,
    ) -> Result<Report, Failure> {
        self.end_another(handle, ports).await?;
        let asked = Asked::new(actor(), format!("restore test of step {}", self.step));
        let request = Request {
            plan: test.plan,
            plan_sha256: self.loaded.sha256.clone(),
            kind: RunKind::Real,
            baseline: test.baseline,
            only: Vec::new(),
            phase: None,
            asked,
        };
        let started = run_foreground(handle, ports, request).await.map_err(failure)?;
        if started.continued {
            self.output.note("a test of this step was cut off before: it goes on");
        }
        let was_interrupted = self.follow(handle, ports).await?;
        let run = handle.snapshot().state.run.clone().filter(|run| run.id == started.run);
        let run = run.ok_or_else(|| Failure::message(Exit::Unexpected, "the run of the test is not in its stream"))?;
        if run.ended.is_none() {
            self.abort(handle, ports, &run).await?;
        }
        let run = handle.snapshot().state.find_run(&started.run).cloned().unwrap_or(run);
        let found = restored(ports, &run).await;
        let (made, left_unknown) = match found {
            Ok(made) => (made, None),
            Err(error) => (Restored::default(), Some(error.why)),
        };
        let step = run.steps.get(self.step);
        let why = step.map(|step| step.why.clone()).unwrap_or_default();
        let is_restored = run.state == RunState::RolledBack;
        let mut report = match (was_interrupted, is_restored) {
            (true, _) => self.report(Verdict::Interrupted, "the restore test was interrupted".to_owned(), &made),
            (false, true) => self.report(Verdict::Restored, String::new(), &made),
            (false, false) => self.report(Verdict::Failed, why, &made),
        };
        report.left_unknown = left_unknown;
        report.restored_in_s = step.filter(|_| is_restored).and_then(|step| step.took()).map(|took| took.as_secs());
        if let Some(endpoint) = made.endpoint.filter(|_| !was_interrupted) {
            let queries = self.loaded.plan.steps[self.step].verify.len();
            if queries > 0 {
                self.output.note(format_args!("asking {} what the step's `verify` asks", endpoint.host));
            }
            tokio::select! {
                biased;
                answers = ask(ports, &self.loaded.plan, self.step, &endpoint) => {
                    report.verdict = verdict(report.verdict, &answers);
                    report.queries = answers.into_iter().map(Query::from).collect();
                }
                () = interrupted() => {
                    report.verdict = Verdict::Interrupted;
                    "interrupted while the restored database was asked".clone_into(&mut report.why);
                }
            }
        }
        let changes = step.map(|step| step.effective.clone()).unwrap_or_default();
        report.on_record = self.keep(&report, changes, handle, record).await;
        Ok(report)
    }

    /// A test of another step, or of another plan, that was cut off before, does not go on.
    async fn end_another(&self, handle: &Handle, ports: &Ports) -> Result<(), Failure> {
        let state = handle.snapshot().state.clone();
        let Some(run) = state.open_run() else { return Ok(()) };
        let is_same = run.plan.steps.contains_key(self.step) && state.plan_sha256 == self.loaded.sha256;
        if is_same {
            return Ok(());
        }
        self.abort(handle, ports, run).await?;
        let left = restored(ports, run).await.map(|restored| restored.made).unwrap_or_default();
        self.output.note("a restore test before this one was cut off, and does not go on");
        left.iter().for_each(|made| self.output.note(format_args!("  it left {}: {}", made.name, made.delete)));
        Ok(())
    }

    /// Until the run is over or halted; whether a person has interrupted it before.
    async fn follow(&self, handle: &Handle, ports: &Ports) -> Result<bool, Failure> {
        let (mut snapshots, stop) = (handle.watch(), interrupted());
        let mut picture = Picture::new(self.output);
        let began = ports.clock.monotonic();
        tokio::pin!(stop);
        loop {
            let snapshot = snapshots.borrow_and_update().clone();
            if let Some(fault) = snapshot.faults.first() {
                let failure = Failure::message(Exit::Unexpected, format!("Belay has stopped acting: {fault}"));
                return Err(failure.help("what was restored until then has the tag `belay:restore-test`"));
            }
            let run = snapshot.state.run.as_ref();
            if run.is_none_or(|run| run.ended.is_some() || run.state == RunState::Halted) {
                return Ok(false);
            }
            if let Some(progress) = snapshot.progress.get(self.step) {
                picture.show(&progress.note, ports.clock.monotonic().saturating_sub(began));
            }
            tokio::select! {
                biased;
                () = &mut stop => return Ok(true),
                changed = snapshots.changed() => if changed.is_err() {
                    return Err(Failure::message(Exit::Unexpected, "the loop of the test has ended"));
                },
            }
        }
    }

    /// Nothing more is sent; a call under way is answered first.
    async fn abort(&self, handle: &Handle, ports: &Ports, run: &Run) -> Result<(), Failure> {
        let asked = Asked::new(actor(), "the restore test is given up");
        handle.command(asked.command(Verb::Abort { run: run.id.clone() })).await.map_err(command_failure)?;
        let mut snapshots = handle.watch();
        tokio::select! {
            biased;
            _ = snapshots.wait_for(|snapshot| snapshot.state.open_run().is_none()) => {}
            () = ports.clock.sleep(ENDING_MAX) => {}
        }
        Ok(())
    }

    fn report(&self, verdict: Verdict, why: String, restored: &Restored) -> Report {
        let database = restored.endpoint.as_ref();
        Report {
            migration: self.loaded.plan.migration.clone(),
            step: self.step.clone(),
            verdict,
            why,
            database: database.map(|found| Database { host: found.host.clone(), port: found.port }),
            restored_in_s: None,
            on_record: false,
            queries: Vec::new(),
            left: restored.made.clone(),
            left_unknown: None,
        }
    }

    fn end(&self, report: Report) -> Exit {
        match self.output.json {
            true => self.output.document(&report),
            false => show(&report, self.output),
        }
        match report.verdict {
            Verdict::Proved | Verdict::Restored => Exit::Done,
            Verdict::Failed | Verdict::Interrupted => Exit::No,
        }
    }
}

fn verdict(of_restore: Verdict, answers: &[Answer]) -> Verdict {
    let asked = answers.iter().any(|answer| answer.reading.is_ok());
    match of_restore {
        Verdict::Restored if proved(answers) => Verdict::Proved,
        Verdict::Restored if asked => Verdict::Failed,
        other => other,
    }
}

/// Shows how far it is, on standard error.
struct Picture {
    output: Output,
    bar: ProgressBar,
    /// What was told last, and when.
    told: Option<(String, Duration)>,
}

impl Picture {
    fn new(output: Output) -> Self {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { output, bar, told: None }
    }

    fn show(&mut self, note: &str, gone: Duration) {
        let line = crate::paint::line(note);
        if !self.bar.is_hidden() {
            return self.bar.set_message(line);
        }
        // The time in it changes with each look.
        let state = note.split(" (").next().unwrap_or(note).to_owned();
        let is_news = self.told.as_ref().is_none_or(|(told, at)| *told != state || gone >= *at + TOLD_EVERY);
        if is_news {
            self.output.note(note);
            self.told = Some((state, gone));
        }
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn show(report: &Report, output: Output) {
    output.page(format_args!("{} {}", output.bold().apply_to("restore test of"), output.bold().apply_to(&report.step)));
    if let Some(Database { host, port }) = &report.database {
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let took = report.restored_in_s.map(|took| format!(" within {}", duration::format(Duration::from_secs(took))));
        output.page(format_args!("  restored{}; answers at {host}{port}", took.unwrap_or_default()));
    }
    if !report.why.is_empty() {
        output.page(format_args!("  {}", output.bad().apply_to(&report.why)));
    }
    for Query { signal, health, found, took_ms } in &report.queries {
        let (style, word): (_, &dyn fmt::Display) = match health {
            Some(Health::Healthy) => (output.good(), &"healthy"),
            Some(Health::Unhealthy) => (output.bad(), &"unhealthy"),
            Some(Health::Unknown) => (output.bad(), &"unknown"),
            None => (output.warn(), &"not asked"),
        };
        let took = took_ms.map(|took| format!(" ({took} ms)")).unwrap_or_default();
        output.page(format_args!("  {signal}: {}: {found}{took}", style.apply_to(word)));
    }
    output.line("");
    output.page(match report.verdict {
        Verdict::Proved => {
            output.good().apply_to("proved: it can be restored, and every query that was asked is healthy")
        }
        Verdict::Restored => output.warn().apply_to(
            "it can be restored, and none of its data was looked at: add a `sql` signal to `verify` of the step",
        ),
        Verdict::Failed => output.bad().apply_to("not proved"),
        Verdict::Interrupted => output.bad().apply_to("not proved: interrupted"),
    });
    if report.on_record {
        output.page("It is on record: the readiness, the checklist and the expected time of the step go by it.");
    }
    if let Some(why) = &report.left_unknown {
        output.page(format_args!(
            "What it left could not be looked up ({why}); look for the tag `belay:restore-test` in the RDS console."
        ));
    }
    if !report.left.is_empty() {
        output.page("It is still there, and costs money until you delete it:");
    }
    for Made { delete, listed, .. } in &report.left {
        let note = if *listed { "" } else { "   # asked for, and not listed yet" };
        output.line(format_args!("  {}{note}", output.accent().apply_to(delete)));
    }
}

fn no_test(error: RestoreTestError) -> Failure {
    let restoring = match &error {
        RestoreTestError::NoSuchStep { restoring, .. } | RestoreTestError::NoRestore { restoring, .. } => {
            restoring.clone()
        }
        RestoreTestError::Unknown(_) | RestoreTestError::Corrupt { .. } => return Failure::new(Exit::Usage, error),
    };
    let help = match restoring.is_empty() {
        true => "no step of this plan restores a database (`rds.restore`)".to_owned(),
        false => format!("the steps that restore a database: {}", restoring.join(", ")),
    };
    Failure::new(Exit::Usage, error).help(help)
}

fn failure(error: RunError) -> Failure {
    match error {
        RunError::Account(error) => account_failure(error),
        RunError::Command(error) => command_failure(error),
        error @ (RunError::Unknown(_) | RunError::OtherBaseline { .. } | RunError::CutoverUnmarked { .. }) => {
            Failure::new(Exit::Usage, error)
        }
    }
}
