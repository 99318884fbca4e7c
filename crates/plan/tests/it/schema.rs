//! The schema and the decoder agree.

use belay_plan::{load, schema};

use crate::{catalogue::catalogue, samples_in};

/// Defects of meaning, and of YAML itself, which no schema can see.
const BEYOND_THE_SCHEMA: &[&str] = &[
    "anchor-and-alias",
    "at-least-too-many",
    "backoff-backwards",
    "checklist-ids",
    "cycle",
    "decision-asks-a-viewer",
    "decision-last-rule-has-conditions",
    "decision-rule-unreachable",
    "decision-timebox-without-fix-first",
    "decision-times",
    "decision-without-time",
    "drift-of-a-job",
    "duration-too-long",
    "elapsed-in-a-gate",
    "expect-of-a-wait",
    "fallback-needed-by-others",
    "fallback-needs-its-step",
    "fallback-of-two",
    "fallback-unknown",
    "gate-for-longer-than-within",
    "gate-signal-twice",
    "loss-in-a-gate",
    "loss-of-no-losing-step",
    "merge-key",
    "metric-datapoints-impossible",
    "metric-periods-differ",
    "needs-itself",
    "needs-twice",
    "needs-unknown-step",
    "notice-event-twice",
    "notice-every-without-after",
    "notice-of-no-use-to-its-channel",
    "overlay-breaks-the-plan",
    "overlay-changes-nothing",
    "overlay-name-too-long",
    "overlay-under-the-same-name",
    "overlay-unknown-step",
    "phase-twice",
    "phase-unknown",
    "phase-with-a-stand-in-only",
    "phase-without-a-step",
    "phase-without-phases",
    "port-out-of-range",
    "restore-without-data-loss",
    "role-of-another-account",
    "same-resource-at-once",
    "signal-unknown",
    "signal-unknown-in-step",
    "stages-not-rising",
    "stages-that-never-arrive",
    "tag",
    "target-group-twice",
    "timeout-zero",
];

#[test]
fn decoder_and_schema_agree_on_every_sample() {
    let validator = validator(&schema(&catalogue()));
    for (name, text) in samples_in("valid") {
        let errors: Vec<String> =
            validator.iter_errors(&json(&text).expect("YAML")).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
    for (name, text) in samples_in("invalid") {
        // What is no plain data never reaches a schema.
        let Some(json) = json(&text) else { continue };
        assert_eq!(validator.is_valid(&json), BEYOND_THE_SCHEMA.contains(&name.as_str()), "{name}");
    }
}

pub(crate) fn validator(schema: &serde_json::Value) -> jsonschema::Validator {
    jsonschema::draft202012::new(schema).expect("a schema")
}

/// What an editor would validate: the file as another YAML 1.2 reader sees it.
pub(crate) fn json(text: &str) -> Option<serde_json::Value> {
    serde_saphyr::from_str_with_options(text, serde_saphyr::options! { strict_booleans: true }).ok()
}

#[test]
fn what_the_schema_names_is_what_the_decoder_takes() {
    let text = "belay: 1\nmigration: m\nsteps: { a: { action: nothing } }\n";
    let diagnostics = load("plan.yaml", text, &catalogue()).expect_err("an unknown action");
    let schema = schema(&catalogue());
    let actions = schema.pointer("/$defs/action/oneOf");
    for action in actions.and_then(|actions| actions.as_array()).expect("the actions") {
        let name = action["const"].as_str().expect("a name");
        assert!(diagnostics[0].help.as_ref().is_some_and(|help| help.contains(name)), "{name}");
    }
}

/// A pattern that one of the two regular expression engines refuses would let everything or nothing through.
#[test]
fn every_pattern_compiles() {
    fn patterns<'v>(value: &'v serde_json::Value, found: &mut Vec<&'v str>) {
        match value {
            serde_json::Value::Object(object) => {
                found.extend(object.get("pattern").and_then(|pattern| pattern.as_str()));
                object.values().for_each(|value| patterns(value, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|value| patterns(value, found)),
            _ => {}
        }
    }
    let (schema, mut found) = (schema(&catalogue()), Vec::new());
    patterns(&schema, &mut found);
    assert!(found.len() > 20);
    for pattern in found {
        assert!(regex_lite::Regex::new(pattern).is_ok(), "{pattern}");
        assert!(pattern.starts_with('^') && pattern.ends_with('$'), "{pattern}");
    }
}
