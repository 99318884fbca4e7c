//! Which file a command runs, what stands against running it, and what it is told of its surroundings.

use std::{
    ffi::OsStr,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use belay_core::change::Key;
use belay_ports::Scope;
use indexmap::IndexMap;
use rustix::fs::{Access, AtFlags, CWD, accessat};

use crate::With;

/// What a program gets of Belay's own environment, beside everything of AWS: the rest is nobody's business.
const INHERITED: [&str; 8] = ["HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER"];
const INHERITED_PREFIX: &str = "AWS_";

/// A command line in a title is cut after so many characters.
const LINE_CHARS_MAX: usize = 200;

/// As much of a file as Linux reads to find its interpreter.
const FIRST_LINE_BYTES_MAX: u64 = 256;

/// The file of a program; or why the command could not be run on this host, as it is now.
///
/// `path`: Belay's own `PATH`. It blocks: files may lie on a file system that hangs.
pub(crate) fn locate(with: &With, path: &OsStr) -> Result<PathBuf, String> {
    let name = with.argv.first().map(String::as_str).unwrap_or_default();
    let program = find(name, path).ok_or_else(|| match name.starts_with('/') {
        true => format!("on this host there is no program {name} that can be run: install it, or make it executable"),
        false => format!("on this host there is no program {name} in PATH: install it, or give its absolute path"),
    })?;
    if let Some(directory) = &with.directory {
        enterable(directory)?;
    }
    let path = with.env.get("PATH").map_or(path, OsStr::new);
    interpretable(&program, path)?;
    Ok(program)
}

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
    file.metadata().is_ok_and(|found| found.is_file()) && is_permitted(file)
}

/// Whether this user may run a file, or enter a folder.
fn is_permitted(path: &Path) -> bool {
    accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

fn enterable(directory: &Path) -> Result<(), String> {
    let shown = directory.display();
    match directory.metadata() {
        Err(error) => Err(format!("on this host there is no directory {shown} to run it in ({error}): make it")),
        Ok(found) if !found.is_dir() => Err(format!("{shown}, the directory to run it in, is no directory")),
        Ok(_) if !is_permitted(directory) => {
            Err(format!("the user of Belay may not enter {shown}, the directory to run it in"))
        }
        Ok(_) => Ok(()),
    }
}

/// A script needs the interpreter that its first line names: `#!/usr/bin/env python3`.
fn interpretable(program: &Path, path: &OsStr) -> Result<(), String> {
    let shown = program.display();
    // What may be run and not read is no script.
    let Ok(file) = File::open(program) else { return Ok(()) };
    let mut begin = Vec::new();
    if file.take(FIRST_LINE_BYTES_MAX).read_to_end(&mut begin).is_err() || begin.is_empty() {
        return Ok(());
    }
    let Some(line) = begin.strip_prefix(b"#!") else {
        let is_text = begin.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
        return match is_text {
            true => Err(format!("{shown} is a script without an interpreter: begin it with a line such as #!/bin/sh")),
            false => Ok(()),
        };
    };
    let line = String::from_utf8_lossy(line.split(|byte| *byte == b'\n').next().unwrap_or_default());
    if line.ends_with('\r') {
        return Err(format!("the lines of the script {shown} end as on Windows, and Linux cannot run it: convert it"));
    }
    let mut words = line.split_whitespace();
    let interpreter = words.next().unwrap_or_default();
    if !is_executable(Path::new(interpreter)) {
        return Err(format!(
            "{shown} names the interpreter `{}`, which this host does not have: install it",
            line.trim()
        ));
    }
    if Path::new(interpreter).file_name() != Some(OsStr::new("env")) {
        return Ok(());
    }
    let found = words.find(|word| !word.starts_with('-') && !word.contains('='));
    match found.filter(|name| find(name, path).is_none()) {
        Some(name) => {
            Err(format!("{shown} names the interpreter `{}`, and there is no {name} in PATH: install it", line.trim()))
        }
        None => Ok(()),
    }
}

/// Variables that tell the processes of one step of one run from all others.
pub(crate) const RUN: &str = "BELAY_RUN";
pub(crate) const STEP: &str = "BELAY_STEP";

/// Belay's own environment, as far as it is text.
pub(crate) fn own_environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
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
            (RUN, key.run.to_string()),
            (STEP, scope.step.clone()),
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
