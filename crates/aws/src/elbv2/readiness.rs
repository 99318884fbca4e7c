//! What stands against a swap beforehand: destinations that could not carry the traffic, and clients that would not follow. Pure.

use belay_aws_catalogue::elbv2::forward::{OnSwap, With};
use belay_core::change::Proof;
use belay_plan::duration;
use belay_ports::{Check, Scope};

use super::{GroupHealth, State, group_name};
use crate::weights as shared;

pub(super) fn checks(scope: &Scope, with: &With, now: &State, baseline: Option<&State>) -> Vec<Check> {
    // Whether the target can be reached is assessed before.
    let Ok(named) = shared::named(scope, baseline.map(|baseline| baseline.weights().unwrap_or_default())) else {
        return Vec::new();
    };
    let destinations = named.weights.iter().filter(|(_, weight)| **weight > 0).map(|(group, _)| group.as_str());
    let mut checks: Vec<Check> = destinations.clone().filter_map(|group| healthy(scope, now, group)).collect();
    checks.extend(capacity(now, baseline, destinations.collect()));
    checks.extend(stickiness(with, now));
    checks
}

/// The traffic goes only where health is proven, so a destination without proof holds the step.
fn healthy(scope: &Scope, now: &State, group: &str) -> Option<Check> {
    let subject = group_name(group);
    Some(match now.health(group)?.proof() {
        Proof::Healthy { evidence } => Check::go("destination", subject, evidence),
        Proof::Unhealthy { evidence } => Check::no_go("destination", subject, evidence)
            .wanted("at least one healthy target: no traffic is sent to it else")
            .cure("bring its targets back to health before the cutover"),
        Proof::None { why } if !scope.interlocks.is_empty() => {
            let interlocks = scope.interlocks.join(", ");
            Check::go("destination", subject, format!("it gets traffic only while {interlocks} holds ({why})"))
        }
        Proof::None { why } => Check::warn("destination", subject, why)
            .wanted("a group whose health is known, or an interlock (`require`) of the step that proves it")
            .cure("turn the group's health checks on, keep it attached at weight 0, or give the step a `require`"),
    })
}

/// Held against the healthy targets of the same groups at the baseline, and against those that are meant to carry the traffic now,
/// whichever are fewer: the cutover may well have made the new side larger. That its targets are sick makes no traffic less.
fn capacity(now: &State, baseline: Option<&State>, destinations: Vec<&str>) -> Option<Check> {
    let healthy = |state: &State| -> usize {
        destinations.iter().filter_map(|group| state.health(group)).map(GroupHealth::healthy).sum()
    };
    let (found, then) = (healthy(now), baseline.map(&healthy));
    let weights = now.weights().unwrap_or_default();
    let carrying = || weights.iter().filter(|(_, weight)| **weight > 0).map(|(group, _)| group.as_str());
    let carries: usize = carrying().filter_map(|group| now.health(group)).map(GroupHealth::meant).sum();
    if found == 0 {
        return None; // said of its health
    }
    let names = |groups: &[&str]| groups.iter().map(|group| group_name(group)).collect::<Vec<_>>().join(", ");
    let subject = names(&destinations);
    // What is zero is no measure: the side that carries the traffic may have lost all its targets.
    let known = [then.unwrap_or(0), carries].into_iter().filter(|count| *count > 0);
    let Some(wanted) = known.min() else {
        let carriers = names(&carrying().collect::<Vec<_>>());
        let now = match carriers.is_empty() {
            true => "no target group gets any of it now".to_owned(),
            false => format!("{carriers}, which carries it now, has no target that is meant to answer"),
        };
        let found = format!(
            "{found} healthy; how many the traffic needs is not known: {now}, and no baseline shows how many there were"
        );
        let check = Check::warn("capacity", subject, found)
            .wanted("as many healthy targets as the traffic needs")
            .cure("see for yourself that it can carry all the traffic at once; a baseline from before (`belay arm`) shows how many it took");
        return Some(check);
    };
    let then = then.map_or(String::new(), |then| format!(", {then} at the baseline"));
    let told = format!("{found} healthy; the traffic is for {carries} targets now{then}");
    Some(match found < wanted {
        true => Check::no_go("capacity", subject, told)
            .wanted(format!("at least {wanted}"))
            .cure("scale it back up: it has to carry all the traffic at once"),
        false => Check::go("capacity", subject, told).wanted(format!("at least {wanted}")),
    })
}

/// A client with a cookie stays with its group whatever the weights are.
fn stickiness(with: &With, now: &State) -> Option<Check> {
    let sticky = now.forward()?.sticky().filter(|_| with.stickiness == OnSwap::Keep)?;
    let lasts = sticky.lasts().map_or("an unknown time".to_owned(), duration::format);
    let found = format!("stickiness keeps clients with the group that they have for {lasts} after the swap");
    Some(
        Check::warn("stickiness", with.forwarder.title(), found)
            .wanted("clients that follow the weights")
            .cure("`stickiness: suspend` moves them at once; or shorten it before the cutover"),
    )
}
