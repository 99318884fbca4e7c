//! What `sql` and `sql_difference` take.

use std::time::Duration;

use belay_local::secrets::Reference;
use belay_plan::{
    catalogue::{Finding, SignalSpec},
    comparison::{self, Comparison},
    duration::text as duration_text,
    shape::{Field, Shape, Text, duration as duration_shape, field, object, one_of, pattern, secret, text},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{DIFFERENCE_KEY, KEY, address::Address, statement};
use crate::outcome::check_timeout;

const DATABASE: Text = Text {
    what: "where the database is: `env:NAME` or `file:path` with its URL, or a URL without a password, such as \
           `postgres://belay@db.example.com/shop`",
    pattern: Some("^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|(postgres|postgresql|mysql|mariadb)://.+)$"),
    secret: true,
};

/// How far two values are apart: there is no negative distance.
const DISTANCE: &str = "^(<|<=|==) ?[0-9]+([.][0-9]+)?%?$";

/// What `sql` takes.
pub fn signal_spec() -> SignalSpec {
    let place = place_fields("The database: PostgreSQL, MySQL or MariaDB.");
    SignalSpec {
        key: KEY,
        summary: "One number that a query of a database yields, against a threshold.",
        value: object(place.into_iter().chain(query_fields())),
        siblings: vec![field(
            "healthy",
            pattern("a comparison such as `== 0` or `< 10`", comparison::PATTERN),
            "What a healthy value is.",
        )],
        check,
        remarks: |spec| statement::remarks(&spec[KEY], KEY),
    }
}

/// What `sql_difference` takes.
pub fn difference_spec() -> SignalSpec {
    let side = |doc| field("left", place(), doc);
    SignalSpec {
        key: DIFFERENCE_KEY,
        summary: "How far the numbers that the same query yields in two databases are apart.",
        value: object(
            [
                side("The one that the difference is a percentage of."),
                Field { key: "right".to_owned(), ..side("The other one.") },
            ]
            .into_iter()
            .chain(query_fields()),
        ),
        siblings: vec![field(
            "healthy",
            pattern("a difference such as `== 0`, `<= 10` or `<= 0.1%`", DISTANCE),
            "How far apart they may be; `%` is of the left value.",
        )],
        check: check_difference,
        remarks: |spec| statement::remarks(&spec[DIFFERENCE_KEY], DIFFERENCE_KEY),
    }
}

fn place_fields(doc: &'static str) -> [Field; 2] {
    [
        field("url", Shape::Text(DATABASE), doc),
        field("password", secret(), "Where the password is, for a URL that stands here itself.").optional(),
    ]
}

fn place() -> Shape {
    one_of(
        "`env:NAME`, `file:path`, a URL without a password, or { url, password }",
        [Shape::Text(DATABASE), object(place_fields("The database."))],
    )
}

fn query_fields() -> [Field; 3] {
    [
        field(
            "query",
            text("a query"),
            "One statement that yields one row; it runs in a read-only transaction, with a time-out.",
        ),
        field("column", text("the name of a column"), "Which one, where the row has several.").optional(),
        field("timeout", duration_shape(), "How long to wait for the answer, at most 10s.").or("5s"),
    ]
}

fn check(spec: &Value) -> Vec<Finding> {
    let sql = &spec[KEY];
    let mut findings = check_timeout(spec, KEY);
    findings.extend(check_place(sql, &format!("/{KEY}"), true));
    findings.extend(statement::check(sql, KEY));
    findings
}

fn check_difference(spec: &Value) -> Vec<Finding> {
    let difference = &spec[DIFFERENCE_KEY];
    let mut findings = check_timeout(spec, DIFFERENCE_KEY);
    for side in ["left", "right"] {
        let at = format!("/{DIFFERENCE_KEY}/{side}");
        findings.extend(check_place(&difference[side], &at, difference[side].is_object()));
    }
    if difference["left"] == difference["right"] && !difference["left"].is_null() {
        let finding = Finding::new(format!("/{DIFFERENCE_KEY}/right"), "this is the left database once more");
        findings.push(finding.help("name the database that it is compared with"));
    }
    findings.extend(statement::check(difference, DIFFERENCE_KEY));
    let healthy = spec["healthy"].as_str().and_then(Comparison::parse);
    if healthy.is_some_and(|healthy| !healthy.holds(0.0)) {
        let finding = Finding::new("/healthy", "not even two equal values are healthy by this");
        findings.push(finding.help("write `== 0` for equal values"));
    }
    findings
}

/// `at`: the pointer to the place; `is_object`: the URL stands under its key `url`.
fn check_place(place: &Value, at: &str, is_object: bool) -> Vec<Finding> {
    let (url, url_at) = match is_object {
        true => (&place["url"], format!("{at}/url")),
        false => (place, at.to_owned()),
    };
    let password = place["password"].as_str().and_then(Reference::parse);
    let mut findings = Vec::new();
    if let Some(Err(why)) = password.as_ref().map(Reference::check) {
        findings.push(Finding::new(format!("{at}/password"), why));
    }
    let Some(url) = url.as_str() else { return findings };
    match Reference::parse(url) {
        Some(reference) => {
            findings.extend(reference.check().err().map(|why| Finding::new(&url_at, why)));
            if password.is_some() {
                let finding = Finding::new(format!("{at}/password"), "the URL is a secret, with the password in it");
                findings.push(finding.help("leave `password` out, or write the URL itself, without a password"));
            }
        }
        None => match Address::parse(url) {
            Err(why) => findings.push(Finding::new(url_at, why).conceal()),
            Ok(address) if address.password.is_some() => {
                let finding = Finding::new(url_at, "a password in a URL is a secret: it is not for a plan");
                findings.push(finding.help("write `password: env:NAME`, or the whole URL as `env:NAME`").conceal());
            }
            Ok(address) => {
                findings.extend(crate::http::link_local(&address.host).map(|why| Finding::new(url_at, why)));
            }
        },
    }
    findings
}

/// Where a database is.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Place {
    Url(String),
    Parts { url: String, password: Option<String> },
}

