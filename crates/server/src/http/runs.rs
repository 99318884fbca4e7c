//! `/v1/runs`

use std::sync::Arc;

use axum::{Extension, Json, extract::State, response::Response};
use belay_core::{id::RunId, input::Verb, run::Run};
use belay_engine::{OpenError, Snapshot, view::RunView};
use belay_plan::model::Name;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{auth::Caller, daemon::Daemon, guard::Guard};

use super::{
    body::{Asked, At, Body, Link, Reason},
    migrations::{Started, accepted},
    page::{Page, page},
    problem::Problem,
    query::RunsQuery,
    refusal::{self, Subject},
};

/// The migration that a run is of, where its state keeps the run.
fn kept(daemon: &Daemon, run: &RunId) -> Result<Arc<Guard>, Problem> {
    let found = daemon.guards().into_iter().find(|guard| guard.snapshot().state.find_run(run).is_some());
    found.ok_or_else(|| Problem::not_found(format!("there is no run {run}")).help("GET /v1/runs lists them"))
}

/// The migration that a run is of, with the run where its state has forgotten it.
pub(super) async fn find(daemon: &Daemon, run: &RunId) -> Result<(Arc<Guard>, Option<Arc<Run>>), Problem> {
    match kept(daemon, run) {
        Ok(guard) => Ok((guard, None)),
        Err(missing) => match daemon.forgotten_run(run).await.map_err(unreadable)? {
            Some((guard, run)) => Ok((guard, Some(run))),
            None => Err(missing),
        },
    }
}

/// The migration of a run that can perhaps be moved.
async fn movable(daemon: &Daemon, run: &RunId) -> Result<Arc<Guard>, Problem> {
    let (guard, old) = find(daemon, run).await?;
    let Some(old) = old else { return Ok(guard) };
    let why = format!("run {run} is {}, and so old that only the journal shows it", old.state.as_str());
    let problem = Problem::wrong_state(why).help(format!("`belay report {run}` shows what happened"));
    Err(problem.with("state", serde_json::json!(old.state)).with("possible", Vec::<String>::new()))
}

pub(super) fn unreadable(error: OpenError) -> Problem {
    Problem::unavailable(error.to_string()).help("`belay audit` verifies the journal")
}

fn view(daemon: &Daemon, snapshot: &Snapshot, run: &Run) -> RunView {
    let state = &snapshot.state;
    let live = state.run.as_ref().is_some_and(|present| present.id == run.id);
    RunView::new(state, run, live.then_some(snapshot), daemon.ports().clock.now())
}

fn runs(snapshot: &Snapshot) -> impl Iterator<Item = &Run> {
    let state = &snapshot.state;
    state.run.iter().chain(state.past_runs.iter().map(Arc::as_ref))
}

/// A run that its state keeps, as it is now.
pub(super) fn present(daemon: &Daemon, run: &str) -> Result<Json<RunView>, Problem> {
    let run = RunId(run.to_owned());
    shown(daemon, &*kept(daemon, &run)?, &run)
}

/// All runs, the latest first
#[utoipa::path(get, path = "/v1/runs", operation_id = "list_runs", params(RunsQuery),
    responses((status = 200, body = Page<RunView>, description = "A page of them")))]
pub(super) async fn list(
    State(daemon): State<Daemon>,
    Asked(query): Asked<RunsQuery>,
) -> Result<Json<Page<RunView>>, Problem> {
    let guards = daemon.guards().into_iter();
    let guards = guards.filter(|guard| query.migration.as_ref().is_none_or(|migration| migration == guard.name()));
    let of_it: Vec<(Arc<Guard>, Arc<Snapshot>)> = guards.map(|guard| (guard.clone(), guard.snapshot())).collect();
    let is_behind = |run: &Run| query.after.as_ref().is_none_or(|cursor| run.id.0.as_str() < cursor.key());
    let like_it = |run: &Run| query.state.is_none_or(|state| state == run.state) && is_behind(run);
    let kept = || of_it.iter().flat_map(|(_, snapshot)| runs(snapshot)).filter(|run| like_it(run));
    // One more than the page shows whether another page follows.
    let enough = query.limit.items() + 1;
    let mut forgotten = Vec::new();
    for (guard, snapshot) in &of_it {
        let last = snapshot.state.forgotten.last_run.as_ref();
        if last.is_some() && kept().filter(|run| Some(&run.id) > last).count() < enough {
            let found = daemon.forgotten_runs(guard, enough, like_it).await.map_err(unreadable)?;
            forgotten.extend(found.into_iter().map(|run| (snapshot, run)));
        }
    }
    let kept = of_it.iter().flat_map(|(_, snapshot)| runs(snapshot).map(move |run| (snapshot, run)));
    let all = kept.chain(forgotten.iter().map(|(snapshot, run)| (*snapshot, run.as_ref())));
    let all = all.filter(|(_, run)| like_it(run));
    let mut latest_first: Vec<_> = all.map(|(snapshot, run)| (run.id.0.clone(), (snapshot, run))).collect();
    latest_first.sort_by(|(one, _), (other, _)| other.cmp(one));
    latest_first.dedup_by(|(one, _), (other, _)| one == other); // forgotten since the snapshot was taken
    Ok(page(
        query.limit,
        query.after.as_ref(),
        latest_first,
        |id, cursor| id < cursor,
        |(snapshot, run)| view(&daemon, snapshot, run),
    ))
}

