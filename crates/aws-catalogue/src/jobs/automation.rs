//! `ssm.automation`: a Systems Manager automation has succeeded.

use std::time::Duration;

use belay_plan::{
    catalogue::{ActionSpec, no_action_findings},
    model::Nature,
    shape::{Text, field, list, map, object, one_of, pattern, text},
};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The action's name in plans.
pub const ACTION: &str = "ssm.automation";

/// What `ssm.automation` takes.
pub fn spec() -> ActionSpec {
    let value = one_of("a text, or a list of texts", [text("a value"), list(text("a value"))]);
    let parameter = Text::new("the name of a parameter of the document", Some("^[A-Za-z][A-Za-z0-9_]{0,49}$"));
    ActionSpec {
        name: ACTION,
        summary: "Runs a Systems Manager automation, and waits until it has succeeded.",
        with: object([
            field(
                "document",
                pattern(
                    "the name or the ARN of an automation document",
                    "^(arn:aws[a-z-]*:ssm:[a-z0-9-]+:[0-9]{12}:document/)?[A-Za-z0-9_.-]{3,128}$",
                ),
                "The document (runbook) to run.",
            ),
            field(
                "version",
                pattern("a version such as `3`, `$DEFAULT` or `$LATEST`", "^([$]DEFAULT|[$]LATEST|[1-9][0-9]*)$"),
                "Its version; the default one if left out.",
            )
            .optional(),
            field(
                "parameters",
                map(parameter, value),
                "The parameters of the document. No secrets: the plan is journaled.",
            )
            .or(json!({})),
        ]),
        to: None,
        others: false,
        stages: false,
        default_timeout: Duration::from_secs(60 * 60),
        nature: Nature::Job,
        usual: None,
        resource: |_| String::new(),
        check: no_action_findings,
    }
}

/// The step's `with:`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct With {
    pub document: String,
    pub version: Option<String>,
    #[serde(default)]
    pub parameters: IndexMap<String, Values>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Values {
    One(String),
    Many(Vec<String>),
}

impl Values {
    pub fn list(&self) -> Vec<String> {
        match self {
            Self::One(value) => vec![value.clone()],
            Self::Many(values) => values.clone(),
        }
    }
}
