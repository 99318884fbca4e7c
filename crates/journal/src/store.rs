//! Records in SQLite, and what to make of a commit that failed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    slice,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use belay_core::event::Record;
use belay_ports::{AppendError, Head, NewRecord, ReadFailure, Rescued, Snapshot};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use tokio::sync::watch;

use crate::{
    chain::{self, Link, PlacedLink, Tail},
    fault,
    files::{Identity, Place},
    rescue,
    schema::OpenError,
};

/// Bytes of a body that a record holds itself; a longer one becomes a blob, named by its SHA-256.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Bytes of the bodies that one page takes up, of a stream or across streams; the record that goes beyond is its last. It bounds what a
/// slow reader holds, and for how long a read keeps an append waiting.
const PAGE_BYTES_MAX: usize = 64 * 1024;

/// Records that the head over all streams moves by at once: appends wait meanwhile.
const HEAD_STRIDE: i64 = 4096;

/// The calls that can fail in ways worth testing; a test puts its own faults here.
pub(crate) trait Disk: Send {
    /// Opens the file, now and after a failed commit.
    fn open(&self) -> Result<Connection, OpenError>;

    fn commit(&self, transaction: Transaction<'_>) -> rusqlite::Result<()> {
        transaction.commit()
    }
}

pub(crate) type Appended = Result<Vec<Record>, AppendError>;

/// What one caller wants appended.
pub(crate) struct Append {
    pub(crate) stream: String,
    pub(crate) after: u64,
    pub(crate) records: Vec<NewRecord>,
}

pub(crate) struct Store {
    path: PathBuf,
    disk: Box<dyn Disk>,
    /// None after a commit failed, until the file is open again and ends in a way that it may.
    connection: Option<Connection>,
    /// The streams that the last failed commit was about.
    doubts: Vec<Doubt>,
    commits: Arc<AtomicU64>,
    /// The position of the last record that is known to be durable.
    head: watch::Sender<u64>,
    /// The same record: it must still be in the file.
    last: Option<Last>,
    /// The files that were opened. None for a reader, which relies on nothing.
    place: Option<Place>,
    /// How often other connections had written when the file was opened, as SQLite counts it.
    others_wrote: i64,
}

/// The last of all records.
struct Last {
    position: u64,
    hash: String,
}

/// A stream that ends in one of two ways.
#[derive(Clone)]
struct Doubt {
    stream: String,
    before: Tail,
    after: Tail,
}

/// Where a doubtful commit turned out to be.
#[derive(PartialEq, Eq)]
enum Outcome {
    Written,
    NotWritten,
}

/// An append that is part of a transaction under way.
struct Pending {
    records: Vec<Record>,
    doubt: Doubt,
}

/// What became of a batch.
enum Written {
    /// What is not an error is durable.
    Committed(Vec<Result<Pending, AppendError>>),
    NotBegun {
        why: String,
    },
    /// SQLite rolled everything back because of one append.
    RolledBack {
        why: String,
    },
    InDoubt(Vec<Result<Pending, AppendError>>, rusqlite::Error),
}

impl Store {
    /// `lock`: the lock file of the owner; None to read only.
    pub(crate) fn open(path: PathBuf, disk: Box<dyn Disk>, lock: Option<Identity>) -> Result<Self, OpenError> {
        let connection = disk.open()?;
        let failed = |error: rusqlite::Error| OpenError::of_sqlite(&path, &error);
        let last = last(&connection).map_err(failed)?;
        let others_wrote = others_wrote(&connection).map_err(failed)?;
        let head = watch::Sender::new(last.as_ref().map_or(0, |last| last.position));
        let gone = |error| OpenError::Unusable { why: format!("{} is not there any more: {error}", path.display()) };
        let place = lock.map(|lock| Place::of(&path, lock)).transpose().map_err(gone)?;
        Ok(Self {
            path,
            disk,
            connection: Some(connection),
            doubts: Vec::new(),
            commits: Arc::default(),
            head,
            last,
            place,
            others_wrote,
        })
    }

    /// The position of the last durable record, and every change of it.
    pub(crate) fn head(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// Counts the transactions that were committed.
    pub(crate) fn commits(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.commits)
    }

