//! The plan file: made, never written over.

use std::{fs, io::Write as _, path::Path};

use anyhow::Context;

use crate::exit::{Exit, Failure};

/// A plan that others could change is not used.
#[cfg(unix)]
const MODE: u32 = 0o644;

pub(super) fn refuse_to_overwrite(path: &Path) -> Result<(), Failure> {
    // A link that leads nowhere is there, too.
    match fs::symlink_metadata(path) {
        Ok(_) => Err(is_there(path)),
        Err(_) => Ok(()),
    }
}

fn is_there(path: &Path) -> Failure {
    Failure::message(Exit::Usage, format!("{} is there already", path.display()))
        .help("name another file, or move it away first: `belay init` writes over nothing")
}

/// All of it, or no file.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = || {
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(MODE));
        let mut file = builder.prefix(".belay-init-").tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist_noclobber(path).map(drop).map_err(|error| error.error)
    };
    match written() {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(is_there(path)),
        Err(error) => Err(error)
            .with_context(|| format!("the plan cannot be written to {}", path.display()))
            .map_err(|error| Failure::new(Exit::Unexpected, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.yaml");
        write(&path, "first").unwrap();
        for failure in [refuse_to_overwrite(&path).unwrap_err(), write(&path, "second").unwrap_err()] {
            assert_eq!(failure.exit, Exit::Usage);
            assert!(failure.error.to_string().ends_with("plan.yaml is there already"), "{}", failure.error);
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_nowhere_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (folder.path().join("plan.yaml"), folder.path().join("elsewhere"));
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert!(refuse_to_overwrite(&path).is_err() && write(&path, "text").is_err());
        assert!(!elsewhere.exists());
    }
}
