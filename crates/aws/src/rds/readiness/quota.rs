//! Whether the account has room for what is made.

use aws_sdk_rds::{Client, types::AccountQuota};
use belay_ports::{Check, Scope};

use super::unread;
use crate::{errors, place};

pub(in crate::rds) const DESCRIBE: &str = "rds:DescribeAccountAttributes";
const ID: &str = "quota";

/// What is needed of one quota, as RDS names it.
#[derive(Debug, Clone, Copy)]
pub(in crate::rds) struct Room {
    quota: &'static str,
    needed: i64,
    /// For what.
    what: &'static str,
}

pub(in crate::rds) fn room(quota: &'static str, needed: i64, what: &'static str) -> Room {
    Room { quota, needed, what }
}

/// One check for each quota of which something is needed.
pub(in crate::rds) async fn checks(client: &Client, scope: &Scope, rooms: &[Room]) -> Vec<Check> {
    let rooms = rooms.iter().filter(|room| room.needed > 0);
    match client.describe_account_attributes().send().await {
        Ok(answer) => rooms.map(|room| check(room, answer.account_quotas())).collect(),
        Err(error) => {
            let subject = place::name(&scope.aws);
            let why = errors::read(error, DESCRIBE, &subject).why;
            vec![unread(ID, subject, why)]
        }
    }
}

fn check(Room { quota, needed, what }: &Room, quotas: &[AccountQuota]) -> Check {
    let found = quotas.iter().find(|found| found.account_quota_name.as_deref() == Some(*quota));
    let Some((used, max)) = found.and_then(|found| Some((found.used?, found.max?))) else {
        return Check::unknown(ID, *quota, "RDS does not show this quota")
            .wanted(format!("room for {needed}, which {what} needs"))
            .cure("look at it in Service Quotas");
    };
    let shown = format!("{used} of {max} are used, and {what} needs {needed}");
    match used.saturating_add(*needed) <= max {
        true => Check::go(ID, *quota, shown),
        false => Check::no_go(ID, *quota, shown)
            .wanted(format!("at most {} used", max.saturating_sub(*needed).max(0)))
            .cure("have the quota raised in Service Quotas, or make room, before the cutover"),
    }
}
