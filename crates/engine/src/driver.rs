//! The loop: collect what is ready, decide, append; when it is durable fold, publish, act. One task, one migration.
//! `journaling` is the append and what goes on while it is waited for, `wakefulness` notices that the process was asleep.

mod journaling;
mod snapshots;
mod wakefulness;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use belay_core::{
    change::{Assessment, Progress},
    event::Record,
    input::{Input, Refusal},
    migration::{Corrupt, Migration},
    reading::{Health, Reading},
    series::Recorder,
    wants::{TaskId, Wants, What},
};
use belay_plan::model::{Name, Plan};
use belay_ports::{AccountError, Interruption, NewRecord, Ports};
use futures::FutureExt;
use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::{
    evidence::Gathering,
    handle::{CommandError, Fault, FaultPart, Message, Options, Reply, SlowAppend, Snapshot},
    loss::Losses,
    notices::Notices,
    readiness::{Readiness, ReadinessWatch},
    sampler::{Sampler, Subscription, Wanted},
    scope::Queries,
    tasks::Tasks,
};
use journaling::{DOUBT_PAUSE, DOUBT_PAUSE_MAX, PutBy, refuse};
use snapshots::Snapshots;
use wakefulness::{Asleep, Wakefulness};

/// Inputs that are decided together, and so share an append.
const BATCH_MAX: usize = 256;

/// Calls under way get this long to answer when the loop is to stop.
const GRACE: Duration = Duration::from_secs(6);

/// A deadline that has passed and moved nothing is looked at again after this.
const TICK_PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct Driver {
    ports: Ports,
    belay_version: String,
    sampler: Sampler,
    subscription: Subscription,
    state: Arc<Migration>,
    relatives: Arc<[Arc<Migration>]>,
    wants: Wants,
    queries: Queries,
    tasks: Tasks,
    losses: Losses,
    notices: Notices,
    readiness: ReadinessWatch,
    gathering: Gathering,
    recorder: Recorder,
    snapshots: Snapshots,
    /// Of signals that stay as they are: what the last reading showed.
    evidence: Arc<BTreeMap<Name, String>>,
    commands: mpsc::Receiver<Message>,
    published: watch::Sender<Arc<Snapshot>>,
    tail: broadcast::Sender<Arc<Record>>,
    progress: BTreeMap<Name, Progress>,
    /// When the present state was decided, on the monotonic clock.
    decided: Duration,
    /// Whether the state has changed, or a send has ended, since the tasks were last held against what is wanted.
    moved: bool,
    /// Whether the last tick moved nothing.
    idle_tick: bool,
    wakefulness: Wakefulness,
    /// What was read while the journal was waited for.
    put_by: PutBy,
    /// The last append, if it was slow.
    slow_append: Option<SlowAppend>,
}

/// An input on its way into a decision, and who waits for what comes of it.
struct Pending {
    input: Input,
    reply: Option<Reply>,
}

/// Somebody who waits until what was decided is durable.
struct Waiting {
    reply: Reply,
    outcome: Result<Range<usize>, Refusal>,
}

impl Waiting {
    /// `records`: of the whole decision, durable by now.
    fn tell(self, records: &[Record]) {
        let outcome = self.outcome.map(|range| records[range].to_vec());
        let _ = self.reply.send(outcome.map_err(CommandError::Refused)); // nobody may be waiting any more
    }

    fn tell_fault(self, fault: &Fault) {
        let _ = self.reply.send(Err(CommandError::Stopped { why: fault.why.clone() }));
    }
}

/// What the loop woke up for.
#[derive(Default)]
struct Gathered {
    pending: Vec<Pending>,
    shutdown: Option<oneshot::Sender<()>>,
    /// What somebody has evaluated meanwhile.
    readiness: Option<Arc<Readiness>>,
}

