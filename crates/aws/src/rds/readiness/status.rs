//! Whether RDS would rename the database as it is now: a run waits for what passes, but nobody should cut over in the middle of it. Pure.

use belay_ports::Check;

use crate::rds::{
    Observed, With,
    eligible::is_going,
    spec::KeepEndpoint,
    status::{Phase, Service, phase, service},
};

const ID: &str = "database_status";

/// Of the database, and of each member of a cluster: they are renamed as well.
pub(super) fn checks(with: &With, now: &Observed) -> Vec<Check> {
    match now {
        Observed::Instance(state) => {
            let found = state.instance.as_ref();
            found.and_then(|found| check(with, "instance", &found.name, &found.status)).into_iter().collect()
        }
        Observed::Cluster(state) => {
            let cluster = state.cluster.as_ref();
            let cluster = cluster.and_then(|found| check(with, "cluster", &found.name, &found.status));
            let members = state.members.iter().filter_map(|member| member.instance.as_ref());
            let members = members.filter_map(|found| check(with, "member", &found.name, &found.status));
            cluster.into_iter().chain(members).collect()
        }
    }
}

/// None: it stays as it is until a person does something, which the assessment shows.
fn check(with: &With, word: &str, name: &str, status: &str) -> Option<Check> {
    let found = format!("the {word} is {status}");
    if is_going(status) {
        let check =
            Check::no_go(ID, name, format!("{found}, which cannot be stopped; its automated backups go with it"));
        return Some(check.wanted("available").cure(
            "see who deletes it, and restore it from a snapshot under its name before the cutover; then capture the baseline anew",
        ));
    }
    let renamed = with.keep_endpoint == KeepEndpoint::Rename;
    Some(match phase(status) {
        Phase::Stuck { .. } => return None,
        Phase::Available => Check::go(ID, name, found),
        Phase::Changing if status == "stopping" && renamed => {
            Check::no_go(ID, name, format!("{found}, and RDS renames only what is available"))
                .wanted("available")
                .cure("start it when it is stopped, and wait until it is available")
        }
        Phase::Changing if !renamed || (service(status) == Service::Serves && !is_moving(status)) => {
            Check::go(ID, name, format!("{found}, which ends by itself"))
        }
        Phase::Changing => Check::unknown(ID, name, format!("{found}: what comes of it is not known"))
            .wanted("available")
            .cure("wait until it is available, then check again"),
    })
}

/// Into a VPC: its address changes.
fn is_moving(status: &str) -> bool {
    matches!(status, "converting-to-vpc" | "moving-to-vpc")
}
