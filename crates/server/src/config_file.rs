//! The text of the configuration file, with the place of everything that is wrong in it.

use belay_plan::{
    diagnostic::{Diagnostic, Place},
    shape::NAME,
};
use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use crate::{
    auth::{Role, Token, TokenHash, Tokens},
    config::{self, ArmPolicy, Config, Sigusr1},
};

/// Every key of the file, each a text with its place: so that all values are judged, not only the first wrong one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with the keys of the configuration")]
struct File {
    listen: Option<Spanned<String>>,
    state: Option<Spanned<String>>,
    #[serde(default)]
    plans: Vec<Spanned<String>>,
    poll: Option<Spanned<String>>,
    arm: Option<Spanned<String>>,
    sigusr1: Option<Spanned<String>>,
    #[serde(default)]
    tokens: Vec<TokenEntry>,
    telemetry: Option<Spanned<serde_json::Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a token: { name, roles, sha256 }")]
struct TokenEntry {
    name: Spanned<String>,
    roles: Spanned<Vec<Spanned<String>>>,
    sha256: Spanned<String>,
}

pub(crate) fn parse(file_name: &str, text: &str) -> Result<Config, Vec<Diagnostic>> {
    let mut reader = Reader { file_name, text, problems: Vec::new() };
    // A file in which everything is commented out is a configuration of defaults.
    let file: Option<File> = match serde_saphyr::from_str(text) {
        Ok(file) => file,
        Err(error) => return Err(vec![reader.syntax(&error)]),
    };
    let config = match file {
        Some(file) => reader.config(file),
        None => Config::default(),
    };
    match reader.problems.is_empty() {
        true => Ok(config),
        false => Err(reader.problems),
    }
}

struct Reader<'t> {
    file_name: &'t str,
    text: &'t str,
    problems: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn config(&mut self, file: File) -> Config {
        let mut config = Config::default();
        if let Some(text) = &file.listen {
            self.take(&mut config.listen, text, config::listen);
        }
        if let Some(text) = file.state {
            config.state = text.value;
        }
        config.plans = self.globs(&file.plans);
        if let Some(text) = &file.poll {
            self.take(&mut config.poll, text, config::poll);
        }
        if let Some(text) = &file.arm {
            let words = [("manual", ArmPolicy::Manual), ("on_start", ArmPolicy::OnStart)];
            self.take(&mut config.arm, text, |text| one_of(text, &words));
        }
        if let Some(text) = &file.sigusr1 {
            let words = [("one", Sigusr1::One), ("all", Sigusr1::All)];
            self.take(&mut config.sigusr1, text, |text| one_of(text, &words));
        }
        config.tokens = self.tokens(&file.tokens);
        if let Some(telemetry) = file.telemetry {
            self.problem(&telemetry.referenced, "`telemetry` is not built yet", Some("remove the key"));
        }
        config
    }

    fn globs(&mut self, entries: &[Spanned<String>]) -> Vec<String> {
        for entry in entries {
            if let Err(error) = glob::Pattern::new(&entry.value) {
                let message = format!("`{}` is not a glob: {}", entry.value, error.msg);
                self.problem(&entry.referenced, &message, Some("write for example `plans/*.yaml`"));
            }
        }
        entries.iter().map(|entry| entry.value.clone()).collect()
    }

    fn tokens(&mut self, entries: &[TokenEntry]) -> Tokens {
        let mut tokens: Vec<Token> = Vec::new();
        for entry in entries {
            let name = self.name(&entry.name);
            if tokens.iter().any(|token| token.name == name) {
                self.problem(&entry.name.referenced, &format!("a token `{name}` is given twice"), None);
            }
            if entry.roles.value.is_empty() {
                self.problem(&entry.roles.referenced, "a token without roles may do nothing", Some("write `[viewer]`"));
            }
            let roles = entry.roles.value.iter().map(|role| Role::named(&self.name(role))).collect();
            match TokenHash::parse(&entry.sha256.value) {
                Some(sha256) => tokens.push(Token { name, roles, sha256 }),
                None => self.problem(
                    &entry.sha256.referenced,
                    "this is not a SHA-256: 64 hexadecimal digits",
                    Some("`printf %s TOKEN | sha256sum` prints it; the token itself never stands here"),
                ),
            }
        }
        Tokens::new(tokens)
    }