impl Gathered {
    fn message(&mut self, message: Message) {
        match message {
            Message::Command(command, reply) => {
                self.pending.push(Pending { input: Input::Command(command), reply: Some(reply) });
            }
            Message::Readiness(evaluated) => self.readiness = Some(evaluated),
            Message::Ping(reply) => drop(reply.send(())),
            Message::Shutdown(done) => self.shutdown = Some(done),
        }
    }

    fn input(&mut self, input: Input) {
        self.pending.push(Pending { input, reply: None });
    }
}

impl Driver {
    pub(crate) fn new(
        ports: Ports,
        options: Options,
        state: Arc<Migration>,
        relatives: Arc<[Arc<Migration>]>,
        commands: mpsc::Receiver<Message>,
        published: watch::Sender<Arc<Snapshot>>,
        tail: broadcast::Sender<Arc<Record>>,
    ) -> Self {
        let poll = options.sampler.poll();
        Self {
            tasks: Tasks::new(ports.clone()),
            losses: Losses::new(ports.clone()),
            notices: Notices::new(ports.clone()),
            readiness: ReadinessWatch::new(ports.clone(), options.readiness),
            gathering: Gathering::new(ports.clone()),
            recorder: Recorder::default(),
            snapshots: Snapshots::new(ports.journal.clone()),
            evidence: Arc::default(),
            wakefulness: Wakefulness::new(ports.clock.as_ref(), poll),
            belay_version: options.belay_version,
            subscription: options.sampler.subscribe(),
            sampler: options.sampler,
            state,
            relatives,
            wants: Wants::default(),
            queries: Queries::default(),
            commands,
            published,
            tail,
            progress: BTreeMap::new(),
            decided: ports.clock.monotonic(),
            moved: true,
            idle_tick: false,
            put_by: PutBy::default(),
            slow_append: None,
            ports,
        }
    }

    pub(crate) async fn run(mut self) {
        let mut gathered = Gathered::default();
        if let Err(fault) = self.admit(&mut gathered).await {
            return self.refuse_everything(fault).await;
        }
        if self.state.seq > 0 {
            let resumed = Input::Resumed { belay_version: self.belay_version.clone() };
            gathered.pending.insert(0, Pending { input: resumed, reply: None });
        }
        // Whatever was waited for until now was no sleep.
        self.wakefulness = Wakefulness::new(self.ports.clock.as_ref(), self.sampler.poll());
        loop {
            let now = self.look_up(&mut gathered.pending);
            if let Err(fault) = self.settle(now, gathered.pending).await {
                tracing::error!(migration = self.state.name, why = fault.why, "stopped acting");
                return self.refuse_everything(fault).await;
            }
            if let Some(done) = gathered.shutdown {
                self.finish().await;
                let _ = done.send(()); // nobody may be waiting any more
                return;
            }
            if std::mem::take(&mut self.moved) {
                self.reconcile();
            }
            self.publish(&[]);
            gathered = self.gather().await;
        }
    }

    /// What the journal holds goes on only with the credentials that its plan names: before anything else is read.
    async fn admit(&mut self, gathered: &mut Gathered) -> Result<(), Fault> {
        let plan = self.state.open_run().map(|run| &run.plan).or(self.state.plan.as_ref());
        let Some(plan) = plan.filter(|_| self.state.is_live()).cloned() else { return Ok(()) };
        let mut pause = DOUBT_PAUSE;
        while let Err(error) = self.verify(&plan, gathered).await? {
            tracing::error!(migration = self.state.name, %error, "not acting yet");
            let why = format!("{error}; this is tried again");
            for Pending { reply, .. } in gathered.pending.drain(..) {
                drop(reply.map(|reply| reply.send(Err(CommandError::Stopped { why: why.clone() }))));
            }
            self.wait_in_doubt(&Fault { part: FaultPart::Credentials, why }, pause).await?;
            pause = (pause * 2).min(DOUBT_PAUSE_MAX);
        }
        Ok(())
    }