impl Place {
    pub(super) fn url(&self) -> &str {
        match self {
            Self::Url(url) | Self::Parts { url, .. } => url,
        }
    }

    pub(super) fn password(&self) -> Option<&str> {
        match self {
            Self::Url(_) => None,
            Self::Parts { password, .. } => password.as_deref(),
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Question {
    pub(super) query: String,
    pub(super) column: Option<String>,
    #[serde(with = "duration_text")]
    pub(super) timeout: Duration,
}

/// The entry of an `sql`.
#[derive(Debug, Deserialize)]
pub(super) struct Spec {
    pub(super) sql: Asked,
    pub(super) healthy: Comparison,
}

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    url: String,
    password: Option<String>,
    /// Not for plans: where the same data answers, instead of where the URL says.
    pub(super) redirected: Option<Redirected>,
    #[serde(flatten)]
    pub(super) question: Question,
}

/// Another host, and another port unless it is the same.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Redirected {
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

impl Asked {
    pub(super) fn place(&self) -> Place {
        Place::Parts { url: self.url.clone(), password: self.password.clone() }
    }
}

/// The entry of an `sql_difference`.
#[derive(Debug, Deserialize)]
pub(super) struct DifferenceSpec {
    pub(super) sql_difference: Sides,
    pub(super) healthy: Comparison,
}

#[derive(Debug, Deserialize)]
pub(super) struct Sides {
    pub(super) left: Place,
    pub(super) right: Place,
    #[serde(flatten)]
    pub(super) question: Question,
}

/// The places that the entry of a signal names, whatever else stands there.
pub(crate) fn places(kind: &str, entry: &Value) -> Vec<(String, Option<String>)> {
    let places: Vec<&Value> = match kind {
        KEY => vec![entry],
        _ => vec![&entry["left"], &entry["right"]],
    };
    let places = places.into_iter().filter_map(|place| Place::deserialize(place).ok());
    places.map(|place| (place.url().to_owned(), place.password().map(ToOwned::to_owned))).collect()
}
