//! What restore tests have shown: whether what a step restores can be restored. A backup that was never restored is a hope.

use std::{collections::BTreeMap, sync::Arc};

use belay_plan::model::{Name, Step};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    decide::Deciding,
    event::Event,
    input::{Asked, Refusal, RefusalKind},
    migration::Migration,
};

/// Far more steps than a plan has that restore something; state is copied for each decision, and stays small.
const STEPS_MAX: usize = 100;

/// What a restore test came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RestoreOutcome {
    /// Restored, and every query that was asked is healthy.
    Proved,
    /// Restored, and none of its data was looked at.
    Restored,
    /// Not restored as the step would, or a query is not healthy.
    Failed,
}

/// A restore test of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreTested {
    /// The action and the resource of the step: a test of another one says nothing of it.
    pub action: String,
    pub resource: String,
    pub outcome: RestoreOutcome,
    /// What its queries have shown, or why it was not restored.
    pub found: String,
    /// From the first call until the database was available with its settings; none: it was not restored.
    pub took_s: Option<u64>,
    /// The ids of the changes that took effect in it.
    pub changes: Vec<String>,
}

/// The last test of a step on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreTest {
    pub at: Timestamp,
    pub by: String,
    pub tested: RestoreTested,
}

impl RestoreTest {
    /// Whether it tested what the step restores now.
    pub fn is_of(&self, step: &Step) -> bool {
        self.tested.action == step.action && self.tested.resource == step.resource
    }
}

/// By step. They outlive an attempt: what counts is how old they are.
pub type RestoreTests = BTreeMap<Name, RestoreTest>;

impl Deciding {
    /// It moves nothing, so it is possible in every state. That the plan has such a step, the caller has seen.
    pub(crate) fn restore_tested(&mut self, step: &Name, tested: &RestoreTested, asked: &Asked) -> Result<(), Refusal> {
        let known = &self.state.restore_tests;
        if !known.contains_key(step) && known.len() >= STEPS_MAX {
            return Err(Refusal {
                kind: RefusalKind::WrongState,
                why: format!("restore tests of {STEPS_MAX} steps are on record already"),
                help: "test a step that was tested before".to_owned(),
            });
        }
        self.commanded("restore_test", asked, json!({ "step": step }));
        self.emit(Event::RestoreTested { step: step.clone(), tested: tested.clone() });
        Ok(())
    }
}

impl Migration {
    pub(crate) fn apply_restore_test(&mut self, at: Timestamp, actor: &str, step: &Name, tested: &RestoreTested) {
        let test = RestoreTest { at, by: actor.to_owned(), tested: tested.clone() };
        Arc::make_mut(&mut self.restore_tests).insert(step.clone(), test);
    }
}