    /// Whoever asks for something meanwhile waits for the outcome.
    async fn verify(&mut self, plan: &Plan, gathered: &mut Gathered) -> Result<Result<(), AccountError>, Fault> {
        let ports = self.ports.clone();
        let verified = crate::scope::verify_accounts(&ports, plan);
        tokio::pin!(verified);
        loop {
            tokio::select! {
                biased;
                verified = &mut verified => return Ok(verified),
                Some(message) = self.commands.recv() => match message {
                    Message::Shutdown(done) => {
                        drop(done); // whoever waits for it learns that the loop has ended
                        let why = "it was stopped before the credentials were verified".to_owned();
                        return Err(Fault { part: FaultPart::Credentials, why });
                    }
                    message => gathered.message(message),
                },
            }
        }
    }

    /// Waits for something to do, and takes what else is ready with it.
    async fn gather(&mut self) -> Gathered {
        let mut gathered = Gathered::default();
        let clock = self.ports.clock.clone();
        let put_by = self.put_by.take();
        let nap = if put_by.is_empty() { self.nap(clock.now()) } else { Duration::ZERO };
        self.read(&mut gathered, put_by);
        self.wakefulness.lie_down(clock.as_ref(), nap);
        tokio::select! {
            biased;
            message = self.commands.recv() => match message {
                Some(message) => gathered.message(message),
                None => std::future::pending().await, // the handle is gone: this task is being dropped
            },
            input = self.tasks.next() => self.answered(&mut gathered, input),
            readings = self.subscription.next() => self.read(&mut gathered, readings),
            () = self.losses.next() => {}
            checked = self.readiness.next() => checked.into_iter().for_each(|checked| gathered.input(checked)),
            input = self.notices.next() => gathered.input(input),
            input = self.gathering.next() => gathered.input(input),
            () = clock.sleep(nap) => {}
        }
        self.wakefulness.get_up(clock.as_ref());
        // Commands last: there can be a flood of them, and it must not keep back what the run waits for.
        while gathered.pending.len() < BATCH_MAX {
            if let Some(input) = self.tasks.next().now_or_never() {
                self.answered(&mut gathered, input);
            } else if let Some(readings) = self.subscription.next().now_or_never() {
                self.read(&mut gathered, readings);
            } else if let Some(input) = self.notices.next().now_or_never() {
                gathered.input(input);
            } else if let Some(input) = self.gathering.next().now_or_never() {
                gathered.input(input);
            } else if let Ok(message) = self.commands.try_recv() {
                gathered.message(message);
            } else {
                break;
            }
        }
        gathered.readiness.take().into_iter().for_each(|evaluated| self.readiness.take(evaluated, &self.state));
        let losses = self.losses.readings(clock.now());
        losses.into_iter().for_each(|reading| gathered.input(Input::Reading(reading)));
        self.record(&mut gathered);
        self.keep_news(&mut gathered.pending);
        self.moved |= self.notices.is_due(clock.now());
        let due = self.wants.deadline.is_some_and(|deadline| deadline <= clock.now());
        if gathered.pending.is_empty() && due {
            gathered.input(Input::Tick);
        }
        gathered
    }

    /// The time at which what waits is decided. When the process was asleep until now, it is decided as what came after that.
    fn look_up(&mut self, pending: &mut Vec<Pending>) -> Timestamp {
        let now = self.wakefulness.look_up(self.ports.clock.as_ref());
        if let Some(Asleep { late, jump }) = self.wakefulness.was_asleep() {
            // In seconds: how late this woke up, and how far the wall clock has run ahead (or behind: below zero) meanwhile.
            let (late_s, clock_jumped_s) = (late.as_secs(), jump.as_secs());
            tracing::warn!(
                migration = self.state.name,
                late_s,
                clock_jumped_s,
                "pause detected (suspend, clock change or stalled journal): earlier readings are discarded"
            );
            // First of all: nothing may be taken for watched time that was not, nor what was read before for fresh.
            pending.retain(|pending| !matches!(pending.input, Input::Reading(_)));
            let belay_version = self.belay_version.clone();
            let awoke = Input::Awoke { belay_version, late, clock_set: jump };
            pending.insert(0, Pending { input: awoke, reply: None });
        }
        now
    }

