//! Whether the targets that a group shall have could take the traffic. Pure.

use belay_ports::{Check, Scope};

use super::{State, Target, With, assess::wanted};
use crate::elbv2::health::{GroupHealth, HEALTHY, is_untold};

const ID: &str = "destination";

/// None: which targets it shall have is not known, which the assessment shows.
pub(super) fn check(scope: &Scope, with: &With, now: &State, baseline: Option<&State>) -> Option<Check> {
    let wanted = wanted(scope, now, baseline).ok().filter(|wanted| !wanted.is_empty())?;
    let registered = now.registered();
    let there: Vec<&Target> = wanted.keys().filter_map(|address| registered.get(address).copied()).collect();
    let missing = wanted.len() - there.len();
    let evidence = GroupHealth::of_states(there.iter().map(|target| target.state.as_str())).evidence();
    let healthy = there.iter().filter(|target| target.state == HEALTHY).count();
    let untold = there.iter().filter(|target| is_untold(&target.state)).count();
    let check = match () {
        // The cutover takes them out; whether they still run, a load balancer does not know.
        () if missing > 0 && scope.cutover.is_some() => {
            let found = format!(
                "{missing} of {} are not registered, and the step registers them: their health shows then",
                wanted.len()
            );
            return Some(Check::go(ID, with.title(), found));
        }
        () if missing > 0 => Check::warn(
            ID,
            with.title(),
            format!(
                "{missing} of {} are not registered before the cutover, so nothing shows that they are healthy",
                wanted.len()
            ),
        ),
        () if healthy == there.len() => return Some(Check::go(ID, with.title(), evidence)),
        () if healthy == 0 && untold < there.len() => Check::no_go(ID, with.title(), evidence),
        () => Check::warn(ID, with.title(), evidence),
    };
    Some(
        check
            .wanted("healthy targets: the step is over only when those that it registers are")
            .cure("bring them back to health before the cutover"),
    )
}
