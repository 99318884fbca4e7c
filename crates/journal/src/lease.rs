//! One owner: an exclusive lock of the operating system on `PATH.lock`, held for the life of the process that took it.
//! The kernel releases it when the process dies, so there is never a stale one to clean up. The file itself stays:
//! removing it would let two processes lock two files of the same name.

use std::{
    fmt,
    fs::{File, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    process,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::files::{self, Identity};

/// The lock, released when this is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    file: File,
}

/// Closing the file is not enough: a child process that is just being started has it open too, for a moment.
impl Drop for Lease {
    fn drop(&mut self) {
        // If it fails, closing the file is what is left.
        let _ = self.file.unlock();
    }
}

/// Who has the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// None when the holder has not written it down (yet).
    pub process: Option<Process>,
    /// When it took the journal.
    pub since: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub pid: u32,
    pub host: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.process {
            Some(Process { pid, host }) => write!(f, "process {pid} on {host}")?,
            None => f.write_str("another process")?,
        }
        match self.since {
            Some(since) => write!(f, " since {since:.0}"),
            None => Ok(()),
        }
    }
}

pub(crate) enum LeaseError {
    Held(Holder),
    Link { lock: PathBuf },
    Io { lock: PathBuf, source: io::Error },
}

impl Lease {
    pub(crate) fn take(database: &Path) -> Result<Self, LeaseError> {
        let lock = files::beside(database, ".lock");
        if files::is_link(&lock) {
            return Err(LeaseError::Link { lock });
        }
        let failed = |source| LeaseError::Io { lock: lock.clone(), source };
        let mut file = files::open_lock(&lock).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LeaseError::Held(holder(&mut file))),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // It is a help to others only. Where it fails (the disk is full), a daemon that starts and says so is worth more.
        let _ = sign(&mut file);
        Ok(Self { file })
    }

    pub(crate) fn identity(&self) -> io::Result<Identity> {
        Identity::of_file(&self.file)
    }
}

/// Writes down who holds the lock. The time is the file's own, set by this write.
fn sign(file: &mut File) -> io::Result<()> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let text = serde_json::to_string(&Process { pid: process::id(), host })?;
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())
}

/// Best effort: that the lock is held is certain, by whom is a help.
fn holder(file: &mut File) -> Holder {
    let mut text = String::new();
    let read = file.read_to_string(&mut text);
    Holder {
        process: read.ok().and_then(|_| serde_json::from_str(&text).ok()),
        since: file
            .metadata()
            .and_then(|metadata| metadata.modified())
            .ok()
            .and_then(|time| Timestamp::try_from(time).ok()),
    }
}
