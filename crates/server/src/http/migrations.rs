//! `/v1/migrations`

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use belay_core::{change::Baseline, id::RunId, input::Verb, mute};
use belay_engine::{Arming, view::MigrationView};
use belay_plan::model::Name;
use futures::future::join_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    auth::Caller,
    daemon::Daemon,
    guard::{Guard, differences},
    operate::Word,
    pipeline,
};

use super::{
    body::{Asked, At, Body, Reason},
    page::{Page, page},
    problem::Problem,
    query::PageQuery,
    refusal::{self, Subject},
};

/// A migration, with what the daemon knows of its plan file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Migration)]
pub(super) struct Shown {
    #[serde(flatten)]
    view: MigrationView,
    plan_file: Option<String>,
    /// Why what is on disk now could not be armed.
    plan_problem: Option<String>,
    /// Why nobody could approve or decide: the tokens do not name the people that what is live asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    people_problem: Option<String>,
    /// When the pending plan was written.
    pending_since: Option<Timestamp>,
    /// What it would change of the pinned plan: `window`, `steps.dns_back`.
    pending_changes: Vec<String>,
    /// Where calls to AWS go, if not straight to AWS: endpoints and proxies that the environment or the profile names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    detours: Vec<String>,
    /// The `belay guard` that runs the migration's command, if one has reported since it was armed.
    #[serde(skip_serializing_if = "Option::is_none")]
    guard: Option<pipeline::Shown>,
    /// What arming found that a person should know. Only in the answer to `arm`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

fn shown(daemon: &Daemon, guard: &Guard) -> Shown {
    let loaded = guard.loaded().ok();
    let sha256 = loaded.as_ref().map(|loaded| loaded.sha256.as_str());
    let snapshot = guard.snapshot();
    let view = MigrationView::new(&snapshot, sha256, daemon.ports().clock.now());
    let pending = loaded.as_ref().filter(|_| view.pending_plan.is_some());
    Shown {
        pending_since: pending.and_then(|_| guard.modified()),
        pending_changes: match (pending, &snapshot.state.plan) {
            (Some(pending), Some(pinned)) => differences(pinned, &pending.plan),
            _ => Vec::new(),
        },
        view,
        detours: daemon.ports().actuators.detours(),
        guard: guard.pipeline.shown(&snapshot.state, daemon.ports().clock.as_ref()),
        warnings: Vec::new(),
        plan_file: guard.path().map(|path| path.display().to_string()),
        plan_problem: guard.file_problem(),
        people_problem: daemon.missing_people(guard),
    }
}

pub(super) fn find(daemon: &Daemon, migration: &str) -> Result<Arc<Guard>, Problem> {
    daemon.guard(migration).ok_or_else(|| {
        let known: Vec<String> = daemon.guards().iter().map(|guard| guard.name().to_owned()).collect();
        Problem::not_found(format!("there is no migration {migration}"))
            .help(format!("this daemon guards: {}", known.join(", ")))
    })
}

/// A migration as it is now.
pub(super) fn present(daemon: &Daemon, migration: &str) -> Result<Json<Shown>, Problem> {
    Ok(Json(shown(daemon, &*find(daemon, migration)?)))
}

/// All migrations that this daemon guards, by name
#[utoipa::path(get, path = "/v1/migrations", operation_id = "list_migrations", params(PageQuery),
    responses((status = 200, body = Page<Shown>, description = "A page of them")))]
pub(super) async fn list(State(daemon): State<Daemon>, Asked(query): Asked<PageQuery>) -> Json<Page<Shown>> {
    let guards = daemon.guards();
    join_all(guards.iter().map(|guard| daemon.refresh(guard))).await;
    let items = guards.iter().map(|guard| (guard.name().to_owned(), guard));
    page(query.limit, query.after.as_ref(), items, |name, cursor| name > cursor, |guard| shown(&daemon, guard))
}