    /// Appends in one transaction what can be appended; one answer each, in the order of the batch.
    pub(crate) fn append_all(&mut self, batch: &[Append]) -> Vec<Appended> {
        let refuse_all = |why: String| batch.iter().map(|_| Err(AppendError::Refused { why: why.clone() })).collect();
        let mut connection = match self.take_connection() {
            Ok(connection) => connection,
            Err(why) => return refuse_all(why),
        };
        let written = self.write(&mut connection, batch);
        self.connection = Some(connection);
        match written {
            Written::Committed(pending) => self.answer_committed(pending),
            // One that does not fit must not fail the others: each on its own.
            Written::RolledBack { .. } if batch.len() > 1 => {
                batch.iter().flat_map(|append| self.append_all(slice::from_ref(append))).collect()
            }
            Written::RolledBack { why } | Written::NotBegun { why } => refuse_all(why),
            Written::InDoubt(pending, error) => self.answer_in_doubt(pending, &error),
        }
    }

    /// What was written to a file that has lost its name meanwhile is nowhere after the next start.
    fn answer_committed(&mut self, pending: Vec<Result<Pending, AppendError>>) -> Vec<Appended> {
        let Some(place) = &mut self.place else { return pending.into_iter().map(records).collect() };
        match place.check() {
            Ok(()) => {
                place.note_written();
                pending.into_iter().map(records).collect()
            }
            Err(why) => {
                let lost = |added: Result<Pending, AppendError>| match added {
                    Ok(_) => Err(AppendError::Unknown { why: why.clone() }),
                    Err(error) => Err(error),
                };
                pending.into_iter().map(lost).collect()
            }
        }
    }

    /// Whether the next append could be answered.
    pub(crate) fn check(&mut self) -> Result<(), ReadFailure> {
        let expected = self.last.as_ref().map(|last| (last.position, last.hash.clone()));
        let path = self.path.clone();
        let holds = self.query(|connection| match &expected {
            Some((position, hash)) => holds(connection, *position, hash),
            None => Ok(true),
        })?;
        match holds {
            true => Ok(()),
            false => Err(ReadFailure::Unreadable { why: overwritten(&path) }),
        }
    }

    pub(crate) fn advance(&mut self, from: &Head, to: u64) -> Result<Head, ReadFailure> {
        self.query(|connection| {
            let bounds = [from.position, to].map(|position| i64::try_from(position).unwrap_or(i64::MAX));
            let mut statement = connection.prepare_cached(
                "SELECT position, hash FROM records WHERE position > ?1 AND position <= ?2 ORDER BY position LIMIT ?3",
            )?;
            let mut rows = statement.query(params![bounds[0], bounds[1], HEAD_STRIDE])?;
            let mut head = from.clone();
            while let Some(row) = rows.next()? {
                head = chain::advanced(&head, seq(row, 0)?, &text(row, 1)?);
            }
            Ok(head)
        })
    }

    /// Reads through the file that is open, whatever its name leads to by now.
    pub(crate) fn rescue(&self) -> Result<Rescued, ReadFailure> {
        let unreadable = |why: String| ReadFailure::Unreadable { why };
        let Some(connection) = &self.connection else {
            return Err(unreadable("it is not open after a failed write; mend the disk first".to_owned()));
        };
        rescue::rescue(connection, &self.path).map_err(unreadable)
    }

    pub(crate) fn read(&mut self, stream: &str, after: u64) -> Result<Vec<Record>, ReadFailure> {
        let links = self.query(|connection| links(connection, stream, after))?;
        chain::verified(stream, after, links)
    }

    /// Links for [`chain::verified`]: up to `max` behind the anchor, fewer where they are long.
    pub(crate) fn page(&mut self, stream: &str, after: u64, max: usize) -> Result<Vec<Link>, ReadFailure> {
        self.query(|connection| page(connection, stream, after, max))
    }

