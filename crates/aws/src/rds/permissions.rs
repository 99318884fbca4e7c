//! What a restore needs to be allowed, scoped to the names that it gives.

use std::collections::BTreeSet;

use belay_aws_catalogue::route53::Zone;
use belay_ports::{Condition, Permission, Scope};
use serde::Deserialize;
use serde_json::Value;

use super::{
    calls, cname,
    links::{self, Links},
    names::Names,
    proxies, readiness, reads,
    source::Kind,
    spec::{Source, With},
};
use crate::{place, route53};

/// Makes permissions on resources of one account and region.
pub(super) struct Permissions {
    partition: String,
    region: String,
    account: String,
    pub(super) list: Vec<Permission>,
}

impl Permissions {
    pub(super) fn new(scope: &Scope) -> Self {
        let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "*".to_owned());
        Self {
            partition: place::partition(&scope.aws),
            region: part(&scope.aws.region),
            account: part(&scope.aws.account),
            list: Vec::new(),
        }
    }

    pub(super) fn arn(&self, resource: &str) -> String {
        format!("arn:{}:rds:{}:{}:{resource}", self.partition, self.region, self.account)
    }

    fn add(&mut self, mutates: bool, action: &str, resource: String) {
        let action = action.to_owned();
        self.list.push(Permission { action, resource, mutates, conditions: Vec::new() });
    }

    pub(super) fn read(&mut self, action: &str, resource: String) {
        self.add(false, action, resource);
    }

    pub(super) fn send(&mut self, action: &str, resource: String) {
        self.add(true, action, resource);
    }

    /// The ARN of a snapshot, or of all of them.
    pub(super) fn snapshot(&self, kind: &str, from: &Source) -> Option<String> {
        match from {
            // RDS stores identifiers in lower case, and IAM compares ARNs to the letter.
            Source::Snapshot(name) if name.starts_with("arn:") => Some(name.to_ascii_lowercase()),
            Source::Snapshot(name) => Some(self.arn(&format!("{kind}:{}", name.to_ascii_lowercase()))),
            Source::NewestSnapshot(_) => Some(self.arn(&format!("{kind}:*"))),
            Source::Time(_) => None,
        }
    }

    /// Hands a role on, and only to the service that it is made for.
    pub(super) fn pass(&mut self, role: String, service: &str) {
        self.send("iam:PassRole", role);
        let to_service = Condition {
            operator: "StringEquals".to_owned(),
            key: "iam:PassedToService".to_owned(),
            value: service.to_owned(),
        };
        self.list.last_mut().expect("it was just added").conditions.push(to_service);
    }

    /// A restore copies data under a key, and creates grants on it for RDS: asked for with the caller's own rights (RDS User
    /// Guide, "AWS KMS key management").
    pub(super) fn use_keys<'k>(&mut self, keys: impl Iterator<Item = &'k str>) {
        let keys: BTreeSet<&str> = keys.filter(|key| key.starts_with("arn:")).collect();
        for key in keys {
            // Readiness asks as well.
            self.read("kms:DescribeKey", key.to_owned());
            self.send("kms:CreateGrant", key.to_owned());
            // To a service of AWS alone.
            let for_aws = Condition {
                operator: "Bool".to_owned(),
                key: "kms:GrantIsForAWSResource".to_owned(),
                value: "true".to_owned(),
            };
            self.list.last_mut().expect("it was just added").conditions.push(for_aws);
        }
    }

    /// RDS makes the secret of a managed master password, and encrypts it, with the caller's own rights (RDS User Guide,
    /// "Permissions required for Secrets Manager integration"). That it describes and is granted the key, `use_keys` allows.
    pub(super) fn manage_password(&mut self, with: &With, settings: &Value) {
        let managed = &settings["managed_password"];
        if !managed.is_object() || with.without.contains("managed_password") {
            return;
        }
        let of = |service: &str, what: &str| {
            format!("arn:{}:{service}:{}:{}:{what}", self.partition, self.region, self.account)
        };
        let (secret, any_key) = (of("secretsmanager", "secret:rds!*"), of("kms", "key/*"));
        for action in ["secretsmanager:CreateSecret", "secretsmanager:TagResource"] {
            self.send(action, secret.clone());
        }
        match managed["kms_key"].as_str().filter(|key| key.starts_with("arn:")) {
            Some(key) => ["kms:Decrypt", "kms:GenerateDataKey"].into_iter().for_each(|action| {
                self.send(action, key.to_owned());
            }),
            // The key that Secrets Manager has for all.
            None => self.read("kms:DescribeKey", any_key),
        }
    }

    /// Roles that a database reaches other services by.
    pub(super) fn pass_roles(&mut self, roles: &Value) {
        for arn in roles.as_array().into_iter().flatten().filter_map(|role| role["arn"].as_str()) {
            self.pass(arn.to_owned(), "rds.amazonaws.com");
        }
    }

    /// The role by which a database joins a directory; Directory Service is called with its rights, not with the caller's.
    pub(super) fn pass_domain(&mut self, settings: &Value) {
        if let Some(role) = settings["domain"]["managed"]["iam_role_name"].as_str() {
            let role = format!("arn:{}:iam::{}:role/{role}", self.partition, self.account);
            self.pass(role, "rds.amazonaws.com");
        }
    }

    /// What keeps a database from being renamed, or leads to it, is looked up before a restore.
    pub(super) fn links(&mut self) {
        self.read(links::DESCRIBE_DEPLOYMENTS, self.arn("deployment:*"));
        self.read(links::DESCRIBE_INTEGRATIONS, self.arn("integration:*"));
        self.read(links::DESCRIBE_PROXIES, self.arn("db-proxy:*"));
        self.read(links::DESCRIBE_PROXY_TARGETS, self.arn("db-proxy:*"));
        self.read(links::DESCRIBE_PROXY_TARGETS, self.arn("target-group:*"));
    }

    /// Proxies lead to the restored database after the swap. The baseline knows whether there are any.
    pub(super) fn proxies(&mut self, scope: &Scope, with: &With, word: &str, names: &Names) {
        let links = scope.baseline.as_ref().and_then(|entry| Links::deserialize(&entry.doc["links"]).ok());
        let moves = match &links {
            Some(links) => !proxies::moved(with, Some(links)).is_empty(),
            None => proxies::moves(with),
        };
        if moves {
            self.move_proxies(word, names);
        }
    }

    /// What it takes to lead proxies to the restored database.
    pub(super) fn move_proxies(&mut self, word: &str, names: &Names) {
        for (action, name) in [(proxies::DEREGISTER, &names.failed), (proxies::REGISTER, &names.own)] {
            for resource in ["db-proxy:*".to_owned(), "target-group:*".to_owned(), format!("{word}:{}", any_run(name))]
            {
                self.send(action, self.arn(&resource));
            }
        }
    }

    /// Enhanced monitoring hands its role on. The baseline knows which; else it is the one that the console makes.
    pub(super) fn pass_monitoring(&mut self, known: Option<&str>) {
        let usual = || format!("arn:{}:iam::{}:role/rds-monitoring-role", self.partition, self.account);
        let role = known.map_or_else(usual, ToOwned::to_owned);
        self.pass(role, "monitoring.rds.amazonaws.com");
    }

    /// The record that is pointed at the restored database, if one is.
    pub(super) fn cname(&mut self, with: &With) {
        let Some(cname) = &with.cname else { return };
        let id = match Zone::of(&cname.zone) {
            Zone::Id(id) => id,
            Zone::Name(_) => {
                self.read(cname::LIST_ZONES, "*".to_owned());
                "*".to_owned()
            }
        };
        let zone = format!("arn:{}:route53:::hostedzone/{id}", self.partition);
        self.read(cname::LIST_RECORDS, zone.clone());
        self.read(cname::GET_CHANGE, format!("arn:{}:route53:::change/*", self.partition));
        self.send(cname::CHANGE_RECORDS, zone);
        let conditions = route53::only_upsert(&cname.record, "CNAME");
        self.list.last_mut().expect("it was just added").conditions = conditions;
    }
}

