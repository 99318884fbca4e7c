//! What lists show of instances, clusters and automated backups.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Rds,
    database::{Database, Kind},
};
use crate::{
    answer::{Answered, Refusal},
    input::Input,
    page::page,
    world::Place,
};

/// Logs are shipped about every five minutes (user guide, "Restoring a DB instance to a specified time").
const LOGS_SHIPPED: Duration = Duration::from_secs(5 * 60);

/// What is the same behind the names of all endpoints of an account in a Region.
pub(super) const ZONE: &str = "c9strict0rds";

impl Database {
    /// Up to when it can be restored to a point in time; none without automated backups.
    pub(super) fn latest_restorable(&self, now: Timestamp) -> Option<Timestamp> {
        let backs_up = !matches!(self.text("BackupRetentionPeriod"), "" | "0");
        let latest = now - LOGS_SHIPPED;
        (backs_up && latest > self.restorable_from).then_some(latest)
    }
}

impl Rds {
    pub(super) fn shown_instance(&self, place: &Place, now: Timestamp, id: &str) -> Value {
        let Some(found) = self.databases.iter().find(|found| found.id == id) else { return Value::Null };
        let mut shown = found.attributes.clone();
        let name = found.called();
        let cluster = found.cluster.as_ref().and_then(|id| self.databases.iter().find(|found| found.id == *id));
        shown["DBInstanceIdentifier"] = json!(name);
        shown["DBInstanceStatus"] = json!(found.status);
        shown["DbiResourceId"] = json!(found.id);
        shown["DBInstanceArn"] = json!(place.arn("rds", &format!("db:{name}")));
        shown["InstanceCreateTime"] = json!(found.created.to_string());
        shown["PendingModifiedValues"] = json!(found.pending);
        shown["DBClusterIdentifier"] = json!(cluster.map(Database::called));
        shown["LatestRestorableTime"] = json!(found.latest_restorable(now).map(|at| at.to_string()));
        // An instance has an endpoint when it was created (API reference, `DBInstance`).
        if found.status == "creating" {
            shown["Endpoint"] = Value::Null;
        } else {
            shown["Endpoint"]["Address"] = json!(format!("{name}.{ZONE}.{}.rds.amazonaws.com", place.region));
        }
        shown
    }

    pub(super) fn shown_cluster(&self, place: &Place, now: Timestamp, id: &str) -> Value {
        let Some(found) = self.databases.iter().find(|found| found.id == id) else { return Value::Null };
        let mut shown = found.attributes.clone();
        let name = found.called();
        let host = |word: &str| format!("{name}.{word}-{ZONE}.{}.rds.amazonaws.com", place.region);
        let members: Vec<Value> = self
            .members(id)
            .filter(|member| member.name.is_some())
            .map(|member| {
                json!({
                    "DBInstanceIdentifier": member.called(), "IsClusterWriter": member.writer,
                    "DBClusterParameterGroupStatus": "in-sync", "PromotionTier": member.text("PromotionTier"),
                })
            })
            .collect();
        shown["DBClusterIdentifier"] = json!(name);
        shown["Status"] = json!(found.status);
        shown["DbClusterResourceId"] = json!(found.id);
        shown["DBClusterArn"] = json!(place.arn("rds", &format!("cluster:{name}")));
        shown["ClusterCreateTime"] = json!(found.created.to_string());
        shown["PendingModifiedValues"] = json!(found.pending);
        shown["DBClusterMembers"] = json!({ "DBClusterMember": members });
        shown["Endpoint"] = json!(host("cluster"));
        shown["ReaderEndpoint"] = json!(host("cluster-ro"));
        let endpoints = self.endpoints.iter().filter(|endpoint| endpoint.cluster == id);
        let hosts: Vec<String> = endpoints.map(|endpoint| endpoint.host(place)).collect();
        shown["CustomEndpoints"] = json!({ "member": hosts });
        if !found.text("BacktrackWindow").is_empty() && found.text("BacktrackWindow") != "0" {
            shown["EarliestBacktrackTime"] = json!(found.earliest_backtrack(now).to_string());
        }
        let latest = found.latest_restorable(now);
        shown["LatestRestorableTime"] = json!(latest.map(|at| at.to_string()));
        shown["EarliestRestorableTime"] = json!(latest.map(|_| found.restorable_from.to_string()));
        shown
    }

