//! What a program writes: the end of it, without control characters and without the secrets that Belay knows.

use belay_ports::job::{self, OUTPUT_BYTES_MAX};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::mask;

/// A secret is masked only if it is so long: shorter ones are words of any output.
const SECRET_BYTES_MIN: usize = 8;

/// What a variable is called that holds a secret; the last word of its name decides.
const SECRET_WORDS: [&str; 9] =
    ["KEY", "KEYS", "PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIALS", "WEBHOOK"];

/// Secrets of which Belay knows the values, each under the name of its variable.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets(Vec<(String, String)>);

impl Secrets {
    /// The variables of an environment that hold secrets, as their names tell: `AWS_SESSION_TOKEN`, `SLACK_WEBHOOK`; and those that
    /// were looked up, with the parts that are secrets themselves: the password of a URL, the token of `Bearer TOKEN`.
    pub(crate) fn of(environment: impl Iterator<Item = (String, String)>, looked_up: Vec<(String, String)>) -> Self {
        let is_secret =
            |name: &str| name.to_ascii_uppercase().rsplit('_').next().is_some_and(|word| SECRET_WORDS.contains(&word));
        let parts = looked_up.into_iter().flat_map(|(name, value)| {
            let password = password(&value).map(ToOwned::to_owned);
            let parts = mask::of_header(&value).into_iter().chain(password);
            parts.map(|part| (name.clone(), part)).collect::<Vec<_>>()
        });
        let found = environment.filter(|(name, _)| is_secret(name)).chain(parts);
        let mut found: Vec<(String, String)> = found.filter(|(_, value)| value.len() >= SECRET_BYTES_MIN).collect();
        // One that contains another goes first.
        found.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        Self(found)
    }

    fn longest(&self) -> usize {
        self.0.first().map_or(0, |(_, value)| value.len())
    }

    fn mask(&self, text: String) -> String {
        self.0.iter().fold(text, |text, (name, value)| match text.contains(value) {
            true => text.replace(value, &format!("[{name} masked]")),
            false => text,
        })
    }

    /// The place at or behind `from` at which no secret is cut in two.
    fn between(&self, bytes: &[u8], from: usize) -> usize {
        let ends = self.0.iter().filter_map(|(_, value)| {
            let first = from.saturating_sub(value.len() - 1);
            let around = bytes.get(first..)?.windows(value.len()).take(from - first);
            around.enumerate().find(|(_, found)| *found == value.as_bytes()).map(|(at, _)| first + at + value.len())
        });
        ends.max().unwrap_or(from)
    }
}

fn password(url: &str) -> Option<&str> {
    let (login, _) = url.split_once("://")?.1.split_once('@')?;
    Some(login.split_once(':')?.1)
}

/// The end of what was written.
pub(crate) struct Tail<'a> {
    bytes: Vec<u8>,
    cut: bool,
    secrets: &'a Secrets,
}

impl<'a> Tail<'a> {
    pub(crate) fn new(secrets: &'a Secrets) -> Self {
        Self { bytes: Vec::new(), cut: false, secrets }
    }

    /// Keeps as much more than is shown as the longest secret has, so that one at the cut is known.
    pub(crate) async fn read(&mut self, from: Option<impl AsyncRead + Unpin>) {
        let Some(mut from) = from else { return };
        let kept = OUTPUT_BYTES_MAX + self.secrets.longest();
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut chunk).await {
            self.bytes.extend_from_slice(&chunk[..read]);
            let beyond = self.bytes.len().saturating_sub(kept);
            self.cut |= beyond > 0;
            self.bytes.drain(..beyond);
        }
    }

    pub(crate) fn text(&self) -> String {
        let from = if self.cut { self.secrets.longest() } else { 0 };
        let bytes = &self.bytes[self.secrets.between(&self.bytes, from)..];
        let text = String::from_utf8_lossy(bytes);
        let plain: String =
            text.chars().filter(|letter| !letter.is_control() || matches!(letter, '\n' | '\t')).collect();
        let shown = job::tail(self.secrets.mask(plain).trim_end());
        if self.cut && !shown.starts_with("...") { format!("...{shown}") } else { shown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        let variables = [
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI"),
            ("AWS_SESSION_TOKEN", "wJalrXUtnFEMI/and-more"),
            ("DB_PASSWORD", "short"),
            ("PATH", "/usr/local/bin"),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ];
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let looked_up = [
            ("env:ORDERS_DB", "postgres://shop:pa55-of-orders@db/orders"),
            ("file:probe.key", "Bearer t0ken-of-probe"),
        ];
        Secrets::of(pairs(&variables).into_iter(), pairs(&looked_up))
    }

    async fn tail(secrets: &Secrets, written: &str) -> String {
        let mut tail = Tail::new(secrets);
        tail.read(Some(written.as_bytes())).await;
        tail.text()
    }

    #[tokio::test]
    async fn known_secrets_are_masked_by_the_names_of_their_variables() {
        let shown = tail(&secrets(), "a wJalrXUtnFEMI b wJalrXUtnFEMI/and-more /usr/local/bin short\n").await;
        assert_eq!(shown, "a [AWS_SECRET_ACCESS_KEY masked] b [AWS_SESSION_TOKEN masked] /usr/local/bin short");
    }

    #[tokio::test]
    async fn what_was_looked_up_for_a_plan_is_masked_with_its_parts() {
        let shown = tail(&secrets(), "login pa55-of-orders, then t0ken-of-probe\n").await;
        assert_eq!(shown, "login [env:ORDERS_DB masked], then [file:probe.key masked]");
    }

    #[tokio::test]
    async fn a_secret_at_the_cut_shows_no_part_of_itself() {
        for end in 0..30 {
            let written = format!("{}wJalrXUtnFEMI/and-more{}", "x".repeat(9000), "y".repeat(OUTPUT_BYTES_MAX - end));
            let shown = tail(&secrets(), &written).await;
            assert!(!shown.contains("more") && !shown.contains("UtnF"), "{end}: {shown}");
            assert!(shown.len() <= OUTPUT_BYTES_MAX + 3 && shown.starts_with("..."), "{}", shown.len());
        }
    }

    #[tokio::test]
    async fn a_short_output_is_shown_whole_and_without_control_characters() {
        assert_eq!(tail(&secrets(), "one\ttwo\n\x1b[2Jthree\r\n\n").await, "one\ttwo\n[2Jthree");
    }
}
