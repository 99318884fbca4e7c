//! The journal in an SQLite file: a handle for the async side, and the one thread that owns the file.
//!
//! The thread takes everything that waits in its queue and commits all appends of it in one transaction (group commit):
//! under load the price of a sync is shared, without load nothing waits.

use std::{
    future::pending,
    path::{Path, PathBuf, absolute},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

use belay_core::event::Record;
use belay_ports::{AppendError, Fut, Head, Journal, NewRecord, Placed, ReadFailure, Rescued, Snapshot};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    chain::{self, Link, PlacedLink},
    files,
    lease::{Lease, LeaseError},
    schema::{self, OpenError},
    store::{Append, Appended, Disk, Store},
};

struct Owned(PathBuf);

impl Disk for Owned {
    fn open(&self) -> Result<Connection, OpenError> {
        schema::open(&self.0)
    }
}

struct ReadOnly(PathBuf);

impl Disk for ReadOnly {
    fn open(&self) -> Result<Connection, OpenError> {
        schema::open_read_only(&self.0)
    }
}

/// Requests that may wait; who comes then waits without blocking.
const QUEUE: usize = 1024;
/// Requests taken at once, so that the first of them is not kept waiting for a queue that never empties.
const BATCH: usize = 256;

/// How long closing may take: a disk that hangs does not keep the process from ending.
const CLOSE_MAX: Duration = Duration::from_secs(2);

enum Request {
    Append(Append, oneshot::Sender<Appended>),
    Query(Query),
}

enum Query {
    Read { stream: String, after: u64, reply: oneshot::Sender<Result<Vec<Record>, ReadFailure>> },
    Page { stream: String, after: u64, max: usize, reply: oneshot::Sender<Result<Vec<Link>, ReadFailure>> },
    Snapshot { stream: String, reply: oneshot::Sender<Result<Option<Snapshot>, ReadFailure>> },
    KeepSnapshot { stream: String, snapshot: Snapshot, reply: oneshot::Sender<Result<(), ReadFailure>> },
    Across { from: u64, max: usize, reply: oneshot::Sender<Result<Vec<PlacedLink>, ReadFailure>> },
    Streams(oneshot::Sender<Result<Vec<String>, ReadFailure>>),
    Check(oneshot::Sender<Result<(), ReadFailure>>),
    Advance { from: Head, to: u64, reply: oneshot::Sender<Result<Head, ReadFailure>> },
    Rescue(oneshot::Sender<Result<Rescued, ReadFailure>>),
}

/// The owner's thread is gone, which only a panic there can do.
enum Gone {
    BeforeAsking,
    /// The request may have been carried out.
    BeforeAnswering,
}

/// Dropping it answers what is queued, closes the file and gives the lease back; that blocks for as long as a commit, and
/// not for longer than [`CLOSE_MAX`]. A thread that hangs keeps the lease until the process ends.
pub struct SqliteJournal {
    /// None only while dropping.
    requests: Option<mpsc::Sender<Request>>,
    /// Breaks when the thread has ended.
    ended: Mutex<Receiver<()>>,
    commits: Arc<AtomicU64>,
    head: watch::Receiver<u64>,
    read_only: bool,
    path: PathBuf,
}