    pub(super) fn describe_instances(&self, place: &Place, now: Timestamp, input: Input<'_>) -> Answered {
        let input = input.only("DBInstanceIdentifier Filters MaxRecords Marker")?;
        let filters = input.filters();
        let cluster_of = |found: &Database| {
            let cluster = found.cluster.as_ref()?;
            self.databases.iter().find(|other| other.id == *cluster)
        };
        let passes = |found: &Database| {
            filters.iter().all(|(filter, values)| {
                values.iter().any(|value| match *filter {
                    "db-instance-id" => found.is_called(value),
                    "dbi-resource-id" => found.id == *value,
                    "db-cluster-id" => {
                        cluster_of(found).is_some_and(|of| of.called().eq_ignore_ascii_case(value) || of.id == *value)
                    }
                    "engine" => found.text("Engine") == *value,
                    _ => false,
                })
            })
        };
        refuse_filters(&filters, &["db-instance-id", "db-cluster-id", "dbi-resource-id", "domain", "engine"])?;
        let found = self.listed(Kind::Instance, input)?.into_iter().filter(|found| passes(found)).collect();
        let (found, marker) = page(found, place.page, input.number("MaxRecords"), input.text("Marker"))?;
        let shown: Vec<Value> = found.into_iter().map(|found| self.shown_instance(place, now, &found.id)).collect();
        Ok(json!({ "DBInstances": { "DBInstance": shown }, "Marker": marker }))
    }

    /// DocumentDB's and Neptune's clusters are listed, too (API reference, DescribeDBClusters).
    pub(super) fn describe_clusters(&self, place: &Place, now: Timestamp, input: Input<'_>) -> Answered {
        let input = input.only("DBClusterIdentifier Filters MaxRecords Marker IncludeShared")?;
        let filters = input.filters();
        refuse_filters(&filters, &["clone-group-id", "db-cluster-id", "db-cluster-resource-id", "domain", "engine"])?;
        let passes = |found: &Database| {
            filters.iter().all(|(filter, values)| {
                values.iter().any(|value| match *filter {
                    "db-cluster-id" => found.is_called(value),
                    "db-cluster-resource-id" => found.id == *value,
                    "engine" => found.text("Engine") == *value,
                    _ => false,
                })
            })
        };
        let found = self.listed(Kind::Cluster, input)?.into_iter().filter(|found| passes(found)).collect();
        let (found, marker) = page(found, place.page, input.number("MaxRecords"), input.text("Marker"))?;
        let shown: Vec<Value> = found.into_iter().map(|found| self.shown_cluster(place, now, &found.id)).collect();
        Ok(json!({ "DBClusters": { "DBCluster": shown }, "Marker": marker }))
    }

    /// All of a kind that are listed now, by name; or the one that is asked for.
    fn listed(&self, kind: Kind, input: Input<'_>) -> Result<Vec<&Database>, Refusal> {
        if let Some(name) = input.text(&format!("{}Identifier", kind.word())) {
            return self.database(kind, name).map(|found| vec![found]).ok_or_else(|| kind.not_found(name));
        }
        let mut all: Vec<_> =
            self.databases.iter().filter(|found| found.kind == kind && found.name.is_some()).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    pub(super) fn describe_automated_backups(&self, place: &Place, now: Timestamp, input: Input<'_>) -> Answered {
        let known = "DbiResourceId DBInstanceIdentifier DBInstanceAutomatedBackupsArn Filters MaxRecords Marker";
        let input = input.only(known)?;
        let filters = input.filters();
        refuse_filters(&filters, &["status", "db-instance-id", "dbi-resource-id"])?;
        let asked = input.text("DBInstanceIdentifier");
        let mut backups: Vec<Value> = Vec::new();
        for found in self.databases.iter().filter(|found| found.kind == Kind::Instance) {
            let Some(latest) = found.latest_restorable(now).filter(|_| found.cluster.is_none()) else { continue };
            let passes = filters.iter().all(|(filter, values)| {
                values.iter().any(|value| match *filter {
                    "status" => *value == "active",
                    "db-instance-id" => found.is_called(value),
                    _ => found.id == *value,
                })
            });
            if !passes || asked.is_some_and(|name| !found.is_called(name)) {
                continue;
            }
            backups.push(json!({
                "DBInstanceIdentifier": found.called(), "DbiResourceId": found.id, "Status": "active",
                "Region": place.region, "Engine": found.text("Engine"), "EngineVersion": found.text("EngineVersion"),
                "AllocatedStorage": found.text("AllocatedStorage"),
                "RestoreWindow": {
                    "EarliestTime": found.restorable_from.to_string(), "LatestTime": latest.to_string(),
                },
            }));
        }
        if let (true, Some(name)) = (backups.is_empty() && filters.is_empty(), asked) {
            let message = format!("DBInstanceAutomatedBackup not found for {name}.");
            return Err(Refusal::missing("DBInstanceAutomatedBackupNotFound", message));
        }
        let (backups, marker) = page(backups, place.page, input.number("MaxRecords"), input.text("Marker"))?;
        Ok(json!({ "DBInstanceAutomatedBackups": { "DBInstanceAutomatedBackup": backups }, "Marker": marker }))
    }
}

/// A filter that an operation does not have is refused, not ignored.
pub(super) fn refuse_filters(filters: &[(&str, Vec<&str>)], known: &[&str]) -> Result<(), Refusal> {
    match filters.iter().find(|(filter, _)| !known.contains(filter)) {
        Some((filter, _)) => Err(Refusal::bad("InvalidParameterValue", format!("Unrecognized filter name: {filter}"))),
        None => Ok(()),
    }
}
