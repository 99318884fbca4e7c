//! Writes a journal whose own file was deleted or replaced to a new one, as long as this process has it open.

use std::{
    env,
    fs::File,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use belay_ports::Rescued;
use rusqlite::Connection;

use crate::{fault, files, schema};

/// Names that are tried in one directory.
const NAMES: u32 = 100;

/// Copies everything that the connection can read, and reads the copy back.
pub(crate) fn rescue(connection: &Connection, database: &Path) -> Result<Rescued, String> {
    let copy = new_file(database).map_err(|error| {
        format!(
            "no file can be made for it, neither beside {} nor in the temporary directory: {error}",
            database.display()
        )
    })?;
    let name = copy.to_str().ok_or_else(|| format!("{} is no name in UTF-8", copy.display()))?;
    let failed = |error: rusqlite::Error| fault::explain(&copy, &error);
    connection.execute("VACUUM INTO ?1", [name]).map_err(failed)?;
    File::open(&copy).and_then(|file| file.sync_all()).map_err(|error| format!("{}: {error}", copy.display()))?;
    let count = |connection: &Connection| {
        connection.query_row("SELECT count(*) FROM records", [], |row| row.get::<_, i64>(0)).map_err(failed)
    };
    let written = schema::open_read_only(&copy).map_err(|error| error.to_string())?;
    let (expected, found) = (count(connection)?, count(&written)?);
    if expected != found {
        return Err(format!("{} has {found} of {expected} records", copy.display()));
    }
    Ok(Rescued { path: copy.clone(), records: u64::try_from(found).unwrap_or_default() })
}

/// Beside the journal; where that is impossible, in the temporary directory.
fn new_file(database: &Path) -> io::Result<PathBuf> {
    let name = Path::new(database.file_name().unwrap_or_default());
    new_of(database).or_else(|_| new_of(&env::temp_dir().join(name)))
}

fn new_of(database: &Path) -> io::Result<PathBuf> {
    let names = (1..NAMES).map(|number| match number {
        1 => ".rescued".to_owned(),
        number => format!(".rescued-{number}"),
    });
    for suffix in names {
        let copy = files::beside(database, &suffix);
        match files::make_new(&copy) {
            Ok(()) => return Ok(copy),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}