    /// Remembers the numbers of all readings, also of those that are no news. A chunk that is due goes on record.
    fn record(&mut self, gathered: &mut Gathered) {
        let now = self.ports.clock.now();
        for Pending { input, .. } in &gathered.pending {
            if let Input::Reading(reading) = input {
                self.recorder.note(reading, &self.state, now);
            }
        }
        self.recorder.take(&self.state, now).into_iter().for_each(|chunk| gathered.input(chunk));
    }

    /// What only repeats what is known needs no decision. After a turn, a repetition of what was before is news again.
    fn keep_news(&self, pending: &mut Vec<Pending>) {
        let mut turned = BTreeSet::new();
        pending.retain(|Pending { input, .. }| {
            let news = self.state.is_news(input);
            let Input::Reading(reading) = input else { return news };
            let kept = news || turned.contains(&reading.signal);
            if kept {
                turned.insert(reading.signal.clone());
            }
            kept
        });
    }

    /// How long there is nothing to do at most. Never longer than a poll, to notice when the process was asleep.
    fn nap(&self, now: Timestamp) -> Duration {
        let until = |deadline: Timestamp| Duration::try_from(deadline.duration_since(now)).unwrap_or_default();
        let due = self.wants.deadline.map_or(self.sampler.poll(), until);
        let due = if self.idle_tick { due.max(TICK_PAUSE) } else { due };
        let turns = self.losses.turns(now).map_or(due, until);
        let notice = self.notices.wake().map_or(due, until);
        let chunk = self.recorder.due(&self.state, now).map_or(due, until);
        due.min(turns).min(notice).min(chunk).min(self.sampler.poll())
    }

    fn answered(&mut self, gathered: &mut Gathered, input: Input) {
        self.moved |= matches!(input, Input::Applied { .. });
        if let Input::Looked { step, result: Ok(look) } = &input {
            match &look.assessment {
                Assessment::Settling(progress) => self.progress.insert(step.clone(), progress.clone()),
                _ => self.progress.remove(step),
            };
        }
        gathered.input(input);
    }

    /// A reading of a signal that nobody wants any more is no news, nor is one from before the process was asleep.
    fn read(&mut self, gathered: &mut Gathered, readings: Vec<Reading>) {
        let now = self.ports.clock.now();
        let is_wanted = |reading: &Reading| {
            self.wants.watch.get(&reading.signal).is_some_and(|watch| reading.taken >= watch.usable_after.min(now))
        };
        let readings: Vec<Reading> = readings.into_iter().filter(is_wanted).collect();
        readings.iter().for_each(|reading| self.note_evidence(reading));
        readings.into_iter().for_each(|reading| gathered.input(Input::Reading(reading)));
    }

    /// Only turns are journaled. Why a signal is unknown can change without one, and people need the reason of now.
    fn note_evidence(&mut self, reading: &Reading) {
        let known = self.state.signals.get(&reading.signal);
        let stays = known.is_some_and(|known| {
            let same = known.read && known.health == reading.health && known.unreadable == reading.unreadable;
            same && reading.health == Health::Unknown && known.evidence != reading.evidence
        });
        let noted = self.evidence.get(&reading.signal).map(String::as_str);
        if stays && noted != Some(&reading.evidence) {
            Arc::make_mut(&mut self.evidence).insert(reading.signal.clone(), reading.evidence.clone());
        } else if !stays && noted.is_some() {
            Arc::make_mut(&mut self.evidence).remove(&reading.signal);
        }
    }

