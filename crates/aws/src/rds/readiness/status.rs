//! Whether RDS would rename the database as it is now: a run waits for what passes, but nobody should cut over in the middle of it. Pure.

use belay_ports::Check;

use crate::rds::{
    Observed, With,
    eligible::is_going,
    spec::KeepEndpoint,
    status::{Phase, Service, phase, service},
};

const ID: &str = "database_status";

/// Of the instance, or of the cluster: its readers come and go with the load.
///
/// None: there is none, or it stays as it is until a person does something, which the assessment shows.
pub(super) fn check(with: &With, now: &Observed) -> Option<Check> {
    match now {
        Observed::Instance(state) => {
            let found = state.instance.as_ref()?;
            of(with, "instance", &found.name, &found.status)
        }
        Observed::Cluster(state) => {
            let found = state.cluster.as_ref()?;
            of(with, "cluster", &found.name, &found.status)
        }
    }
}

fn of(with: &With, word: &str, name: &str, status: &str) -> Option<Check> {
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
