//! What a world begins with: databases and snapshots, told as in a sentence.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    database::{Database, Kind},
    restore::{cluster_defaults, instance_defaults},
    snapshot::Stored,
};
use crate::{
    answer::Refusal,
    world::{Thing, World},
};

/// So long ago everything was made, and so far back automated backups reach.
const AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A DB instance on its own: `Instance::postgres("shop").multi_az().tagged("team", "checkout")`.
#[derive(Debug, Clone)]
pub struct Instance {
    name: String,
    attributes: Map<String, Value>,
    status: String,
    no_rename: Option<Refusal>,
    queued: Vec<(String, Value)>,
}

impl Instance {
    pub fn postgres(name: &str) -> Self {
        Self::of_engine(name, "postgres", "16.4")
    }

    pub fn mysql(name: &str) -> Self {
        Self::of_engine(name, "mysql", "8.0.39")
    }

    pub fn sql_server(name: &str) -> Self {
        Self::of_engine(name, "sqlserver-se", "15.00.4345.5.v1")
    }

    /// With settings that are not the default ones, so that what is not carried over is seen.
    pub fn of_engine(name: &str, engine: &str, version: &str) -> Self {
        let mut attributes = instance_defaults(engine, version);
        let own = json!({
            "Engine": engine, "EngineVersion": version, "DBInstanceClass": "db.r6g.large", "MasterUsername": "admin",
            "AllocatedStorage": "100", "StorageType": "gp3", "StorageEncrypted": "true", "Endpoint": { "Port": "5432" },
            "KmsKeyId": "arn:aws:kms:eu-west-1:111122223333:key/own", "BackupRetentionPeriod": "7",
            "PreferredBackupWindow": "01:00-01:30", "CopyTagsToSnapshot": "true", "DeletionProtection": "true",
            "AvailabilityZone": "eu-west-1a", "PreferredMaintenanceWindow": "sun:04:00-sun:04:30",
            "VpcSecurityGroups": {
                "VpcSecurityGroupMembership": [{ "VpcSecurityGroupId": "sg-shop", "Status": "active" }],
            },
            "DBParameterGroups": {
                "DBParameterGroup": [{ "DBParameterGroupName": "shop-parameters", "ParameterApplyStatus": "in-sync" }],
            },
            "DBSubnetGroup": { "DBSubnetGroupName": "shop-subnets", "VpcId": "vpc-1", "SubnetGroupStatus": "Complete" },
        });
        attributes.extend(own.as_object().cloned().unwrap_or_default());
        let queued = Vec::new();
        Self { name: name.to_owned(), attributes, status: "available".to_owned(), no_rename: None, queued }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The same by another name.
    #[must_use]
    pub fn called(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// An attribute as `DescribeDBInstances` shows it; a list stands below the name of its elements.
    #[must_use]
    pub fn having(mut self, attribute: &str, value: impl Into<Value>) -> Self {
        self.attributes.insert(attribute.to_owned(), value.into());
        self
    }

    #[must_use]
    pub fn without(mut self, attribute: &str) -> Self {
        self.attributes.remove(attribute);
        self
    }

    #[must_use]
    pub fn multi_az(self) -> Self {
        self.having("MultiAZ", "true").having("SecondaryAvailabilityZone", "eu-west-1b")
    }

    /// With enhanced monitoring and Performance Insights, which no restore takes.
    #[must_use]
    pub fn monitored(self) -> Self {
        self.having("MonitoringInterval", "60")
            .having("MonitoringRoleArn", "arn:aws:iam::111122223333:role/rds-monitoring-role")
            .having("PerformanceInsightsEnabled", "true")
            .having("PerformanceInsightsRetentionPeriod", "7")
    }

    #[must_use]
    pub fn tagged(mut self, key: &str, value: &str) -> Self {
        tag(&mut self.attributes, key, value);
        self
    }

    /// In a state that does not pass by itself.
    #[must_use]
    pub fn being(mut self, status: &str) -> Self {
        status.clone_into(&mut self.status);
        self
    }

    /// Accepted for the next maintenance window: a parameter of `ModifyDBInstance`.
    #[must_use]
    pub fn pending(mut self, parameter: &str, value: &str) -> Self {
        self.queued.push((parameter.to_owned(), json!(value)));
        self
    }

    /// RDS refuses to rename it with this message: it is part of something.
    #[must_use]
    pub fn not_to_be_renamed(mut self, code: &str, message: &str) -> Self {
        self.no_rename = Some(Refusal::bad(code, message));
        self
    }
}

fn tag(attributes: &mut Map<String, Value>, key: &str, value: &str) {
    let list = attributes.entry("TagList").or_insert_with(|| json!({ "Tag": [] }));
    if let Some(tags) = list["Tag"].as_array_mut() {
        tags.push(json!({ "Key": key, "Value": value }));
    }
}

fn enter(world: &mut World, kind: Kind, name: &str, attributes: Map<String, Value>, status: &str) -> usize {
    let made = world.began - AGE;
    let id = world.rds.new_id(kind);
    let mut database = Database::new(kind, id, name, attributes, made);
    database.name = Some(name.to_owned());
    (database.status, database.rest) = (status.to_owned(), status.to_owned());
    world.rds.known.learn(&database);
    world.rds.names.push((made, kind, name.to_owned(), true));
    world.rds.databases.push(database);
    world.rds.databases.len() - 1
}

impl Thing for Instance {
    fn enter(self, world: &mut World) {
        let index = enter(world, Kind::Instance, &self.name, self.attributes, &self.status);
        let placed = &mut world.rds.databases[index];
        placed.no_rename = self.no_rename;
        for (parameter, value) in self.queued {
            placed.pending.insert(parameter.clone(), value.clone());
            placed.queued.insert(parameter, value);
        }
    }
}

/// A cluster with its members: `Cluster::aurora_postgres("stock").writer("stock-1").reader("stock-2")`.
#[derive(Debug, Clone)]
pub struct Cluster {
    name: String,
    attributes: Map<String, Value>,
    members: Vec<(Instance, bool)>,
    status: String,
    no_rename: Option<Refusal>,
}

impl Cluster {
    pub fn aurora_postgres(name: &str) -> Self {
        Self::of_engine(name, "aurora-postgresql", "16.4")
    }

    pub fn aurora_mysql(name: &str) -> Self {
        Self::of_engine(name, "aurora-mysql", "8.0.mysql_aurora.3.08.0")
    }

    pub fn of_engine(name: &str, engine: &str, version: &str) -> Self {
        let mut attributes = cluster_defaults(engine, version);
        let own = json!({
            "Engine": engine, "EngineVersion": version, "EngineMode": "provisioned", "MasterUsername": "admin",
            "Port": "5432", "StorageEncrypted": "true", "KmsKeyId": "arn:aws:kms:eu-west-1:111122223333:key/own",
            "BackupRetentionPeriod": "7", "PreferredBackupWindow": "01:00-01:30", "DeletionProtection": "true",
            "CopyTagsToSnapshot": "true", "PreferredMaintenanceWindow": "sun:04:00-sun:04:30",
            "DBSubnetGroup": "stock-subnets", "DBClusterParameterGroup": "stock-parameters",
            "VpcSecurityGroups": {
                "VpcSecurityGroupMembership": [{ "VpcSecurityGroupId": "sg-stock", "Status": "active" }],
            },
        });
        attributes.extend(own.as_object().cloned().unwrap_or_default());
        let (name, members) = (name.to_owned(), Vec::new());
        Self { name, attributes, members, status: "available".to_owned(), no_rename: None }
    }

    #[must_use]
    pub fn having(mut self, attribute: &str, value: impl Into<Value>) -> Self {
        self.attributes.insert(attribute.to_owned(), value.into());
        self
    }

    #[must_use]
    pub fn tagged(mut self, key: &str, value: &str) -> Self {
        tag(&mut self.attributes, key, value);
        self
    }

    #[must_use]
    pub fn being(mut self, status: &str) -> Self {
        status.clone_into(&mut self.status);
        self
    }

    #[must_use]
    pub fn not_to_be_renamed(mut self, code: &str, message: &str) -> Self {
        self.no_rename = Some(Refusal::bad(code, message));
        self
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The same by another name; its members' names get a suffix.
    #[must_use]
    pub fn called(mut self, name: &str, suffix: &str) -> Self {
        name.clone_into(&mut self.name);
        for (member, _) in &mut self.members {
            member.name.push_str(suffix);
        }
        self
    }

    /// With a window of so many hours in which it can be backtracked.
    #[must_use]
    pub fn backtrackable(self, hours: u32) -> Self {
        self.having("BacktrackWindow", (hours * 3600).to_string())
    }

    #[must_use]
    pub fn writer(self, name: &str) -> Self {
        let member = self.member(name);
        self.with(member, true)
    }

    #[must_use]
    pub fn reader(self, name: &str) -> Self {
        let member = self.member(name);
        self.with(member, false)
    }

    /// A member with attributes of its own; make it by [`Cluster::member`].
    #[must_use]
    pub fn with(mut self, member: Instance, writer: bool) -> Self {
        self.members.push((member, writer));
        self
    }

    /// A member as this cluster has them.
    pub fn member(&self, name: &str) -> Instance {
        let text = |attribute: &str| self.attributes[attribute].as_str().unwrap_or_default();
        let (engine, version) = (text("Engine"), text("EngineVersion"));
        let attributes = instance_defaults(engine, version);
        let instance = Instance {
            name: name.to_owned(),
            attributes,
            status: "available".to_owned(),
            no_rename: None,
            queued: Vec::new(),
        };
        instance
            .having("Engine", engine)
            .having("EngineVersion", version)
            .having("DBInstanceClass", "db.r6g.large")
            .having("AvailabilityZone", "eu-west-1a")
            .having("PromotionTier", "1")
            .having("Endpoint", json!({ "Port": self.attributes["Port"] }))
            .having("PreferredMaintenanceWindow", "mon:02:00-mon:02:30")
    }
}

impl Thing for Cluster {
    fn enter(self, world: &mut World) {
        let index = enter(world, Kind::Cluster, &self.name, self.attributes, &self.status);
        world.rds.databases[index].no_rename = self.no_rename;
        let id = world.rds.databases[index].id.clone();
        for (member, writer) in self.members {
            member.enter(world);
            let placed = world.rds.databases.last_mut().expect("it was placed just now");
            (placed.cluster, placed.writer) = (Some(id.clone()), writer);
        }
    }
}

/// A snapshot of a database of the world: `Snapshot::of("shop").named("shop-before").taken(hours_ago)`.
#[derive(Debug, Clone)]
pub struct Snapshot {
    kind: Kind,
    of: String,
    name: String,
    age: Duration,
    data_age: Option<Duration>,
    made_by: &'static str,
    status: String,
    overrides: Vec<(String, Value)>,
}

impl Snapshot {
    pub fn of(instance: &str) -> Self {
        Self::new(Kind::Instance, instance)
    }

    pub fn of_cluster(cluster: &str) -> Self {
        Self::new(Kind::Cluster, cluster)
    }

    fn new(kind: Kind, of: &str) -> Self {
        Self {
            kind,
            of: of.to_owned(),
            name: format!("{of}-before"),
            age: Duration::from_secs(60 * 60),
            data_age: None,
            made_by: "manual",
            status: "available".to_owned(),
            overrides: Vec::new(),
        }
    }

    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// So long before the world began.
    #[must_use]
    pub fn taken(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }

    /// Of the data of so long before the world began, as RDS says it where a copy was made later.
    #[must_use]
    pub fn of_data(mut self, age: Duration) -> Self {
        self.data_age = Some(age);
        self
    }

    /// By RDS itself: `rds:` begins its name.
    #[must_use]
    pub fn automated(mut self) -> Self {
        (self.made_by, self.name) = ("automated", format!("rds:{}", self.name));
        self
    }

    /// By AWS Backup: `awsbackup:` begins its name.
    #[must_use]
    pub fn of_aws_backup(mut self) -> Self {
        (self.made_by, self.name) = ("awsbackup", format!("awsbackup:{}", self.name));
        self
    }

    #[must_use]
    pub fn being(mut self, status: &str) -> Self {
        status.clone_into(&mut self.status);
        self
    }

    /// What the database was otherwise when it was taken: `EngineVersion`, `AllocatedStorage`.
    #[must_use]
    pub fn having(mut self, attribute: &str, value: impl Into<Value>) -> Self {
        self.overrides.push((attribute.to_owned(), value.into()));
        self
    }
}

impl Thing for Snapshot {
    fn enter(self, world: &mut World) {
        let of = world.rds.database(self.kind, &self.of);
        let of = of.unwrap_or_else(|| panic!("a snapshot of {}, which is not there: place it before", self.of));
        let (resource_id, mut attributes) = (of.id.clone(), of.attributes.clone());
        for (name, value) in self.overrides {
            attributes[name] = value;
        }
        let tags = attributes["TagList"].clone();
        world.rds.snapshots.push(Stored {
            kind: self.kind,
            name: self.name,
            made_by: self.made_by,
            status: self.status,
            taken: world.began - self.age,
            original: None,
            data_of: self.data_age.map(|age| world.began - age),
            of: self.of,
            resource_id,
            attributes,
            tags,
        });
    }
}

/// Things that RDS does not have (any more): parameter and option groups, security groups, certificates, classes.
#[derive(Debug, Clone)]
pub struct Gone(pub &'static str);

impl Thing for Gone {
    fn enter(self, world: &mut World) {
        world.rds.known.gone.insert(self.0.to_owned());
    }
}

/// A zone, or an instance class, for which RDS has no capacity.
#[derive(Debug, Clone)]
pub struct Full(pub &'static str);

impl Thing for Full {
    fn enter(self, world: &mut World) {
        world.rds.known.full.insert(self.0.to_owned());
    }
}
