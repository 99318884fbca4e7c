//! `prometheus`: what a query of a Prometheus server (or of what speaks its HTTP API) yields now, against a threshold.
//!
//! A server that does not answer is a watcher that is blind, and says nothing about what it watches: unknown, and the server
//! is the source.

mod answer;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use belay_core::reading::Reading;
use belay_plan::{
    catalogue::{Finding, SignalSpec, no_signal_findings},
    comparison::{self, Comparison},
    duration::{format as duration_format, text as duration_text},
    shape::{duration as duration_shape, field, filled_map, object, pattern, text},
};
use belay_ports::{Clock, Fut, Permission, Sensor, sensor::Query};
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    http::{HEADER, Http, Spec as Request, check_sent},
    outcome::{Deadline, Outcome, Probed, check_timeout, read_entries},
};

pub(crate) const KEY: &str = "prometheus";

/// An answer is one number; a query that yields thousands of series is not read to its end.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// What comes with an answer in JSON: <https://prometheus.io/docs/prometheus/latest/querying/api/>.
const STATUSES: [u16; 4] = [200, 400, 422, 503];

/// What `prometheus` takes.
pub fn signal_spec() -> SignalSpec {
    let value = text("a header's value, or where it is (`env:NAME`, `file:path`)");
    SignalSpec {
        key: KEY,
        summary: "What a query of Prometheus yields, against a threshold.",
        value: object([
            field(
                "url",
                pattern("an http or https URL, such as `http://prometheus:9090`", "^https?://[^\\s/?#]+[^?#]*$"),
                "The server, with its path prefix if it has one; `/api/v1/query` is added.",
            ),
            field(
                "query",
                text("a query in PromQL"),
                "Has to yield one value: a scalar, or one series. Several, none and NaN are unknown.",
            ),
            field(
                "headers",
                filled_map(HEADER, value),
                "Sent along. A value `env:NAME` or `file:path` is looked up at each read, and never shown or journaled.",
            )
            .optional(),
            field("timeout", duration_shape(), "How long to wait for the answer, at most 10s.").or("5s"),
        ]),
        siblings: vec![field(
            "healthy",
            pattern("a comparison such as `< 0.5` or `== 0`", comparison::PATTERN),
            "What a healthy value is.",
        )],
        check,
        remarks: no_signal_findings,
    }
}

fn check(spec: &Value) -> Vec<Finding> {
    let mut findings = check_timeout(spec, KEY);
    let url = spec[KEY]["url"].as_str().map(Url::parse);
    if let Some(Err(error)) = &url {
        findings.push(Finding::new("/prometheus/url", format!("this is no URL: {error}")));
    }
    findings.extend(check_sent(KEY, &spec[KEY], url.and_then(Result::ok).as_ref()));
    findings
}

/// The signal's entry.
#[derive(Debug, Deserialize)]
struct Spec {
    prometheus: Asked,
    healthy: Comparison,
}

#[derive(Debug, Deserialize)]
struct Asked {
    url: String,
    query: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(with = "duration_text")]
    timeout: Duration,
}

/// Asks Prometheus.
pub struct Prometheus {
    clock: Arc<dyn Clock>,
    http: Http,
}

impl Prometheus {
    pub(crate) fn new(clock: Arc<dyn Clock>, http: Http) -> Self {
        Self { clock, http }
    }

    async fn probe(&self, spec: Spec) -> Probed {
        let Spec { prometheus: Asked { url, query, headers, timeout }, healthy } = spec;
        let mut deadline = Deadline::new(&*self.clock, timeout);
        let url = format!("{}/api/v1/query", url.trim_end_matches('/'));
        let form = form(&[("query", &query), ("timeout", &duration_format(timeout))]);
        let request = Request::of_api(url, headers, form, timeout, &STATUSES, ANSWER_BYTES_MAX);
        match self.http.ask(&request, &mut deadline).await {
            Ok((answer, asked)) => answer::judge(&healthy, answer.status, &answer.body, &asked).masked(&answer.secrets),
            Err(Outcome::Unhealthy(why)) => Outcome::Unreadable(why).into(),
            Err(outcome) => outcome.into(),
        }
    }
}

fn form(pairs: &[(&str, &str)]) -> String {
    // Only its query is of use.
    let mut url = Url::parse("http://form/").expect("this is a URL");
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap_or_default().to_owned()
}

/// Signals of one server turn unknown together when it is away.
fn source(spec: &Value) -> String {
    let url = spec[KEY]["url"].as_str().and_then(|url| Url::parse(url).ok());
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    match url.as_ref().and_then(Url::port) {
        Some(port) => format!("Prometheus at {host}:{port}"),
        None => format!("Prometheus at {host}"),
    }
}

impl Sensor for Prometheus {
    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        Box::pin(read_entries(&*self.clock, queries, KEY, source, |_, spec| self.probe(spec)))
    }

    fn permissions(&self, _query: &Query) -> Vec<Permission> {
        Vec::new()
    }
}
