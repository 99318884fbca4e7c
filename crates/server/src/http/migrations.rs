//! `/v1/migrations`

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use belay_core::{change::Baseline, input::Verb};
use belay_engine::view::MigrationView;
use belay_plan::model::Name;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{auth::Caller, daemon::Daemon, guard::Guard};

use super::{
    body::{Asked, At, Body, Reason},
    page::{Page, PageQuery, page},
    problem::Problem,
    refusal::{self, Subject},
};

/// A migration, with what the daemon knows of its plan file.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    view: MigrationView,
    plan_file: Option<String>,
    /// Why what is on disk now could not be armed.
    plan_problem: Option<String>,
}

fn shown(daemon: &Daemon, guard: &Guard) -> Shown {
    let loaded = guard.loaded().ok();
    let sha256 = loaded.as_ref().map(|loaded| loaded.sha256.as_str());
    Shown {
        view: MigrationView::new(&guard.snapshot(), sha256, daemon.ports().clock.now()),
        plan_file: guard.path().map(|path| path.display().to_string()),
        plan_problem: guard.file_problem(),
    }
}

pub(super) fn find(daemon: &Daemon, migration: &str) -> Result<Arc<Guard>, Problem> {
    daemon.guard(migration).ok_or_else(|| {
        let known: Vec<String> = daemon.guards().iter().map(|guard| guard.name().to_owned()).collect();
        Problem::not_found(format!("there is no migration {migration}"))
            .help(format!("this daemon guards: {}", known.join(", ")))
    })
}

pub(super) async fn list(State(daemon): State<Daemon>, Asked(query): Asked<PageQuery>) -> Json<Page<Shown>> {
    let guards = daemon.guards();
    for guard in &guards {
        daemon.refresh(guard).await;
    }
    let items = guards.iter().map(|guard| (guard.name().to_owned(), guard));
    page(query.limit, query.after.as_ref(), items, |name, cursor| name > cursor, |guard| shown(&daemon, guard))
}

pub(super) async fn show(State(daemon): State<Daemon>, At(migration): At<String>) -> Result<Json<Shown>, Problem> {
    let guard = find(&daemon, &migration)?;
    daemon.refresh(&guard).await;
    Ok(Json(shown(&daemon, &guard)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ArmBody {
    #[serde(default)]
    reason: String,
    /// As `belay capture` writes it; left out: what the journal keeps, else what is observed now.
    baseline: Option<Baseline>,
}

pub(super) async fn arm(
    State(daemon): State<Daemon>,
    At(migration): At<String>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<ArmBody>,
) -> Result<Json<Shown>, Problem> {
    let guard = find(&daemon, &migration)?;
    let armed = daemon.arm(&guard, body.baseline, &caller.name, &body.reason).await;
    armed.map_err(|error| refusal::problem(error, &guard.snapshot().state, Subject::Migration))?;
    Ok(Json(shown(&daemon, &guard)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReasonBody {
    #[serde(default)]
    reason: String,
}

pub(super) async fn disarm(
    State(daemon): State<Daemon>,
    At(migration): At<String>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<ReasonBody>,
) -> Result<Json<Shown>, Problem> {
    command(&daemon, &migration, Verb::Disarm, &caller, &body.reason).await
}

pub(super) async fn cutover(
    State(daemon): State<Daemon>,
    At(migration): At<String>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<ReasonBody>,
) -> Result<Json<Shown>, Problem> {
    command(&daemon, &migration, Verb::Cutover, &caller, &body.reason).await
}

async fn command(
    daemon: &Daemon,
    migration: &str,
    verb: Verb,
    caller: &Caller,
    reason: &str,
) -> Result<Json<Shown>, Problem> {
    let guard = find(daemon, migration)?;
    let done = daemon.command(&guard, verb, &caller.name, reason).await;
    done.map_err(|error| refusal::problem(error, &guard.snapshot().state, Subject::Migration))?;
    Ok(Json(shown(daemon, &guard)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RollbackBody {
    reason: Reason,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    only: Vec<Name>,
}

/// 202 with the run, which goes on by itself; a dry run is over by then.
pub(super) async fn rollback(
    State(daemon): State<Daemon>,
    At(migration): At<String>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<RollbackBody>,
) -> Result<Response, Problem> {
    let guard = find(&daemon, &migration)?;
    let Reason(reason) = body.reason;
    let run = match body.dry_run {
        true => daemon.rehearse(&guard, body.only, &caller.name, &reason).await.map(|(run, _)| run),
        false => daemon.roll_back(&guard, body.only, &caller.name, &reason).await,
    };
    let run = run.map_err(|error| refusal::problem(error, &guard.snapshot().state, Subject::Migration))?;
    let place = [(header::LOCATION, format!("/v1/runs/{run}"))];
    Ok((StatusCode::ACCEPTED, place, Json(json!({ "run": run }))).into_response())
}
