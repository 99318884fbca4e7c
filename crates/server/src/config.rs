//! The daemon's own configuration: `config/belay.yaml` shows every key. Reading it binds nothing and opens nothing.

use std::{
    env::VarError,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use belay_local::{files, permit::Permits};
use belay_plan::{diagnostic::Diagnostic, duration};
use serde::Deserialize;

use crate::{
    auth::Tokens,
    config_file,
    heartbeat::Heartbeat,
    listener::{Address, Proxies},
};

/// The file is not larger.
const BYTES_MAX: u64 = 1024 * 1024;

/// How often signals are read at most, and at least.
const POLL_MIN: Duration = Duration::from_millis(100);
const POLL_MAX: Duration = Duration::from_secs(300);

#[derive(Debug, Clone)]
pub struct Config {
    /// Never empty.
    pub listen: Vec<Address>,
    /// Of what comes from these, `X-Forwarded-For` says who it comes from.
    pub proxies: Proxies,
    /// A state URL; what is in it is the binary's to understand.
    pub state: String,
    /// Globs, relative to the working directory, as is everything else here.
    pub plans: Vec<String>,
    pub poll: Duration,
    pub arm: ArmPolicy,
    pub sigusr1: Sigusr1,
    pub tokens: Tokens,
    pub heartbeat: Option<Heartbeat>,
    /// Where this stands, to read it anew.
    pub file: Option<PathBuf>,
    /// Of the command line, beside `plans`.
    pub more_plans: Vec<String>,
    /// The collector that traces go to; None: the one that the environment names, if it does.
    pub otlp: Option<String>,
    /// What plans may do beyond AWS.
    pub permits: Permits,
}

/// When migrations are armed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArmPolicy {
    /// A person arms.
    Manual,
    /// The daemon arms, at its start and on SIGHUP, every migration that has never been armed.
    OnStart,
}

/// What `SIGUSR1` does when several migrations are armed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sigusr1 {
    /// Refuses: nobody can tell which one was meant.
    One,
    All,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{path} cannot be read: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    /// Shown by rendering the diagnostics.
    #[error("{path} is not a valid configuration ({} error{})", .diagnostics.len(), if .diagnostics.len() == 1 { "" } else { "s" })]
    Invalid { path: PathBuf, diagnostics: Vec<Diagnostic> },
    #[error("{name} is not valid: {why}")]
    Environment { name: &'static str, why: String },
    #[error(
        "{listen} can be reached from other machines, and there are no `tokens`: everybody there could roll back; \
         give `tokens`, or listen on 127.0.0.1"
    )]
    Exposed { listen: Address },
}

impl Default for Config {
    fn default() -> Self {
        config_file::parse("", "").expect("a configuration that says nothing is valid")
    }
}

impl Config {
    /// The file that is given, else the one that `BELAY_CONFIG` names, else none; then the environment over it.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong in the file, or the first wrong variable.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::load_with(file, std::env::var)
    }

    /// The same file and environment, read again; without a file nothing can have changed. What takes a restart stays as it
    /// is, and is named. `traced`: traces are sent already. Blocks on the disk.
    ///
    /// # Errors
    /// As for [`Config::load`].
    pub(crate) fn load_again(&self, traced: bool) -> Result<(Self, Vec<&'static str>), ConfigError> {
        let Some(file) = &self.file else { return Ok((self.clone(), Vec::new())) };
        let new = Self::load(Some(file))?;
        let differs = [
            ("listen", new.listen != self.listen),
            ("state", new.state != self.state),
            ("poll", new.poll != self.poll),
            ("plain_http", new.permits.plain_http != self.permits.plain_http),
            ("telemetry", traced && new.otlp != self.otlp),
        ];
        let later = differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect();
        let new = Self {
            listen: self.listen.clone(),
            state: self.state.clone(),
            poll: self.poll,
            more_plans: self.more_plans.clone(),
            otlp: if traced { self.otlp.clone() } else { new.otlp },
            ..new
        };
        // Judged by where it really listens.
        new.refuse_exposed()?;
        Ok((new, later))
    }

    /// All globs of plans.
    pub fn all_plans(&self) -> Vec<String> {
        self.plans.iter().chain(&self.more_plans).cloned().collect()
    }

    fn load_with(
        file: Option<&Path>,
        variable: impl Fn(&'static str) -> Result<String, VarError>,
    ) -> Result<Self, ConfigError> {
        let read = |name| match variable(name) {
            Ok(value) if value.is_empty() => Ok(None),
            Ok(value) => Ok(Some(value)),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err(ConfigError::Environment { name, why: "it is not UTF-8".to_owned() }),
        };
        let file = match file {
            Some(file) => Some(file.to_owned()),
            None => read("BELAY_CONFIG")?.map(PathBuf::from),
        };
        let mut config = match file {
            None => Self::default(),
            Some(path) => {
                let file = files::read_text(&path, BYTES_MAX)
                    .map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?;
                match Self::parse(&path.display().to_string(), &file.text) {
                    Ok(config) => Self { file: Some(path), ..config },
                    Err(diagnostics) => return Err(ConfigError::Invalid { path, diagnostics }),
                }
            }
        };
        let wrong = |name| move |why| ConfigError::Environment { name, why };
        if let Some(value) = read("BELAY_LISTEN")? {
            config.listen = addresses(&value).map_err(wrong("BELAY_LISTEN"))?;
        }
        if let Some(value) = read("BELAY_STATE")? {
            config.state = value;
        }
        if let Some(value) = read("BELAY_POLL")? {
            config.poll = poll(&value).map_err(wrong("BELAY_POLL"))?;
        }
        config.refuse_exposed()?;
        Ok(config)
    }

    /// Reads the text of a configuration file; `file_name` is what errors call it.
    ///
    /// # Errors
    /// Every diagnostic, in the order of the file; what keeps it from being read at all stands alone.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        config_file::parse(file_name, text)
    }

    /// The JSON Schema of a configuration file: `config/daemon.schema.json`.
    pub fn schema() -> serde_json::Value {
        config_file::schema()
    }

    /// Without tokens everybody who reaches the port may do everything, so only this machine may reach it.
    ///
    /// # Errors
    /// [`ConfigError::Exposed`].
    pub fn refuse_exposed(&self) -> Result<(), ConfigError> {
        match self.listen.iter().find(|address| address.is_exposed()) {
            Some(listen) if self.tokens.is_empty() => Err(ConfigError::Exposed { listen: listen.clone() }),
            _ => Ok(()),
        }
    }
}

