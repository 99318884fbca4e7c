//! What of a restore can be told before it is needed. Pure.

use belay_ports::{Check, CheckVerdict, Scope};

use super::{
    ClusterState, KeepEndpoint, Links, Observed, With,
    behind::Replaced,
    state::{Attached, State},
};

/// Beside what makes a restore impossible, which an assessment says.
pub(super) fn of(scope: &Scope, with: &With, now: &Observed) -> Vec<Check> {
    if scope.run.is_some() || with.keep_endpoint == KeepEndpoint::None {
        return Vec::new();
    }
    let (replaced, queued, links) = match now {
        Observed::Instance(State { instance: Some(old), links, .. }) => {
            let iam = old.settings.iam_database_authentication;
            (replaced(&old.name, &old.resource_id, &old.attached, links, &[], iam), &old.queued, links)
        }
        Observed::Cluster(ClusterState { cluster: Some(old), links, .. }) => {
            let iam = old.settings.iam_database_authentication;
            let endpoints = &old.custom_endpoints;
            (replaced(&old.name, &old.resource_id, &old.attached, links, endpoints, iam), &old.queued, links)
        }
        _ => return Vec::new(),
    };
    let name = replaced.name;
    let check = |id: &str, verdict, found: String, cure: &str| Check {
        id: id.to_owned(),
        subject: name.to_owned(),
        verdict,
        found,
        wanted: String::new(),
        cure: cure.to_owned(),
    };
    let mut checks: Vec<Check> = replaced
        .left_behind(Some("new with each restore"), &with.without)
        .into_iter()
        .map(|what| {
            let id = what.split(':').next().unwrap_or_default().to_owned();
            let cure = "after a restore, the step waits for a person about this; `with.without` accepts it beforehand";
            check(&id, CheckVerdict::Warn, format!("stays behind: {what}"), cure)
        })
        .collect();
    if with.keep_endpoint == KeepEndpoint::Rename && !queued.is_empty() {
        let found = format!("waits for its maintenance window: {}; a rename applies it at once", queued.join(", "));
        let cure = "apply it before the cutover, or take it back; otherwise a person approves the step";
        checks.push(check("queued_changes", CheckVerdict::Warn, found, cure));
    }
    let unread = links.iter().flat_map(|links| &links.unread);
    checks.extend(unread.map(|why| check("links", CheckVerdict::Unknown, format!("not looked up: {why}"), "")));
    checks
}

fn replaced<'a>(
    name: &'a str,
    resource_id: &'a Option<String>,
    attached: &'a Attached,
    links: &'a Option<Links>,
    custom_endpoints: &'a [String],
    authenticates_by_iam: Option<bool>,
) -> Replaced<'a> {
    Replaced {
        name,
        resource_id: resource_id.as_deref(),
        attached,
        proxies: links.as_ref().map(|links| links.proxies.as_slice()).unwrap_or_default(),
        custom_endpoints,
        authenticates_by_iam: authenticates_by_iam == Some(true),
    }
}