    /// What is under way at the steps whose time-out is over.
    fn notes_of_the_overdue(&self, now: Timestamp) -> BTreeMap<Name, String> {
        let overdue = |step: &Name| {
            let state = self.state.open_run().and_then(|run| run.steps.get(step));
            state.and_then(|state| state.deadline).is_some_and(|deadline| deadline <= now)
        };
        let overdue = self.progress.iter().filter(|(step, _)| overdue(step));
        overdue.map(|(step, progress)| (step.clone(), progress.note.clone())).collect()
    }

    /// Decides all inputs at this time, makes it durable in one append, folds it, and tells those who wait.
    async fn settle(&mut self, now: Timestamp, pending: Vec<Pending>) -> Result<(), Fault> {
        if pending.is_empty() {
            return Ok(());
        }
        let decided = self.ports.clock.monotonic();
        let ticked = pending.iter().all(|pending| matches!(pending.input, Input::Tick));
        let inputs: Vec<_> = pending.iter().map(|pending| (self.ports.entropy.draw(), &pending.input)).collect();
        let decisions = self.state.decide_all(now, self.notes_of_the_overdue(now), inputs);
        for dropped in &decisions.dropped {
            tracing::error!(
                migration = self.state.name,
                "internal error: an event does not fit the state and was dropped: {dropped}"
            );
        }
        let mut records = Vec::new();
        let mut waiting: Vec<Waiting> = Vec::new();
        for (Pending { input, reply }, decision) in pending.into_iter().zip(decisions.outcomes) {
            let actor = match &input {
                Input::Command(command) => command.asked.actor.as_str(),
                _ => "belay",
            };
            match decision {
                Ok(events) => {
                    let begin = records.len();
                    records.extend(events.into_iter().map(|event| NewRecord {
                        at: now,
                        actor: actor.to_owned(),
                        event,
                    }));
                    waiting.extend(reply.map(|reply| Waiting { reply, outcome: Ok(begin..records.len()) }));
                }
                // It may rest on what was decided right before it, which is neither durable nor seen by anybody yet.
                Err(refusal) => waiting.extend(reply.map(|reply| Waiting { reply, outcome: Err(refusal) })),
            }
        }
        self.idle_tick = ticked && records.is_empty();
        let appended = if records.is_empty() { Ok(Vec::new()) } else { self.append(records, &mut waiting).await };
        let folded = appended.and_then(|records| self.fold(records));
        match folded {
            Ok(records) => {
                if !records.is_empty() {
                    self.decided = decided;
                    self.publish(&records);
                }
                waiting.into_iter().for_each(|waiting| waiting.tell(&records));
                Ok(())
            }
            Err(fault) => {
                waiting.into_iter().for_each(|waiting| waiting.tell_fault(&fault));
                Err(fault)
            }
        }
    }

    fn fold(&mut self, records: Vec<Record>) -> Result<Vec<Record>, Fault> {
        self.moved = true;
        let state = Arc::make_mut(&mut self.state);
        for record in &records {
            let corrupt = |corrupt: Corrupt| Fault { part: FaultPart::State, why: corrupt.to_string() };
            state.evolve(record).map_err(corrupt)?;
        }
        Ok(records)
    }

    /// Starts and stops tasks and reads, as the state wants it.
    fn reconcile(&mut self) {
        self.snapshots.follow(&self.state);
        let wants = self.state.wants();
        self.tasks.reconcile(&wants, self.state.open_run(), self.decided);
        self.losses.reconcile(&self.state);
        self.readiness.reconcile(&self.state, &self.relatives);
        if wants.watch != self.wants.watch {
            let wanted = self.wanted(&wants);
            self.subscription.want(wanted);
        }
        let now = self.ports.clock.now();
        self.notices.reconcile(&wants, &self.snapshot(Vec::new(), now), now);
        self.gathering.reconcile(&wants, &self.state);
        self.wants = wants;
        self.progress.retain(|step, _| {
            let place = self.state.open_run().and_then(|run| run.steps.get_index_of(step));
            let look = |step| TaskId { step, what: What::Look, number: 0 };
            place.is_some_and(|step| {
                let looks = self.wants.tasks.range(look(step)..);
                looks.take_while(|id| id.step == step).any(|id| id.what == What::Look)
            })
        });
    }

