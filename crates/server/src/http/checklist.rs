//! `/v1/migrations/{migration}/checklist`

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use belay_core::{
    event::RunKind, id::RunId, input::Verb, migration::Migration, readiness::CheckVerdict, run::RunState,
};
use belay_engine::Readiness;
use belay_plan::{
    model::{Name, Plan},
    visible,
};
use belay_report::listing::{Check, Evaluated, ListedItem, listing};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{auth::Caller, daemon::Daemon, guard::Guard};

use super::{
    body::{At, Body, Reason},
    kind::Kind,
    migrations::find,
    problem::Problem,
    refusal::{self, Subject},
    report::{Reports, made},
};

/// What people see to around the cutover, and what of it is seen to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Checklist {
    #[schema(value_type = String)]
    migration: Name,
    /// The rollback that the last part is about; none where there was none in this attempt.
    run: Option<String>,
    /// When the readiness checks that are its evidence were made.
    readiness: Option<Timestamp>,
    /// Why there are none.
    #[schema(pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    not_evaluated: Option<String>,
    items: Vec<ListedItem>,
}

/// The checklist: before, during and after the cutover, and after a rollback
///
/// What Belay knows, or its readiness checks show, is done with its evidence; the rest is ticked by people. The checks are those of the
/// last ten minutes; where there are none, they are made for this answer, which then takes up to 30 seconds.
#[utoipa::path(get, path = "/v1/migrations/{migration}/checklist", operation_id = "show_checklist",
    responses((status = 200, body = Checklist, description = "Each item, in the order of the migration")))]
pub(super) async fn show(
    State(daemon): State<Daemon>,
    Extension(reports): Extension<Reports>,
    At(migration): At<String>,
) -> Result<Json<Checklist>, Problem> {
    let guard = find(&daemon, &migration)?;
    let readiness = daemon.readiness_as_evidence(&guard).await;
    list(&daemon, &reports, &guard, readiness).await.map(Json)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TickBody {
    /// False takes the tick back.
    #[serde(default = "yes")]
    done: bool,
    reason: Reason,
}

fn yes() -> bool {
    true
}

/// Ticks an item, or takes its tick back
#[utoipa::path(post, path = "/v1/migrations/{migration}/checklist/{item}", operation_id = "tick_item", request_body = TickBody,
    responses((status = 200, body = Checklist, description = "The checklist, as it is then")))]
pub(super) async fn tick(
    State(daemon): State<Daemon>,
    Extension(reports): Extension<Reports>,
    At((migration, item)): At<(String, String)>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<TickBody>,
) -> Result<Json<Checklist>, Problem> {
    let guard = find(&daemon, &migration)?;
    let readiness = daemon.readiness_as_evidence(&guard).await;
    let before = list(&daemon, &reports, &guard, readiness.clone()).await?;
    let listed = before.items.iter().find(|listed| listed.item.id.as_str() == item).ok_or_else(|| {
        let ids: Vec<&str> = before.items.iter().filter(|item| !item.known).map(|item| item.item.id.as_str()).collect();
        Problem::not_found(format!("the checklist of {migration} has no item {item}"))
            .help(format!("these can be ticked: {}", ids.join(", ")))
    })?;
    let belays_own = listed.known || listed.item.done && listed.item.ticked.is_none();
    if body.done && belays_own {
        let why = format!("nobody ticks {item}: Belay knows it by itself ({})", listed.item.note);
        return Err(refusal::of_state(why, &guard.snapshot().state));
    }
    if let Some(evidence) = listed.evidence.as_ref().filter(|found| body.done && found.verdict == CheckVerdict::NoGo) {
        let found = evidence.checks.iter().map(|check| check.found.to_string()).next().unwrap_or_default();
        return Err(refusal::of_state(
            format!("a readiness check contradicts {item}: {found}"),
            &guard.snapshot().state,
        ));
    }
    let verb = match body.done {
        true => Verb::Tick { item, part: listed.part },
        false => Verb::Untick { item },
    };
    let done = daemon.command(&guard, verb, &caller.asked(&body.reason.0)).await;
    done.map_err(|error| refusal::problem(error, &guard.snapshot().state, Subject::Migration))?;
    list(&daemon, &reports, &guard, readiness).await.map(Json)
}

async fn list(
    daemon: &Daemon,
    reports: &Reports,
    guard: &Arc<Guard>,
    readiness: Result<Arc<Readiness>, String>,
) -> Result<Checklist, Problem> {
    let fresh = daemon.refresh(guard).await;
    let state = guard.snapshot().state.clone();
    let plan = plan(&state, fresh.map(|loaded| loaded.plan.clone()))?;
    let run = rolled_back(&state);
    let report = match &run {
        Some(run) => made(daemon, reports, guard.name(), run, Clone::clone).await?,
        None => None,
    };
    let evaluated = readiness.as_ref().map(|found| evaluated(found));
    let items = listing(&plan, &state, report.as_ref(), evaluated.as_ref().ok());
    Ok(Checklist {
        migration: state.name.clone(),
        run: run.map(|run| run.0),
        readiness: readiness.as_ref().ok().map(|found| found.at),
        not_evaluated: readiness.err().map(|why| visible::line(&why).into_owned()),
        items,
    })
}

fn evaluated(found: &Readiness) -> Evaluated {
    let checks = found.checks.iter().map(|check| Check {
        id: check.id.clone(),
        of_step: check.part.starts_with("step "),
        verdict: check.verdict,
        line: check.line(),
    });
    Evaluated { at: found.at, checks: checks.collect() }
}

/// The armed plan; else that of the file, which is the next to be armed; else the last one.
fn plan(state: &Migration, file: Result<Plan, String>) -> Result<Arc<Plan>, Problem> {
    match (&state.plan, file) {
        (Some(pinned), _) if state.armed.is_some() => Ok(pinned.clone()),
        (_, Ok(plan)) => Ok(Arc::new(plan)),
        (Some(pinned), Err(_)) => Ok(pinned.clone()),
        (None, Err(why)) => {
            let detail = format!("the plan file cannot be used: {why}");
            Err(Problem::new(Kind::PlanFile, detail).help("`belay validate` shows every error"))
        }
    }
}

/// The rollback after which nothing was armed.
fn rolled_back(state: &Migration) -> Option<RunId> {
    let run = state.run.as_ref().filter(|_| state.armed.is_none())?;
    let over = matches!(run.state, RunState::RolledBack | RunState::Aborted);
    (over && matches!(run.kind, RunKind::Real | RunKind::Drill | RunKind::Simulated)).then(|| run.id.clone())
}
