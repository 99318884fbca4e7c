//! How the rest of the program reaches the loop of a migration.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use belay_core::{
    change::Progress,
    event::Record,
    input::{Command, Refusal},
    migration::Migration,
};
use belay_plan::model::Name;
use belay_ports::{CheckVerdict, Ports};
use indexmap::IndexMap;
use jiff::Timestamp;
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    task::JoinSet,
};

use crate::{
    driver::Driver,
    expected::relatives,
    history::{OpenError, folded},
    loss::Loss,
    readiness::{HostChecks, Readiness},
    sampler::Sampler,
};

/// Commands that wait for the loop; whoever sends more waits to be let in.
const COMMANDS_MAX: usize = 64;

/// Records that a slow reader of the live tail may be behind before it is told that it missed some.
const TAIL_MAX: usize = 1024;

/// What an engine is started with.
#[derive(Clone)]
pub struct Options {
    /// Shared by all migrations of one process: their signals are read together.
    pub sampler: Sampler,
    pub belay_version: String,
    /// What the process knows of plans for their readiness, which is evaluated while a migration is armed. None: it is not.
    pub readiness: Option<Arc<dyn HostChecks>>,
}

/// Opens migrations.
pub struct Engine;

impl Engine {
    /// Reads the stream of a migration, folds it, and starts its loop. What was under way goes on.
    ///
    /// # Errors
    /// [`OpenError`] when the journal cannot be read or understood.
    pub async fn open(ports: Ports, migration: &str, options: Options) -> Result<Handle, OpenError> {
        let state = folded(ports.journal.as_ref(), migration).await?;
        let relatives: Arc<[Arc<Migration>]> = relatives(ports.journal.as_ref(), migration).await?.into();
        let state = Arc::new(state);
        let snapshot = Snapshot {
            state: state.clone(),
            progress: BTreeMap::new(),
            evidence: Arc::default(),
            losses: Arc::default(),
            readiness: None,
            relatives: relatives.clone(),
            faults: Vec::new(),
            slow_append: None,
            poll: options.sampler.poll(),
            at: ports.clock.now(),
        };
        let (inbox, commands) = mpsc::channel(COMMANDS_MAX);
        let (published, snapshots) = watch::channel(Arc::new(snapshot));
        let (tail, _) = broadcast::channel(TAIL_MAX);
        let driver = Driver::new(ports, options, state, relatives, commands, published, tail.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(driver.run());
        let inner = Inner { migration: migration.to_owned(), inbox, snapshots, tail, _loop: tasks };
        Ok(Handle { inner: Arc::new(inner) })
    }
}

/// The loop of one migration, from outside. When the last clone is dropped, the loop stops where it is, as in a crash;
/// [`Handle::shutdown`] stops it in order. Either way nothing is lost.
#[derive(Clone)]
pub struct Handle {
    inner: Arc<Inner>,
}

struct Inner {
    migration: Name,
    inbox: mpsc::Sender<Message>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    tail: broadcast::Sender<Arc<Record>>,
    /// Dropping it stops the loop and all that it started.
    _loop: JoinSet<()>,
}

pub(crate) enum Message {
    Command(Command, Reply),
    /// It was evaluated for somebody.
    Readiness(Arc<Readiness>),
    /// Is anybody there?
    Ping(oneshot::Sender<()>),
    Shutdown(oneshot::Sender<()>),
}

pub(crate) type Reply = oneshot::Sender<Result<Vec<Record>, CommandError>>;

/// What a migration looks like between two appends.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub state: Arc<Migration>,
    /// Of steps that settle: live only, never journaled.
    pub progress: BTreeMap<Name, Progress>,
    /// Of signals that stay unknown: what the last reading showed, live only. The state has what the first one did.
    pub evidence: Arc<BTreeMap<Name, String>>,
    /// What each step that loses data would lose: live only, never journaled. Empty where the migration is not armed.
    pub losses: Arc<IndexMap<Name, Loss>>,
    /// The last evaluation of the readiness: live only; only changes of the verdict are journaled.
    pub readiness: Option<Arc<Readiness>>,
    /// Of the same plan file with another overlay: what their steps took counts where nothing else is on record.
    pub relatives: Arc<[Arc<Migration>]>,
    /// Why the engine does not act, if it does not.
    pub faults: Vec<Fault>,
    /// The last append, if it took so long that somebody should look at the disk.
    pub slow_append: Option<SlowAppend>,
    /// The poll interval in force.
    pub poll: Duration,
    pub at: Timestamp,
}

