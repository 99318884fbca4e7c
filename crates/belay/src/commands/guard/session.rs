//! The course of a guarded command: ready, armed, run, marked, watched.

use std::{future::Future, time::Duration};

use belay_plan::Loaded;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Args, Mark, OnFailure,
    beat::{Beat, Stage},
    child::{Ended, Guarded, code_of, program},
    end::{End, Outcome, Report, Stop},
    ready::{arm, present, refuse_old_baseline, refuse_unready, tell_baseline},
    signals::{Caught, Signals},
    soak::{Soak, Verdict},
    tell::Tell,
    watch::{Seen, Watch, passes},
};
use crate::{
    client::Client,
    clock,
    document::{Migration, Run},
    exit::{Exit, Failure},
    text,
};

/// Refusals that mean that something has happened since the last look.
const BEHIND: [&str; 2] = ["wrong_state", "already_running"];

/// How often the soak says that it goes on: there are pipelines that take silence for death.
const NOTE_EVERY: Duration = Duration::from_secs(5 * 60);

pub(super) struct Session<'a> {
    args: &'a Args,
    loaded: Loaded,
    client: Client,
    tell: Tell,
    signals: Signals,
    watch: Watch,
    beat: Beat,
    report: &'a mut Report,
    /// Runs that began since then concern us.
    since: Timestamp,
    /// What people were asked for last.
    last_needs: Vec<String>,
}