/// As the environment has them: separated by commas.
fn addresses(text: &str) -> Result<Vec<Address>, String> {
    text.split(',').map(|address| address.trim().parse()).collect()
}

pub(crate) fn poll(text: &str) -> Result<Duration, String> {
    let poll = duration::parse(text).map_err(|error| error.to_string())?;
    match (POLL_MIN..=POLL_MAX).contains(&poll) {
        true => Ok(poll),
        false => Err(format!("`{text}` is not between 100ms and 5m; the default is `5s`")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const TOKEN: &str = "tokens: [{ name: ops, roles: [operator], sha256: \
                         9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 }]\n";

    fn no_variables(_: &'static str) -> Result<String, VarError> {
        Err(VarError::NotPresent)
    }

    fn shown(config: &Config) -> Vec<String> {
        config.listen.iter().map(ToString::to_string).collect()
    }

    fn with_file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn without_a_file_the_defaults_hold() {
        let config = Config::load_with(None, no_variables).unwrap();
        assert_eq!(shown(&config), ["127.0.0.1:7457"]);
        assert_eq!(config.state, "sqlite:belay.db");
        assert_eq!(config.poll, Duration::from_secs(5));
    }

    #[test]
    fn the_environment_stands_over_the_file() {
        let file = with_file("listen: 127.0.0.1:1\nstate: sqlite:a.db\npoll: 7s\n");
        let path = file.path().to_str().unwrap().to_owned();
        let config = Config::load_with(None, |name| {
            Ok(match name {
                "BELAY_CONFIG" => path.clone(),
                "BELAY_LISTEN" => "[::1]:0, unix:/run/belay.sock".to_owned(),
                "BELAY_STATE" => "sqlite:b.db".to_owned(),
                _ => String::new(),
            })
        });
        let config = config.unwrap();
        assert_eq!(shown(&config), ["[::1]:0", "unix:/run/belay.sock"]);
        assert_eq!(config.state, "sqlite:b.db");
        assert_eq!(config.poll, Duration::from_secs(7), "an empty variable counts as none");
    }

    #[test]
    fn a_wrong_variable_is_named() {
        let error = Config::load_with(None, |name| match name {
            "BELAY_POLL" => Ok("5".to_owned()),
            _ => Err(VarError::NotPresent),
        });
        assert!(error.unwrap_err().to_string().starts_with("BELAY_POLL is not valid: `5` has a number without a unit"));
    }

    #[test]
    fn other_machines_are_let_in_only_with_tokens() {
        let file = with_file("listen: 0.0.0.0:7457\n");
        let error = Config::load_with(Some(file.path()), no_variables).unwrap_err();
        assert!(matches!(error, ConfigError::Exposed { .. }), "{error}");
        let file = with_file("listen: [unix:/run/belay.sock, 0.0.0.0:7457]\n");
        assert!(Config::load_with(Some(file.path()), no_variables).is_err());
        for valid in [&format!("listen: 0.0.0.0:7457\n{TOKEN}"), "listen: unix:/run/belay.sock\n"] {
            Config::load_with(Some(with_file(valid).path()), no_variables).unwrap();
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Config::load_with(Some(Path::new("nowhere.yaml")), no_variables).unwrap_err();
        assert!(error.to_string().starts_with("nowhere.yaml cannot be read"), "{error}");
    }
}
