//! Since when a restored database has been seen available, and whether that is long enough to give it the plan's name: until
//! it has that, nobody does, so whatever RDS may still refuse a rename for is waited for before.

use std::time::Duration;

use belay_ports::Scope;
use jiff::Timestamp;

use super::{Observed, assess::LISTED_WITHIN, sent::Sent};

/// For so long after a modification `available` has to be seen without a break: longer than the status lags behind
/// ([`STATUS_LAGS`](super::assess::STATUS_LAGS)), by the clocks of two hosts and a look.
const STEADY_FOR: Duration = Duration::from_secs(45);

/// Since when each look in a row has shown it available. After a restart it counts anew.
pub(super) fn since(scope: &Scope, looked: Timestamp, available: bool) -> Option<Timestamp> {
    let before = || match scope.previous::<Observed>().ok().flatten()? {
        Observed::Instance(state) => state.steady,
        Observed::Cluster(state) => state.steady,
    };
    available.then(|| before().unwrap_or(looked))
}

/// Until when it has to be seen available, if that is not over. `steady`: since when it was. `modifications`: the changes
/// that RDS carries out after it has accepted them; an answer that was lost counts as accepted.
pub(super) fn until(sent: &Sent<'_>, steady: Option<Timestamp>, modifications: &[&str]) -> Option<Timestamp> {
    let since = steady.unwrap_or(sent.looked);
    let modified = sent.last_of(modifications).filter(|at| sent.looked < *at + LISTED_WITHIN);
    match modified {
        Some(at) => Some(since.max(at) + STEADY_FOR).filter(|until| sent.looked < *until),
        // Once more.
        None => (since >= sent.looked).then_some(sent.looked),
    }
}
