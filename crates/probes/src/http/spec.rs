//! What `http` takes.

use std::{collections::BTreeMap, time::Duration};

use belay_plan::{
    catalogue::{Finding, SignalSpec, no_signal_findings, pointer},
    duration::{self, text as duration_text},
    shape::{
        Text, duration as duration_shape, field, filled_list, filled_map, integer, object, one_of, pattern, text, words,
    },
};
use indexmap::IndexMap;
use regex_lite::{Regex, RegexBuilder};
use reqwest::Url;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use super::{
    BODY_BYTES_MAX, KEY,
    body_json::{self, Wanted},
    sent,
};
use crate::{
    outcome::check_timeout,
    tcp::{ADDRESS, check_port},
    tls::{DaysLeft, days_left_field},
};

/// More hops than a browser follows are a loop.
const REDIRECTS_MAX: u8 = 20;
const REDIRECTS_FOLLOWED: u8 = 10;

/// How much a compiled pattern may take. The time of a match grows with it: at this size, the whole of a body takes less than
/// a second. Nested repetitions go beyond it.
const PATTERN_BYTES_MAX: usize = 32 * 1024;

pub(crate) const HEADER: Text = Text::new("a header's name", Some("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"));

/// What `http` takes.
pub fn signal_spec() -> SignalSpec {
    let status = || integer(100, 599);
    let regex = || text("a regular expression");
    SignalSpec {
        key: KEY,
        summary: "What a URL answers.",
        value: object([
            field(
                "url",
                pattern("an http or https URL, such as `https://www.example.com/health`", "^https?://[^\\s/]+.*$"),
                "The URL to get.",
            ),
            field("method", words(["GET", "HEAD", "OPTIONS"]), "None that changes anything: a dry run probes, too.")
                .or("GET"),
            field(
                "headers",
                filled_map(HEADER, text("a header's value, or where it is (`env:NAME`, `file:path`)")),
                "Sent along. A value `env:NAME` or `file:path` is looked up at each probe, and never shown or journaled; \
                 it goes to the URL's own host only, not to where a redirect leads.",
            )
            .optional(),
            field(
                "connect_to",
                pattern("HOST:PORT", ADDRESS),
                "Connects there, and asks for the URL's host all the same (in the request and in TLS): so a destination \
                 is probed before its name points at it.",
            )
            .optional(),
            field(
                "redirects",
                one_of("none, follow, or how many to follow at most", [
                    words(["none", "follow"]),
                    integer(1, i64::from(REDIRECTS_MAX)),
                ]),
                "Whether redirects are followed (`follow`: up to 10); if not, they are answers like any other.",
            )
            .or("none"),
            field(
                "redirect_hosts",
                filled_list(pattern("the name of a host", "^[A-Za-z0-9.-]+$")),
                "Other hosts to which a redirect may lead; without them, only the URL's own.",
            )
            .optional(),
            field(
                "status",
                one_of("a status, or a list of them", [status(), filled_list(status())]),
                "The healthy ones.",
            )
            .or(200),
            field("body_contains", text("a text"), "What the first 64 KiB of the body have to contain.").optional(),
            field("body_matches", regex(), "A regular expression that the first 64 KiB of the body have to match.")
                .optional(),
            field(
                "body_json",
                body_json::shape(),
                "What values of a JSON body have to be, each by its path: `{ \"$.queue.depth\": \"< 100\", \"$.state\": \"== \\\"up\\\"\" }`.",
            )
            .optional(),
            field(
                "header_matches",
                filled_map(HEADER, regex()),
                "Regular expressions that the answer's headers have to match, each by the header's name.",
            )
            .optional(),
            field("within", duration_shape(), "An answer that takes longer is not healthy.").optional(),
            days_left_field(),
            field("timeout", duration_shape(), "How long to wait for the answer, at most 10s.").or("5s"),
        ]),
        siblings: Vec::new(),
        check,
        remarks: no_signal_findings,
    }
}