impl SqliteJournal {
    /// Opens the journal at `path` as its one owner, and makes it when there is none. Blocks on the disk.
    ///
    /// # Errors
    /// [`OpenError::Held`] when another process owns it; others when the file is not ours, is too new, or cannot be
    /// used.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = resolve(path.as_ref());
        Self::open_on(path.clone(), Box::new(Owned(path)))
    }

    /// Opens an existing journal for reading, beside its owner. Appends are refused. Blocks on the disk.
    ///
    /// # Errors
    /// [`OpenError::Missing`] when there is none; others when the file is not ours, is too new, or cannot be used.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = resolve(path.as_ref());
        Self::start(path.clone(), Box::new(ReadOnly(path)), None)
    }

    /// How often it was committed. Appends that waited together share one.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Its files that others on this host may read or write, each with its mode.
    pub fn loose_files(&self) -> Vec<(PathBuf, u32)> {
        files::loose(&self.path)
    }

    /// Opens as the owner, on a disk that may have faults.
    pub(crate) fn open_on(path: PathBuf, disk: Box<dyn Disk>) -> Result<Self, OpenError> {
        let lease = Lease::take(&path).map_err(|error| OpenError::of_lease(&path, error))?;
        Self::start(path, disk, Some(lease))
    }

    fn start(path: PathBuf, disk: Box<dyn Disk>, lease: Option<Lease>) -> Result<Self, OpenError> {
        let lock = lease.as_ref().map(Lease::identity).transpose();
        let lock = lock.map_err(|source| OpenError::of_lease(&path, LeaseError::Io { lock: path.clone(), source }))?;
        let store = Store::open(path.clone(), disk, lock)?;
        let (commits, head) = (store.commits(), store.head());
        let (requests, queue) = mpsc::channel(QUEUE);
        let (ends, ended) = channel();
        let read_only = lease.is_none();
        thread::Builder::new()
            .name("belay-journal".to_owned())
            .spawn(move || {
                serve(store, queue);
                drop(lease); // the file is closed by now
                drop(ends);
            })
            .map_err(|error| OpenError::Unusable { why: format!("no thread can be started for it: {error}") })?;
        Ok(Self { requests: Some(requests), ended: Mutex::new(ended), commits, head, read_only, path })
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or(Gone::BeforeAsking)?;
        requests.send(request(reply)).await.map_err(|_| Gone::BeforeAsking)?;
        answer.await.map_err(|_| Gone::BeforeAnswering)
    }
}

impl Journal for SqliteJournal {
    fn append<'a>(
        &'a self,
        stream: &'a str,
        after: u64,
        records: Vec<NewRecord>,
    ) -> Fut<'a, Result<Vec<Record>, AppendError>> {
        Box::pin(async move {
            if self.read_only {
                return Err(AppendError::Refused { why: "it was opened for reading only".to_owned() });
            }
            let append = Append { stream: stream.to_owned(), after, records };
            let gone = "its thread has ended; start Belay again";
            self.ask(|reply| Request::Append(append, reply)).await.unwrap_or_else(|when| {
                Err(match when {
                    Gone::BeforeAsking => AppendError::Refused { why: gone.to_owned() },
                    Gone::BeforeAnswering => AppendError::Unknown { why: gone.to_owned() },
                })
            })
        })
    }

    fn read<'a>(&'a self, stream: &'a str, after: u64) -> Fut<'a, Result<Vec<Record>, ReadFailure>> {
        Box::pin(async move {
            self.ask(|reply| Request::Query(Query::Read { stream: stream.to_owned(), after, reply }))
                .await
                .unwrap_or_else(|_| Err(unreadable()))
        })
    }

    fn page<'a>(&'a self, stream: &'a str, after: u64, max: usize) -> Fut<'a, Result<Vec<Record>, ReadFailure>> {
        Box::pin(async move {
            let links = self
                .ask(|reply| Request::Query(Query::Page { stream: stream.to_owned(), after, max, reply }))
                .await
                .unwrap_or_else(|_| Err(unreadable()))?;
            // Not on the thread, where appends may wait.
            chain::verified(stream, after, links)
        })
    }

    fn snapshot<'a>(&'a self, stream: &'a str) -> Fut<'a, Result<Option<Snapshot>, ReadFailure>> {
        Box::pin(async move {
            self.ask(|reply| Request::Query(Query::Snapshot { stream: stream.to_owned(), reply }))
                .await
                .unwrap_or_else(|_| Err(unreadable()))
        })
    }

    fn keep_snapshot<'a>(&'a self, stream: &'a str, snapshot: Snapshot) -> Fut<'a, Result<(), ReadFailure>> {
        Box::pin(async move {
            if self.read_only {
                return Err(ReadFailure::Unreadable { why: "it was opened for reading only".to_owned() });
            }
            self.ask(|reply| Request::Query(Query::KeepSnapshot { stream: stream.to_owned(), snapshot, reply }))
                .await
                .unwrap_or_else(|_| Err(unreadable()))
        })
    }

    fn streams<'a>(&'a self) -> Fut<'a, Result<Vec<String>, ReadFailure>> {
        Box::pin(async move {
            self.ask(|reply| Request::Query(Query::Streams(reply))).await.unwrap_or_else(|_| Err(unreadable()))
        })
    }

    fn across<'a>(&'a self, from: u64, max: usize) -> Fut<'a, Result<Vec<Placed>, ReadFailure>> {
        Box::pin(async move {
            let links = self
                .ask(|reply| Request::Query(Query::Across { from, max, reply }))
                .await
                .unwrap_or_else(|_| Err(unreadable()))?;
            // Not on the thread, where appends may wait.
            chain::verified_apart(links)
        })
    }

    fn head(&self) -> u64 {
        *self.head.borrow()
    }

    fn grown<'a>(&'a self, position: u64) -> Fut<'a, ()> {
        let mut head = self.head.clone();
        Box::pin(async move {
            if head.wait_for(|head| *head > position).await.is_err() {
                pending().await // its thread is gone: it will not grow any more
            }
        })
    }

    fn check<'a>(&'a self) -> Fut<'a, Result<(), ReadFailure>> {
        Box::pin(async move {
            self.ask(|reply| Request::Query(Query::Check(reply))).await.unwrap_or_else(|_| Err(unreadable()))
        })
    }

    fn advance<'a>(&'a self, from: &'a Head, to: u64) -> Fut<'a, Result<Head, ReadFailure>> {
        Box::pin(async move {
            let from = from.clone();
            self.ask(|reply| Request::Query(Query::Advance { from, to, reply }))
                .await
                .unwrap_or_else(|_| Err(unreadable()))
        })
    }

    fn rescue<'a>(&'a self) -> Fut<'a, Result<Rescued, ReadFailure>> {
        Box::pin(async move {
            self.ask(|reply| Request::Query(Query::Rescue(reply))).await.unwrap_or_else(|_| Err(unreadable()))
        })
    }
}