/// One migration
#[utoipa::path(get, path = "/v1/migrations/{migration}", operation_id = "show_migration",
    responses((status = 200, body = Shown, description = "As it is now")))]
pub(super) async fn show(State(daemon): State<Daemon>, At(migration): At<String>) -> Result<Json<Shown>, Problem> {
    let guard = find(&daemon, &migration)?;
    let _ = daemon.refresh(&guard).await; // what is wrong with the file is shown
    Ok(Json(shown(&daemon, &guard)))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ArmBody {
    reason: Option<Reason>,
    /// As `belay capture` writes it; left out: what the journal keeps, else what is observed now.
    baseline: Option<Baseline>,
    /// A trigger that is red already is waited for, whatever its `red_at_arm` says: it fires only after it has been green.
    #[serde(default)]
    wait_for_green: bool,
    /// Arms although signals of the plan cannot be read (an alarm does not exist, access is denied), channels cannot be used or
    /// permissions are missing: a trigger that goes by such signals alone cannot fire.
    #[serde(default)]
    accept_unknown: bool,
    /// Arms only if the file has this SHA-256: that of the plan which was reviewed.
    plan_sha256: Option<String>,
}

/// Arms the plan that the file holds now
#[utoipa::path(post, path = "/v1/migrations/{migration}/arm", operation_id = "arm", request_body = Option<ArmBody>,
    responses((status = 200, body = Shown, description = "The migration, as it is then")))]
pub(super) async fn arm(
    State(daemon): State<Daemon>,
    At(migration): At<String>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<ArmBody>,
) -> Result<Json<Shown>, Problem> {
    let guard = find(&daemon, &migration)?;
    let ArmBody { reason, baseline, wait_for_green, accept_unknown, plan_sha256 } = body;
    let arming = Arming { baseline, wait_for_green, accept_unknown, ..Arming::default() };
    let word = Word::Person { plan_sha256 };
    let armed = daemon.arm(&guard, arming, &word, &caller.asked(given(reason.as_ref()))).await;
    let armed = armed.map_err(|error| refusal::problem(error, &guard.snapshot().state, Subject::Migration))?;
    Ok(Json(Shown { warnings: armed.warnings, ..shown(&daemon, &guard) }))
}

/// Nothing where no reason was given.
fn given(reason: Option<&Reason>) -> &str {
    reason.map_or("", |Reason(text)| text)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MigrationVerb {
    reason: Option<Reason>,
}

/// Stops guarding
#[utoipa::path(post, path = "/v1/migrations/{migration}/disarm", operation_id = "disarm",
    request_body = Option<MigrationVerb>,
    responses((status = 200, body = Shown, description = "The migration, as it is then")))]
pub(super) async fn disarm(
    State(daemon): State<Daemon>,
    At(migration): At<String>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<MigrationVerb>,
) -> Result<Json<Shown>, Problem> {
    command(&daemon, &migration, Verb::Disarm, &caller, given(body.reason.as_ref())).await
}

/// Marks the moment of the cutover
#[utoipa::path(post, path = "/v1/migrations/{migration}/cutover", operation_id = "mark_cutover",
    request_body = Option<MigrationVerb>,
    responses((status = 200, body = Shown, description = "The migration, as it is then")))]
pub(super) async fn cutover(
    State(daemon): State<Daemon>,
    At(migration): At<String>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<MigrationVerb>,
) -> Result<Json<Shown>, Problem> {
    command(&daemon, &migration, Verb::Cutover, &caller, given(body.reason.as_ref())).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PhaseBody {
    /// One of the plan's.
    phase: String,
    reason: Reason,
}

/// Begins a phase of the plan, also one that has been before
#[utoipa::path(post, path = "/v1/migrations/{migration}/phase", operation_id = "begin_phase", request_body = PhaseBody,
    responses((status = 200, body = Shown, description = "The migration, as it is then")))]
