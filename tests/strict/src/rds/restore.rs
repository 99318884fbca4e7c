//! Restores, and members of clusters: a new database with default settings, unless the call says otherwise.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    Rds,
    database::{Database, Kind},
    modify::{refuse_autoscaling, refuse_monitoring, refuse_storage},
    parameters::{CREATE_MEMBER, RESTORE_CLUSTER, RESTORE_INSTANCE, shown},
};
use crate::{
    answer::{Answered, Refusal},
    input::Input,
    world::Place,
};

/// User guide, "Tagging Amazon RDS resources".
const TAGS_MAX: usize = 50;

/// What a restore brings back by itself: what the data has.
const OF_THE_DATA: &[&str] = &[
    "Engine",
    "EngineVersion",
    "EngineMode",
    "MasterUsername",
    "DBName",
    "DatabaseName",
    "AllocatedStorage",
    "StorageType",
    "Iops",
    "StorageThroughput",
    "StorageEncrypted",
    "KmsKeyId",
    "LicenseModel",
    "BackupRetentionPeriod",
    "PreferredBackupWindow",
    "CharacterSetName",
    "Timezone",
    "Port",
    "Endpoint",
    "DBInstanceClass",
    "DBSystemId",
];

/// Where the data of a restore comes from.
pub(super) struct Source {
    pub(super) attributes: Value,
    pub(super) tags: Value,
}

impl Rds {
    pub(super) fn restore_instance_from_snapshot(
        &mut self,
        place: &Place,
        now: Timestamp,
        input: Input<'_>,
    ) -> Answered {
        let known = format!("{RESTORE_INSTANCE} DBInstanceIdentifier DBSnapshotIdentifier DBClusterSnapshotIdentifier");
        let input = input.only(&known)?;
        let source = self.snapshot_source(Kind::Instance, input.wanted("DBSnapshotIdentifier")?)?;
        let name = input.wanted("DBInstanceIdentifier")?.to_ascii_lowercase();
        self.restore_instance(place, now, input, &name, source)
    }

    pub(super) fn restore_instance_to_point_in_time(
        &mut self,
        place: &Place,
        now: Timestamp,
        input: Input<'_>,
    ) -> Answered {
        let known = format!(
            "{RESTORE_INSTANCE} SourceDBInstanceIdentifier TargetDBInstanceIdentifier RestoreTime UseLatestRestorableTime \
             SourceDbiResourceId SourceDBInstanceAutomatedBackupsArn MaxAllocatedStorage"
        );
        let input = input.only(&known)?;
        let from = self.found(Kind::Instance, input.wanted("SourceDBInstanceIdentifier")?, now)?;
        refuse_time(from, input, "RestoreTime", now)?;
        let source = Source { attributes: from.attributes.clone(), tags: from.attributes["TagList"].clone() };
        let name = input.wanted("TargetDBInstanceIdentifier")?.to_ascii_lowercase();
        self.restore_instance(place, now, input, &name, source)
    }

    fn restore_instance(
        &mut self,
        place: &Place,
        now: Timestamp,
        input: Input<'_>,
        name: &str,
        source: Source,
    ) -> Answered {
        let text = |attribute: &str| source.attributes[attribute].as_str().unwrap_or_default();
        let (engine, version) = (text("Engine"), text("EngineVersion"));
        self.refuse_new(Kind::Instance, name, input)?;
        self.known.check(input, engine, version)?;
        refuse_sql_server(engine, input)?;
        let has = text("AllocatedStorage").parse::<i64>().ok();
        refuse_storage(engine, has, input)?;
        refuse_autoscaling(input.number("AllocatedStorage").or(has), input)?;

        let id = self.new_id(Kind::Instance);
        let mut attributes = of_the_data(&source);
        attributes.extend(instance_defaults(engine, version));
        let secret = place.arn("secretsmanager", &format!("secret:rds!{id}"));
        attributes.extend(shown(Kind::Instance, input, &source.attributes, &secret));
        attributes.entry("TagList").or_insert_with(|| source.tags.clone()); // "the source's tags, unless you pass some"
        if !text("DBClusterIdentifier").is_empty() {
            attributes.remove("DBClusterIdentifier");
        }
        let backs_up = attributes.get("BackupRetentionPeriod").is_some_and(|days| days != "0");
        let mut states = vec![("creating", self.pace.restore)];
        if backs_up {
            states.push(("backing-up", self.pace.backup));
        }
        self.place_new(Database::new(Kind::Instance, id.clone(), name, attributes, now), now, &states);
        Ok(json!({ "DBInstance": self.shown_instance(place, now, &id) }))
    }

