//! The files of a journal on the file system: made for their owner alone, never reached through a symbolic link, and
//! still the ones that were opened.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

/// Read and written by the owner, and by nobody else.
const MODE: u32 = 0o600;
/// What others may not do: everything.
const OTHERS: u32 = 0o077;

/// `PATH-wal`, `PATH.lock`.
pub(crate) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut path = OsString::from(database);
    path.push(suffix);
    PathBuf::from(path)
}

pub(crate) fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

/// Makes an empty file, unless there is one. SQLite gives its write-ahead log the same mode.
///
/// An existing file is not opened: closing it would give up the locks that SQLite holds on it in this process.
pub(crate) fn make(path: &Path) -> io::Result<()> {
    match make_new(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Makes an empty file of a name that is free.
pub(crate) fn make_new(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(MODE).open(path).map(drop)
}

pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    let no_links = OFlags::NOFOLLOW.bits().cast_signed();
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(MODE).custom_flags(no_links).open(path)
}

/// The files that others on this host may read or write, each with its mode.
pub(crate) fn loose(database: &Path) -> Vec<(PathBuf, u32)> {
    let files = ["", "-wal", "-shm", ".lock"].map(|suffix| beside(database, suffix));
    let mode = |path: &PathBuf| fs::symlink_metadata(path).ok().map(|found| found.mode() & 0o7777);
    files
        .into_iter()
        .filter_map(|path| mode(&path).filter(|mode| mode & OTHERS != 0).map(|mode| (path, mode)))
        .collect()
}

/// What makes two names one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(found: &Metadata) -> Self {
        Self { device: found.dev(), inode: found.ino() }
    }

    pub(crate) fn of_file(file: &File) -> io::Result<Self> {
        file.metadata().map(|found| Self::of(&found))
    }
}

/// When and how long a file was when it was last looked at.
type Written = (i64, i64, u64);

fn written(found: &Metadata) -> Written {
    (found.mtime(), found.mtime_nsec(), found.size())
}

/// The files that were opened.
#[derive(Debug)]
pub(crate) struct Place {
    database: PathBuf,
    identity: Identity,
    written: Written,
    log: Option<Identity>,
    lock: Identity,
}

impl Place {
    /// Right after they were opened.
    pub(crate) fn of(database: &Path, lock: Identity) -> io::Result<Self> {
        let found = fs::symlink_metadata(database)?;
        let (identity, written) = (Identity::of(&found), written(&found));
        let mut place = Self { database: database.to_owned(), identity, written, log: None, lock };
        place.note_log();
        Ok(place)
    }

    /// SQLite makes a new write-ahead log whenever it opens the file as the only one.
    pub(crate) fn note_log(&mut self) {
        self.log = fs::symlink_metadata(beside(&self.database, "-wal")).ok().map(|found| Identity::of(&found));
    }

    pub(crate) fn forget_log(&mut self) {
        self.log = None;
    }

    /// What was written last was written by this process.
    pub(crate) fn note_written(&mut self) {
        if let Ok(found) = fs::symlink_metadata(&self.database) {
            self.written = written(&found);
        }
        if self.log.is_none() {
            self.note_log();
        }
    }

    /// Whether somebody else has written to the file.
    pub(crate) fn was_written(&self) -> bool {
        fs::symlink_metadata(&self.database).is_ok_and(|found| written(&found) != self.written)
    }

    /// Whether the names still lead to the files that were opened.
    ///
    /// # Errors
    /// What has happened, and what to do.
    pub(crate) fn check(&self) -> Result<(), String> {
        let rescue = "`belay journal rescue` writes all records to a new file: do that before this process ends";
        let database = &self.database;
        if let Some(what) = became(database, self.identity)? {
            return Err(format!(
                "{} was {what} while Belay has it open. Move the file itself back (a copy is another file), or rescue \
                 it: {rescue}",
                database.display()
            ));
        }
        let log = beside(database, "-wal");
        if let Some(what) = self.log.map(|identity| became(&log, identity)).transpose()?.flatten() {
            return Err(format!(
                "{} was {what} while Belay has it open, and the last records are in it. Move the file itself back, or \
                 rescue them: {rescue}",
                log.display()
            ));
        }
        let lock = beside(database, ".lock");
        if let Some(what) = became(&lock, self.lock)? {
            return Err(format!(
                "{} was {what} while Belay holds it, so another process could own the journal too. Stop what else uses \
                 it, and restart Belay",
                lock.display()
            ));
        }
        Ok(())
    }
}

/// What has become of a name, if it does not lead to the file any more.
fn became(path: &Path, identity: Identity) -> Result<Option<&'static str>, String> {
    match fs::symlink_metadata(path) {
        Ok(found) if Identity::of(&found) == identity => Ok(None),
        Ok(_) => Ok(Some("replaced")),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Some("deleted")),
        Err(error) => Err(format!("{} cannot be looked at: {error}; check the disk", path.display())),
    }
}
