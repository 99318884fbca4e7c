//! The accounts that a plan reaches into: whether they are the right ones, and whether the credentials would do.

use std::time::Duration;

use belay_core::change::Baseline;
use belay_plan::model::{AwsTarget, Plan};
use belay_ports::{AccountError, Check, Permission, Ports};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::{late, later_than, within, within_time};
use crate::{permissions::permissions, scope};

pub(super) async fn verify(ports: &Ports, plan: &Plan) -> Vec<Check> {
    let targets = scope::targets(plan, ports.actuators.as_ref());
    let verified = targets.iter().map(|target| async move {
        let name = name(target);
        match within(ports.clock.as_ref(), ports.actuators.verify_account(target)).await {
            Some(Ok(identity)) => Check::go("account", name, format!("the credentials belong to it: {identity}")),
            Some(Err(error @ AccountError::Wrong { .. })) => Check::no_go("account", name, error.to_string())
                .wanted("credentials of the account that the plan names")
                .cure("use credentials of that account, or correct `aws.account`"),
            Some(Err(error @ AccountError::Unverified { .. })) => Check::unknown("account", name, error.to_string())
                .wanted("credentials that AWS names the account of (sts:GetCallerIdentity)")
                .cure("correct the credentials or the network"),
            None => late("account", &name),
        }
    });
    join_all(verified).await
}

/// Credentials that end sooner may be gone before a rollback is over, where the plan has no window.
const ROLLBACK_MIN: SignedDuration = SignedDuration::from_hours(1);

/// When the last rollback is over: begun right before the point of no return, and as long as the objective allows. `cutover`: when it was
/// marked.
pub(super) fn until(plan: &Plan, cutover: Option<Timestamp>, at: Timestamp) -> Timestamp {
    let Some(window) = &plan.window else { return at.checked_add(ROLLBACK_MIN).unwrap_or(at) };
    // A cutover that is to come comes now at the earliest.
    let begins = cutover.unwrap_or_else(|| window.opens.map_or(at, |opens| opens.max(at)));
    let rollback = plan.objectives.rto.and_then(|rto| SignedDuration::try_from(rto).ok());
    let rollback = rollback.map_or(ROLLBACK_MIN, |rto| rto.max(ROLLBACK_MIN));
    let last = window.point_of_no_return.and_then(|time| begins.checked_add(time).ok()).unwrap_or(begins);
    last.max(at).checked_add(rollback).unwrap_or(last)
}

/// `baseline`: with what would be captured now. `cutover`: when it was marked. An account that takes longer than `time_max` is unknown.
pub(crate) async fn credentials(
    ports: &Ports,
    plan: &Plan,
    (baseline, cutover): (&Baseline, Option<Timestamp>),
    time_max: Duration,
) -> Vec<Check> {
    let until = until(plan, cutover, ports.clock.now());
    let Ports { actuators, sensors, channels, evidence, .. } = ports;
    let needed =
        permissions(actuators.as_ref(), sensors.as_ref(), (channels.as_ref(), evidence.as_ref()), plan, Some(baseline));
    let needed = &needed;
    // A channel may have an account of its own, and a plan without `aws:` uses that of the credentials.
    let mut targets = scope::targets(plan, actuators.as_ref());
    targets.extend(needed.keys().filter(|target| !targets.contains(target)).cloned().collect::<Vec<_>>());
    let checked = targets.iter().map(|target| async move {
        let permissions: Vec<Permission> = needed.get(target).into_iter().flatten().cloned().collect();
        let checked = ports.actuators.readiness(target, &permissions, until);
        let checked = within_time(ports.clock.as_ref(), time_max, checked).await;
        checked.unwrap_or_else(|| vec![later_than(time_max, "permission", &name(target))])
    });
    join_all(checked).await.into_iter().flatten().collect()
}

/// `111122223333 in eu-west-1`
fn name(target: &AwsTarget) -> String {
    match (&target.account, &target.region) {
        (Some(account), Some(region)) => format!("{account} in {region}"),
        (Some(one), None) | (None, Some(one)) => one.clone(),
        (None, None) => "the account of the credentials".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use belay_plan::model::{PastWindow, Window};

    use super::*;

    #[test]
    fn credentials_are_needed_until_the_last_rollback_is_over() {
        let hours = |count: u64| Duration::from_secs(count * 60 * 60);
        let at = Timestamp::UNIX_EPOCH;
        let mut plan: Plan = serde_json::from_value(serde_json::json!({ "migration": "shop", "steps": {} })).unwrap();
        assert_eq!(until(&plan, None, at), at + hours(1), "no window");
        let window = Window { point_of_no_return: Some(hours(8)), past: PastWindow::Refuse, opens: None };
        plan.window = Some(window.clone());
        assert_eq!(until(&plan, None, at), at + hours(9), "the cutover may come now");
        assert_eq!(until(&plan, Some(at - hours(3)), at), at + hours(6), "it was three hours ago");
        assert_eq!(until(&plan, Some(at - hours(30)), at), at + hours(1), "past it people may still roll back");
        plan.objectives.rto = Some(hours(2));
        plan.window = Some(Window { opens: Some(at + hours(10)), ..window });
        assert_eq!(until(&plan, None, at), at + hours(20), "it opens later");
    }
}
