//! The file: which ones are ours, and what is in them.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags, config::DbConfig, ffi};

use crate::{
    fault, files,
    lease::{Holder, LeaseError},
};

/// "BLAY": marks a file as a Belay journal (`file` and `PRAGMA application_id` show it).
const APPLICATION_ID: i32 = 0x424c_4159;
/// Goes up when an older Belay could not use the tables, or would use them wrongly.
const SCHEMA_VERSION: i32 = 2;
/// Without snapshots. Its owner adds their table; readers do without.
const WITHOUT_SNAPSHOTS: i32 = 1;
/// Nobody else writes to the file, so whoever locks it (a backup, a person with a shell) is gone in a moment or not at
/// all.
const BUSY_TIMEOUT: Duration = Duration::from_millis(250);

/// `position` orders the records of all streams as they arrived; it is no part of the chain. A body is the event's
/// JSON, or `sha256:` and the name of a blob.
const TABLES: &str = "
CREATE TABLE blobs (
    sha256 TEXT NOT NULL PRIMARY KEY,
    data   TEXT NOT NULL
) STRICT;
CREATE TABLE records (
    position INTEGER PRIMARY KEY,
    stream   TEXT    NOT NULL,
    seq      INTEGER NOT NULL,
    version  INTEGER NOT NULL,
    at       TEXT    NOT NULL,
    actor    TEXT    NOT NULL,
    type     TEXT    NOT NULL,
    body     TEXT    NOT NULL,
    prev     TEXT    NOT NULL,
    hash     TEXT    NOT NULL,
    blob     TEXT    AS (CASE WHEN body LIKE 'sha256:%' THEN substr(body, 8) END) REFERENCES blobs (sha256),
    UNIQUE (stream, seq)
) STRICT;
";

/// A snapshot of each stream, beside its records and no part of the chain.
const SNAPSHOTS: &str = "
CREATE TABLE snapshots (
    stream TEXT    NOT NULL PRIMARY KEY,
    seq    INTEGER NOT NULL,
    hash   TEXT    NOT NULL,
    data   TEXT    NOT NULL,
    sha256 TEXT    NOT NULL
) STRICT;
";

/// Why a journal could not be opened; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Exit code 5: somebody else owns it.
    #[error(
        "{} is in use by {by}. Talk to that Belay with the other commands, or stop it: the journal is free as soon as \
         its process has ended. `belay audit` reads it meanwhile",
        path.display()
    )]
    Held { path: PathBuf, by: Holder },
    #[error("{} is not a Belay journal ({why}). It was left as it is; name another file", path.display())]
    Foreign { path: PathBuf, why: String },
    #[error(
        "{} was written by a newer Belay (schema {found}, this one knows up to {known}). Use that version, or name \
         another file",
        path.display()
    )]
    Newer { path: PathBuf, found: i32, known: i32 },
    #[error(
        "the tables of {} are not as Belay made them ({what}). Somebody has changed them, so nothing in it is trusted; \
         keep the file to look into it, and start from a backup or with a new state file",
        path.display()
    )]
    Altered { path: PathBuf, what: String },
    #[error("{} is a symbolic link, and Belay follows none: name the file itself", path.display())]
    Link { path: PathBuf },
    #[error("there is no journal at {}", path.display())]
    Missing { path: PathBuf },
    #[error("{} cannot be locked; check that its directory exists and that Belay may write there", lock.display())]
    Lock { lock: PathBuf, source: io::Error },
    #[error("the journal cannot be opened: {why}")]
    Unusable { why: String },
}

impl OpenError {
    pub(crate) fn of_lease(path: &Path, error: LeaseError) -> Self {
        match error {
            LeaseError::Held(by) => Self::Held { path: path.to_owned(), by },
            LeaseError::Link { lock } => Self::Link { path: lock },
            LeaseError::Io { lock, source } => Self::Lock { lock, source },
        }
    }

    pub(crate) fn of_sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::Foreign {
                path: path.to_owned(),
                why: "it is not an SQLite file, or its first page is damaged".to_owned(),
            },
            _ => Self::Unusable { why: fault::explain(path, error) },
        }
    }
}

/// Opens the file for its owner, and makes it when it is new.
pub(crate) fn open(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let failed = |error: rusqlite::Error| OpenError::of_sqlite(path, &error);
    refuse_link(path)?;
    // Made with a mode of its own. Where that is impossible, SQLite says why.
    let _ = files::make(path);
    let mut connection = connect(path, flags)?;
    // A file of somebody else is looked at before anything is written to it.
    let found = identify(path, &connection)?;
    refuse_read_only(path, &connection)?;
    make_durable(path, &connection)?;
    match found {
        Found::Empty => create(&mut connection).map_err(failed)?,
        Found::WithoutSnapshots => add_snapshots(&mut connection).map_err(failed)?,
        Found::Whole => {}
    }
    Ok(connection)
}