/// The run is not known when the policy is written.
pub(super) fn any_run(name: &str) -> String {
    name.replace("<run>", "*")
}

/// The keys that settings name: of Performance Insights, of the secret.
pub(super) fn keys(settings: &Value) -> impl Iterator<Item = &str> {
    [&settings["performance_insights_kms_key"], &settings["managed_password"]["kms_key"]]
        .into_iter()
        .filter_map(Value::as_str)
}

/// The key of the data that is restored: of the snapshot, where one is and shows it; else of the database.
pub(super) fn key_of_data<'d>(doc: &'d Value, database: &'d Value) -> Option<&'d str> {
    doc["snapshot"]["kms_key"].as_str().or_else(|| database["kms_key"].as_str())
}

/// Of the restore of one instance.
pub(super) fn instance(scope: &Scope, with: &With, instance: &str) -> Vec<Permission> {
    let mut made = Permissions::new(scope);
    let names = Names::new(instance, None);
    let databases = [names.own, names.restored, names.failed].map(|name| made.arn(&format!("db:{}", any_run(&name))));

    for database in &databases {
        made.read(reads::DESCRIBE_INSTANCES, database.clone());
        for action in [calls::MODIFY, "rds:AddTagsToResource"] {
            made.send(action, database.clone());
        }
    }
    let restore = match made.snapshot("snapshot", &with.from) {
        Some(snapshot) => {
            if matches!(with.from, Source::NewestSnapshot(_)) {
                made.read(reads::DESCRIBE_SNAPSHOTS, databases[0].clone());
            }
            made.read(reads::DESCRIBE_SNAPSHOTS, snapshot.clone());
            made.send(calls::RESTORE_FROM_SNAPSHOT, snapshot);
            calls::RESTORE_FROM_SNAPSHOT
        }
        None => {
            // By the name of the instance, and of its backups.
            made.read(reads::DESCRIBE_BACKUPS, databases[0].clone());
            made.read(reads::DESCRIBE_BACKUPS, made.arn("auto-backup:*"));
            // The source.
            made.send(calls::RESTORE_TO_POINT_IN_TIME, databases[0].clone());
            calls::RESTORE_TO_POINT_IN_TIME
        }
    };
    made.send(restore, databases[1].clone());
    // IAM looks at everything that such a call names: groups as well.
    for group in ["pg:*", "og:*", "subgrp:*"].map(|group| made.arn(group)) {
        made.send(restore, group.clone());
        made.send(calls::MODIFY, group);
    }
    let known = scope.baseline.as_ref().map(|entry| &entry.doc["instance"]["settings"]);
    made.pass_monitoring(known.and_then(|settings| settings["monitoring_role"].as_str()));
    if let Some(settings) = known {
        made.pass_domain(settings);
        made.use_keys(keys(settings));
        made.manage_password(with, settings);
    }
    if let Some(doc) = scope.baseline.as_ref().map(|entry| &entry.doc) {
        let instance = &doc["instance"];
        made.use_keys(key_of_data(doc, instance).into_iter());
        made.pass_roles(&instance["attached"]["roles"]);
    }
    made.send(calls::ADD_ROLE, databases[1].clone());
    made.links();
    readiness::permissions(&mut made, Kind::Instance, instance, &with.from);
    made.proxies(scope, with, "db", &Names::new(instance, None));
    made.cname(with);
    made.list
}

