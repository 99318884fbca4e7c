//! `stepfunctions.execution`: an execution of a state machine has succeeded.

use std::time::Duration;

use belay_plan::{
    catalogue::{ActionSpec, no_action_findings},
    model::Nature,
    shape::{any, field, object, pattern},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The action's name in plans.
pub const ACTION: &str = "stepfunctions.execution";

/// What `stepfunctions.execution` takes.
pub fn spec() -> ActionSpec {
    let machine = pattern(
        "the ARN of a state machine, or of a version or an alias of it",
        "^arn:aws[a-z-]*:states:[a-z0-9-]+:[0-9]{12}:stateMachine:[A-Za-z0-9_-]{1,80}(:[A-Za-z0-9_.-]+)?$",
    );
    ActionSpec {
        name: ACTION,
        summary: "Runs a state machine of Step Functions, and waits until the execution has succeeded.",
        with: object([
            field("state_machine", machine, "The state machine."),
            field("input", any(), "Its input, as it is; `{}` if left out. No secrets: the plan is journaled.")
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
    pub state_machine: String,
    #[serde(default)]
    pub input: Value,
}

impl With {
    /// Without version or alias.
    pub fn machine(&self) -> String {
        self.state_machine.splitn(8, ':').take(7).collect::<Vec<_>>().join(":")
    }

    /// The ARN that an execution of this name has.
    pub fn execution(&self, name: &str) -> String {
        format!("{}:{name}", self.machine().replacen(":stateMachine:", ":execution:", 1))
    }
}