impl Drop for SqliteJournal {
    fn drop(&mut self) {
        // The thread ends when nobody can ask any more and the queue is empty.
        self.requests = None;
        // Nothing is ever sent: it breaks, also by a panic, or it takes too long.
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = ended.recv_timeout(CLOSE_MAX);
    }
}

fn unreadable() -> ReadFailure {
    ReadFailure::Unreadable { why: "its thread has ended; start Belay again".to_owned() }
}

/// The thread. Everything in one batch was asked at the same time, so that the appends go first is no reordering.
fn serve(mut store: Store, mut queue: mpsc::Receiver<Request>) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
        let (mut appends, mut appenders, mut queries) = (Vec::new(), Vec::new(), Vec::new());
        for request in batch.drain(..) {
            match request {
                Request::Append(append, reply) => {
                    appends.push(append);
                    appenders.push(reply);
                }
                Request::Query(query) => queries.push(query),
            }
        }
        // Who asked may have gone away meanwhile; then the answer is dropped.
        if !appends.is_empty() {
            for (reply, appended) in appenders.into_iter().zip(store.append_all(&appends)) {
                let _ = reply.send(appended);
            }
        }
        for query in queries {
            match query {
                Query::Read { stream, after, reply } => drop(reply.send(store.read(&stream, after))),
                Query::Page { stream, after, max, reply } => drop(reply.send(store.page(&stream, after, max))),
                Query::Snapshot { stream, reply } => drop(reply.send(store.snapshot(&stream))),
                Query::KeepSnapshot { stream, snapshot, reply } => {
                    drop(reply.send(store.keep_snapshot(&stream, &snapshot)));
                }
                Query::Across { from, max, reply } => drop(reply.send(store.across(from, max))),
                Query::Streams(reply) => drop(reply.send(store.streams())),
                Query::Check(reply) => drop(reply.send(store.check())),
                Query::Advance { from, to, reply } => drop(reply.send(store.advance(&from, to))),
                Query::Rescue(reply) => drop(reply.send(store.rescue())),
            }
        }
    }
}

/// The file by one name: two ways to one directory must not lead to two locks. The file itself is no link.
fn resolve(path: &Path) -> PathBuf {
    let path = absolute(path).unwrap_or_else(|_| path.to_owned());
    match (path.parent().map(Path::canonicalize), path.file_name()) {
        (Some(Ok(directory)), Some(name)) => directory.join(name),
        _ => path,
    }
}
