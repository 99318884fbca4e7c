//! The accounts that a plan reaches into: whether they are the right ones, and whether the credentials would do.

use belay_core::change::Baseline;
use belay_plan::model::{AwsTarget, Plan};
use belay_ports::{AccountError, Check, Permission, Ports};
use futures::future::join_all;

use super::{late, within};
use crate::{permissions::permissions, scope};

pub(super) async fn verify(ports: &Ports, plan: &Plan) -> Vec<Check> {
    let targets = scope::targets(plan, ports.actuators.as_ref());
    let verified = targets.iter().map(|target| async move {
        let name = name(target);
        match within(ports.clock.as_ref(), ports.actuators.verify_account(target)).await {
            Some(Ok(identity)) => Check::go("account", name, format!("the credentials belong to it: {identity}")),
            Some(Err(error @ AccountError::Wrong { .. })) => Check::no_go("account", name, error.to_string())
                .cure("use credentials of that account, or correct `aws.account`"),
            Some(Err(error @ AccountError::Unverified { .. })) => {
                Check::unknown("account", name, error.to_string()).cure("correct the credentials or the network")
            }
            None => late("account", &name),
        }
    });
    join_all(verified).await
}

pub(super) async fn credentials(ports: &Ports, plan: &Plan, baseline: Option<&Baseline>) -> Vec<Check> {
    let targets = scope::targets(plan, ports.actuators.as_ref());
    let Ports { actuators, sensors, channels, evidence, .. } = ports;
    let needed =
        permissions(actuators.as_ref(), sensors.as_ref(), (channels.as_ref(), evidence.as_ref()), plan, baseline);
    let needed = &needed;
    let checked = targets.iter().map(|target| async move {
        let permissions: Vec<Permission> = needed.get(target).into_iter().flatten().cloned().collect();
        let checked = within(ports.clock.as_ref(), ports.actuators.readiness(target, &permissions)).await;
        checked.unwrap_or_else(|| vec![late("permission", &name(target))])
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