    fn wanted(&mut self, wants: &Wants) -> BTreeMap<Name, Wanted> {
        let plan = self.state.open_run().map(|run| &run.plan).or(self.state.plan.as_ref());
        let Some(plan) = plan else { return BTreeMap::new() };
        self.queries.are_of(plan, self.state.baseline.as_ref());
        // When the wall clock was set back, what is on record may lie ahead: no reading could be so fresh.
        let now = self.ports.clock.now();
        let wanted = wants.watch.iter().filter_map(|(name, watch)| {
            let (kind, query) = self.queries.of(name)?;
            Some((name.clone(), Wanted { kind, query, gated: watch.gated, fresh_after: watch.fresh_after.min(now) }))
        });
        wanted.collect()
    }

    fn publish(&self, records: &[Record]) {
        // The records first: who sees the state has all that led to it.
        for record in records {
            let _ = self.tail.send(Arc::new(record.clone())); // nobody may be listening
        }
        self.send_snapshot(Vec::new());
        if !records.is_empty() {
            self.ports.observer.recorded(records, &self.state);
            records.iter().for_each(|record| crate::tell::tell(record, &self.state));
        }
    }

    fn publish_fault(&self, fault: &Fault) {
        self.send_snapshot(vec![fault.clone()]);
    }

    fn send_snapshot(&self, faults: Vec<Fault>) {
        self.published.send_if_modified(|last| {
            let news = !Arc::ptr_eq(&last.state, &self.state)
                || last.progress != self.progress
                || !Arc::ptr_eq(&last.evidence, &self.evidence)
                || !Arc::ptr_eq(&last.losses, self.losses.known())
                || last.readiness.as_ref().map(Arc::as_ptr) != self.readiness.last().map(Arc::as_ptr)
                || last.faults != faults
                || last.slow_append != self.slow_append;
            if news {
                *last = Arc::new(self.snapshot(faults, self.ports.clock.now()));
            }
            news
        });
    }

    fn snapshot(&self, faults: Vec<Fault>, at: Timestamp) -> Snapshot {
        Snapshot {
            state: self.state.clone(),
            progress: self.progress.clone(),
            evidence: self.evidence.clone(),
            losses: self.losses.known().clone(),
            readiness: self.readiness.last().cloned(),
            relatives: self.relatives.clone(),
            faults,
            slow_append: self.slow_append,
            poll: self.sampler.poll(),
            at,
        }
    }

    /// The orderly end: no new looks or sends; the answers of the sends under way are still put on record.
    async fn finish(&mut self) {
        self.tasks.stop_looks();
        self.losses.stop();
        self.readiness.stop();
        if let Some(run) = self.state.open_run() {
            self.tasks.interrupt(run, Interruption::Stop);
        }
        let clock = self.ports.clock.clone();
        let over = clock.sleep(GRACE);
        tokio::pin!(over);
        while self.tasks.is_sending() || self.notices.is_sending() {
            let input = tokio::select! {
                biased;
                input = self.tasks.next(), if self.tasks.is_sending() => input,
                input = self.notices.next() => input,
                () = &mut over => return, // the next start finds out by looking
            };
            if self.settle(clock.now(), vec![Pending { input, reply: None }]).await.is_err() {
                return;
            }
        }
    }

    /// Acting without a journal is worse than not acting. What was sent before goes on by itself.
    async fn refuse_everything(mut self, fault: Fault) {
        self.tasks.stop_looks();
        self.losses.stop();
        self.readiness.stop();
        self.subscription.want(BTreeMap::new());
        self.publish_fault(&fault);
        while let Some(message) = self.commands.recv().await {
            if let Some(done) = refuse(message, &fault) {
                let _ = done.send(()); // nobody may be waiting any more
                return;
            }
        }
    }
}
