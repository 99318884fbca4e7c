//! Plan files: found by globs, loaded, and looked at again on SIGHUP.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use belay_local::files::{self, TextFile};
use belay_plan::{Loaded, catalogue::Catalogue, diagnostic::Diagnostic, model::Name};
use jiff::Timestamp;

use crate::permits;

/// A plan file is not larger.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A plan, and the file that it came from.
#[derive(Debug, Clone)]
pub struct PlanFile {
    pub path: PathBuf,
    pub loaded: Arc<Loaded>,
    /// When the file was last written, where its file system says so.
    pub modified: Option<Timestamp>,
    /// Who else than root and the user of Belay can write to it, if anybody can.
    pub others: Option<String>,
}

#[derive(Debug)]
pub enum PlanFileError {
    Unreadable {
        path: PathBuf,
        source: io::Error,
    },
    /// Shown by rendering the diagnostics.
    Invalid {
        path: PathBuf,
        diagnostics: Vec<Diagnostic>,
    },
    /// One migration has one plan; the first stands.
    SameMigration {
        path: PathBuf,
        first: PathBuf,
        migration: Name,
    },
}

impl fmt::Display for PlanFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, source } => write!(f, "{} cannot be read: {source}", path.display()),
            Self::Invalid { path, diagnostics } => {
                let errors = match diagnostics.len() {
                    1 => "1 error".to_owned(),
                    number => format!("{number} errors"),
                };
                let first =
                    diagnostics.first().map_or(String::new(), |d| format!("line {}: {}", d.place.line, d.message));
                write!(f, "{} is not a valid plan ({errors}); {first}", path.display())
            }
            Self::SameMigration { path, first, migration } => {
                let (path, first) = (path.display(), first.display());
                write!(
                    f,
                    "{path} guards {migration}, as {first} does: one migration has one plan; remove one of the two"
                )
            }
        }
    }
}

impl std::error::Error for PlanFileError {}

impl PlanFileError {
    pub fn path(&self) -> &Path {
        match self {
            Self::Unreadable { path, .. } | Self::Invalid { path, .. } | Self::SameMigration { path, .. } => path,
        }
    }

    /// With every error of the file.
    pub(crate) fn log(&self) {
        tracing::error!("{self}");
        if let Self::Invalid { diagnostics, .. } = self {
            for diagnostic in diagnostics {
                tracing::error!("{}", diagnostic.render(false));
            }
        }
    }
}

impl PlanFile {
    /// Reads one file. Blocks on the disk.
    ///
    /// # Errors
    /// [`PlanFileError`] when it cannot be read, or with everything that is wrong in it.
    pub fn load(path: &Path, catalogue: &Catalogue) -> Result<Self, PlanFileError> {
        Self::parse(path, &read(path)?, catalogue)
    }

    /// The file as it is by now. Blocks on the disk.
    pub(crate) fn load_again(&self, catalogue: &Catalogue) -> Result<Self, PlanFileError> {
        let file = read(&self.path)?;
        // Texts may have changed beside it.
        match file.text == self.loaded.text && self.loaded.plan.notify.texts.is_empty() {
            true => {
                let others = permits::others(&file.metadata);
                Ok(Self { modified: modified(&file), others, ..self.clone() })
            }
            false => Self::parse(&self.path, &file, catalogue),
        }
    }

    fn parse(path: &Path, file: &TextFile, catalogue: &Catalogue) -> Result<Self, PlanFileError> {
        let name = path.display().to_string();
        let loaded = belay_plan::load(&name, &file.text, catalogue);
        match loaded.and_then(|loaded| loaded.with_texts(&name, catalogue, |text| files::read_beside(path, text))) {
            Ok(loaded) => Ok(Self {
                path: path.to_owned(),
                loaded: Arc::new(loaded),
                modified: modified(file),
                others: permits::others(&file.metadata),
            }),
            Err(diagnostics) => Err(PlanFileError::Invalid { path: path.to_owned(), diagnostics }),
        }
    }
}

fn read(path: &Path) -> Result<TextFile, PlanFileError> {
    let wrong = |source| PlanFileError::Unreadable { path: path.to_owned(), source };
    let file = files::read_text(path, BYTES_MAX).map_err(wrong)?;
    if permits::is_everybodys(path, &file.metadata) {
        let why = "everybody on this host can change it, and a plan is code: `chmod o-w` the file and its folder";
        return Err(wrong(io::Error::new(io::ErrorKind::PermissionDenied, why)));
    }
    Ok(file)
}

fn modified(file: &TextFile) -> Option<Timestamp> {
    file.metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok())
}

/// Every plan file that globs name, and everything that is wrong in those that cannot be used. Blocks on the disk.
pub fn load_all(globs: &[String], catalogue: &Catalogue) -> (Vec<PlanFile>, Vec<PlanFileError>) {
    let (files, errors): (Vec<_>, Vec<_>) =
        find(globs).iter().map(|path| PlanFile::load(path, catalogue)).partition(Result::is_ok);
    (files.into_iter().flatten().collect(), errors.into_iter().filter_map(Result::err).collect())
}

/// The files that globs name, each once, sorted. A name without wildcards stands for itself, whether it is there or not:
/// reading it then says what is wrong. Blocks on the disk.
pub(crate) fn find(globs: &[String]) -> Vec<PathBuf> {
    let mut found: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for pattern in globs {
        let mut paths: Vec<PathBuf> = match glob::glob(pattern) {
            Ok(paths) => paths.filter_map(readable).collect(),
            Err(error) => {
                tracing::error!(%pattern, %error, "this is not a glob");
                continue;
            }
        };
        if paths.is_empty() {
            match pattern.contains(['*', '?', '[']) {
                true => tracing::warn!(%pattern, "no plan file matches"),
                false => paths.push(PathBuf::from(pattern)),
            }
        }
        for path in paths {
            // `./a.yaml` and `a.yaml` are one file.
            let file = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            found.entry(file).or_insert(path);
        }
    }
    found.into_values().collect()
}

fn readable(found: Result<PathBuf, glob::GlobError>) -> Option<PathBuf> {
    found.inspect_err(|error| tracing::error!(%error, "a directory of plans cannot be read")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_find_each_file_once_and_names_stand_for_themselves() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["b.yaml", "a.yaml", "c.txt"] {
            fs::write(at(name), "").unwrap();
        }
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let found = find(&[text(at("*.yaml")), text(at("./a.yaml")), text(at("missing.yaml")), text(at("x*"))]);
        assert_eq!(found, [at("a.yaml"), at("b.yaml"), at("missing.yaml")]);
    }
}