/// Waits for something as long as nobody wants guard to end.
async fn unless_signalled<T>(signals: &mut Signals, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Stop> {
    tokio::select! {
        biased;
        caught = signals.next() => Err(Stop::Signalled(caught)),
        done = work => Ok(done?),
    }
}

/// Asks the daemon for a change, and waits for its answer also when guard is told to end meanwhile: what came of it is to be
/// told. A second signal waits for nothing any more.
async fn answered<T>(
    signals: &mut Signals,
    report: &mut Report,
    verb: &'static str,
    tell: Tell,
    work: impl Future<Output = Result<T, Failure>>,
) -> (Option<Result<T, Failure>>, Option<Caught>) {
    tokio::pin!(work);
    let caught = tokio::select! {
        biased;
        done = &mut work => return (Some(done), None),
        caught = signals.next() => caught,
    };
    tell.say(format_args!("{}: waiting for the daemon's answer to `{verb}` first", caught.words()));
    report.unanswered = Some(verb);
    let done = tokio::select! {
        biased;
        done = &mut work => done,
        again = signals.next() => return (None, Some(again)),
    };
    if done.as_ref().map_or_else(|failure| failure.refused.is_some(), |_| true) {
        report.unanswered = None;
    }
    (Some(done), Some(caught))
}

fn not_rolled_back(failure: Failure) -> Stop {
    let error = failure.error.context("the command has failed, and no rollback has begun");
    Stop::Failed(Failure { error, ..failure })
}

fn is_refused_as(failure: &Failure, kinds: &[&str]) -> bool {
    failure.refused.as_ref().is_some_and(|refused| kinds.contains(&refused.kind.as_str()))
}

impl<'a> Session<'a> {
    pub(super) fn new(
        args: &'a Args,
        loaded: Loaded,
        client: Client,
        tell: Tell,
        signals: Signals,
        report: &'a mut Report,
    ) -> Self {
        report.migration.clone_from(&loaded.plan.migration);
        report.plan_sha256.clone_from(&loaded.sha256);
        report.commands = client.commands();
        let watch = Watch::new(&client, &loaded.plan.migration, tell);
        let beat = Beat::start(&client, &loaded.plan.migration);
        let since = Timestamp::MIN;
        Self { args, loaded, client, tell, signals, watch, beat, report, since, last_needs: Vec::new() }
    }

    pub(super) async fn guard(mut self) -> Result<End, Stop> {
        let ended = self.course().await;
        let why = match &ended {
            Ok(end) | Err(Stop::Over(end)) if matches!(end.outcome, Outcome::Cancelled | Outcome::CommandFailed) => {
                Some(end.what.clone())
            }
            Err(Stop::Signalled(caught)) if self.report.started => Some(format!("{} ended it", caught.name())),
            Err(Stop::Failed(_)) if self.report.started => {
                Some("it failed before it could mark the cutover".to_owned())
            }
            _ => None,
        };
        self.beat.over(why).await;
        ended
    }

    async fn course(&mut self) -> Result<End, Stop> {
        self.beat.reaches(Stage::Before).await;
        self.prepare().await?;
        let name = &self.loaded.plan.migration;
        self.tell.say(format_args!("{name} is armed: the daemon watches it from now on, also without this process"));
        let mark = self.args.mark(&self.loaded.plan);
        if mark == Mark::Before {
            self.mark(false).await?;
        }
        self.refuse_late().await?;
        let (ended, cancelled) = self.command().await?;
        self.report.ended = Some(ended);
        self.tell.say(format_args!("{} {}", program(&self.args.command), ended.words()));
        match cancelled {
            _ if ended.well() => self.after_success().await,
            true => {
                let what = "the command was told to end: nothing is rolled back for it";
                self.after_failure(End::new(ended.code(), Outcome::Cancelled, what)).await
            }
            false if self.args.on_failure == OnFailure::Alert => {
                let what = "the command has failed; nothing was rolled back";
                self.after_failure(End::new(ended.code(), Outcome::CommandFailed, what)).await
            }
            false => self.roll_back(ended).await,
        }
    }

    /// Sees to it that the migration is ready, and armed with this very plan.
    async fn prepare(&mut self) -> Result<(), Stop> {
        let (args, client, tell) = (self.args, self.client.clone(), self.tell);
        let (name, sha256) = (self.loaded.plan.migration.clone(), self.loaded.sha256.clone());
        let now = unless_signalled(&mut self.signals, present(&client, &name, &sha256, tell)).await?;
        self.since = now.now;
        let ready = || refuse_unready(&client, &name, args.accept_unknown, tell);
        let is_armed = now.armed.is_some();
        if is_armed {
            self.see(now.clone());
        }
        if args.baseline.is_none() {
            refuse_old_baseline(&now, &client)?;
        }
        // A baseline of one's own is known to the daemon only when it is armed with it.
        if args.baseline.is_none() {
            unless_signalled(&mut self.signals, ready()).await?;
        }
        if is_armed && args.baseline.is_none() {
            tell.say(format_args!("{name} is armed with this plan already: the baseline is kept"));
            tell_baseline(&now, &now, &client, tell);
            return Ok(());
        }
        let work = arm(args, &client, &name, &sha256, tell);
        let (armed, caught) = answered(&mut self.signals, self.report, "arm", tell, work).await;
        if let Some(Ok(armed)) = &armed {
            tell_baseline(&now, armed, &client, tell);
            self.see(armed.clone());
        }
        if let Some(caught) = caught {
            return Err(Stop::Signalled(caught));
        }
        armed.transpose()?;
        if args.baseline.is_some() {
            unless_signalled(&mut self.signals, ready()).await?;
        }
        Ok(())
    }

    /// What has happened since it was armed: the command does not begin beside a rollback.
    async fn refuse_late(&mut self) -> Result<(), Stop> {
        let now = present(&self.client, &self.loaded.plan.migration, &self.loaded.sha256, self.tell);
        let now = unless_signalled(&mut self.signals, now).await?;
        self.see(now);
        if self.is_guarded() { Ok(()) } else { Err(Stop::Over(self.unguarded())) }
    }

    /// Keeps what was seen, and says what people are asked for, once.
    fn see(&mut self, migration: Migration) {
        let run = migration.open_run().filter(|run| !run.has_stopped());
        let of_run = run.into_iter().flat_map(|run| {
            let held = (run.state == "held").then(|| "held".to_owned());
            run.needing_a_person().map(str::to_owned).chain(held)
        });
        let asked = migration.incident.as_ref().filter(|_| migration.open_run().is_none());
        let of_incident = asked.map(|incident| format!("{} {:?}", incident.id, incident.decision));
        let needs: Vec<String> = of_run.chain(of_incident).collect();
        if !needs.is_empty() && needs != self.last_needs {
            self.tell.needs(&migration, &self.client.commands());
        }
        self.last_needs = needs;
        self.report.last = Some(migration);
    }

    /// The rollback that began while we watched, whoever asked for it.
    fn rollback(&self) -> Option<&Run> {
        let run = self.report.last.as_ref()?.run.as_ref()?;
        let ours = run.started >= self.since && !matches!(run.kind.as_str(), "dry" | "undo");
        Some(run).filter(|_| ours)
    }

    /// Watched by this plan, and nothing under way.
    fn is_guarded(&self) -> bool {
        let armed =
            |last: &Migration| last.armed.is_some() && last.plan_sha256.as_deref() == Some(self.loaded.sha256.as_str());
        self.report.last.as_ref().is_some_and(armed)
    }

    fn unguarded(&self) -> End {
        let name = &self.loaded.plan.migration;
        let what = match self.report.last.as_ref().is_some_and(|last| last.armed.is_some()) {
            true => format!("somebody has armed {name} with another plan"),
            false => format!("somebody has disarmed {name}"),
        };
        End::new(Exit::Refused as u8, Outcome::Unguarded, what)
    }

    async fn post(&mut self, key: &str, verb: &'static str, body: &Value) -> Result<Value, Stop> {
        let name = self.loaded.plan.migration.clone();
        let (client, tell) = (self.client.clone(), self.tell);
        let path = format!("migrations/{name}/{verb}");
        let work = client.post_as(key, &path, body);
        let (answer, caught) = answered(&mut self.signals, self.report, verb, tell, work).await;
        let Some(caught) = caught else { return Ok(answer.unwrap_or(Ok(Value::Null))?) };
        if let Some(Ok(_)) = answer {
            // One look, for what is told in the end.
            let shown = unless_signalled(&mut self.signals, client.get(&format!("migrations/{name}"))).await?;
            self.see(Migration::read(&shown)?);
        }
        Err(Stop::Signalled(caught))
    }

    /// As soon as the daemon answers.
    async fn look(&mut self) -> Result<(), Stop> {
        let migration = unless_signalled(&mut self.signals, self.watch.present()).await?;
        self.see(migration);
        Ok(())
    }

    /// Marks the cutover, unless somebody has: the command itself may do it. `patiently`: over an outage of the daemon.
    async fn mark(&mut self, patiently: bool) -> Result<(), Stop> {
        let key = clock::fresh_key();
        let body = json!({ "reason": self.args.reason("marked by belay guard") });
        let mut refused: Option<Failure> = None;
        loop {
            let last = self.report.last.as_ref();
            if let Some(at) = last.and_then(|last| last.cutover) {
                self.tell.say(format_args!("the cutover was marked at {at:.0}"));
                return Ok(());
            }
            if !self.is_guarded() || self.rollback().is_some() {
                return Ok(());
            }
            if let Some(failure) = refused.take() {
                return Err(failure.into());
            }
            match self.post(&key, "cutover", &body).await {
                Ok(answer) => {
                    self.see(Migration::read(&answer)?);
                    self.tell.say("the cutover is marked");
                    return Ok(());
                }
                Err(Stop::Failed(failure)) if patiently && passes(&failure) => self.watch.note_away(&failure),
                Err(Stop::Failed(failure)) if is_refused_as(&failure, &["wrong_state"]) => refused = Some(failure),
                Err(stop) => return Err(stop),
            }
            self.look().await?;
        }
    }

    /// Runs the command to its end. Also whether it was told to end.
    async fn command(&mut self) -> Result<(Ended, bool), Stop> {
        let name = program(&self.args.command);
        self.beat.reaches(Stage::Command).await;
        let mut child = Guarded::start(&self.args.command).map_err(|error| {
            let what = format!("{name} could not be started: {error}");
            Stop::Over(End::new(code_of(&error), Outcome::CommandNotStarted, what))
        })?;
        self.report.started = true;
        let (mut cancelled, mut watched, mut stopped) = (false, true, false);
        loop {
            let seen = tokio::select! {
                biased;
                ended = child.ended() => {
                    let ended = ended.map_err(|error| {
                        let what = anyhow::Error::new(error).context(format!("the end of {name} cannot be waited for"));
                        Failure::new(Exit::Unexpected, what)
                    })?;
                    if !ended.well() {
                        // It may have died of what was sent to both of us.
                        cancelled |= ended.was_told_to() || self.signals.waiting().any(Caught::asks_to_end);
                    }
                    return Ok((ended, cancelled));
                }
                caught = self.signals.next() => {
                    match child.pass_on(caught) {
                        true => self.tell.say(format_args!("{} is passed on to {name}", caught.name())),
                        false => self.tell.say(format_args!("{} has reached {name} as well", caught.words())),
                    }
                    cancelled |= caught.asks_to_end();
                    continue;
                }
                seen = self.watch.next(), if watched => seen,
            };
            match seen {
                Ok(Seen::Now(migration)) => self.see(*migration),
                Ok(Seen::Away(_)) => {}
                Err(failure) => {
                    self.tell.failure(&failure);
                    watched = false; // the command is none the worse for that
                }
            }
            if let Some(run) = self.rollback().filter(|_| !stopped) {
                let what = format!("run {} rolls {} back, so {name} is asked to end (SIGTERM)", run.id, run.migration);
                self.tell.warn(what);
                child.stop();
                stopped = true;
            }
        }
    }

    /// A command that went on after the rollback may have moved traffic again, and nothing watches any more.
    fn note_late_command(&mut self) {
        let Some(last) = &self.report.last else { return };
        let ended = self.rollback().filter(|run| run.has_stopped()).and_then(|run| run.ended);
        self.report.ended_late = ended.map(|ended| text::between(ended, last.now));
    }

    async fn after_success(&mut self) -> Result<End, Stop> {
        self.watch.hurry();
        self.look().await?;
        self.note_late_command();
        if let Some(run) = self.rollback() {
            let run = run.id.clone();
            return self.follow(&run).await;
        }
        self.mark(true).await?;
        if !self.is_guarded() && self.rollback().is_none() {
            return Ok(self.unguarded());
        }
        let name = &self.loaded.plan.migration;
        let soak = self.args.soak;
        self.beat.reaches(Stage::Soak).await;
        self.tell.say(format_args!("{name} is watched for {}", text::duration(soak)));
        let (mut soak, started, mut noted) = (Soak::new(soak), Instant::now(), Instant::now());
        loop {
            if let Some(run) = self.rollback() {
                let run = run.id.clone();
                return self.follow(&run).await;
            }
            if !self.is_guarded() {
                return Ok(self.unguarded());
            }
            if noted.elapsed() >= NOTE_EVERY {
                noted = Instant::now();
                self.tell.say(format_args!("{} of the soak are left", text::duration(soak.left())));
            }
            match unless_signalled(&mut self.signals, self.watch.next()).await? {
                Seen::Away(failure) => {
                    soak.away();
                    self.watch.give_up_late(failure)?;
                }
                Seen::Now(migration) => {
                    let verdict = soak.seen(&migration, started.elapsed(), self.args.accept_unknown);
                    self.see(*migration);
                    let guarded = self.is_guarded() && self.rollback().is_none();
                    match verdict {
                        Verdict::Well if guarded => return Ok(self.well()),
                        Verdict::NotWell(why) if guarded => {
                            let what = format!("the soak is over, and not all is well: {why}");
                            return Ok(End::new(Exit::No as u8, Outcome::NotWell, what));
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    fn well(&self) -> End {
        let soak = text::duration(self.args.soak);
        End::new(Exit::Done as u8, Outcome::Well, format!("the soak of {soak} is over, and all is well"))
    }

    /// The command has failed, and nothing follows from that; what the daemon does by itself comes first.
    async fn after_failure(&mut self, end: End) -> Result<End, Stop> {
        // One look: a daemon that is away changes nothing of the command's end.
        if let Ok(Seen::Now(migration)) = unless_signalled(&mut self.signals, self.watch.next()).await {
            self.see(*migration);
            self.note_late_command();
        }
        match self.rollback().map(|run| run.id.clone()) {
            Some(run) => self.follow(&run).await,
            None => Ok(end),
        }
    }

    async fn roll_back(&mut self, ended: Ended) -> Result<End, Stop> {
        let key = clock::fresh_key();
        let reason = format!("belay guard: {} {}", program(&self.args.command), ended.words());
        let body = json!({ "reason": belay_core::input::clean_reason(&reason).unwrap_or(reason) });
        let mut refused: Option<Failure> = None;
        self.watch.hurry();
        loop {
            self.look().await?;
            self.note_late_command();
            if let Some(run) = self.rollback() {
                let run = run.id.clone();
                return self.follow(&run).await;
            }
            if !self.is_guarded() {
                return Ok(self.unguarded());
            }
            if let Some(failure) = refused.take() {
                return Err(not_rolled_back(failure));
            }
            match self.post(&key, "rollback", &body).await {
                Ok(answer) => return self.follow(answer["run"].as_str().unwrap_or_default()).await,
                Err(Stop::Failed(failure)) if passes(&failure) => self.watch.note_away(&failure),
                // Perhaps the daemon was quicker than we were.
                Err(Stop::Failed(failure)) if is_refused_as(&failure, &BEHIND) => refused = Some(failure),
                Err(Stop::Failed(failure)) => return Err(not_rolled_back(failure)),
                Err(stop) => return Err(stop),
            }
        }
    }

    /// Waits until a run is over, or waits for people.
    async fn follow(&mut self, id: &str) -> Result<End, Stop> {
        loop {
            match unless_signalled(&mut self.signals, self.watch.next()).await? {
                Seen::Away(failure) => self.watch.give_up_late(failure)?,
                Seen::Now(migration) => {
                    self.see(*migration);
                    let shown = self.report.last.as_ref().and_then(|last| last.run.clone()).filter(|run| run.id == id);
                    let run = match shown {
                        Some(run) => run,
                        None => Run::read(
                            unless_signalled(&mut self.signals, self.client.get(&format!("runs/{id}"))).await?,
                        )?,
                    };
                    if run.has_stopped() {
                        return Ok(End::of_run(&run));
                    }
                }
            }
        }
    }
}
