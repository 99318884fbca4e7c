//! Route 53: the weights of one record.

use std::time::Duration;

use belay_plan::{
    catalogue::{ActionSpec, no_action_findings},
    model::{Nature, Usual},
    shape::{Text, field, object, pattern, weights, words},
};
use serde_json::Value;

/// A member of a weighted record.
const SET_IDENTIFIER: Text = Text::new("a set identifier", Some("^.{1,128}$"));

/// What `route53.weights` takes.
pub fn spec() -> ActionSpec {
    ActionSpec {
        name: "route53.weights",
        summary: "Shifts the weights of a weighted Route 53 record.",
        with: object([
            field(
                "zone",
                pattern("the id of a hosted zone, such as `Z0123456789ABC`", "^Z[A-Z0-9]{1,31}$"),
                "The hosted zone.",
            ),
            field(
                "record",
                pattern(
                    "a DNS name",
                    "^([*][.])?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?[.])*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?[.]?$",
                ),
                "The name that all the weighted records share.",
            ),
            field("type", words(["A", "AAAA", "CNAME"]), "The type of the records."),
        ]),
        to: Some(weights(SET_IDENTIFIER, 255, None)),
        others: true,
        stages: true,
        default_timeout: Duration::from_secs(10 * 60),
        nature: Nature::Traffic,
        usual: Some(Usual::seconds(10, 35, 60)),
        resource,
        check: no_action_findings,
    }
}

/// The same record however it is written: DNS names know no case, and the last dot goes without saying.
fn resource(with: &Value) -> String {
    let part = |key: &str| with[key].as_str().unwrap_or_default();
    let record = part("record").trim_end_matches('.').to_ascii_lowercase();
    format!("route53:{}/{record}/{}", part("zone"), part("type"))
}
