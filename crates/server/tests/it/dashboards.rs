//! The dashboard and the alert rules ask only for what there is, and the dashboard leaves nothing out.

use std::{collections::BTreeSet, fs, path::PathBuf};

use belay_server::metrics::table::{ALL, Described, Kind};
use serde_json::Value;

fn deployed(file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every text under a key with this name.
fn texts_at(key: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Object(entries) => entries
            .iter()
            .flat_map(|(name, value)| match value {
                Value::String(text) if name == key => vec![text.clone()],
                value => texts_at(key, value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(|item| texts_at(key, item)).collect(),
        _ => Vec::new(),
    }
}

fn dashboard() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&deployed("grafana/belay.json")).expect("it is JSON");
    texts_at("expr", &dashboard).into_iter().chain(texts_at("query", &dashboard)).collect()
}

fn rules() -> Vec<String> {
    let rules: Value = serde_saphyr::from_str(&deployed("prometheus/belay.rules.yaml")).expect("it is YAML");
    texts_at("expr", &rules)
}

/// The metrics that a query names, with the labels that it selects by.
fn metrics_in(query: &str) -> Vec<(&str, Vec<&str>)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(start) = rest.find(is_name) {
        let from = &rest[start..];
        let end = from.find(|c| !is_name(c)).unwrap_or(from.len());
        let (name, after) = from.split_at(end);
        rest = after;
        if name.starts_with("belay_") || name.starts_with("process_") {
            let selector = after.strip_prefix('{').and_then(|inside| inside.split_once('}')).map(|(inside, _)| inside);
            let labels = selector
                .into_iter()
                .flat_map(|inside| inside.split(','))
                .filter_map(|matcher| matcher.split(['=', '!']).next().map(str::trim));
            found.push((name, labels.collect()));
        }
    }
    found
}

fn described(name: &str) -> Option<&'static Described> {
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
    let exact = ALL.iter().find(|described| described.name == name && described.kind != Kind::Histogram);
    exact.or_else(|| ALL.iter().find(|described| Some(described.name) == base && described.kind == Kind::Histogram))
}

#[test]
fn what_is_asked_for_is_there() {
    let queries: Vec<String> = dashboard().into_iter().chain(rules()).collect();
    assert!(queries.len() > 30, "the files have queries");
    for query in &queries {
        for (name, labels) in metrics_in(query) {
            let metric = described(name).unwrap_or_else(|| panic!("there is no metric {name}: {query}"));
            for label in labels {
                assert!(metric.labels.contains(&label), "{name} has no label {label}: {query}");
            }
        }
    }
}

#[test]
fn the_dashboard_shows_every_metric() {
    let queries = dashboard();
    let shown: BTreeSet<&str> = queries
        .iter()
        .flat_map(|query| metrics_in(query))
        .filter_map(|(name, _)| described(name).map(|metric| metric.name))
        .collect();
    let missing: Vec<&str> = ALL.iter().map(|metric| metric.name).filter(|name| !shown.contains(name)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn every_alert_says_what_to_do() {
    let rules: Value = serde_saphyr::from_str(&deployed("prometheus/belay.rules.yaml")).expect("it is YAML");
    let alerts = rules["groups"][0]["rules"].as_array().expect("rules");
    for alert in alerts {
        for text in ["summary", "description"] {
            assert!(alert["annotations"][text].is_string(), "{alert:#}");
        }
        assert!(
            ["critical", "warning"].contains(&alert["labels"]["severity"].as_str().unwrap_or_default()),
            "{alert:#}"
        );
    }
}