impl Snapshot {
    /// The channels of what is armed that nothing could be sent through at the last check, each with the reason.
    pub fn unusable_channels(&self) -> impl Iterator<Item = (&str, &str)> {
        let checks = self.readiness.iter().filter(|_| self.state.armed.is_some()).flat_map(|ready| &ready.checks);
        let no_go = checks.filter(|check| check.verdict == CheckVerdict::NoGo);
        no_go.filter_map(|check| Some((check.part.strip_prefix("channel ")?, check.found.as_str())))
    }
}

/// An append that took long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowAppend {
    /// When it ended.
    pub at: Timestamp,
    pub took: Duration,
}

/// Why an engine does not act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Fault {
    pub part: FaultPart,
    pub why: String,
}

/// Where the cause lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultPart {
    /// They are of another account, or could not be verified.
    Credentials,
    /// It does not take records, or somebody else has written to it.
    Journal,
    /// What it holds cannot be folded.
    State,
}

/// Why a command had no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The engine does not act any more, or not now.
    #[error("Belay does not act on this migration: {why}")]
    Stopped { why: String },
}

impl CommandError {
    fn gone() -> Self {
        Self::Stopped { why: "its loop has ended; the process is stopping".to_owned() }
    }
}

impl Handle {
    pub fn migration(&self) -> &str {
        &self.inner.migration
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.inner.snapshots.borrow().clone()
    }

    /// Every snapshot from here on; a slow reader sees the latest. It closes when the loop ends.
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.inner.snapshots.clone()
    }

    /// The journal's live tail. A reader that lags is told how many records it missed, and reads them from the journal.
    pub fn records(&self) -> broadcast::Receiver<Arc<Record>> {
        self.inner.tail.subscribe()
    }

    /// Carries out a command. When it answers, the records that came of it are durable.
    ///
    /// # Errors
    /// [`CommandError`]: then nothing has changed; or nothing yet, where it says that the journal does not take it.
    pub async fn command(&self, command: Command) -> Result<Vec<Record>, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.inner.inbox.send(Message::Command(command, reply)).await.map_err(|_| CommandError::gone())?;
        answer.await.unwrap_or_else(|_| Err(CommandError::gone()))
    }

    /// Shows an evaluation of the readiness of what is armed from now on.
    pub async fn note_readiness(&self, readiness: Arc<Readiness>) {
        drop(self.inner.inbox.send(Message::Readiness(readiness)).await); // without a loop nothing is shown
    }

    /// Waits until the loop has come round: a sign of life. It does so within moments, also when it does not act; a loop
    /// that hangs never answers.
    ///
    /// # Errors
    /// [`CommandError::Stopped`] when the loop has ended.
    pub async fn turn(&self) -> Result<(), CommandError> {
        let (reply, answer) = oneshot::channel();
        self.inner.inbox.send(Message::Ping(reply)).await.map_err(|_| CommandError::gone())?;
        answer.await.map_err(|_| CommandError::gone())
    }

    /// Stops the loop: nothing new is sent, calls under way are waited for up to a few seconds, the journal is complete.
    pub async fn shutdown(&self) {
        let (done, stopped) = oneshot::channel();
        if self.inner.inbox.send(Message::Shutdown(done)).await.is_ok() {
            // An error means that the loop has ended by itself: the same to us.
            let _ = stopped.await;
        }
    }
}
