//! Snapshots: manual, automated, and those of AWS Backup, of instances and of clusters.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Rds,
    database::{Due, Kind},
    describe::refuse_filters,
    restore::Source,
};
use crate::{
    answer::{Answered, Refusal},
    input::Input,
    page::page,
    world::Place,
};

#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// `manual`, `automated` or `awsbackup`.
    pub(super) made_by: &'static str,
    pub(super) status: String,
    pub(super) taken: Timestamp,
    /// Of a copy: when the first of them was made.
    pub(super) original: Option<Timestamp>,
    /// The time of the data, where it is known (API reference, `SnapshotDatabaseTime`).
    pub(super) data_of: Option<Timestamp>,
    /// By the name at that time.
    pub(super) of: String,
    pub(super) resource_id: String,
    /// Of the database when it was taken.
    pub(super) attributes: Value,
    pub(super) tags: Value,
}

impl Rds {
    pub(super) fn snapshot_source(&self, kind: Kind, name: &str) -> Result<Source, Refusal> {
        let found = self.snapshot(kind, name).ok_or_else(|| missing(kind, name))?;
        match found.status.as_str() {
            "available" => Ok(Source { attributes: found.attributes.clone(), tags: found.tags.clone() }),
            status => {
                let code = match kind {
                    Kind::Instance => "InvalidDBSnapshotState",
                    Kind::Cluster => "InvalidDBClusterSnapshotStateFault",
                };
                Err(Refusal::bad(code, format!("The snapshot {name} is {status}.")))
            }
        }
    }

    /// By its name or its ARN.
    fn snapshot(&self, kind: Kind, name: &str) -> Option<&Stored> {
        let name = name.rsplit_once("snapshot:").map_or(name, |(_, name)| name);
        self.snapshots.iter().find(|found| found.kind == kind && found.name.eq_ignore_ascii_case(name))
    }

    pub(super) fn complete(&mut self, name: &str) {
        if let Some(found) = self.snapshots.iter_mut().find(|found| found.name == name) {
            "available".clone_into(&mut found.status);
        }
    }

    pub(super) fn describe_snapshots(&self, place: &Place, input: Input<'_>) -> Answered {
        let known = "DBInstanceIdentifier DBSnapshotIdentifier SnapshotType Filters MaxRecords Marker IncludeShared \
                     IncludePublic DbiResourceId";
        let input = input.only(known)?;
        let of = input.text("DBInstanceIdentifier");
        let found = self.matching(Kind::Instance, input, "DBSnapshotIdentifier", of)?;
        let shown = found.into_iter().map(|found| found.shown_of_instance(place)).collect();
        let (shown, marker) = page(shown, place.page, input.number("MaxRecords"), input.text("Marker"))?;
        Ok(json!({ "DBSnapshots": { "DBSnapshot": shown }, "Marker": marker }))
    }

    pub(super) fn describe_cluster_snapshots(&self, place: &Place, input: Input<'_>) -> Answered {
        let known = "DBClusterIdentifier DBClusterSnapshotIdentifier SnapshotType Filters MaxRecords Marker IncludeShared \
                     IncludePublic DbClusterResourceId";
        let input = input.only(known)?;
        let of = input.text("DBClusterIdentifier");
        let found = self.matching(Kind::Cluster, input, "DBClusterSnapshotIdentifier", of)?;
        let shown = found.into_iter().map(|found| found.shown_of_cluster(place)).collect();
        let (shown, marker) = page(shown, place.page, input.number("MaxRecords"), input.text("Marker"))?;
        Ok(json!({ "DBClusterSnapshots": { "DBClusterSnapshot": shown }, "Marker": marker }))
    }

    /// Without a type, manual and automated ones; those of AWS Backup are listed when they are asked for (API reference,
    /// `SnapshotType`).
    fn matching(&self, kind: Kind, input: Input<'_>, by: &str, of: Option<&str>) -> Result<Vec<&Stored>, Refusal> {
        refuse_filters(&input.filters(), &["db-instance-id", "db-snapshot-id", "snapshot-type", "engine"])?;
        if let Some(name) = input.text(by) {
            return self.snapshot(kind, name).map(|found| vec![found]).ok_or_else(|| missing(kind, name));
        }
        let made_by = input.text("SnapshotType");
        let listed = |found: &&Stored| {
            let by = made_by.map_or(found.made_by != "awsbackup", |made_by| found.made_by == made_by);
            found.kind == kind && by && of.is_none_or(|name| found.of.eq_ignore_ascii_case(name))
        };
        Ok(self.snapshots.iter().filter(listed).collect())
    }

