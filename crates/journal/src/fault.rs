//! What went wrong in SQLite, in words that say what to do next.

use std::path::Path;

use rusqlite::{Error, ErrorCode};

/// One or two sentences for a person, with SQLite's own words at the end.
pub(crate) fn explain(path: &Path, error: &Error) -> String {
    let path = path.display();
    let advice = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => format!("no space is left for {path}; free some, and Belay goes on by itself"),
        Some(ErrorCode::ReadOnly) => format!(
            "{path} is read-only; check the owner and mode of the file and its directory, and how the file system is \
             mounted"
        ),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => format!(
            "{path} is damaged; stop Belay, keep the file and its `-wal` as they are, and start from a backup or with \
             a new state file"
        ),
        Some(ErrorCode::SystemIoFailure) => {
            format!("the disk under {path} failed; look at the kernel log and the disk before anything else")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("another program keeps {path} locked; close it")
        }
        Some(ErrorCode::CannotOpen) => {
            format!("{path} cannot be opened; check that its directory exists and that Belay may write there")
        }
        _ => format!("SQLite refused {path}"),
    };
    format!("{advice} ({error})")
}

pub(crate) fn is_disk_full(error: &Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}
