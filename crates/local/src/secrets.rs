//! Secrets, given by reference: `env:NAME`, `file:path`. They are looked up when they are used, and never shown.
//!
//! A file may be on a disk that hangs. So it is read on a thread of its own: whoever asks waits for it as long as its own
//! deadline lets it, and those who ask meanwhile wait for the same read.

use std::{
    collections::BTreeMap,
    env, fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::watch, task::spawn_blocking};

use crate::files;

/// A secret in a file is not longer.
const BYTES_MAX: u64 = 64 * 1024;

/// Files that may hang at the same time.
const READS_MAX: usize = 32;

/// Begins of the names of variables that Belay itself acts by.
const OWN_VARIABLES: [&str; 3] = ["AWS_", "BELAY_", "OTEL_"];

/// Parts of the paths of files that Belay itself acts by, or that cannot be told beforehand.
const OWN_FOLDERS: [&str; 3] = [".aws", "serviceaccount", ".."];

/// Folders of files that the kernel makes up.
const MADE_UP: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    Variable(String),
    File(PathBuf),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl Reference {
    /// None: the text refers to nothing, and is what it is.
    pub fn parse(text: &str) -> Option<Self> {
        let variable = || text.strip_prefix("env:").map(|name| Self::Variable(name.to_owned()));
        variable().or_else(|| text.strip_prefix("file:").map(|path| Self::File(PathBuf::from(path))))
    }

    /// Whether a plan may refer to it: whoever writes plans must not be able to send away what Belay itself acts with.
    ///
    /// # Errors
    /// It is one of Belay's own secrets.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Variable(name) => match OWN_VARIABLES
                .iter()
                .find(|begin| name.to_ascii_uppercase().starts_with(**begin))
            {
                Some(begin) => Err(format!("the variables {begin}... are Belay's own: no plan can refer to {name}")),
                None => Ok(()),
            },
            Self::File(path) => {
                let is_own = path.components().any(|part| OWN_FOLDERS.iter().any(|own| part.as_os_str() == *own))
                    || MADE_UP.iter().any(|folder| path.starts_with(folder));
                match is_own {
                    true => Err(format!("no plan can refer to {}: Belay's own secrets can be there", path.display())),
                    false => Ok(()),
                }
            }
        }
    }
}

/// What was found at a place, or what is wrong there, in words that tell nothing of it.
type Found = Result<String, String>;

/// Looks secrets up. Clones share what is under way, and what was found.
#[derive(Clone, Default)]
pub struct Secrets {
    reads: Arc<Mutex<BTreeMap<PathBuf, watch::Receiver<Option<Found>>>>>,
    /// The last value of each that was looked up: a program that prints one must not put it on record.
    known: Arc<Mutex<BTreeMap<Reference, String>>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

impl Secrets {
    /// The secret as it is by now. What surrounds it in a file, such as the line end, is no part of it. It takes as long as
    /// the disk does.
    ///
    /// # Errors
    /// Where it was looked for and what is wrong there, in words that tell nothing of it.
    pub async fn look_up(&self, reference: &Reference) -> Result<String, String> {
        let (found, place) = match reference {
            Reference::Variable(name) => {
                let place = format!("the environment variable {name}");
                (env::var(name).map_err(|_| format!("{place} is not set, or not UTF-8")), place)
            }
            Reference::File(path) => (self.read(path).await, path.display().to_string()),
        };
        match found?.trim() {
            "" => Err(format!("{place} is empty")),
            secret => {
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                known.insert(reference.clone(), secret.to_owned());
                Ok(secret.to_owned())
            }
        }
    }

    /// The secrets that were looked up so far, each with what it is called.
    pub(crate) fn known(&self) -> Vec<(String, String)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|(reference, value)| (reference.to_string(), value.clone())).collect()
    }

    async fn read(&self, path: &Path) -> Found {
        let mut read = self.begin(path)?;
        match read.wait_for(Option::is_some).await.map(|found| found.clone()) {
            Ok(Some(found)) => found,
            _ => Err("Belay is stopping".to_owned()),
        }
    }

    /// The read that is under way, or a new one.
    fn begin(&self, path: &Path) -> Result<watch::Receiver<Option<Found>>, String> {
        let mut reads = self.reads();
        if let Some(read) = reads.get(path) {
            return Ok(read.clone());
        }
        if reads.len() >= READS_MAX {
            return Err(format!("{} was not read: {READS_MAX} other files do not answer", path.display()));
        }
        let (sender, receiver) = watch::channel(None);
        reads.insert(path.to_owned(), receiver.clone());
        let (all, path) = (self.clone(), path.to_owned());
        spawn_blocking(move || {
            let over = Over { all: &all, path: &path };
            let found = files::read_text(&path, BYTES_MAX);
            // Whoever asks from now on gets a read of their own: this one shows the file as it was.
            drop(over);
            sender.send_replace(Some(match found {
                Ok(file) => Ok(file.text),
                Err(error) => Err(format!("{} cannot be read: {error}{}", path.display(), looked_for(&path))),
            }));
        });
        Ok(receiver)
    }

    fn reads(&self) -> MutexGuard<'_, BTreeMap<PathBuf, watch::Receiver<Option<Found>>>> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A relative path is of the folder that the process was started in: the whole one shows where that is.
fn looked_for(path: &Path) -> String {
    match std::path::absolute(path) {
        Ok(whole) if whole != path => format!(" (looked for at {})", whole.display()),
        _ => String::new(),
    }
}

/// A read that ends, however it does.
struct Over<'a> {
    all: &'a Secrets,
    path: &'a Path,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.all.reads().remove(self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    async fn look_up(text: &str) -> Found {
        Secrets::default().look_up(&Reference::parse(text).unwrap()).await
    }

    #[tokio::test]
    async fn a_secret_is_looked_up_anew_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        let text = format!("file:{}", file.display());
        for secret in ["https://hc.example.com/s3cret", "https://hc.example.com/another"] {
            fs::write(&file, format!("{secret}\n")).unwrap();
            assert_eq!(look_up(&text).await.unwrap(), secret);
        }
        fs::write(&file, "\n").unwrap();
        assert!(look_up(&text).await.unwrap_err().ends_with("url is empty"));
        fs::remove_file(&file).unwrap();
        assert!(look_up(&text).await.unwrap_err().contains("url cannot be read"));
        let unset = look_up("env:BELAY_TEST_THAT_NOBODY_SETS").await.unwrap_err();
        assert!(unset.contains("BELAY_TEST_THAT_NOBODY_SETS is not set"), "{unset}");
        assert_eq!(Reference::parse("no reference"), None);
    }

    #[tokio::test]
    async fn a_pipe_is_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let why = look_up(&format!("file:{}", pipe.display())).await.unwrap_err();
        assert!(why.ends_with("cannot be read: it is not a regular file"), "{why}");
    }

    #[tokio::test]
    async fn a_file_that_does_not_answer_is_read_once_and_so_many_of_them() {
        let secrets = Secrets::default();
        let mut hung = Vec::new();
        for number in 0..READS_MAX {
            let (sender, receiver) = watch::channel(None);
            secrets.reads().insert(PathBuf::from(format!("/hung/{number}")), receiver);
            hung.push(sender);
        }
        let other = secrets.look_up(&Reference::File("/hung/more".into())).await.unwrap_err();
        assert_eq!(other, "/hung/more was not read: 32 other files do not answer");
        let same = Reference::File("/hung/0".into());
        let (found, ()) = tokio::join!(secrets.look_up(&same), async {
            hung[0].send_replace(Some(Ok("at last".to_owned())));
        });
        assert_eq!(found.unwrap(), "at last");
    }
}
