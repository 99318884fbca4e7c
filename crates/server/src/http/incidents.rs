//! `/v1/incidents`

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use belay_core::{id::IncidentId, incident::Incident, input::Verb, migration::Migration};
use belay_engine::view::IncidentView;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{auth::Caller, daemon::Daemon, guard::Guard};

use super::{
    body::{Asked, At, Body, Reason},
    page::{Page, page},
    problem::Problem,
    query::IncidentsQuery,
    refusal::{self, Subject},
    runs::{PostmortemBody, unreadable},
};

fn incidents(state: &Migration) -> impl Iterator<Item = &Incident> {
    state.incident.iter().chain(state.past_incidents.iter().map(Arc::as_ref))
}

/// The migration that an incident is of, with the incident as it is now, where the state keeps it.
fn kept(daemon: &Daemon, id: &str) -> Result<(Arc<Guard>, IncidentView), Problem> {
    let of = |guard: Arc<Guard>| {
        let state = guard.snapshot().state.clone();
        let found = incidents(&state).find(|incident| incident.id.0 == id)?;
        Some((guard, IncidentView::new(&state, found)))
    };
    let found = daemon.guards().into_iter().find_map(of);
    found.ok_or_else(|| Problem::not_found(format!("there is no incident {id}")).help("GET /v1/incidents lists them"))
}

/// The migration that an incident is of, with the incident as it is now, however old it is.
pub(super) async fn find(daemon: &Daemon, id: &str) -> Result<(Arc<Guard>, IncidentView), Problem> {
    match kept(daemon, id) {
        Ok(found) => Ok(found),
        Err(missing) => match daemon.forgotten_incident(&IncidentId(id.to_owned())).await.map_err(unreadable)? {
            Some((guard, incident)) => {
                let view = IncidentView::new(&guard.snapshot().state, &incident);
                Ok((guard, view))
            }
            None => Err(missing),
        },
    }
}

/// An incident that its state keeps, as it is now.
pub(super) fn present(daemon: &Daemon, id: &str) -> Result<Json<IncidentView>, Problem> {
    kept(daemon, id).map(|(_, incident)| Json(incident))
}

/// All incidents, the latest first
#[utoipa::path(get, path = "/v1/incidents", operation_id = "list_incidents", params(IncidentsQuery),
    responses((status = 200, body = Page<IncidentView>, description = "A page of them")))]
pub(super) async fn list(
    State(daemon): State<Daemon>,
    Asked(query): Asked<IncidentsQuery>,
) -> Result<Json<Page<IncidentView>>, Problem> {
    let guards = daemon.guards().into_iter();
    let guards = guards.filter(|guard| query.migration.as_ref().is_none_or(|migration| migration == guard.name()));
    let of_it: Vec<(Arc<Guard>, Arc<Migration>)> =
        guards.map(|guard| (guard.clone(), guard.snapshot().state.clone())).collect();
    let is_behind =
        |incident: &Incident| query.after.as_ref().is_none_or(|cursor| incident.id.0.as_str() < cursor.key());
    let kept = || of_it.iter().flat_map(|(_, state)| incidents(state)).filter(|incident| is_behind(incident));
    // One more than the page shows whether another page follows.
    let enough = query.limit.items() + 1;
    let mut forgotten = Vec::new();
    for (guard, state) in &of_it {
        let last = state.forgotten.last_incident.as_ref();
        if last.is_some() && kept().filter(|incident| Some(&incident.id) > last).count() < enough {
            let found = daemon.forgotten_incidents(guard, enough, is_behind).await.map_err(unreadable)?;
            forgotten.extend(found.into_iter().map(|incident| (state, incident)));
        }
    }
    let kept = of_it.iter().flat_map(|(_, state)| incidents(state).map(move |incident| (state, incident)));
    let all = kept.chain(forgotten.iter().map(|(state, incident)| (*state, incident.as_ref())));
    let mut latest_first: Vec<_> = all.map(|(state, incident)| (incident.id.0.clone(), (state, incident))).collect();
    latest_first.sort_by(|(one, _), (other, _)| other.cmp(one));
    latest_first.dedup_by(|(one, _), (other, _)| one == other); // forgotten since the state was taken
    Ok(page(
        query.limit,
        query.after.as_ref(),
        latest_first,
        |id, cursor| id < cursor,
        |(state, incident)| IncidentView::new(state, incident),
    ))
}

/// One incident
#[utoipa::path(get, path = "/v1/incidents/{incident}", operation_id = "show_incident",
    responses((status = 200, body = IncidentView, description = "As it is now")))]
pub(super) async fn show(State(daemon): State<Daemon>, At(id): At<String>) -> Result<Json<IncidentView>, Problem> {
    find(&daemon, &id).await.map(|(_, incident)| Json(incident))
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Decision {
    RollBack,
    FixForward,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DecideBody {
    decision: Decision,
    reason: Reason,
}

/// Decides an open incident otherwise than the plan did
#[utoipa::path(post, path = "/v1/incidents/{incident}/decide", operation_id = "decide", request_body = DecideBody,
    responses((status = 200, body = IncidentView, description = "The incident, as it is then")))]
pub(super) async fn decide(
    State(daemon): State<Daemon>,
    At(id): At<String>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<DecideBody>,
) -> Result<Json<IncidentView>, Problem> {
    let (guard, incident) = find(&daemon, &id).await?;
    if incident.closed.is_some() {
        let problem = Problem::wrong_state(format!("incident {id} is closed: there is nothing to decide any more"));
        return Err(problem.with("state", "closed").with("possible", Vec::<String>::new()));
    }
    let verb = Verb::Decide { roll_back: body.decision == Decision::RollBack };
    let decided = daemon.command(&guard, verb, &caller.asked(&body.reason.0)).await;
    decided.map_err(|error| refusal::problem(error, &guard.snapshot().state, Subject::Migration))?;
    present(&daemon, &id)
}

/// Puts on record that people have talked an incident over: nobody is reminded of it any more
///
/// Of an incident that was rolled back, its run was talked over.
#[utoipa::path(post, path = "/v1/incidents/{incident}/postmortem", operation_id = "incident_postmortem_held",
    request_body = PostmortemBody, responses((status = 200, body = IncidentView, description = "The incident, as it is then")))]
pub(super) async fn postmortem(
    State(daemon): State<Daemon>,
    At(id): At<String>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<PostmortemBody>,
) -> Result<Json<IncidentView>, Problem> {
    let (guard, _) = find(&daemon, &id).await?;
    if guard.snapshot().state.find_incident(&IncidentId(id.clone())).is_none() {
        let why = format!("incident {id} is closed, and so old that only the journal shows it");
        let problem = Problem::wrong_state(why).help(format!("`belay report {id}` shows what happened"));
        return Err(problem.with("state", "closed").with("possible", Vec::<String>::new()));
    }
    let verb = Verb::IncidentPostmortemHeld { incident: IncidentId(id.clone()), link: body.link.0 };
    let held = daemon.command(&guard, verb, &caller.asked(&body.reason.0)).await;
    held.map_err(|error| refusal::problem(error, &guard.snapshot().state, Subject::Migration))?;
    present(&daemon, &id)
}
