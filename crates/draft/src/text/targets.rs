//! The targets of a group, where a cutover moves instances and not groups.

use super::{Draw, words::list};
use crate::{
    inventory::{Forwarder, Targets, group_name},
    yaml::{comment, scalar},
};

/// Targets that a comment names; more are counted.
const NAMED_MAX: usize = 5;

/// The only group of a forwarder, with its targets: weights cannot move its traffic.
pub(super) fn of<'d>(draw: &Draw<'d>, forwarder: &'d Forwarder) -> Option<(&'d str, &'d Targets)> {
    let only = forwarder.only_group()?;
    let targets = draw.inventory.targets.get(only).filter(|targets| !targets.ids.is_empty())?;
    Some((only, targets))
}

fn named(targets: &Targets) -> String {
    let more = targets.ids.len().saturating_sub(NAMED_MAX);
    let mut named: Vec<String> = targets.ids.iter().take(NAMED_MAX).cloned().collect();
    if more > 0 {
        named.push(format!("{more} more"));
    }
    list(&named)
}

/// The step that registers them again. `needs`: what comes before it.
pub(super) fn step(arn: &str, targets: &Targets, name: &str, needs: &str, healthy: Option<&str>) -> String {
    let why = comment(
        2,
        &format!(
            "The targets of group {}, which were registered by hand: {}. Where the cutover registers others in it, these are registered \
             again, and the others leave once these are healthy.",
            group_name(arn),
            named(targets)
        ),
    );
    let verify = healthy.map(|signal| format!("    verify: [{signal}]\n")).unwrap_or_default();
    format!(
        "{why}  {name}:\n{needs}    action: alb.targets\n    with: {{ target_group: {} }}\n    to: baseline\n{verify}",
        scalar(arn)
    )
}

/// An account does not show who registers the targets: beside an Auto Scaling group the step would be wrong.
pub(super) fn not_drafted(arn: &str, targets: &Targets, not_known: &mut Vec<String>) -> String {
    let group = group_name(arn);
    not_known.push(format!(
        "who registers the targets of {group}: where people do, and the cutover moves instances, a step of `alb.targets` puts them back"
    ));
    comment(
        2,
        &format!(
            "not known: who registers the targets of {group}, which were {} when this was written. Where people do, and the cutover moves \
             instances and not groups, a step puts them back: `action: alb.targets` with `{{ target_group: {group} }}` and `to: baseline`. \
             Beside an Auto Scaling group or ECS it would put back what those have replaced.",
            named(targets)
        ),
    )
}