#[cfg(test)]
mod tests {
    use belay_core::change::BaselineEntry;
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;
    use belay_aws_catalogue::rds::restore::ACTION;

    use crate::testing;

    fn with(from: &Value) -> With {
        With::deserialize(json!({ "instance": "Checkout", "from": from })).unwrap()
    }

    fn statements(scope: &Scope, from: &Value, mutates: bool) -> Vec<String> {
        let all =
            instance(scope, &with(from), "Checkout").into_iter().filter(|permission| permission.mutates == mutates);
        all.map(|permission| format!("{} {}", permission.action, permission.resource)).collect()
    }

    #[test]
    fn permissions_are_scoped_to_the_names_of_the_dance() {
        let mut scope = testing::scope(Value::Null, None, None);
        let snapshot = json!({ "snapshot": "pre" });
        assert_eq!(
            statements(&scope, &snapshot, false),
            [
                "rds:DescribeDBInstances arn:aws:rds:eu-west-1:111122223333:db:checkout",
                "rds:DescribeDBInstances arn:aws:rds:eu-west-1:111122223333:db:checkout-restored-*",
                "rds:DescribeDBInstances arn:aws:rds:eu-west-1:111122223333:db:checkout-failed-*",
                "rds:DescribeDBSnapshots arn:aws:rds:eu-west-1:111122223333:snapshot:pre",
                "rds:DescribeBlueGreenDeployments arn:aws:rds:eu-west-1:111122223333:deployment:*",
                "rds:DescribeIntegrations arn:aws:rds:eu-west-1:111122223333:integration:*",
                "rds:DescribeDBProxies arn:aws:rds:eu-west-1:111122223333:db-proxy:*",
                "rds:DescribeDBProxyTargets arn:aws:rds:eu-west-1:111122223333:db-proxy:*",
                "rds:DescribeDBProxyTargets arn:aws:rds:eu-west-1:111122223333:target-group:*",
                // For readiness.
                "rds:DescribeAccountAttributes *",
                "rds:DescribeDBEngineVersions *",
                "rds:DescribeOrderableDBInstanceOptions *",
                "rds:DescribeDBSubnetGroups arn:aws:rds:eu-west-1:111122223333:subgrp:*",
                "rds:DescribeCertificates *",
                "rds:DescribeDBParameterGroups arn:aws:rds:eu-west-1:111122223333:pg:*",
                "rds:DescribeOptionGroups arn:aws:rds:eu-west-1:111122223333:og:*",
                "rds:DescribeDBSnapshots arn:aws:rds:eu-west-1:111122223333:db:checkout",
                "rds:DescribeDBSnapshots arn:aws:rds:eu-west-1:111122223333:snapshot:*",
            ]
        );
        let sends = statements(&scope, &snapshot, true);
        for expected in [
            "rds:RestoreDBInstanceFromDBSnapshot arn:aws:rds:eu-west-1:111122223333:snapshot:pre",
            "rds:RestoreDBInstanceFromDBSnapshot arn:aws:rds:eu-west-1:111122223333:db:checkout-restored-*",
            "rds:ModifyDBInstance arn:aws:rds:eu-west-1:111122223333:db:checkout",
            "rds:AddTagsToResource arn:aws:rds:eu-west-1:111122223333:db:checkout-restored-*",
            "iam:PassRole arn:aws:iam::111122223333:role/rds-monitoring-role",
        ] {
            assert!(sends.iter().any(|statement| statement == expected), "{expected}: {sends:#?}");
        }
        assert!(sends.iter().all(|statement| !statement.contains("Delete")));

        scope.baseline = Some(BaselineEntry {
            action: ACTION.to_owned(),
            resource: "rds:checkout".to_owned(),
            doc: json!({ "instance": {
                "settings": {
                    "monitoring_role": "arn:aws:iam::111122223333:role/watch",
                    "managed_password": { "kms_key": "arn:aws:kms:eu-west-1:111122223333:key/secret" },
                },
                "attached": { "roles": [{ "arn": "arn:aws:iam::111122223333:role/s3", "feature": "s3Import" }] },
                "kms_key": "arn:aws:kms:eu-west-1:111122223333:key/data",
            } }),
        });
        for expected in [
            "kms:CreateGrant arn:aws:kms:eu-west-1:111122223333:key/data",
            "iam:PassRole arn:aws:iam::111122223333:role/s3",
            "rds:AddRoleToDBInstance arn:aws:rds:eu-west-1:111122223333:db:checkout-restored-*",
            "secretsmanager:CreateSecret arn:aws:secretsmanager:eu-west-1:111122223333:secret:rds!*",
            "secretsmanager:TagResource arn:aws:secretsmanager:eu-west-1:111122223333:secret:rds!*",
            "kms:CreateGrant arn:aws:kms:eu-west-1:111122223333:key/secret",
            "kms:Decrypt arn:aws:kms:eu-west-1:111122223333:key/secret",
            "kms:GenerateDataKey arn:aws:kms:eu-west-1:111122223333:key/secret",
        ] {
            let sends = statements(&scope, &snapshot, true);
            assert!(sends.iter().any(|statement| statement == expected), "{expected}: {sends:#?}");
        }
        // Readiness looks at the keys, too.
        let reads = statements(&scope, &snapshot, false);
        for key in ["data", "secret"] {
            let expected = format!("kms:DescribeKey arn:aws:kms:eu-west-1:111122223333:key/{key}");
            assert!(reads.contains(&expected), "{expected}: {reads:#?}");
        }
        let all = instance(&scope, &with(&snapshot), "Checkout");
        let grants: Vec<_> = all.iter().filter(|permission| permission.action == "kms:CreateGrant").collect();
        assert_eq!(grants.len(), 2);
        assert!(grants.iter().all(|grant| grant.conditions[0].key == "kms:GrantIsForAWSResource"), "{grants:#?}");
        // As RDS stores it.
        let typed = statements(&scope, &json!({ "snapshot": "Pre" }), true);
        assert!(typed.iter().any(|statement| statement.ends_with(":snapshot:pre")), "{typed:#?}");
        let sends = statements(&scope, &json!({ "time": "latest" }), true);
        assert!(sends.contains(&"iam:PassRole arn:aws:iam::111122223333:role/watch".to_owned()));
        let source = "rds:RestoreDBInstanceToPointInTime arn:aws:rds:eu-west-1:111122223333:db:checkout";
        assert!(sends.contains(&source.to_owned()));
        let without = With::deserialize(json!({
            "instance": "Checkout", "from": { "snapshot": "pre" }, "without": ["managed_password"],
        }));
        let all = instance(&scope, &without.unwrap(), "Checkout");
        assert!(!all.iter().any(|permission| permission.action.starts_with("secretsmanager:")), "{all:#?}");
    }

    #[test]
    fn the_record_of_a_cname_can_be_written_and_not_deleted() {
        let scope = testing::scope(Value::Null, None, None);
        let mut with = with(&json!({ "snapshot": "pre" }));
        with.cname =
            Some(serde_json::from_value(json!({ "zone": "Z0123456789ABC", "record": "DB.example.com." })).unwrap());
        let all = instance(&scope, &with, "Checkout");
        let change = all.iter().find(|permission| permission.action == cname::CHANGE_RECORDS).unwrap();
        let conditions: Vec<_> =
            change.conditions.iter().map(|condition| (condition.key.as_str(), condition.value.as_str())).collect();
        assert_eq!(
            conditions,
            [
                ("route53:ChangeResourceRecordSetsActions", "UPSERT"),
                ("route53:ChangeResourceRecordSetsNormalizedRecordNames", "db.example.com"),
                ("route53:ChangeResourceRecordSetsRecordTypes", "CNAME"),
            ]
        );
    }
}