    /// Only where the record that it stands on is there, with the same hash, and the text is as it was written.
    pub(crate) fn snapshot(&mut self, stream: &str) -> Result<Option<Snapshot>, ReadFailure> {
        let kept = self.query(|connection| {
            // Nobody but its owner adds the table to the file of an earlier version.
            let table = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'snapshots')";
            if !connection.query_row(table, [], |row| row.get::<_, bool>(0))? {
                return Ok(None);
            }
            connection
                .prepare_cached(
                    "SELECT seq, hash, data, snapshots.sha256 FROM snapshots JOIN records USING (stream, seq, hash)
                     WHERE stream = ?1",
                )?
                .query_row([stream], |row| {
                    let snapshot = Snapshot { seq: seq(row, 0)?, hash: text(row, 1)?, text: text(row, 2)? };
                    Ok((snapshot, text(row, 3)?))
                })
                .optional()
        })?;
        Ok(kept.filter(|(snapshot, sum)| chain::snapshot_sum(stream, snapshot) == *sum).map(|(snapshot, _)| snapshot))
    }

    pub(crate) fn keep_snapshot(&mut self, stream: &str, snapshot: &Snapshot) -> Result<(), ReadFailure> {
        let sequence = i64::try_from(snapshot.seq).unwrap_or(i64::MAX);
        let sum = chain::snapshot_sum(stream, snapshot);
        self.query(|connection| {
            connection
                .prepare_cached(
                    "INSERT INTO snapshots (stream, seq, hash, data, sha256) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (stream) DO UPDATE SET seq = ?2, hash = ?3, data = ?4, sha256 = ?5",
                )?
                .execute(params![stream, sequence, snapshot.hash, snapshot.text, sum])
        })?;
        if let Some(place) = &mut self.place {
            place.note_written();
        }
        Ok(())
    }

    pub(crate) fn streams(&mut self) -> Result<Vec<String>, ReadFailure> {
        self.query(|connection| {
            connection
                .prepare_cached("SELECT DISTINCT stream FROM records ORDER BY stream")?
                .query_map([], |row| text(row, 0))?
                .collect()
        })
    }

    /// Up to `max` records of all streams from a position on, fewer where they are long.
    pub(crate) fn across(&mut self, from: u64, max: usize) -> Result<Vec<PlacedLink>, ReadFailure> {
        self.query(|connection| across(connection, from, max))
    }

    fn query<T>(&mut self, ask: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, ReadFailure> {
        let unreadable = |why| ReadFailure::Unreadable { why };
        let connection = self.take_connection().map_err(unreadable)?;
        let answer = ask(&connection).map_err(|error| unreadable(fault::explain(&self.path, &error)));
        self.connection = Some(connection);
        answer
    }

    fn write(&mut self, connection: &mut Connection, batch: &[Append]) -> Written {
        let mut transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
            Ok(transaction) => transaction,
            Err(error) => return Written::NotBegun { why: fault::explain(&self.path, &error) },
        };
        if let Some(Last { position, hash }) = &self.last {
            match holds(&transaction, *position, hash) {
                Ok(true) => {}
                Ok(false) => return Written::NotBegun { why: overwritten(&self.path) },
                Err(error) => return Written::NotBegun { why: fault::explain(&self.path, &error) },
            }
        }
        let mut pending = Vec::with_capacity(batch.len());
        for append in batch {
            let added = add(&mut transaction, append, &self.path);
            if let (true, Err(AppendError::Refused { why })) = (transaction.is_autocommit(), &added) {
                return Written::RolledBack { why: why.clone() };
            }
            pending.push(added);
        }
        if pending.iter().any(Result::is_ok) {
            if let Err(error) = self.disk.commit(transaction) {
                return Written::InDoubt(pending, error);
            }
            self.commits.fetch_add(1, Ordering::Relaxed);
            self.announce(connection);
        }
        Written::Committed(pending)
    }

    /// What is in the file now is durable. A position that cannot be read is announced with the next one.
    fn announce(&mut self, connection: &Connection) {
        if let Ok(last) = last(connection) {
            let head = last.as_ref().map_or(0, |last| last.position);
            self.last = last;
            self.head.send_if_modified(|known| std::mem::replace(known, head) != head);
        }
    }

    /// A write that failed may have reached the disk all the same, so the outcome is open. Only that of a full disk is
    /// looked up at once: it is no reason to mistrust the disk, so what is found there decides.
    fn answer_in_doubt(
        &mut self,
        pending: Vec<Result<Pending, AppendError>>,
        error: &rusqlite::Error,
    ) -> Vec<Appended> {
        let why = fault::explain(&self.path, error);
        self.connection = None;
        self.doubts = doubts(&pending);
        let mut certain = false;
        if fault::is_disk_full(error)
            && let Ok((connection, outcome)) = self.settle()
        {
            self.connection = Some(connection);
            certain = outcome == Outcome::NotWritten;
        }
        let answer = |pending| match pending {
            Ok(_) if !certain => AppendError::Unknown { why: why.clone() },
            // A conflict may have been with an append of this very batch.
            Ok(_) | Err(AppendError::Conflict { .. }) => AppendError::Refused { why: why.clone() },
            Err(error) => error,
        };
        pending.into_iter().map(|pending| Err(answer(pending))).collect()
    }

    /// The connection, settled first after a failed commit, and made anew when somebody else has written. Whoever takes it
    /// puts it back.
    fn take_connection(&mut self) -> Result<Connection, String> {
        if let Some(place) = &mut self.place {
            if self.connection.is_none() {
                place.forget_log(); // closing the file has removed it
            }
            place.check()?;
        }
        match self.connection.take() {
            Some(connection) if self.is_touched(&connection) => match self.open_again() {
                Ok(anew) => Ok(anew), // the old one, with what it remembers of the file, is closed after it
                Err(why) => {
                    self.connection = Some(connection); // a rescue may still read through it
                    Err(why)
                }
            },
            Some(connection) => Ok(connection),
            None => self.settle().map(|(connection, _)| connection),
        }
    }

    fn is_touched(&self, connection: &Connection) -> bool {
        let by_sqlite = || others_wrote(connection).is_ok_and(|count| count != self.others_wrote);
        self.place.as_ref().is_some_and(|place| place.was_written() || by_sqlite())
    }

    fn open_again(&mut self) -> Result<Connection, String> {
        let connection = self.disk.open().map_err(|error| error.to_string())?;
        self.others_wrote = others_wrote(&connection).map_err(|error| fault::explain(&self.path, &error))?;
        if let Some(place) = &mut self.place {
            place.note_log();
            place.note_written();
        }
        Ok(connection)
    }

    /// After a failed commit: opens the file again and finds out where its streams end. What is there is first brought
    /// from the write-ahead log into the file and synced: what can be read back might still be in memory alone.
    fn settle(&mut self) -> Result<(Connection, Outcome), String> {
        let connection = self.open_again()?;
        let path = self.path.clone();
        let failed = |error: rusqlite::Error| fault::explain(&path, &error);
        let busy: bool =
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(failed)?;
        if busy {
            return Err(format!(
                "another program that reads {} keeps it from being synced; close it",
                self.path.display()
            ));
        }
        let (mut written, mut not_written) = (true, true);
        for Doubt { stream, before, after } in &self.doubts {
            let found = tail(&connection, stream).map_err(failed)?;
            written &= found == *after;
            not_written &= found == *before;
        }
        if written || not_written {
            self.announce(&connection);
        }
        if let Some(place) = &mut self.place {
            place.note_written();
        }
        match (written, not_written) {
            (true, _) => Ok((connection, Outcome::Written)),
            (false, true) => Ok((connection, Outcome::NotWritten)),
            (false, false) => Err(format!(
                "after a failed write, {} ends neither as before it nor as after it; run `belay audit`, and start \
                 Belay again when you know why",
                self.path.display()
            )),
        }
    }
}

