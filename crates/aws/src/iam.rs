//! The least policies: what the steps, signals and channels of a plan declare, as IAM takes it.
//!
//! One [`Policy`] is one managed policy of one [`Principal`]. [`policies`] and [`boundaries`] make them; the three forms
//! ([`json()`], [`terraform()`], [`cloudformation()`]) only write them down. All that is pure. Whether a role has what it needs, `simulation` asks IAM.

mod boundary;
mod caller;
mod cloudformation;
pub(crate) mod credentials;
mod json;
mod names;
mod policy;
mod principal;
pub(crate) mod simulation;
mod terraform;
#[cfg(test)]
mod tests;
mod wide;

pub use self::{
    boundary::boundaries,
    cloudformation::cloudformation,
    json::json,
    policy::{Effect, Only, Policy, SIZE_MAX, Statement, policies},
    principal::Principal,
    terraform::terraform,
    wide::wide,
};

use belay_plan::model::AwsTarget;
use belay_ports::Permission;

use crate::{
    place,
    services::{Granted, Service},
};

pub(crate) const SERVICE: Service = Service {
    global: true,
    // AWS publishes none that fits; this is below what is known to be throttled.
    quotas: &[Granted::all(10.0, 20.0)],
    reads: &["GetRole", "SimulatePrincipalPolicy"],
    ..Service::new("IAM", "iam")
};

/// What it takes to simulate the policies of the role in use. The plan names it, or it is one of the account.
pub(crate) fn permissions(target: &AwsTarget) -> Vec<Permission> {
    let permission = |action: &str, resource: &str| Permission {
        action: action.to_owned(),
        resource: resource.to_owned(),
        mutates: false,
        conditions: Vec::new(),
    };
    match &target.role {
        Some(role) => vec![permission(simulation::SIMULATE, role)],
        None => {
            let account = target.account.as_deref().unwrap_or("*");
            let roles = format!("arn:{}:iam::{account}:role/*", place::partition(target));
            [simulation::SIMULATE, caller::GET_ROLE].map(|action| permission(action, &roles)).into()
        }
    }
}
