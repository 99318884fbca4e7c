//! Puts the parts together: what plans can name, the journal, and what plans may do beyond AWS.

use belay_channels::Channels;
use belay_journal::{OpenError, SqliteJournal, StateUrl};
use belay_local::{Programs, permit::Gate};
use belay_plan::catalogue::Catalogue;
use belay_probes::Probes;
use belay_server::{Config, auth::Tokens};

pub(crate) use crate::aws::ports;
use crate::{
    commands::serve::config_failure,
    exit::{Exit, Failure},
    output::Output,
    text,
};

/// Everything that a plan can name.
pub(crate) fn catalogue() -> Catalogue {
    let actions = belay_aws_catalogue::action_specs().into_iter().chain(Programs::specs());
    let signals = belay_aws_catalogue::signal_specs().into_iter().chain(Probes::specs());
    let channels = belay_aws_catalogue::channel_specs().into_iter().chain(Channels::specs());
    Catalogue::new(actions, signals).with_channels(channels, belay_channels::check_text)
}

const STATE: &str = "sqlite:belay.db";

/// Where the journal is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct State {
    /// Where the journal is kept
    #[arg(id = "state", long = "state", env = "BELAY_STATE", default_value = STATE, value_name = "URL")]
    pub(crate) url: StateUrl,
}

impl State {
    /// As it is typed, with a blank before it; nothing where it is the usual one.
    pub(crate) fn typed(&self) -> String {
        let url = self.url.to_string();
        if url == STATE { String::new() } else { format!(" --state {}", text::shell_word(&url)) }
    }
}

/// Takes the journal and its lease: from here on this process is the one that acts.
pub(crate) fn open_to_write(url: &StateUrl) -> Result<SqliteJournal, Failure> {
    let StateUrl::Sqlite(path) = url;
    let journal = SqliteJournal::open(path).map_err(journal_failure)?;
    for (file, mode) in journal.loose_files() {
        let file = file.display();
        tracing::warn!(
            "{file} has the mode {mode:o}: others on this host may read or change it; run `chmod 600 {file}`"
        );
    }
    Ok(journal)
}

/// Looks into the journal beside whoever owns it.
pub(crate) fn open_to_read(url: &StateUrl) -> Result<SqliteJournal, Failure> {
    let StateUrl::Sqlite(path) = url;
    SqliteJournal::open_read_only(path).map_err(|error| match error {
        // To find that is what an audit is for.
        OpenError::Altered { .. } => Failure::new(Exit::No, error),
        other => journal_failure(other),
    })
}

fn journal_failure(error: OpenError) -> Failure {
    let exit = match &error {
        OpenError::Held { .. } | OpenError::Newer { .. } | OpenError::Altered { .. } => Exit::Refused,
        OpenError::Missing { .. } | OpenError::Foreign { .. } | OpenError::Link { .. } => Exit::Usage,
        OpenError::Lock { .. } | OpenError::Unusable { .. } => Exit::Unexpected,
    };
    let help = match &error {
        OpenError::Missing { .. } | OpenError::Lock { .. } => "say where it is with --state or BELAY_STATE",
        _ => "",
    };
    Failure::new(exit, error).help(help)
}

/// What plans may do beyond AWS, by the daemon's configuration, if BELAY_CONFIG names one.
pub(crate) fn gate(output: Output) -> Result<Gate, Failure> {
    configured(output).map(|(gate, _)| gate)
}

/// The same with the tokens; none without a configuration.
pub(crate) fn configured(output: Output) -> Result<(Gate, Option<Tokens>), Failure> {
    match std::env::var_os("BELAY_CONFIG").is_some_and(|path| !path.is_empty()) {
        true => Config::load(None)
            .map(|config| (Gate::new(config.permits), Some(config.tokens)))
            .map_err(|error| config_failure(error, output)),
        false => Ok((Gate::default(), None)),
    }
}

/// Who acts, as it goes on record.
pub(crate) fn actor() -> String {
    let user = ["USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    user.into_iter().find(|name| !name.is_empty()).unwrap_or_else(|| "operator".to_owned())
}
