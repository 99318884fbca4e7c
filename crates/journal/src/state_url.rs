//! Where the state is kept, as the configuration writes it: `sqlite:belay.db`.

use std::{fmt, path::PathBuf, str::FromStr};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateUrl {
    Sqlite(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateUrlError {
    #[error("`{0}` is not built yet: keep the state in a file, for example `sqlite:belay.db`")]
    NotBuilt(String),
    #[error("`{0}` names no file: write for example `sqlite:belay.db` or `sqlite:/var/lib/belay/belay.db`")]
    NoFile(String),
    #[error("`{0}` would not outlive the process: name a file, for example `sqlite:belay.db`")]
    Memory(String),
    #[error("`{0}` is not a state URL: write for example `sqlite:belay.db`")]
    Unknown(String),
}

impl StateUrl {
    /// Reads `sqlite:PATH`, or `sqlite:///PATH` with an absolute path.
    ///
    /// # Errors
    /// [`StateUrlError`] says what to write instead.
    pub fn parse(text: &str) -> Result<Self, StateUrlError> {
        if text.starts_with("dynamodb:") {
            return Err(StateUrlError::NotBuilt(text.to_owned()));
        }
        let Some(rest) = text.strip_prefix("sqlite:") else {
            return Err(StateUrlError::Unknown(text.to_owned()));
        };
        let path = match rest.strip_prefix("//") {
            Some(absolute) if absolute.starts_with('/') => absolute,
            // `sqlite://belay.db` would name a host.
            Some(_) => return Err(StateUrlError::NoFile(text.to_owned())),
            None => rest,
        };
        if path.starts_with(":memory:") {
            return Err(StateUrlError::Memory(text.to_owned()));
        }
        if path.is_empty() || path.ends_with('/') {
            return Err(StateUrlError::NoFile(text.to_owned()));
        }
        Ok(Self::Sqlite(PathBuf::from(path)))
    }
}

impl FromStr for StateUrl {
    type Err = StateUrlError;

    fn from_str(text: &str) -> Result<Self, StateUrlError> {
        Self::parse(text)
    }
}

impl fmt::Display for StateUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Sqlite(path) = self;
        write!(f, "sqlite:{}", path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_and_written_back() {
        let cases = [
            ("sqlite:belay.db", "belay.db"),
            ("sqlite:/var/lib/belay.db", "/var/lib/belay.db"),
            ("sqlite:///var/lib/belay.db", "/var/lib/belay.db"),
            ("sqlite:./a b.db", "./a b.db"),
        ];
        for (text, path) in cases {
            let url = StateUrl::parse(text).unwrap();
            assert_eq!(url, StateUrl::Sqlite(PathBuf::from(path)), "{text}");
            assert_eq!(url.to_string().parse(), Ok(url), "{text}");
        }
    }

    #[test]
    fn everything_else_says_what_to_write() {
        for text in
            ["", "belay.db", "sqlite", "sqlite:", "sqlite://host.db", "sqlite:/tmp/", "sqlite::memory:", "dynamodb:t"]
        {
            let error = StateUrl::parse(text).unwrap_err();
            assert!(error.to_string().contains("sqlite:belay.db"), "{text}: {error}");
        }
        assert_eq!(StateUrl::parse("dynamodb:table"), Err(StateUrlError::NotBuilt("dynamodb:table".to_owned())));
    }
}