fn records(added: Result<Pending, AppendError>) -> Appended {
    added.map(|pending| pending.records)
}

fn overwritten(path: &Path) -> String {
    format!(
        "{} was overwritten: the last record that Belay wrote is not in it any more. Stop Belay, keep the file and its \
         `-wal` as they are, and start from a backup or with a new state file",
        path.display()
    )
}

/// Before and after the whole batch, by stream: a commit is all or nothing, so what lies between is never an end.
fn doubts(pending: &[Result<Pending, AppendError>]) -> Vec<Doubt> {
    let mut doubts: BTreeMap<&str, Doubt> = BTreeMap::new();
    for Pending { doubt, .. } in pending.iter().flatten() {
        doubts
            .entry(&doubt.stream)
            .and_modify(|whole| whole.after = doubt.after.clone())
            .or_insert_with(|| doubt.clone());
    }
    doubts.into_values().collect()
}

/// Adds one append to the transaction, all or nothing.
fn add(transaction: &mut Transaction<'_>, append: &Append, path: &Path) -> Result<Pending, AppendError> {
    let refused = |error: rusqlite::Error| AppendError::Refused { why: fault::explain(path, &error) };
    let Append { stream, after, records: new } = append;
    let before = tail(transaction, stream).map_err(refused)?;
    before.admit(stream, *after)?;
    let savepoint = transaction.savepoint().map_err(refused)?;
    let mut last = before.clone();
    let mut records = Vec::with_capacity(new.len());
    for new in new {
        let (link, record) = chain::seal(stream, &last, new)?;
        if !insert(&savepoint, stream, &link).map_err(refused)? {
            let why = format!("{} took a record without keeping it; run `belay audit`", path.display());
            return Err(AppendError::Refused { why });
        }
        last = Tail::from(&link);
        records.push(record);
    }
    savepoint.commit().map_err(refused)?;
    Ok(Pending { records, doubt: Doubt { stream: stream.clone(), before, after: last } })
}

fn tail(connection: &Connection, stream: &str) -> rusqlite::Result<Tail> {
    let tail = connection
        .prepare_cached("SELECT seq, version, hash FROM records WHERE stream = ?1 ORDER BY seq DESC LIMIT 1")?
        .query_row([stream], |row| Ok(Tail { seq: seq(row, 0)?, version: version(row, 1)?, hash: text(row, 2)? }))
        .optional()?;
    Ok(tail.unwrap_or_else(Tail::of_nothing))
}