    pub(super) fn restore_cluster_from_snapshot(
        &mut self,
        place: &Place,
        now: Timestamp,
        input: Input<'_>,
    ) -> Answered {
        let known = format!("{RESTORE_CLUSTER} SnapshotIdentifier Engine EngineVersion AvailabilityZones DatabaseName");
        let input = input.only(&known)?;
        let source = self.snapshot_source(Kind::Cluster, input.wanted("SnapshotIdentifier")?)?;
        input.wanted("Engine")?;
        self.restore_cluster(place, now, input, source)
    }

    pub(super) fn restore_cluster_to_point_in_time(
        &mut self,
        place: &Place,
        now: Timestamp,
        input: Input<'_>,
    ) -> Answered {
        let known = format!(
            "{RESTORE_CLUSTER} SourceDBClusterIdentifier SourceDbClusterResourceId RestoreType RestoreToTime \
             UseLatestRestorableTime"
        );
        let input = input.only(&known)?;
        let from = self.found(Kind::Cluster, input.wanted("SourceDBClusterIdentifier")?, now)?;
        refuse_time(from, input, "RestoreToTime", now)?;
        let source = Source { attributes: from.attributes.clone(), tags: from.attributes["TagList"].clone() };
        self.restore_cluster(place, now, input, source)
    }

    fn restore_cluster(&mut self, place: &Place, now: Timestamp, input: Input<'_>, source: Source) -> Answered {
        let text = |attribute: &str| source.attributes[attribute].as_str().unwrap_or_default();
        let name = input.wanted("DBClusterIdentifier")?.to_ascii_lowercase();
        let (engine, version) = (text("Engine"), text("EngineVersion"));
        self.refuse_new(Kind::Cluster, &name, input)?;
        self.known.check(input, engine, version)?;
        let multi_az = !input.0["DBClusterInstanceClass"].is_null();
        let limitless = text("ClusterScalabilityType") == "limitless";
        for name in
            ["MonitoringInterval", "MonitoringRoleArn", "EnablePerformanceInsights", "PerformanceInsightsKMSKeyId"]
        {
            // API reference, RestoreDBClusterFromSnapshot: of Aurora only for Limitless Database.
            if engine.starts_with("aurora") && !limitless && !input.0[name].is_null() {
                let message =
                    format!("{name} isn't supported for this DB cluster: it is only for Aurora Limitless Database.");
                return Err(Refusal::bad("InvalidParameterCombination", message));
            }
        }
        let id = self.new_id(Kind::Cluster);
        let mut attributes = of_the_data(&source);
        attributes.extend(cluster_defaults(engine, version));
        let secret = place.arn("secretsmanager", &format!("secret:rds!{id}"));
        attributes.extend(shown(Kind::Cluster, input, &source.attributes, &secret));
        attributes.entry("TagList").or_insert_with(|| source.tags.clone());
        let mut states = vec![("creating", self.pace.restore_cluster)];
        if multi_az {
            states.push(("backing-up", self.pace.backup));
        }
        self.place_new(Database::new(Kind::Cluster, id.clone(), &name, attributes, now), now, &states);
        if multi_az {
            self.place_members_of_multi_az(place, &id, &name, now);
        }
        Ok(json!({ "DBCluster": self.shown_cluster(place, now, &id) }))
    }

    /// User guide, "Multi-AZ DB cluster deployments": RDS makes the writer and two readers, and names them itself.
    fn place_members_of_multi_az(&mut self, _place: &Place, cluster: &str, name: &str, now: Timestamp) {
        for number in 1..=3 {
            let Some(of) = self.by_id(cluster) else { return };
            let (engine, version) = (of.text("Engine").to_owned(), of.text("EngineVersion").to_owned());
            let class = of.text("DBClusterInstanceClass").to_owned();
            let mut attributes = instance_defaults(&engine, &version);
            attributes.extend(object(json!({
                "Engine": engine, "EngineVersion": version, "DBInstanceClass": class, "PromotionTier": "1",
            })));
            let id = self.new_id(Kind::Instance);
            let mut member = Database::new(Kind::Instance, id, &format!("{name}-instance-{number}"), attributes, now);
            (member.cluster, member.writer) = (Some(cluster.to_owned()), number == 1);
            self.place_new(member, now, &[("creating", self.pace.restore_cluster)]);
        }
    }