/// One run
#[utoipa::path(get, path = "/v1/runs/{run}", operation_id = "show_run",
    responses((status = 200, body = RunView, description = "As it is now")))]
pub(super) async fn show(State(daemon): State<Daemon>, At(run): At<String>) -> Result<Json<RunView>, Problem> {
    let run = RunId(run);
    match find(&daemon, &run).await? {
        (guard, None) => shown(&daemon, &guard, &run),
        (guard, Some(old)) => Ok(Json(view(&daemon, &guard.snapshot(), &old))),
    }
}

fn shown(daemon: &Daemon, guard: &Guard, run: &RunId) -> Result<Json<RunView>, Problem> {
    let snapshot = guard.snapshot();
    let found = snapshot.state.find_run(run).ok_or_else(|| Problem::not_found(format!("there is no run {run}")))?;
    Ok(Json(view(daemon, &snapshot, found)))
}

async fn command(
    daemon: &Daemon,
    run: RunId,
    step: Option<&str>,
    verb: Verb,
    caller: &Caller,
    Reason(reason): Reason,
) -> Result<Json<RunView>, Problem> {
    let guard = movable(daemon, &run).await?;
    let done = daemon.command(&guard, verb, &caller.asked(&reason)).await;
    let subject = step.map_or(Subject::Run(&run), |step| Subject::Step(&run, step));
    done.map_err(|error| refusal::problem(error, &guard.snapshot().state, subject))?;
    shown(daemon, &guard, &run)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RunVerb {
    reason: Reason,
}

/// Sends nothing new until it is resumed
#[utoipa::path(post, path = "/v1/runs/{run}/hold", operation_id = "hold_run", request_body = RunVerb,
    responses((status = 200, body = RunView, description = "The run, as it is then")))]
pub(super) async fn hold(
    State(daemon): State<Daemon>,
    At(run): At<String>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<RunVerb>,
) -> Result<Json<RunView>, Problem> {
    let run = RunId(run);
    command(&daemon, run.clone(), None, Verb::Hold { run }, &caller, body.reason).await
}

/// Goes on with a held or halted run
#[utoipa::path(post, path = "/v1/runs/{run}/resume", operation_id = "resume_run", request_body = RunVerb,
    responses((status = 200, body = RunView, description = "The run, as it is then")))]
pub(super) async fn resume(
    State(daemon): State<Daemon>,
    At(run): At<String>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<RunVerb>,
) -> Result<Json<RunView>, Problem> {
    let run = RunId(run);
    command(&daemon, run.clone(), None, Verb::Resume { run }, &caller, body.reason).await
}

/// Ends a run between two calls
#[utoipa::path(post, path = "/v1/runs/{run}/abort", operation_id = "abort_run", request_body = RunVerb,
    responses((status = 200, body = RunView, description = "The run, as it is then")))]
pub(super) async fn abort(
    State(daemon): State<Daemon>,
    At(run): At<String>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<RunVerb>,
) -> Result<Json<RunView>, Problem> {
    let run = RunId(run);
    command(&daemon, run.clone(), None, Verb::Abort { run }, &caller, body.reason).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PostmortemBody {
    /// Where what came of it can be read.
    pub(super) link: Link,
    pub(super) reason: Reason,
}

/// Puts on record that people have talked a run over: nobody is reminded of it any more
#[utoipa::path(post, path = "/v1/runs/{run}/postmortem", operation_id = "postmortem_held", request_body = PostmortemBody,
    responses((status = 200, body = RunView, description = "The run, as it is then")))]
