use std::{fmt::Write as _, io::Read as _};

use anyhow::Context;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    assembly::actor,
    exit::{Exit, Failure},
    output::Output,
};

/// A token has 256 random bits.
const RANDOM_BYTES: usize = 32;
/// Shorter ones that were made elsewhere can be guessed.
const LENGTH_MIN: usize = 16;

/// Make a token for the daemon, and the entry of its configuration
///
/// The token goes to standard output, once: nothing keeps it, and the daemon knows only its SHA-256. The entry for
/// belay.yaml goes to standard error, so that the token can be piped to where it is kept.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay token release-team
  belay token alice --role operator --role incident_commander
  belay token ci --role viewer > ci.token
  belay token legacy --stdin < old.token   # of a token that there is already")]
pub(crate) struct Args {
    /// Who it is for, as it goes on record; you, if left out
    #[arg(value_parser = name)]
    name: Option<String>,
    /// viewer reads, operator acts; any other is a plan's own, and is asked for by approve and decide
    #[arg(long = "role", value_name = "ROLE", default_value = "operator", value_parser = name)]
    roles: Vec<String>,
    /// Read a token from standard input instead of making one; only the entry is printed
    #[arg(long)]
    stdin: bool,
    /// One JSON document on standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    pub(crate) fn run(&self, output: Output) -> Result<Exit, Failure> {
        let own = || name(&actor().to_lowercase()).unwrap_or_else(|_| "operator".to_owned());
        let name = self.name.clone().unwrap_or_else(own);
        let token = if self.stdin { given()? } else { fresh()? };
        let sha256 = hex(&Sha256::digest(&token));
        let roles = self.roles.join(", ");
        let entry = format!("tokens:\n  - name: {name}\n    roles: [{roles}]\n    sha256: \"{sha256}\"");
        if output.json {
            let token = (!self.stdin).then_some(&token);
            output.document(&json!({ "name": name, "roles": self.roles, "sha256": sha256, "token": token }));
        } else if self.stdin {
            output.raw(&entry);
        } else {
            // Piped to where it is kept, it does not stand between these lines.
            let lead = match output.terminal {
                true => "It is shown only now; with it, anybody acts as you:",
                false => "It goes to standard output, only now; with it, anybody acts as you.",
            };
            output.note(format_args!("The token. {lead}"));
            output.gap();
            output.raw(&token);
            output.gap();
            output.note("Into the daemon's configuration (one more entry, where there are `tokens` already):");
            output.drawn_note(format_args!("\n{entry}\n"));
            output.note("Then let the daemon read it anew (SIGHUP; `systemctl reload belay`), and use it:");
            output.drawn_note("  export BELAY_TOKEN=...\n  belay status");
        }
        Ok(Exit::Done)
    }
}

fn fresh() -> Result<String, Failure> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|error| {
        Failure::message(Exit::Unexpected, format!("the operating system gives no random numbers: {error}"))
    })?;
    // The beginning says what it is, to those who look for secrets that got lost.
    Ok(format!("belay_{}", hex(&random)))
}

fn given() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .context("the token cannot be read from standard input")
        .map_err(|error| Failure::new(Exit::Usage, error))?;
    let token = text.trim();
    if token.is_empty() || token.contains(|letter: char| !letter.is_ascii_graphic()) {
        return Err(Failure::message(Exit::Usage, "there is no token on standard input")
            .help("a token is one line of letters without spaces: `belay token NAME --stdin < FILE`"));
    }
    if token.len() < LENGTH_MIN {
        let what = format!("a token of {} letters can be guessed: it needs {LENGTH_MIN} at least", token.len());
        return Err(Failure::message(Exit::Usage, what).help("`belay token NAME` makes a good one"));
    }
    Ok(token.to_owned())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// As the configuration wants names and roles.
/// A name as plans and tokens take it.
pub(super) fn name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let first = text.chars().next().is_some_and(|first| first.is_ascii_lowercase());
    match first && text.chars().all(allowed) && text.len() <= 63 {
        true => Ok(text.to_owned()),
        false => Err("it begins with a small letter, and has only small letters, digits, `_` and `-`".to_owned()),
    }
}
