//! Which file a command runs, and what it is told of its surroundings.

use std::{
    ffi::OsStr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use belay_core::change::Key;
use belay_ports::Scope;
use indexmap::IndexMap;

/// What a program gets of Belay's own environment, beside everything of AWS: the rest is nobody's business.
const INHERITED: [&str; 8] = ["HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER"];
const INHERITED_PREFIX: &str = "AWS_";

/// A command line in a title is cut after so many characters.
const LINE_CHARS_MAX: usize = 200;

/// The file of a program: absolute, or by its name in one of the folders of `path`.
pub(crate) fn find(name: &str, path: &OsStr) -> Option<PathBuf> {
    if name.starts_with('/') {
        return Some(PathBuf::from(name)).filter(|file| is_executable(file));
    }
    // An empty folder would be the present one, which nobody has chosen.
    let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join(name)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// What is inherited, then what the plan says, then what Belay says.
pub(crate) fn environment(
    own: impl Iterator<Item = (String, String)>,
    plan: &IndexMap<String, String>,
    scope: &Scope,
    key: &Key,
) -> IndexMap<String, String> {
    let inherited = own.filter(|(name, _)| INHERITED.contains(&name.as_str()) || name.starts_with(INHERITED_PREFIX));
    let mut environment: IndexMap<String, String> = inherited.collect();
    if let Some(region) = &scope.aws.region {
        for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
            environment.insert(name.to_owned(), region.clone());
        }
    }
    environment.extend(plan.iter().map(|(name, value)| (name.clone(), value.clone())));
    environment.extend(
        [
            ("BELAY_MIGRATION", scope.migration.clone()),
            ("BELAY_RUN", key.run.to_string()),
            ("BELAY_STEP", scope.step.clone()),
            ("BELAY_ATTEMPT", key.attempt.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    environment
}

/// The command for a person: words that are not plain stand in quotes.
pub(crate) fn line(argv: &[String]) -> String {
    let word = |word: &String| {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:,=@%+".contains(letter);
        if word.chars().all(plain) { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) }
    };
    let whole = argv.iter().map(word).collect::<Vec<_>>().join(" ");
    match whole.char_indices().nth(LINE_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &whole[..end]),
        None => whole,
    }
}
