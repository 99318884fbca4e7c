//! RDS: restoring an instance, and the status of one.

use std::time::Duration;

use belay_plan::{
    catalogue::{ActionSpec, SignalSpec, no_action_findings, no_signal_findings},
    model::{Nature, Usual},
    shape::{Shape, field, object, one_of, pattern, words},
};
use serde_json::Value;

fn instance() -> Shape {
    pattern("the identifier of a DB instance", "^[A-Za-z](-?[A-Za-z0-9]){0,62}$")
}

/// What `rds.restore` takes.
pub fn spec() -> ActionSpec {
    let snapshot = pattern(
        "the identifier or the ARN of a DB snapshot",
        "^((rds:)?[A-Za-z][A-Za-z0-9-]{0,254}|arn:aws[a-z-]*:rds:[a-z0-9-]+:[0-9]{12}:snapshot:.+)$",
    );
    let timestamp = pattern(
        "a timestamp such as `2026-01-31T12:00:00Z`",
        "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$",
    );
    let time = one_of(
        "`cutover`, `latest` or a timestamp such as `2026-01-31T12:00:00Z`",
        [words(["cutover", "latest"]), timestamp],
    );
    let from = one_of(
        "an object with exactly one of `snapshot`, `time`",
        [
            object([field("snapshot", snapshot, "The snapshot to restore.")]),
            object([field("time", time, "The point in time to restore.")]),
        ],
    );
    ActionSpec {
        name: "rds.restore",
        summary: "Restores an RDS instance under its own name; the replaced one is kept under another.",
        with: one_of(
            "an object with exactly one of `instance`, `cluster`",
            [
                object([
                    field("instance", instance(), "The instance to replace."),
                    field("from", from.clone(), "What it is restored from."),
                ]),
                object([
                    field("cluster", instance(), "The cluster to replace."),
                    field("from", from, "What it is restored from."),
                ]),
            ],
        ),
        to: None,
        others: false,
        stages: false,
        default_timeout: Duration::from_secs(2 * 60 * 60),
        nature: Nature::Data,
        usual: Some(Usual::seconds(12 * 60, 26 * 60, 50 * 60)),
        // RDS identifiers know no case.
        resource: |with: &Value| {
            let name = with["instance"].as_str().or_else(|| with["cluster"].as_str()).unwrap_or_default();
            format!("rds:{}", name.to_ascii_lowercase())
        },
        check: no_action_findings,
    }
}

/// What `rds_status` takes.
pub fn signal_spec() -> SignalSpec {
    SignalSpec {
        key: "rds_status",
        summary: "The status of an RDS instance.",
        value: object([
            field("instance", instance(), "The instance."),
            field("status", pattern("a status such as `available`", "^[a-z][a-z-]*$"), "The healthy one.")
                .or("available"),
        ]),
        siblings: Vec::new(),
        check: no_signal_findings,
        remarks: no_signal_findings,
    }
}
