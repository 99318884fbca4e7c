//! What databases refer to: groups, certificates, classes, zones. Whatever a database of the world has exists, until it is
//! taken away.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::database::Database;
use crate::{answer::Refusal, input::Input};

#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// Parameter and option groups, with the engine's family that they are for.
    pub(super) families: BTreeMap<String, String>,
    /// Security groups, subnet groups.
    names: BTreeSet<String>,
    /// What is gone, or was never there.
    pub(super) gone: BTreeSet<String>,
    /// Zones and classes that have no capacity.
    pub(super) full: BTreeSet<String>,
}

/// The certificates that RDS still issues (user guide, "Using SSL/TLS to encrypt a connection": `rds-ca-2019` ended in 2024).
const CERTIFICATES: [&str; 3] = ["rds-ca-rsa2048-g1", "rds-ca-rsa4096-g1", "rds-ca-ecc384-g1"];

/// The family of parameter groups that an engine's version wants: `postgres16`, `mysql8.0`.
pub(crate) fn family(engine: &str, version: &str) -> String {
    let mut parts = version.split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    match engine {
        "postgres" | "aurora-postgresql" => format!("{engine}{major}"),
        "aurora-mysql" => "aurora-mysql8.0".to_owned(),
        _ if engine.starts_with("sqlserver") => format!("{engine}-{major}.0"),
        _ => format!("{engine}{major}.{minor}"),
    }
}

impl Known {
    /// What a database has does exist.
    pub(super) fn learn(&mut self, database: &Database) {
        let has = &database.attributes;
        let family = family(database.text("Engine"), database.text("EngineVersion"));
        let groups = [
            &has["DBParameterGroups"]["DBParameterGroup"][0]["DBParameterGroupName"],
            &has["OptionGroupMemberships"]["OptionGroupMembership"][0]["OptionGroupName"],
            &has["DBClusterParameterGroup"],
        ];
        for name in groups.into_iter().filter_map(Value::as_str) {
            self.families.entry(name.to_owned()).or_insert_with(|| family.clone());
        }
        let subnets = [&has["DBSubnetGroup"]["DBSubnetGroupName"], &has["DBSubnetGroup"]];
        self.names.extend(subnets.into_iter().filter_map(Value::as_str).map(ToOwned::to_owned));
        let security = has["VpcSecurityGroups"]["VpcSecurityGroupMembership"].as_array().into_iter().flatten();
        self.names.extend(security.filter_map(|group| group["VpcSecurityGroupId"].as_str().map(ToOwned::to_owned)));
    }

    /// Refuses what a call names and what does not exist, or does not fit the engine.
    pub(super) fn check(&self, input: Input<'_>, engine: &str, version: &str) -> Result<(), Refusal> {
        self.check_groups(input, engine, version)?;
        let exists = |name: &str| self.names.contains(name) && !self.gone.contains(name);
        if let Some(name) = input.text("DBSubnetGroupName").filter(|name| !exists(name)) {
            return Err(Refusal::missing("DBSubnetGroupNotFoundFault", format!("DBSubnetGroup {name} not found.")));
        }
        for id in input.texts("VpcSecurityGroupIds", "VpcSecurityGroupId") {
            if !exists(id) {
                let message = format!("Invalid security group , groupId= {id}, groupName=.");
                return Err(Refusal::bad("InvalidParameterValue", message));
            }
        }
        if let Some(name) = input.text("CACertificateIdentifier")
            && (!CERTIFICATES.contains(&name) || self.gone.contains(name))
        {
            return Err(Refusal::missing("CertificateNotFound", format!("Certificate not found: {name}")));
        }
        if let Some(class) = input.text("DBInstanceClass").or(input.text("DBClusterInstanceClass")) {
            if self.gone.contains(class) {
                return Err(Refusal::bad("InvalidParameterValue", format!("Invalid DB Instance class: {class}")));
            }
            if self.full.contains(class) {
                return Err(no_capacity(class));
            }
        }
        match input.text("AvailabilityZone").filter(|zone| self.full.contains(*zone)) {
            Some(zone) => Err(no_capacity(zone)),
            None => Ok(()),
        }
    }

    fn check_groups(&self, input: Input<'_>, engine: &str, version: &str) -> Result<(), Refusal> {
        let wanted = family(engine, version);
        for (parameter, code, what) in [
            ("DBParameterGroupName", "DBParameterGroupNotFound", "DBParameterGroup"),
            ("DBClusterParameterGroupName", "DBClusterParameterGroupNotFound", "DBClusterParameterGroup"),
            ("OptionGroupName", "OptionGroupNotFoundFault", "OptionGroup"),
        ] {
            let Some(name) = input.text(parameter) else { continue };
            if name.starts_with("default") {
                continue; // every Region has those
            }
            match self.families.get(name).filter(|_| !self.gone.contains(name)) {
                None => return Err(Refusal::missing(code, format!("{what} not found: {name}"))),
                // User guide, "Working with parameter groups"; "Option group considerations".
                Some(family) if *family != wanted => {
                    let message = format!(
                        "The {what} {name} with DBParameterGroupFamily {family} cannot be used for this instance. Please \
                         use a {what} with DBParameterGroupFamily {wanted}"
                    );
                    return Err(Refusal::bad("InvalidParameterCombination", message));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

fn no_capacity(of: &str) -> Refusal {
    let message = format!("Insufficient capacity is available for {of}. Try again later.");
    Refusal::bad("InsufficientDBInstanceCapacity", message)
}
