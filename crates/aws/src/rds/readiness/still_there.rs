//! Whether what a restore names is still there: groups, certificate, version.

use std::fmt;

use aws_sdk_rds::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
};
use belay_ports::Check;
use jiff::Timestamp;

use super::{Needs, unread};
use crate::{
    errors,
    rds::{reads::is_code, state::timestamp},
};

pub(super) const SUBNET_GROUPS: &str = "rds:DescribeDBSubnetGroups";
pub(super) const PARAMETER_GROUPS: &str = "rds:DescribeDBParameterGroups";
pub(super) const CLUSTER_PARAMETER_GROUPS: &str = "rds:DescribeDBClusterParameterGroups";
pub(super) const OPTION_GROUPS: &str = "rds:DescribeOptionGroups";
pub(super) const CERTIFICATES: &str = "rds:DescribeCertificates";
pub(super) const ENGINE_VERSIONS: &str = "rds:DescribeDBEngineVersions";

pub(super) async fn checks(client: &Client, needs: &Needs<'_>, at: Timestamp) -> Vec<Check> {
    let subnets = async { Some(subnet_group(client, needs.subnet_group?).await) };
    let parameters = async { Some(parameter_group(client, needs.cluster, needs.parameter_group?).await) };
    let options = async {
        let name = needs.option_group?;
        let asked = client.describe_option_groups().option_group_name(name).send().await;
        Some(there("option_group", OPTION_GROUPS, name, asked))
    };
    let certificate = async { Some(certificate(client, needs.certificate?, at).await) };
    let (subnets, parameters, options, certificate, (version, family)) =
        futures::join!(subnets, parameters, options, certificate, version(client, needs.engine, needs.engine_version));
    // RDS refuses a group that is made for another version than that of the snapshot.
    let parameters = parameters.map(|(check, of)| match (of, &family, needs.parameter_group) {
        (Some(of), Some(family), Some(name)) if of != *family => {
            let found =
                format!("it is of the family {of}, and {} {} wants {family}", needs.engine, needs.engine_version);
            Check::no_go("parameter_group", name, found)
                .wanted(format!("a parameter group of {family}"))
                .cure("take a snapshot of the database as it is now, or restore from one of the version that it has")
        }
        _ => check,
    });
    let read = [subnets, parameters, options, certificate].into_iter().flatten();
    read.chain([version]).chain(security_groups(needs)).collect()
}

/// With the family that it is for.
async fn parameter_group(client: &Client, cluster: bool, name: &str) -> (Check, Option<String>) {
    const ID: &str = "parameter_group";
    match cluster {
        true => {
            let asked = client.describe_db_cluster_parameter_groups().db_cluster_parameter_group_name(name);
            let answer = asked.send().await;
            let family = answer
                .as_ref()
                .ok()
                .and_then(|all| all.db_cluster_parameter_groups().first()?.db_parameter_group_family.clone());
            (there(ID, CLUSTER_PARAMETER_GROUPS, name, answer), family)
        }
        false => {
            let answer = client.describe_db_parameter_groups().db_parameter_group_name(name).send().await;
            let family = answer
                .as_ref()
                .ok()
                .and_then(|all| all.db_parameter_groups().first()?.db_parameter_group_family.clone());
            (there(ID, PARAMETER_GROUPS, name, answer), family)
        }
    }
}

/// `what`: a check's id, in words too.
fn there<T, E>(what: &str, call: &str, name: &str, answer: Result<T, SdkError<E>>) -> Check
where
    E: std::error::Error + ProvideErrorMetadata + fmt::Debug + 'static,
{
    match answer {
        Ok(_) => Check::go(what, name, "it is there"),
        Err(error) if errors::code(&error).is_some_and(|code| code.contains("NotFound")) => gone(what, name),
        Err(error) => unread(what, name, errors::read(error, call, name).why),
    }
}

fn gone(what: &str, name: &str) -> Check {
    let word = what.replace('_', " ");
    Check::no_go(what, name, format!("there is no such {word} any more, and a restore names it"))
        .wanted(format!("the {word} that the database had"))
        .cure("make it anew with the same name, or capture a baseline that does without")
}