    pub(super) fn create_member(&mut self, place: &Place, now: Timestamp, input: Input<'_>) -> Answered {
        let input = input.only(CREATE_MEMBER)?;
        let name = input.wanted("DBInstanceIdentifier")?.to_ascii_lowercase();
        let cluster = self.found(Kind::Cluster, input.wanted("DBClusterIdentifier")?, now)?;
        let (engine, version) = (cluster.text("Engine").to_owned(), cluster.text("EngineVersion").to_owned());
        if input.wanted("Engine")? != engine {
            let message = format!("The engine {} isn't the one of the DB cluster, {engine}.", input.wanted("Engine")?);
            return Err(Refusal::bad("InvalidParameterCombination", message));
        }
        if cluster.status != "available" {
            let message = format!("DB cluster {} is not available: it is {}.", cluster.called(), cluster.status);
            return Err(Kind::Cluster.wrong_state(message));
        }
        // As RDS answers it for Aurora: what the cluster has, a member may not be told.
        for parameter in ["EnablePerformanceInsights", "MonitoringInterval", "DatabaseInsightsMode"] {
            let set = super::parameters::attribute(Kind::Cluster, parameter, input, &cluster.attributes, "");
            let of_cluster = |(shown, _): &(String, Value)| {
                let has = &cluster.attributes[shown];
                !has.is_null() && has != "false" && has != "0"
            };
            if !input.0[parameter].is_null() && set.as_ref().is_some_and(of_cluster) {
                let message = format!("{parameter} conflicts with cluster level parameter.");
                return Err(Refusal::bad("InvalidParameterCombination", message));
            }
        }
        let (cluster, multi_az) = (cluster.id.clone(), cluster.is_multi_az_cluster());
        if multi_az {
            let message = "You can't create DB instances in a Multi-AZ DB cluster.";
            return Err(Refusal::bad("InvalidParameterCombination", message));
        }
        self.refuse_new(Kind::Instance, &name, input)?;
        self.known.check(input, &engine, &version)?;
        refuse_monitoring(input, false)?;
        let id = self.new_id(Kind::Instance);
        let mut attributes = instance_defaults(&engine, &version);
        attributes.extend(object(json!({ "Engine": engine, "EngineVersion": version })));
        attributes.extend(shown(Kind::Instance, input, &Value::Null, ""));
        let monitored = input.number("MonitoringInterval").is_some_and(|interval| interval > 0);
        let mut states = vec![("creating", self.pace.create_member)];
        if monitored {
            states.push(("configuring-enhanced-monitoring", self.pace.settings_show));
        }
        let is_first = self.members(&cluster).next().is_none();
        let mut member = Database::new(Kind::Instance, id.clone(), &name, attributes, now);
        (member.cluster, member.writer) = (Some(cluster), is_first);
        self.place_new(member, now, &states);
        Ok(json!({ "DBInstance": self.shown_instance(place, now, &id) }))
    }

    /// What stands against anything new.
    fn refuse_new(&self, kind: Kind, name: &str, input: Input<'_>) -> Result<(), Refusal> {
        if self.is_taken(kind, name) {
            return Err(kind.taken());
        }
        if name.len() > 63 {
            return Err(Refusal::bad(
                "InvalidParameterValue",
                format!("The parameter {name} is not a valid identifier."),
            ));
        }
        if self.room.is_some_and(|room| self.made >= room) {
            let code = if kind == Kind::Instance { "InstanceQuotaExceeded" } else { "DBClusterQuotaExceededFault" };
            return Err(Refusal::bad(code, "You have reached your quota of databases."));
        }
        match input.list("Tags", "Tag").len() > TAGS_MAX {
            true => Err(Refusal::bad("InvalidParameterValue", "A resource can have at most 50 tags.")),
            false => Ok(()),
        }
    }
}

/// Between the begin of the automated backups and five minutes ago (user guide, "Restoring ... to a specified time").
fn refuse_time(from: &Database, input: Input<'_>, parameter: &str, now: Timestamp) -> Result<(), Refusal> {
    let Some(latest) = from.latest_restorable(now) else {
        let message = format!("Automated backups are not enabled for {}.", from.called());
        return Err(Refusal::bad("PointInTimeRestoreNotEnabled", message));
    };
    let Some(time) = input.text(parameter) else {
        return match input.is_on("UseLatestRestorableTime") {
            true => Ok(()),
            false => Err(Refusal::bad("InvalidParameterCombination", "A time to restore to has to be given.")),
        };
    };
    let time: Timestamp =
        time.parse().map_err(|_| Refusal::bad("InvalidParameterValue", format!("Invalid time: {time}")))?;
    match time >= from.restorable_from && time <= latest {
        true => Ok(()),
        false => {
            let message = format!("The specified instance cannot be restored to a time later than {latest}.");
            Err(Refusal::bad("InvalidParameterValue", message))
        }
    }
}