/// Opens an existing file for reading, beside an owner that may be writing.
pub(crate) fn open_read_only(path: &Path) -> Result<Connection, OpenError> {
    refuse_link(path)?;
    if !path.exists() {
        return Err(OpenError::Missing { path: path.to_owned() });
    }
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    match identify(path, &connection)? {
        Found::Whole | Found::WithoutSnapshots => Ok(connection),
        Found::Empty => Err(OpenError::Foreign { path: path.to_owned(), why: "it is empty".to_owned() }),
    }
}

fn refuse_link(path: &Path) -> Result<(), OpenError> {
    match files::is_link(path) {
        true => Err(OpenError::Link { path: path.to_owned() }),
        false => Ok(()),
    }
}

/// Nothing that stands in the file is run: neither triggers nor views, nor functions in its schema.
fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, OpenError> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let failed = |error: rusqlite::Error| OpenError::of_sqlite(path, &error);
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    let settings = [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    ];
    for (setting, on) in settings {
        connection.set_db_config(setting, on).map_err(failed)?;
    }
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    Ok(connection)
}

/// What a file is that is ours, or can become ours.
enum Found {
    Empty,
    /// An earlier version made it.
    WithoutSnapshots,
    Whole,
}

/// An error when the file is not ours.
fn identify(path: &Path, connection: &Connection) -> Result<Found, OpenError> {
    let number = |sql: &str| {
        connection.query_row(sql, [], |row| row.get::<_, i32>(0)).map_err(|error| OpenError::of_sqlite(path, &error))
    };
    let application = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    let objects = number("SELECT count(*) FROM sqlite_schema")?;
    match (application, version, objects) {
        (APPLICATION_ID, SCHEMA_VERSION, _) => {
            refuse_altered(path, connection, &[TABLES, SNAPSHOTS]).map(|()| Found::Whole)
        }
        (APPLICATION_ID, WITHOUT_SNAPSHOTS, _) => {
            refuse_altered(path, connection, &[TABLES]).map(|()| Found::WithoutSnapshots)
        }
        (APPLICATION_ID, found, _) if found > SCHEMA_VERSION => {
            Err(OpenError::Newer { path: path.to_owned(), found, known: SCHEMA_VERSION })
        }
        (0, 0, 0) => Ok(Found::Empty),
        _ => Err(OpenError::Foreign {
            path: path.to_owned(),
            why: "it is the SQLite file of another program".to_owned(),
        }),
    }
}

/// An object in the file: its kind, its name, and how it was made.
type Object = (String, String, Option<String>);

/// The tables and indexes must be those that `tables` makes, and there is nothing else. What `ANALYZE` writes is harmless.
fn refuse_altered(path: &Path, connection: &Connection, tables: &[&str]) -> Result<(), OpenError> {
    let failed = |error: rusqlite::Error| OpenError::of_sqlite(path, &error);
    let model = Connection::open_in_memory().map_err(failed)?;
    tables.iter().try_for_each(|tables| model.execute_batch(tables)).map_err(failed)?;
    let (expected, found) = (objects(&model).map_err(failed)?, objects(connection).map_err(failed)?);
    let added = found.iter().find(|object| !expected.contains(object));
    let missing = expected.iter().find(|object| !found.contains(object));
    let what = match (added, missing) {
        (Some((kind, name, _)), _) => format!("the {kind} `{name}` was added or changed"),
        (None, Some((kind, name, _))) => format!("the {kind} `{name}` is missing"),
        (None, None) => return Ok(()),
    };
    Err(OpenError::Altered { path: path.to_owned(), what })
}

fn objects(connection: &Connection) -> rusqlite::Result<Vec<Object>> {
    let mut statement =
        connection.prepare("SELECT type, name, sql FROM sqlite_schema WHERE name NOT GLOB 'sqlite_stat[1-4]'")?;
    let objects = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    objects.collect()
}

/// SQLite opens a write-protected file without a word, and fails at the first write: too late for a safety net.
pub(crate) fn refuse_read_only(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    let read_only = connection.is_readonly(MAIN_DB).map_err(|error| OpenError::of_sqlite(path, &error))?;
    match read_only {
        true => {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_READONLY), None);
            Err(OpenError::of_sqlite(path, &error))
        }
        false => Ok(()),
    }
}

fn make_durable(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    let failed = |error: rusqlite::Error| OpenError::of_sqlite(path, &error);
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        let why = format!("{} has no write-ahead log (mode {mode}); keep it on a local disk", path.display());
        return Err(OpenError::Unusable { why });
    }
    // fullfsync: on macOS a plain fsync does not reach the disk. Elsewhere it does nothing.
    let settings = "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA foreign_keys = ON;";
    connection.execute_batch(settings).map_err(failed)
}

fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(TABLES)?;
    transaction.execute_batch(SNAPSHOTS)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()
}

fn add_snapshots(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(SNAPSHOTS)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()
}