    fn name(&mut self, text: &Spanned<String>) -> String {
        let mut letters = text.value.chars();
        let first = letters.next().is_some_and(|first| first.is_ascii_lowercase());
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
        if !first || !letters.all(allowed) || text.value.len() > 63 {
            self.problem(&text.referenced, &format!("`{}` is not {}", text.value, NAME.what), None);
        }
        text.value.clone()
    }

    fn take<T>(&mut self, into: &mut T, text: &Spanned<String>, read: impl FnOnce(&str) -> Result<T, String>) {
        match read(&text.value) {
            Ok(value) => *into = value,
            Err(why) => self.problem(&text.referenced, &why, None),
        }
    }

    fn problem(&mut self, at: &Location, message: &str, help: Option<&str>) {
        let place = self.place(at);
        self.problems.push(Diagnostic {
            message: message.to_owned(),
            place,
            help: help.map(str::to_owned),
            related: None,
        });
    }

    fn syntax(&self, error: &serde_saphyr::Error) -> Diagnostic {
        let at = error.location().unwrap_or(Location::UNKNOWN);
        let message = error.without_snippet().render();
        // The place is shown beside it.
        let place = format!(" at line {}, column {}", at.line(), at.column());
        let message = message.strip_suffix(&place).unwrap_or(&message).to_owned();
        Diagnostic { message, place: self.place(&at), help: None, related: None }
    }

    fn place(&self, at: &Location) -> Place {
        // A location that is not known counts from 0; people count from 1.
        let line = usize::try_from(at.line()).unwrap_or(usize::MAX).max(1);
        let source_line = self.text.lines().nth(line - 1).unwrap_or_default().to_owned();
        let columns = source_line.chars().count();
        let column = usize::try_from(at.column()).unwrap_or(usize::MAX).clamp(1, columns + 1);
        let length = usize::try_from(at.span().len()).unwrap_or(usize::MAX);
        let column_end = column.saturating_add(length).min(columns + 1);
        Place { file: self.file_name.to_owned(), line, column, column_end, source_line }
    }
}

fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        format!("unknown word `{text}`; allowed here: {}", words.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `LINE:COLUMN: message` of each problem.
    fn problems(text: &str) -> Vec<String> {
        let problems = parse("belay.yaml", text).unwrap_err();
        problems.iter().map(|p| format!("{}:{}: {}", p.place.line, p.place.column, p.message)).collect()
    }

    #[test]
    fn the_commented_file_is_valid_and_holds_the_defaults() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/belay.yaml");
        let config = parse("belay.yaml", &std::fs::read_to_string(path).unwrap()).unwrap();
        let defaults = Config::default();
        assert_eq!((config.listen, &config.state, config.poll), (defaults.listen, &defaults.state, defaults.poll));
        assert_eq!((config.arm, config.sigusr1), (defaults.arm, defaults.sigusr1));
    }

    #[test]
    fn an_empty_file_holds_the_defaults() {
        for text in ["", "# all commented out\n"] {
            assert_eq!(parse("belay.yaml", text).unwrap().listen, Config::default().listen);
        }
    }

    #[test]
    fn every_wrong_value_is_reported_with_its_place() {
        let text = "listen: here\npoll: 5\narm: allways\nsigusr1: both\nplans: ['[']\ntelemetry: { otlp: x }\n\
                    tokens:\n  - { name: Ops, roles: [], sha256: abc }\n";
        let found = problems(text);
        let starts = [
            "1:9: `here` is not an address with a port",
            "5:9: `[` is not a glob",
            "2:7: `5` has a number without a unit",
            "3:6: unknown word `allways`; allowed here: `manual`, `on_start`",
            "4:10: unknown word `both`",
            "8:13: `Ops` is not a name",
            "8:25: a token without roles",
            "8:37: this is not a SHA-256",
            "6:12: `telemetry` is not built yet",
        ];
        assert_eq!(found.len(), starts.len(), "{found:#?}");
        for start in starts {
            assert!(found.iter().any(|found| found.starts_with(start)), "{start}: {found:#?}");
        }
    }

    #[test]
    fn unknown_keys_are_refused_and_the_known_ones_named() {
        let found = problems("listen: 127.0.0.1:7457\nlisten_on: 7457\n");
        let known = "listen, state, plans, poll, arm, sigusr1, tokens, telemetry";
        assert_eq!(found, [format!("2:1: unknown field `listen_on`, expected one of {known}")]);
    }

    #[test]
    fn a_key_that_is_given_twice_is_refused() {
        let found = problems("poll: 5s\npoll: 6s\n");
        assert!(found[0].starts_with("2:1: "), "{found:?}");
    }
}