/// API reference, both restores: "doesn't apply to RDS for SQL Server".
fn refuse_sql_server(engine: &str, input: Input<'_>) -> Result<(), Refusal> {
    if !engine.starts_with("sqlserver") {
        return Ok(());
    }
    for name in ["AllocatedStorage", "Iops", "StorageType", "StorageThroughput"] {
        if !input.0[name].is_null() {
            let message = format!("{name} can't be specified when restoring a SQL Server DB instance.");
            return Err(Refusal::bad("InvalidParameterCombination", message));
        }
    }
    match input.is_on("MultiAZ") {
        true => {
            Err(Refusal::bad("InvalidParameterCombination", "Mirroring cannot be applied to a restored DB instance."))
        }
        false => Ok(()),
    }
}

fn of_the_data(source: &Source) -> Map<String, Value> {
    let has = OF_THE_DATA.iter().filter(|name| !source.attributes[**name].is_null());
    has.map(|name| ((*name).to_owned(), source.attributes[*name].clone())).collect()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// User guide, "Restoring to a DB instance": what a restored instance has, unless it is told otherwise.
pub(super) fn instance_defaults(engine: &str, version: &str) -> Map<String, Value> {
    let group = format!("default.{}", super::known::family(engine, version));
    let options = format!("default:{}", super::known::family(engine, version));
    object(json!({
        "VpcSecurityGroups": { "VpcSecurityGroupMembership": [{ "VpcSecurityGroupId": "sg-default", "Status": "active" }] },
        "DBParameterGroups": { "DBParameterGroup": [{ "DBParameterGroupName": group, "ParameterApplyStatus": "in-sync" }] },
        "OptionGroupMemberships": { "OptionGroupMembership": [{ "OptionGroupName": options, "Status": "in-sync" }] },
        "DBSubnetGroup": { "DBSubnetGroupName": "default", "VpcId": "vpc-1", "SubnetGroupStatus": "Complete" },
        "MultiAZ": "false", "PubliclyAccessible": "false", "AutoMinorVersionUpgrade": "true",
        "CopyTagsToSnapshot": "false", "DeletionProtection": "false", "IAMDatabaseAuthenticationEnabled": "false",
        "MonitoringInterval": "0", "PerformanceInsightsEnabled": "false", "DatabaseInsightsMode": "standard",
        "CACertificateIdentifier": "rds-ca-rsa2048-g1", "NetworkType": "IPV4", "BackupTarget": "region",
        "AvailabilityZone": "eu-west-1c", "CustomerOwnedIpEnabled": "false", "DedicatedLogVolume": "false",
        "PreferredMaintenanceWindow": "sat:03:30-sat:04:00", "DbInstancePort": "0",
        "EngineLifecycleSupport": "open-source-rds-extended-support",
    }))
}

pub(super) fn cluster_defaults(engine: &str, version: &str) -> Map<String, Value> {
    object(json!({
        "VpcSecurityGroups": { "VpcSecurityGroupMembership": [{ "VpcSecurityGroupId": "sg-default", "Status": "active" }] },
        "DBClusterParameterGroup": format!("default.{}", super::known::family(engine, version)),
        "DBSubnetGroup": "default", "MultiAZ": "false", "CopyTagsToSnapshot": "false", "DeletionProtection": "false",
        "IAMDatabaseAuthenticationEnabled": "false", "HttpEndpointEnabled": "false", "NetworkType": "IPV4",
        "PreferredMaintenanceWindow": "sat:03:30-sat:04:00", "AutoMinorVersionUpgrade": "true",
        "EngineLifecycleSupport": "open-source-rds-extended-support", "CrossAccountClone": "false",
    }))
}

impl Database {
    pub(super) fn new(kind: Kind, id: String, name: &str, attributes: Map<String, Value>, now: Timestamp) -> Self {
        Self {
            kind,
            id,
            name: None,
            holds: vec![name.to_owned()],
            status: "creating".to_owned(),
            rest: "available".to_owned(),
            attributes: Value::Object(attributes),
            pending: Map::new(),
            queued: Map::new(),
            cluster: None,
            writer: false,
            created: now,
            restorable_from: now,
            busy_until: None,
            configuring_until: None,
            named: now,
            no_rename: None,
        }
    }
}
