//! `lambda.invoke`: a Lambda function was invoked, and has answered without an error.

use std::time::Duration;

use belay_plan::{
    catalogue::{ActionSpec, no_action_findings},
    model::Nature,
    shape::{any, boolean, field, object, pattern},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The action's name in plans.
pub const ACTION: &str = "lambda.invoke";

/// What `lambda.invoke` takes.
pub fn spec() -> ActionSpec {
    let function = pattern(
        "the name or the ARN of a Lambda function",
        "^((arn:aws[a-z-]*:lambda:[a-z0-9-]+:)?[0-9]{12}:function:)?[A-Za-z0-9_-]{1,64}$",
    );
    ActionSpec {
        name: ACTION,
        summary: "Invokes a Lambda function, and waits until it has answered without an error.",
        with: object([
            field("function", function, "The function."),
            field(
                "qualifier",
                pattern("a version or an alias", "^([$]LATEST|[A-Za-z0-9_-]{1,128})$"),
                "Its version or alias.",
            )
            .optional(),
            field("payload", any(), "What it is given, as it is; `{}` if left out. No secrets: the plan is journaled.")
                .or(json!({})),
            field(
                "idempotent",
                boolean(),
                "Whether it may run twice: then a lost answer is no reason to ask a person.",
            )
            .or(false),
        ]),
        to: None,
        others: false,
        stages: false,
        // The call itself, and throttling before it.
        default_timeout: Duration::from_secs(30 * 60),
        nature: Nature::Job,
        usual: None,
        resource: |_| String::new(),
        check: no_action_findings,
    }
}

/// The step's `with:`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct With {
    pub function: String,
    pub qualifier: Option<String>,
    #[serde(default)]
    pub payload: Value,
    #[serde(default)]
    pub idempotent: bool,
}

impl With {
    pub fn name(&self) -> String {
        let name = self.function.rsplit(':').next().unwrap_or_default();
        self.qualifier.as_ref().map_or_else(|| name.to_owned(), |qualifier| format!("{name}:{qualifier}"))
    }
}