fn check(spec: &Value) -> Vec<Finding> {
    let mut findings = check_timeout(spec, KEY);
    let http = &spec[KEY];
    let at = |key: &str| format!("/{KEY}/{key}");
    let url = http["url"].as_str().map(Url::parse);
    if let Some(Err(error)) = &url {
        findings.push(Finding::new(at("url"), format!("this is no URL: {error}")));
    }
    let url = url.and_then(Result::ok);
    findings.extend(sent::check(KEY, http, url.as_ref()));
    findings.extend(body_json::check(http));
    findings.extend(check_port(http["connect_to"].as_str(), &at("connect_to")));
    if http["connect_to"].is_string() && url.as_ref().is_some_and(|url| url.domain().is_none()) {
        let finding = Finding::new(at("connect_to"), "the URL's host is an address, so nothing is left to ask for");
        findings.push(finding.help("write the host's name in the URL, and its address here"));
    }
    if http["certificate_days_left"].is_string() && url.as_ref().is_some_and(|url| url.scheme() == "http") {
        let finding = Finding::new(at("certificate_days_left"), "an http URL has no certificate");
        findings.push(finding.help("write an https URL, or leave this out"));
    }
    if http["method"] != "GET" && http["method"].is_string() {
        for key in ["body_contains", "body_matches", "body_json"].into_iter().filter(|key| !http[*key].is_null()) {
            findings.push(Finding::new(at(key), "only GET answers with a body to look at"));
        }
    }
    let limit = |key: &str| http[key].as_str().and_then(|text| duration::parse(text).ok());
    if let (Some(within), Some(timeout)) = (limit("within"), limit("timeout"))
        && (within.is_zero() || within > timeout)
    {
        let finding = Finding::new(at("within"), "it is more than 0s and at most the time-out");
        findings.push(finding.help(format!("the time-out is {}", duration::format(timeout))));
    }
    let regexes = http["header_matches"].as_object().into_iter().flatten();
    let regexes = regexes.map(|(name, regex)| (pointer(&[KEY, "header_matches", name]), regex));
    for (place, regex) in regexes.chain([(at("body_matches"), &http["body_matches"])]) {
        if let Some(Err(error)) = regex.as_str().map(pattern_of) {
            let finding = Finding::new(place, format!("this is no regular expression that can be used: {error}"));
            findings.push(finding.help("repetitions in repetitions, as `(a{1,99}){1,99}`, take too long to match"));
        }
    }
    findings
}

#[derive(Debug, Deserialize)]
pub(crate) struct Spec {
    pub(super) url: String,
    #[serde(default = "get")]
    pub(super) method: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    pub(super) connect_to: Option<String>,
    #[serde(default, deserialize_with = "hops")]
    pub(super) redirects: u8,
    #[serde(default)]
    pub(super) redirect_hosts: Vec<String>,
    status: Statuses,
    pub(super) body_contains: Option<String>,
    #[serde(default, deserialize_with = "regex")]
    pub(super) body_matches: Option<Regex>,
    #[serde(default)]
    pub(super) body_json: IndexMap<String, Wanted>,
    #[serde(default)]
    header_matches: BTreeMap<String, String>,
    #[serde(default, with = "duration_text::option")]
    pub(super) within: Option<Duration>,
    pub(super) certificate_days_left: Option<DaysLeft>,
    #[serde(with = "duration_text")]
    pub(super) timeout: Duration,
    /// Sent as the body.
    #[serde(skip)]
    pub(super) form: Option<String>,
    #[serde(skip, default = "page_bytes_max")]
    pub(super) body_bytes_max: usize,
}

/// The healthy statuses.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Statuses {
    One(u16),
    AnyOf(Vec<u16>),
}

impl Spec {
    /// A question to an API: the answers with these statuses are read, up to so many bytes.
    pub(crate) fn of_api(
        url: String,
        headers: BTreeMap<String, String>,
        form: String,
        timeout: Duration,
        statuses: &[u16],
        body_bytes_max: usize,
    ) -> Self {
        Self {
            url,
            method: "POST".to_owned(),
            headers,
            connect_to: None,
            redirects: 0,
            redirect_hosts: Vec::new(),
            status: Statuses::AnyOf(statuses.to_vec()),
            body_contains: None,
            body_matches: None,
            body_json: IndexMap::new(),
            header_matches: BTreeMap::new(),
            within: None,
            certificate_days_left: None,
            timeout,
            form: Some(form),
            body_bytes_max,
        }
    }

    pub(super) fn statuses(&self) -> &[u16] {
        match &self.status {
            Statuses::One(status) => std::slice::from_ref(status),
            Statuses::AnyOf(statuses) => statuses,
        }
    }

    /// By the header's name. A plan with a bad one is not armed.
    pub(super) fn header_matches(&self) -> impl Iterator<Item = (&str, Regex)> {
        self.header_matches.iter().filter_map(|(name, regex)| Some((name.as_str(), pattern_of(regex).ok()?)))
    }

    pub(super) fn has_patterns(&self) -> bool {
        self.body_matches.is_some() || !self.header_matches.is_empty()
    }

    pub(super) fn wants_body(&self) -> bool {
        self.body_contains.is_some() || self.body_matches.is_some() || !self.body_json.is_empty() || self.form.is_some()
    }
}

fn pattern_of(text: &str) -> Result<Regex, regex_lite::Error> {
    RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build()
}

fn page_bytes_max() -> usize {
    BODY_BYTES_MAX
}

fn get() -> String {
    "GET".to_owned()
}

fn hops<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    match Value::deserialize(from)? {
        Value::String(word) if word == "follow" => Ok(REDIRECTS_FOLLOWED),
        Value::String(word) if word == "none" => Ok(0),
        other => other
            .as_u64()
            .and_then(|hops| u8::try_from(hops).ok())
            .ok_or_else(|| D::Error::custom("not a number of redirects")),
    }
}

fn regex<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Regex>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| pattern_of(&text)).transpose().map_err(D::Error::custom)
}
