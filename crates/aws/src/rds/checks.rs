//! What of a restore can be told before it is needed. Pure.

use belay_aws_catalogue::rds::restore::AUTOSCALED_READERS;
use belay_ports::{Check, Scope};

use super::{
    ClusterState, KeepEndpoint, Links, Observed, With, behind::Replaced, cluster::autoscaled, names::Names,
    source::Kind, spec::Subject, state::State,
};

/// Beside what makes a restore impossible, which an assessment says.
pub(super) fn of(scope: &Scope, with: &With, now: &Observed) -> Vec<Check> {
    let (Subject::Instance(own) | Subject::Cluster(own)) = &with.subject;
    let unmarked =
        scope.run.is_none() && with.test.is_none() && with.from.counts_from_cutover() && scope.cutover.is_none();
    let unmarked = unmarked.then(|| Check::cutover_unmarked(own, "`from`"));
    unmarked.into_iter().chain(of_the_swap(scope, with, own, now)).collect()
}

/// What becomes of the names.
fn of_the_swap<'a>(scope: &Scope, with: &With, own: &str, now: &'a Observed) -> Vec<Check> {
    if scope.run.is_some() || with.keep_endpoint == KeepEndpoint::None {
        return Vec::new();
    }
    let names = Names::new(own, None);
    let (kept_as, by) = match with.keep_endpoint {
        KeepEndpoint::Rename => (&names.failed, &names.own),
        KeepEndpoint::Cname | KeepEndpoint::None => (&names.own, &names.restored),
    };
    // Behind a name that stays, the step moves them itself.
    let stay = with.keep_endpoint == KeepEndpoint::Cname;
    let proxies =
        |links: &'a Option<Links>| links.as_ref().filter(|_| stay).map_or(&[][..], |links| links.proxies.as_slice());
    let (replaced, queued, links) = match now {
        Observed::Instance(State { instance: Some(old), links, .. }) => {
            let replaced = Replaced {
                kind: Kind::Instance,
                name: &old.name,
                kept_as,
                by,
                resource_id: old.resource_id.as_deref(),
                attached: &old.attached,
                proxies: proxies(links),
                custom_endpoints: &[],
                authenticates_by_iam: old.settings.iam_database_authentication == Some(true),
            };
            (replaced, &old.queued, links)
        }
        Observed::Cluster(ClusterState { cluster: Some(old), links, .. }) => {
            let replaced = Replaced {
                kind: Kind::Cluster,
                name: &old.name,
                kept_as,
                by,
                resource_id: old.resource_id.as_deref(),
                attached: &old.attached,
                proxies: proxies(links),
                custom_endpoints: &old.custom_endpoints,
                authenticates_by_iam: old.settings.iam_database_authentication == Some(true),
            };
            (replaced, &old.queued, links)
        }
        _ => return Vec::new(),
    };
    let name = replaced.name;
    let mut checks: Vec<Check> = replaced
        .left_behind(Some("new with each restore"), &with.without)
        .into_iter()
        .map(|what| {
            let id = what.split(':').next().unwrap_or_default().to_owned();
            let cure = "after a restore, the step waits for a person about this; `with.without` accepts it beforehand";
            Check::warn(&id, name, format!("stays behind: {what}"))
                .wanted("nothing that stays behind, or a person who has accepted it")
                .cure(cure)
        })
        .collect();
    if let Observed::Cluster(ClusterState { cluster: Some(old), members, .. }) = now
        && !with.without.contains(AUTOSCALED_READERS)
        && let count @ 1.. = autoscaled::readers(old, members).len()
    {
        let found = autoscaled::told(count, name, with.keep_endpoint);
        let cure = "`with.without: [autoscaled_readers]` accepts it beforehand";
        let wanted = "as many readers after the restore, or a person who has accepted fewer";
        checks.push(Check::warn(AUTOSCALED_READERS, name, found).wanted(wanted).cure(cure));
    }
    if with.keep_endpoint == KeepEndpoint::Rename && !queued.is_empty() {
        let found = format!("waits for its maintenance window: {}; a rename applies it at once", queued.join(", "));
        let cure = "apply it before the cutover, or take it back; otherwise a person approves the step";
        checks.push(Check::warn("queued_changes", name, found).wanted("nothing that a rename would apply").cure(cure));
    }
    let unread = links.iter().flat_map(|links| &links.unread);
    checks.extend(unread.map(|why| {
        Check::unknown("links", name, format!("not looked up: {why}"))
            .wanted("which deployments, integrations and proxies hold on to the database")
            .cure("allow the call (`belay iam PLAN` prints the statement), or look yourself")
    }));
    checks
}