pub(super) async fn postmortem(
    State(daemon): State<Daemon>,
    At(run): At<String>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<PostmortemBody>,
) -> Result<Json<RunView>, Problem> {
    let run = RunId(run);
    let verb = Verb::PostmortemHeld { run: run.clone(), link: body.link.0 };
    command(&daemon, run, None, verb, &caller, body.reason).await
}

/// Puts back what was there before a run
#[utoipa::path(post, path = "/v1/runs/{run}/undo", operation_id = "undo_run", request_body = RunVerb,
    responses((status = 202, body = Started, description = "The run that puts it back; it goes on by itself",
        headers(("Location" = String, description = "The run")))))]
pub(super) async fn undo(
    State(daemon): State<Daemon>,
    At(run): At<String>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<RunVerb>,
) -> Result<Response, Problem> {
    let run = RunId(run);
    let guard = movable(&daemon, &run).await?;
    let undo = daemon.undo(&guard, run.clone(), &caller.asked(&body.reason.0)).await;
    let undo = undo.map_err(|error| refusal::problem(error, &guard.snapshot().state, Subject::Run(&run)))?;
    Ok(accepted(&undo))
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize, ToSchema)]
#[schema(as = ApprovalAnswer)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Approve,
    Deny,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApproveBody {
    answer: Answer,
    reason: Reason,
}

/// Answers a step that waits for a person
#[utoipa::path(post, path = "/v1/runs/{run}/steps/{step}/approve", operation_id = "approve_step",
    request_body = ApproveBody, responses((status = 200, body = RunView, description = "The run, as it is then")))]
pub(super) async fn approve(
    State(daemon): State<Daemon>,
    At((run, step)): At<(String, Name)>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<ApproveBody>,
) -> Result<Json<RunView>, Problem> {
    let run = RunId(run);
    let approve = body.answer == Answer::Approve;
    let verb = Verb::Approve { run: run.clone(), step: step.clone(), approve };
    command(&daemon, run, Some(&step), verb, &caller, body.reason).await
}

/// Tries a failed step again
#[utoipa::path(post, path = "/v1/runs/{run}/steps/{step}/retry", operation_id = "retry_step", request_body = RunVerb,
    responses((status = 200, body = RunView, description = "The run, as it is then")))]
pub(super) async fn retry(
    State(daemon): State<Daemon>,
    At((run, step)): At<(String, Name)>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<RunVerb>,
) -> Result<Json<RunView>, Problem> {
    let run = RunId(run);
    let verb = Verb::Retry { run: run.clone(), step: step.clone() };
    command(&daemon, run, Some(&step), verb, &caller, body.reason).await
}

/// Goes on without a step
#[utoipa::path(post, path = "/v1/runs/{run}/steps/{step}/skip", operation_id = "skip_step", request_body = RunVerb,
    responses((status = 200, body = RunView, description = "The run, as it is then")))]
pub(super) async fn skip(
    State(daemon): State<Daemon>,
    At((run, step)): At<(String, Name)>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<RunVerb>,
) -> Result<Json<RunView>, Problem> {
    let run = RunId(run);
    let verb = Verb::Skip { run: run.clone(), step: step.clone() };
    command(&daemon, run, Some(&step), verb, &caller, body.reason).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OverrideBody {
    /// The interlock, or the destination without a proof, that the caller takes responsibility for.
    signal: String,
    reason: Reason,
}

/// Takes responsibility for one interlock of a step, by name
#[utoipa::path(post, path = "/v1/runs/{run}/steps/{step}/override", operation_id = "override_interlock",
    request_body = OverrideBody, responses((status = 200, body = RunView, description = "The run, as it is then")))]
pub(super) async fn override_interlock(
    State(daemon): State<Daemon>,
    At((run, step)): At<(String, Name)>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<OverrideBody>,
) -> Result<Json<RunView>, Problem> {
    let run = RunId(run);
    let verb = Verb::Override { run: run.clone(), step: step.clone(), subject: body.signal };
    command(&daemon, run, Some(&step), verb, &caller, body.reason).await
}
