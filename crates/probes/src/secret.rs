//! Secrets, given by reference: `env:NAME`, `file:path`.

use std::{env, fs};

/// The secret that a reference names, as it is by now; another text is itself. What surrounds a secret in a file, such as
/// the line end, is no part of it. Blocks on the disk.
///
/// # Errors
/// Where it was looked for and what is wrong there, in words that tell nothing of it.
pub(crate) fn look_up(text: &str) -> Result<String, String> {
    let (found, place) = if let Some(name) = text.strip_prefix("env:") {
        let place = format!("the environment variable {name}");
        (env::var(name).map_err(|_| format!("{place} is not set, or not UTF-8"))?, place)
    } else if let Some(path) = text.strip_prefix("file:") {
        (fs::read_to_string(path).map_err(|error| format!("{path} cannot be read: {error}"))?, path.to_owned())
    } else {
        return Ok(text.to_owned());
    };
    match found.trim() {
        "" => Err(format!("{place} is empty")),
        secret => Ok(secret.to_owned()),
    }
}
