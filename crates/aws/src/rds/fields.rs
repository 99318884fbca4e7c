//! Settings by their names: what differs, and what of them a call takes.

use belay_aws_catalogue::rds::restore::With;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// By name, without those that are not set.
pub(super) fn fields<T: Serialize>(settings: &T) -> Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(fields)) => fields,
        other => unreachable!("settings are an object of plain values, not {other:?}"),
    }
}

/// The settings whose name is picked.
pub(super) fn only<T: Serialize + DeserializeOwned>(settings: &T, pick: impl Fn(&str) -> bool) -> T {
    let picked: Map<_, _> = fields(settings).into_iter().filter(|(name, _)| pick(name)).collect();
    T::deserialize(Value::Object(picked)).expect("fields of settings are settings")
}

/// The settings that a step wants.
pub(super) fn wanted<T: Serialize + DeserializeOwned>(with: &With, settings: &T) -> T {
    only(settings, |name| !with.without.contains(name))
}

/// What of these settings `has` has otherwise.
pub(super) fn differing<T: Serialize + DeserializeOwned>(wanted: &T, has: &T) -> T {
    let (values, other) = (fields(wanted), fields(has));
    only(wanted, |name| differs(name, &values[name], other.get(name)))
}

/// The same, and with it the settings that RDS takes only together.
pub(super) fn missing<T: Serialize + DeserializeOwned>(wanted: &T, has: &T) -> T {
    let differing = fields(&differing(wanted, has));
    only(wanted, |name| differing.keys().any(|other| key(other) == key(name)))
}

/// For people: each setting that differs, wanted and found.
pub(super) fn told<T: Serialize + DeserializeOwned>(wanted: &T, has: &T) -> Vec<String> {
    let other = fields(has);
    let told = fields(&differing(wanted, has)).into_iter().map(|(name, value)| {
        let found = other.get(&name).map_or_else(|| "none".to_owned(), shown);
        format!("{name}: wanted {}, found {found}", shown(&value))
    });
    told.collect()
}

/// A text without quotes, anything else as JSON.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// The setting by which those are known that RDS takes only together: its own name, where it goes alone.
pub(super) fn key(name: &str) -> &str {
    TOGETHER.iter().find(|names| names.contains(&name)).map_or(name, |names| names[0])
}

/// "You must specify both the storage size and iops when modifying the storage size or iops" (API reference,
/// ModifyDBInstance).
const TOGETHER: [&[&str]; 3] = [
    &["storage_type", "iops", "storage_throughput", "allocated_storage"],
    &["monitoring_interval_s", "monitoring_role"],
    &[
        "database_insights_mode",
        "performance_insights",
        "performance_insights_kms_key",
        "performance_insights_retention_days",
    ],
];

fn differs(name: &str, wanted: &Value, has: Option<&Value>) -> bool {
    match (name, has) {
        // Storage grows, and never shrinks.
        ("allocated_storage" | "max_allocated_storage", Some(has)) => has.as_i64() < wanted.as_i64(),
        (_, Some(has)) => has != wanted,
        // What RDS does not list is off.
        (_, None) => *wanted != Value::Bool(false) && *wanted != Value::Array(Vec::new()),
    }
}