pub(super) async fn phase(
    State(daemon): State<Daemon>,
    At(migration): At<String>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<PhaseBody>,
) -> Result<Json<Shown>, Problem> {
    command(&daemon, &migration, Verb::Phase { phase: body.phase }, &caller, &body.reason.0).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MuteBody {
    /// How long, as `30m`; at most `4h`.
    #[serde(rename = "for")]
    #[schema(
        pattern = "^(4h|[1-3]h([1-9]m|[1-5][0-9]m)?|([1-9]|[1-9][0-9]|1[0-9]{2}|2[0-3][0-9]|240)m|([1-9][0-9]{0,3}|1[0-3][0-9]{3}|14[0-3][0-9]{2}|14400)s)$"
    )]
    time: String,
    reason: Reason,
}

/// Triggers are watched and recorded, and none opens an incident, until the time is over
#[utoipa::path(post, path = "/v1/migrations/{migration}/mute", operation_id = "mute", request_body = MuteBody,
    responses((status = 200, body = Shown, description = "The migration, as it is then")))]
pub(super) async fn mute(
    State(daemon): State<Daemon>,
    At(migration): At<String>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<MuteBody>,
) -> Result<Json<Shown>, Problem> {
    let time = mute::time(&body.time).map_err(|why| Problem::invalid(why).help("write for example `30m`"))?;
    command(&daemon, &migration, Verb::Mute { time }, &caller, &body.reason.0).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UnmuteBody {
    reason: Reason,
}

/// Ends a mute; what still holds opens its incident
#[utoipa::path(post, path = "/v1/migrations/{migration}/unmute", operation_id = "unmute", request_body = UnmuteBody,
    responses((status = 200, body = Shown, description = "The migration, as it is then")))]
pub(super) async fn unmute(
    State(daemon): State<Daemon>,
    At(migration): At<String>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<UnmuteBody>,
) -> Result<Json<Shown>, Problem> {
    command(&daemon, &migration, Verb::Unmute, &caller, &body.reason.0).await
}

async fn command(
    daemon: &Daemon,
    migration: &str,
    verb: Verb,
    caller: &Caller,
    reason: &str,
) -> Result<Json<Shown>, Problem> {
    let guard = find(daemon, migration)?;
    let done = daemon.command(&guard, verb, &caller.asked(reason)).await;
    done.map_err(|error| refusal::problem(error, &guard.snapshot().state, Subject::Migration))?;
    Ok(Json(shown(daemon, &guard)))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RollbackBody {
    reason: Reason,
    /// Says what would be done, and what would stop it; changes nothing.
    #[serde(default)]
    dry_run: bool,
    /// These steps and what they need; empty for all.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    only: Vec<Name>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Started {
    run: String,
}

/// Rolls back what is armed, or says what that would do
#[utoipa::path(post, path = "/v1/migrations/{migration}/rollback", operation_id = "rollback",
    request_body = RollbackBody,
    responses((status = 202, body = Started, description = "A run that goes on by itself; a dry run is over by then",
        headers(("Location" = String, description = "The run")))))]
pub(super) async fn rollback(
    State(daemon): State<Daemon>,
    At(migration): At<String>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<RollbackBody>,
) -> Result<Response, Problem> {
    let guard = find(&daemon, &migration)?;
    let asked = caller.asked(&body.reason.0);
    let run = match body.dry_run {
        true => daemon.rehearse(&guard, body.only, &asked).await.map(|(run, _)| run),
        false => daemon.roll_back(&guard, body.only, &asked).await,
    };
    let run = run.map_err(|error| refusal::problem(error, &guard.snapshot().state, Subject::Migration))?;
    Ok(accepted(&run))
}

/// A run has begun, and goes on by itself.
pub(super) fn accepted(run: &RunId) -> Response {
    let place = [(header::LOCATION, format!("/v1/runs/{run}"))];
    (StatusCode::ACCEPTED, place, Json(Started { run: run.to_string() })).into_response()
}
