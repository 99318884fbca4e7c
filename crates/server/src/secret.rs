//! Secrets, given by reference: `env:NAME`, `file:path`. They are looked up when they are used, and never shown.

use std::{env, fmt, fs};

/// Where a secret is; or, where that is allowed, the thing itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Reference(String);

impl Reference {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret as it is by now. What surrounds it in a file, such as the line end, is no part of it. Blocks on the disk.
    ///
    /// # Errors
    /// Where it was looked for and what is wrong there, in words that tell nothing of it.
    pub fn look_up(&self) -> Result<String, String> {
        let (found, place) = if let Some(name) = self.0.strip_prefix("env:") {
            let place = format!("the environment variable {name}");
            (env::var(name).map_err(|_| format!("{place} is not set, or not UTF-8"))?, place)
        } else if let Some(path) = self.0.strip_prefix("file:") {
            (fs::read_to_string(path).map_err(|error| format!("{path} cannot be read: {error}"))?, path.to_owned())
        } else {
            (self.0.clone(), "the value".to_owned())
        };
        match found.trim() {
            "" => Err(format!("{place} is empty")),
            secret => Ok(secret.to_owned()),
        }
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.starts_with("env:") || self.0.starts_with("file:") {
            true => f.write_str(&self.0),
            false => f.write_str("(not shown)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_looked_up_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        fs::write(&file, "https://hc.example.com/s3cret\n").unwrap();
        let by_file = Reference::new(format!("file:{}", file.display()));
        assert_eq!(by_file.look_up().unwrap(), "https://hc.example.com/s3cret");
        let itself = Reference::new("https://hc.example.com/s3cret");
        assert_eq!(itself.look_up().unwrap(), "https://hc.example.com/s3cret");
        assert_eq!(format!("{itself:?}"), "(not shown)");
        fs::write(&file, "\n").unwrap();
        assert!(by_file.look_up().unwrap_err().ends_with("url is empty"));
        fs::remove_file(&file).unwrap();
        assert!(by_file.look_up().unwrap_err().contains("url cannot be read"));
        let unset = Reference::new("env:BELAY_TEST_THAT_NOBODY_SETS").look_up().unwrap_err();
        assert!(unset.contains("BELAY_TEST_THAT_NOBODY_SETS is not set"), "{unset}");
    }
}
