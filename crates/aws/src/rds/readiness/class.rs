//! Whether RDS still offers the instance classes that a restore asks for: of a retired one it makes no new instance.

use aws_sdk_rds::Client;
use belay_ports::{Check, ReadError};

use super::{Class, Needs, unread};
use crate::errors;

pub(super) const ORDERABLE: &str = "rds:DescribeOrderableDBInstanceOptions";
const ID: &str = "instance_class";

pub(super) async fn checks(client: &Client, needs: &Needs<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    for class in &needs.classes {
        checks.push(check(client, needs, class).await);
    }
    checks
}

async fn check(client: &Client, needs: &Needs<'_>, class: &Class<'_>) -> Check {
    let version = format!("{} {}", needs.engine, needs.engine_version);
    let offered = match is_offered(client, needs, Some(class.wanted)).await {
        Ok(true) => return Check::go(ID, class.wanted, format!("RDS offers it for {version}")),
        Ok(false) => is_offered(client, needs, None).await,
        Err(error) => Err(error),
    };
    match (offered, class.instead) {
        (Err(error), _) => unread(ID, class.wanted, error.why),
        // Whether the version can be restored, another check shows.
        (Ok(false), _) => Check::warn(
            ID,
            class.wanted,
            format!("RDS lists no instance class for {version}, so this one may be retired"),
        )
        .wanted("a class that RDS offers")
        .cure(format!(
            "look with `aws rds describe-orderable-db-instance-options --engine {} --engine-version {}`",
            needs.engine, needs.engine_version
        )),
        (Ok(true), Some(instead)) => {
            let found =
                format!("RDS does not offer it for {version} any more: the restored instance would get {instead}");
            Check::warn(ID, class.wanted, found)
                .wanted("the class that the database had")
                .cure(format!("see that {instead} carries the load; a baseline that is captured anew goes by it"))
        }
        (Ok(true), None) => Check::no_go(
            ID,
            class.wanted,
            format!("RDS does not offer it for {version} any more, and a restore asks for it"),
        )
        .wanted("a class that RDS offers")
        .cure("give the database another class before the cutover, and capture the baseline anew"),
    }
}

/// `class`: or any.
async fn is_offered(client: &Client, needs: &Needs<'_>, class: Option<&str>) -> Result<bool, ReadError> {
    let asked =
        client.describe_orderable_db_instance_options().engine(needs.engine).engine_version(needs.engine_version);
    let asked = asked.set_db_instance_class(class.map(ToOwned::to_owned)).max_records(20);
    let mut options = asked.into_paginator().items().send();
    match options.next().await {
        Some(Ok(_)) => Ok(true),
        None => Ok(false),
        Some(Err(error)) => Err(errors::read(error, ORDERABLE, needs.name)),
    }
}