/// Whether the one row was added.
fn insert(connection: &Connection, stream: &str, link: &Link) -> rusqlite::Result<bool> {
    let reference;
    let mut body = &link.body;
    if body.len() > BODY_BYTES_MAX {
        let name = chain::blob_name(body);
        connection
            .prepare_cached("INSERT INTO blobs (sha256, data) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
            .execute([&name, body])?;
        reference = format!("sha256:{name}");
        body = &reference;
    }
    let sequence = i64::try_from(link.seq).unwrap_or(i64::MAX);
    let added = connection
        .prepare_cached(
            "INSERT INTO records (stream, seq, version, at, actor, type, body, prev, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![stream, sequence, link.version, link.at, link.actor, link.kind, body, link.prev, link.hash])?;
    Ok(added == 1)
}

fn last(connection: &Connection) -> rusqlite::Result<Option<Last>> {
    connection
        .prepare_cached("SELECT position, hash FROM records ORDER BY position DESC LIMIT 1")?
        .query_row([], |row| Ok(Last { position: seq(row, 0)?, hash: text(row, 1)? }))
        .optional()
}

/// Whether a record is where it was written.
fn holds(connection: &Connection, position: u64, hash: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM records WHERE position = ?1 AND hash = ?2)")?
        .query_row(params![i64::try_from(position).unwrap_or(i64::MAX), hash], |row| row.get(0))
}

/// A number that changes when another connection writes.
fn others_wrote(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

/// The links of a stream from the record `from` on, that one included.
fn links(connection: &Connection, stream: &str, from: u64) -> rusqlite::Result<Vec<Link>> {
    connection
        .prepare_cached(
            "SELECT seq, version, at, actor, type, coalesce(data, body), prev, hash
             FROM records LEFT JOIN blobs ON sha256 = blob
             WHERE stream = ?1 AND seq >= ?2 ORDER BY seq",
        )?
        .query_map(params![stream, i64::try_from(from).unwrap_or(i64::MAX)], link)?
        .collect()
}

/// The record `after`, where there is one, and up to `max` behind it; one at least where there is one.
fn page(connection: &Connection, stream: &str, after: u64, max: usize) -> rusqlite::Result<Vec<Link>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, version, at, actor, type, coalesce(data, body), prev, hash
         FROM records LEFT JOIN blobs ON sha256 = blob
         WHERE stream = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3",
    )?;
    let anchor = usize::from(after > 0);
    let limit = i64::try_from(max.saturating_add(anchor)).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![stream, i64::try_from(after).unwrap_or(i64::MAX), limit])?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while bytes < PAGE_BYTES_MAX
        && let Some(row) = rows.next()?
    {
        let link = link(row)?;
        bytes += if found.len() < anchor { 0 } else { link.body.len() };
        found.push(link);
    }
    Ok(found)
}

fn across(connection: &Connection, from: u64, max: usize) -> rusqlite::Result<Vec<PlacedLink>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, version, at, actor, type, coalesce(data, body), prev, hash, position, stream
         FROM records LEFT JOIN blobs ON sha256 = blob
         WHERE position >= ?1 ORDER BY position LIMIT ?2",
    )?;
    let limit = i64::try_from(max).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![i64::try_from(from).unwrap_or(i64::MAX), limit])?;
    let mut found = Vec::new();
    let mut bytes = 0;
    while bytes < PAGE_BYTES_MAX
        && let Some(row) = rows.next()?
    {
        let link = link(row)?;
        bytes += link.body.len();
        found.push(PlacedLink { position: seq(row, 8)?, stream: text(row, 9)?, link });
    }
    Ok(found)
}

fn link(row: &Row<'_>) -> rusqlite::Result<Link> {
    Ok(Link {
        seq: seq(row, 0)?,
        version: version(row, 1)?,
        at: text(row, 2)?,
        actor: text(row, 3)?,
        kind: text(row, 4)?,
        body: text(row, 5)?,
        prev: text(row, 6)?,
        hash: text(row, 7)?,
    })
}

// A column that holds what Belay never writes there was changed by somebody. It is read as something that cannot have
// the right hash, so that it is reported as a broken chain, with its place.

fn seq(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(u64::MAX))
}

fn version(row: &Row<'_>, column: usize) -> rusqlite::Result<u32> {
    Ok(u32::try_from(row.get::<_, i64>(column)?).unwrap_or(u32::MAX))
}

fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(String::from_utf8_lossy(row.get_ref(column)?.as_bytes()?).into_owned())
}