async fn subnet_group(client: &Client, name: &str) -> Check {
    const ID: &str = "subnet_group";
    let answer = client.describe_db_subnet_groups().db_subnet_group_name(name).send().await;
    let status = answer.as_ref().ok().and_then(|answer| answer.db_subnet_groups().first()?.subnet_group_status.clone());
    match status {
        Some(status) if status != "Complete" => {
            Check::no_go(ID, name, format!("it is {status}")).wanted("Complete").cure("repair the subnet group")
        }
        _ => there(ID, SUBNET_GROUPS, name, answer),
    }
}

async fn certificate(client: &Client, name: &str, at: Timestamp) -> Check {
    const ID: &str = "certificate";
    let answer = client.describe_certificates().certificate_identifier(name).send().await;
    let end = answer.as_ref().ok().and_then(|answer| timestamp(answer.certificates().first()?.valid_till));
    match (end, answer) {
        (Some(end), Ok(_)) if end <= at => Check::no_go(ID, name, format!("it was valid until {end:.0}"))
            .wanted("a certificate that is valid")
            .cure("rotate the database's certificate before the cutover, then capture the baseline anew"),
        (Some(end), Ok(_)) => Check::go(ID, name, format!("it is there, and valid until {end:.0}")),
        (_, answer) => there(ID, CERTIFICATES, name, answer),
    }
}

/// With the family of parameter groups that it wants. Versions that RDS has withdrawn are listed only when asked for.
async fn version(client: &Client, engine: &str, version: &str) -> (Check, Option<String>) {
    const ID: &str = "engine_version";
    let subject = format!("{engine} {version}");
    let cure = "upgrade the database and take a new snapshot of it before the cutover";
    let asked = client.describe_db_engine_versions().engine(engine).engine_version(version);
    let answer = asked.include_all(true).send().await;
    let first = answer.as_ref().ok().and_then(|answer| answer.db_engine_versions().first());
    let family = first.and_then(|found| found.db_parameter_group_family.clone());
    let check = match answer {
        Err(error) if is_code(errors::code(&error), "InvalidParameterCombination") => withdrawn(ID, subject, cure),
        Err(error) => {
            let why = errors::read(error, ENGINE_VERSIONS, &subject).why;
            unread(ID, subject, why)
        }
        Ok(answer) => match answer.db_engine_versions().first() {
            None => withdrawn(ID, subject, cure),
            Some(found) if found.status.as_deref() == Some("deprecated") => {
                Check::warn(ID, subject, "RDS has deprecated it, and may refuse a restore or upgrade it")
                    .wanted("a version that RDS supports")
                    .cure(cure)
            }
            Some(_) => Check::go(ID, subject, "RDS offers it"),
        },
    };
    (check, family)
}

fn withdrawn(id: &str, subject: String, cure: &str) -> Check {
    Check::no_go(id, subject, "RDS does not offer this version any more")
        .wanted("a version that can be restored")
        .cure(cure)
}

/// RDS shows only those that a database has.
fn security_groups(needs: &Needs<'_>) -> Option<Check> {
    const ID: &str = "security_groups";
    let (attached, alone): (Vec<&str>, Vec<&str>) = {
        let all = needs.security_groups.iter().map(String::as_str);
        all.partition(|group| needs.attached_groups.iter().any(|present| present == group))
    };
    match (attached.as_slice(), alone.as_slice()) {
        ([], []) => None,
        (attached, []) => Some(Check::go(ID, needs.name, format!("{} are attached to it now", attached.join(", ")))),
        (_, alone) => Some(
            Check::unknown(
                ID,
                needs.name,
                format!(
                    "{} were attached to it before, and RDS does not show whether they still exist",
                    alone.join(", ")
                ),
            )
            .wanted("the same groups as before")
            .cure(format!("look with `aws ec2 describe-security-groups --group-ids {}`", alone.join(" "))),
        ),
    }
}
