//! `/v1/migrations/{migration}/restore-tests`

use axum::{Extension, Json, extract::State};
use belay_core::{
    input::Verb,
    restore_test::{RestoreOutcome, RestoreTested},
};
use belay_plan::model::Name;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{auth::Caller, daemon::Daemon};

use super::{
    body::{At, Body, Reason},
    kind::Kind,
    migrations::{Shown, find, present},
    problem::Problem,
    refusal::{self, Subject},
};

/// Changes of a step that a test lists at most.
const CHANGES_MAX: usize = 50;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RestoreTestBody {
    #[schema(value_type = String)]
    step: Name,
    /// Those of the step that was tested: a plan that was edited since then has another one under the same name.
    action: String,
    resource: String,
    outcome: RestoreOutcome,
    /// What its queries have shown, or why it was not restored.
    found: Reason,
    /// From the first call until the database was available with its settings.
    took_s: Option<u64>,
    /// The ids of the changes that took effect in it.
    #[serde(default)]
    #[schema(max_items = 50)]
    changes: Vec<String>,
    reason: Reason,
}

/// Puts a restore test on record that was made beside the daemon
///
/// `belay check PLAN --prove-restore STEP` asks for it in the end. It moves nothing; the readiness and the checklist go by it.
#[utoipa::path(post, path = "/v1/migrations/{migration}/restore-tests", operation_id = "record_restore_test",
    request_body = RestoreTestBody, responses((status = 200, body = Shown, description = "The migration, as it is then")))]
pub(super) async fn record(
    State(daemon): State<Daemon>,
    At(migration): At<String>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<RestoreTestBody>,
) -> Result<Json<Shown>, Problem> {
    let guard = find(&daemon, &migration)?;
    let RestoreTestBody { step, action, resource, outcome, found, took_s, changes, reason } = body;
    if changes.len() > CHANGES_MAX {
        return Err(Problem::invalid(format!("`changes` lists more than {CHANGES_MAX}")));
    }
    let fail = |error| refusal::problem(error, &guard.snapshot().state, Subject::Migration);
    let (plan, _) = daemon.plan_to_evaluate(&guard).await.map_err(fail)?;
    let planned = plan.steps.get(&step).ok_or_else(|| {
        Problem::not_found(format!("the plan of {migration} has no step {step}"))
            .help("the test was made with another plan file than the daemon's")
    })?;
    if planned.action != action || planned.resource != resource {
        let detail = format!(
            "step {step} of {migration} is {} of {}, and {action} of {resource} was tested",
            planned.action, planned.resource
        );
        return Err(Problem::new(Kind::OtherPlan, detail).help("test the plan that the daemon has"));
    }
    let tested = RestoreTested { action, resource, outcome, found: found.0, took_s, changes };
    let verb = Verb::RestoreTested { step, tested };
    daemon.command(&guard, verb, &caller.asked(&reason.0)).await.map_err(fail)?;
    present(&daemon, &migration)
}
