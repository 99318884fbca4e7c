//! What an account contains that a plan could be about, as plain data: weighted records, load balancers and what they forward,
//! databases and their backups, alarms.
//!
//! Reads alone, inside the account's budget. Every list is read page by page and has a bound on its calls; what was not looked at
//! is a note. What cannot be read of a part (a zone, a load balancer) is a note, too; what cannot be read at all is an error.

mod alarms;
mod balancers;
mod databases;
#[cfg(test)]
mod drafts;
mod records;
#[cfg(test)]
mod tests;

pub use self::balancers::Group;

use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use belay_plan::model::AwsTarget;
use belay_ports::ReadError;

use crate::session::{Aws, Clients, SessionError};

/// Calls under way at the same time: each service's budget is a few calls a second.
const CONCURRENT_CALLS: usize = 4;

/// How many failures of one kind are told one by one.
const FAILURES_TOLD_MAX: usize = 5;

/// Is told how far it is, in a few words.
pub type Progress = Arc<dyn Fn(String) + Send + Sync>;

/// All that it calls, as IAM names it; none of them has to be narrowed to a resource. Who may do only a part of it sees only a part.
pub const CALLS: [&str; 14] = [
    "cloudwatch:DescribeAlarms",
    "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeRules",
    "elasticloadbalancing:DescribeTargetGroups",
    "elasticloadbalancing:DescribeTargetHealth",
    "rds:DescribeBlueGreenDeployments",
    "rds:DescribeDBClusterSnapshots",
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstanceAutomatedBackups",
    "rds:DescribeDBInstances",
    "rds:DescribeDBSnapshots",
    "route53:ListHostedZonesByName",
    "route53:ListResourceRecordSets",
];

/// One look around in an account and region.
#[derive(Clone)]
pub struct Discovery {
    clients: Arc<Clients>,
    target: AwsTarget,
    progress: Progress,
}

/// What was found of a kind, and sentences about what was not.
#[derive(Debug, Clone, PartialEq)]
pub struct Found<T> {
    pub items: Vec<T>,
    pub notes: Vec<String>,
}

impl Discovery {
    /// In the account of the credentials in use. `region`: None takes that of the AWS configuration.
    ///
    /// # Errors
    /// [`SessionError`] where there is no region, or the account is not told.
    pub async fn start(aws: &Aws, region: Option<&str>, progress: Progress) -> Result<Self, SessionError> {
        let anybody = AwsTarget { region: region.map(str::to_owned), ..AwsTarget::default() };
        let account = aws.account(&anybody).await?;
        let named = AwsTarget { account: Some(account), ..anybody };
        let clients = aws.clients(&named).await?;
        let target = AwsTarget { region: Some(clients.region.clone()), ..named };
        Ok(Self { clients, target, progress })
    }

    /// Twelve digits.
    pub fn account(&self) -> &str {
        self.target.account.as_deref().unwrap_or_default()
    }

    pub fn region(&self) -> &str {
        &self.clients.region
    }

    fn tell(&self, what: impl Display) {
        (self.progress)(what.to_string());
    }
}

/// How many calls a list may take.
#[derive(Debug)]
struct Allowance {
    left: AtomicUsize,
}

impl Allowance {
    fn new(calls: usize) -> Self {
        Self { left: AtomicUsize::new(calls) }
    }

    /// Takes one call; false when there is none left.
    fn take(&self) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

/// Sorts out the failures of parts: notes, or an error where no part could be read.
fn settled<T>(parts: Vec<Result<Vec<T>, ReadError>>) -> Result<Found<T>, ReadError> {
    let (mut items, mut failures, mut read) = (Vec::new(), Vec::new(), 0_usize);
    for part in parts {
        match part {
            Ok(found) => {
                items.extend(found);
                read += 1;
            }
            Err(error) => failures.push(error),
        }
    }
    if read == 0 && !failures.is_empty() {
        return Err(failures.swap_remove(0));
    }
    let more = failures.len().saturating_sub(FAILURES_TOLD_MAX);
    let mut notes: Vec<String> =
        failures.into_iter().take(FAILURES_TOLD_MAX).map(|error| format!("not read: {}", error.why)).collect();
    if more > 0 {
        notes.push(format!("not read: {more} more, for such reasons"));
    }
    Ok(Found { items, notes })
}
