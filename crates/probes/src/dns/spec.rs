//! What `dns` takes.

use std::collections::BTreeMap;

use belay_plan::{
    catalogue::{Finding, SignalSpec, no_signal_findings},
    shape::{Text, field, filled_list, filled_map, integer, object, pattern, text, words},
};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use super::KEY;

/// The word that stands for the zone's own name servers.
pub(super) const AUTHORITATIVE: &str = "authoritative";

const ANSWER: Text = Text::new("an answer", None);
const SHARE: &str = "^(<|<=|>|>=) ?(100|[0-9]{1,2}([.][0-9]{1,3})?)%$";

/// A share is estimated from so many answers where the plan does not say.
const SAMPLES: usize = 20;
const SAMPLES_MAX: i64 = 100;

/// The three ways to say what is healthy.
const WAYS: [&str; 3] = ["answers_any", "answers_all", "answers"];

/// What `dns` takes.
pub fn signal_spec() -> SignalSpec {
    let server = pattern(
        "the address of a DNS server, or `authoritative`",
        "^([A-Za-z0-9._-]+|[0-9A-Fa-f:.]+|\\[[0-9A-Fa-f:.]+\\]:[0-9]{1,5}|[A-Za-z0-9._-]+:[0-9]{1,5})$",
    );
    let share = pattern("a share such as `>= 90%`", SHARE);
    let types = ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"];
    SignalSpec {
        key: KEY,
        summary: "What a name resolves to.",
        value: object([
            field("name", text("a DNS name"), "The whole name to ask for: no search list is applied."),
            field("type", words(types), "The type to ask for."),
            field("answers_any", filled_list(text("an answer")), "One of these has to be among the answers.").optional(),
            field("answers_all", filled_list(text("an answer")), "The answers have to be exactly these, in any order.")
                .optional(),
            field(
                "answers",
                filled_map(ANSWER, share),
                "In which share of the samples an answer has to be: `{ 192.0.2.10: \">= 90%\" }`, for weighted records.",
            )
            .optional(),
            field(
                "samples",
                integer(1, SAMPLES_MAX),
                "How often to ask at each reading; left out: once, and for shares 20 times. A resolver repeats what it has \
                 in its cache, so ask the zone's own name servers for shares.",
            )
            .optional(),
            field(
                "server",
                server,
                "Whom to ask: a server, or `authoritative` for each of the zone's own name servers, which all have to \
                 answer so; left out: the system's resolver.",
            )
            .optional(),
        ]),
        siblings: Vec::new(),
        check,
        remarks: no_signal_findings,
    }
}

fn check(spec: &Value) -> Vec<Finding> {
    let given: Vec<&str> = WAYS.into_iter().filter(|way| !spec[KEY][*way].is_null()).collect();
    match given[..] {
        [_] => Vec::new(),
        [] => {
            let finding = Finding::new(format!("/{KEY}"), "it does not say which answers are healthy");
            vec![finding.help("write one of `answers_any`, `answers_all` and `answers`")]
        }
        [first, second, ..] => {
            let finding = Finding::new(format!("/{KEY}/{second}"), format!("`{first}` says already what is healthy"));
            vec![finding.help("write one of `answers_any`, `answers_all` and `answers`")]
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Spec {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    answers_any: Vec<String>,
    #[serde(default)]
    answers_all: Vec<String>,
    #[serde(default)]
    answers: BTreeMap<String, Share>,
    samples: Option<usize>,
    /// A host or an address, with or without a port, or [`AUTHORITATIVE`]. None: the resolver of this host.
    pub(super) server: Option<String>,
}

/// Which answers are healthy.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted<'a> {
    Any(&'a [String]),
    All(&'a [String]),
    Shares(&'a BTreeMap<String, Share>),
}

impl Spec {
    pub(super) fn wanted(&self) -> Wanted<'_> {
        match (self.answers.is_empty(), self.answers_all.is_empty()) {
            (false, _) => Wanted::Shares(&self.answers),
            (true, false) => Wanted::All(&self.answers_all),
            (true, true) => Wanted::Any(&self.answers_any),
        }
    }

    /// At least 1.
    pub(super) fn samples(&self) -> usize {
        self.samples.unwrap_or(if self.answers.is_empty() { 1 } else { SAMPLES }).max(1)
    }

    pub(super) fn is_authoritative(&self) -> bool {
        self.server.as_deref() == Some(AUTHORITATIVE)
    }
}

/// A share that is wanted: `>= 90%`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Share {
    /// As the plan has it.
    pub(super) text: String,
    operator: Operator,
    percent: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Below,
    AtMost,
    Above,
    AtLeast,
}

impl Share {
    fn parse(text: &str) -> Option<Self> {
        let operators =
            [("<=", Operator::AtMost), (">=", Operator::AtLeast), ("<", Operator::Below), (">", Operator::Above)];
        let (operator, percent) =
            operators.iter().find_map(|(word, operator)| Some((*operator, text.strip_prefix(word)?)))?;
        let percent = percent.trim().strip_suffix('%')?.parse().ok()?;
        Some(Self { text: text.to_owned(), operator, percent })
    }

    pub(super) fn holds(&self, percent: f64) -> bool {
        match self.operator {
            Operator::Below => percent < self.percent,
            Operator::AtMost => percent <= self.percent,
            Operator::Above => percent > self.percent,
            Operator::AtLeast => percent >= self.percent,
        }
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is not a share such as `>= 90%`")))
    }
}