    pub(super) fn take_cluster_snapshot(&mut self, place: &Place, now: Timestamp, input: Input<'_>) -> Answered {
        let input = input.only("DBClusterIdentifier DBClusterSnapshotIdentifier Tags")?;
        let name = input.wanted("DBClusterSnapshotIdentifier")?.to_ascii_lowercase();
        let found = self.found(Kind::Cluster, input.wanted("DBClusterIdentifier")?, now)?;
        if !matches!(found.status.as_str(), "available" | "backing-up" | "storage-optimization") {
            let message = format!("DB cluster {} is not available: it is {}.", found.called(), found.status);
            return Err(Kind::Cluster.wrong_state(message));
        }
        if self.snapshot(Kind::Cluster, &name).is_some() {
            return Err(Refusal::bad("DBClusterSnapshotAlreadyExistsFault", format!("{name} already exists")));
        }
        let stored = Stored {
            kind: Kind::Cluster,
            name: name.clone(),
            made_by: "manual",
            status: "creating".to_owned(),
            taken: now,
            original: None,
            data_of: None,
            of: found.called().to_owned(),
            resource_id: found.id.clone(),
            attributes: found.attributes.clone(),
            tags: if input.0["Tags"].is_null() { Value::Null } else { input.0["Tags"].clone() },
        };
        let shown = stored.shown_of_cluster(place);
        self.snapshots.push(stored);
        self.agenda.at(now + self.pace.backup, Due::Stored { name });
        Ok(json!({ "DBClusterSnapshot": shown }))
    }
}

fn missing(kind: Kind, name: &str) -> Refusal {
    match kind {
        Kind::Instance => Refusal::missing("DBSnapshotNotFound", format!("DBSnapshot {name} not found.")),
        Kind::Cluster => {
            Refusal::missing("DBClusterSnapshotNotFoundFault", format!("DBClusterSnapshot {name} not found."))
        }
    }
}

impl Stored {
    fn percent(&self) -> &'static str {
        if self.status == "available" { "100" } else { "30" }
    }

    fn shown_of_instance(&self, place: &Place) -> Value {
        let text = |name: &str| self.attributes[name].clone();
        json!({
            "DBSnapshotIdentifier": self.name, "DBInstanceIdentifier": self.of, "DbiResourceId": self.resource_id,
            "SnapshotType": self.made_by, "Status": self.status, "PercentProgress": self.percent(),
            "SnapshotCreateTime": self.taken.to_string(),
            "OriginalSnapshotCreateTime": self.original.unwrap_or(self.taken).to_string(),
            "SnapshotDatabaseTime": self.data_of.map(|at| at.to_string()),
            "Engine": text("Engine"), "EngineVersion": text("EngineVersion"), "StorageType": text("StorageType"),
            "AllocatedStorage": text("AllocatedStorage"), "Encrypted": text("StorageEncrypted"),
            "MasterUsername": text("MasterUsername"), "LicenseModel": text("LicenseModel"),
            "DBSnapshotArn": place.arn("rds", &format!("snapshot:{}", self.name)), "TagList": self.tags,
        })
    }

    fn shown_of_cluster(&self, place: &Place) -> Value {
        let text = |name: &str| self.attributes[name].clone();
        json!({
            "DBClusterSnapshotIdentifier": self.name, "DBClusterIdentifier": self.of,
            "DbClusterResourceId": self.resource_id, "SnapshotType": self.made_by, "Status": self.status,
            "PercentProgress": self.percent(), "SnapshotCreateTime": self.taken.to_string(), "Engine": text("Engine"),
            "EngineVersion": text("EngineVersion"), "EngineMode": text("EngineMode"),
            "StorageEncrypted": text("StorageEncrypted"), "MasterUsername": text("MasterUsername"),
            "DBClusterSnapshotArn": place.arn("rds", &format!("cluster-snapshot:{}", self.name)), "TagList": self.tags,
        })
    }
}
