//! What plans say of a restore: the shapes of `rds.restore`, and what they decode to.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use belay_plan::{
    catalogue::{ActionSpec, Finding},
    model::{Nature, Usual},
    shape::{Field, MapShape, Shape, Text, boolean, field, filled_list, object, one_of, pattern, words},
};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use super::{cluster_settings, identifier, instance_settings, instance_shape};
use crate::route53;

/// The action's name in plans.
pub const ACTION: &str = "rds.restore";

/// The readers that Application Auto Scaling made, as `without` accepts that they are missing.
pub const AUTOSCALED_READERS: &str = "autoscaled_readers";

/// What `rds.restore` takes.
pub fn spec() -> ActionSpec {
    let cluster = identifier("the identifier of an Aurora or Multi-AZ DB cluster");
    ActionSpec {
        name: ACTION,
        summary: "Restores an RDS instance or cluster under its own name; the replaced one is kept under another.",
        with: one_of(
            "an object with exactly one of `instance`, `cluster`",
            [
                object(subject(field("instance", instance_shape(), "The instance to replace."), instance_words())),
                object(subject(
                    field("cluster", cluster, "The cluster to replace, with its instances."),
                    cluster_words(),
                )),
            ],
        ),
        to: None,
        others: false,
        stages: false,
        default_timeout: Duration::from_secs(2 * 60 * 60),
        nature: Nature::Data,
        // AWS gives no figures: the copy grows with the volume, the engine and Multi-AZ; then two renames with their reboots.
        usual: Some(Usual::seconds(12 * 60, 26 * 60, 50 * 60)),
        resource,
        check,
    }
}

/// The keys that an instance and a cluster have in common, behind their own.
fn subject(own: Field, without: Vec<&'static str>) -> Vec<Field> {
    let endpoint = field(
        "keep_endpoint",
        words(["rename", "cname", "none"]),
        "How clients find the restored database: `rename` gives it the name and endpoint of the replaced one, `cname` \
         points a Route 53 record at it, `none` leaves it beside the other.",
    );
    let zone = pattern(route53::ZONE_WHAT, route53::ZONE);
    let record = pattern("a name such as `db.example.com`", "^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)+[.]?$");
    let cname = object([
        field("zone", zone, "Its hosted zone: its id, or its domain name."),
        field("record", record, "Its name: a CNAME record, or none yet."),
        field(
            "wait_ttl",
            boolean(),
            "Whether to wait until resolvers have forgotten where it pointed: until then clients may still write to the \
             database that is replaced.",
        )
        .or(true),
    ]);
    vec![
        own,
        field("from", source(), "What it is restored from."),
        endpoint.or("rename"),
        field("cname", cname, "The record that clients connect to, for `keep_endpoint: cname`.").optional(),
        field(
            "without",
            filled_list(words(without)),
            "What the restored database may lack of what it replaces: settings that are neither given nor missed, and what no \
             call carries over.",
        )
        .optional(),
    ]
}

/// What stays behind with a replaced database, by the names that `without` accepts it by.
pub const STAYS_BEHIND: [&str; 7] = [
    "resource_id",
    "read_replicas",
    "replication_source",
    "cross_region_backups",
    "activity_stream",
    "proxies",
    "roles",
];
/// The same of a cluster alone.
const STAYS_BEHIND_A_CLUSTER: [&str; 2] = ["custom_endpoints", AUTOSCALED_READERS];

fn instance_words() -> Vec<&'static str> {
    instance_settings::TABLE.iter().map(|setting| setting.name).chain(STAYS_BEHIND).chain(["tags"]).collect()
}

/// Settings of the cluster, and of its members.
fn cluster_words() -> Vec<&'static str> {
    let own = cluster_settings::TABLE.iter().map(|row| row.0);
    let stays = STAYS_BEHIND.into_iter().chain(STAYS_BEHIND_A_CLUSTER);
    let mut words: Vec<&str> = own.chain(cluster_settings::OF_MEMBERS).chain(stays).chain(["tags"]).collect();
    let mut known = BTreeSet::new();
    words.retain(|word| known.insert(*word));
    words
}

fn source() -> Shape {
    let snapshot = pattern(
        "the identifier or the ARN of a snapshot",
        "^((rds:|awsbackup:)?[A-Za-z][A-Za-z0-9-]{0,254}|arn:aws[a-z-]*:rds:[a-z0-9-]+:[0-9]{12}:(cluster-)?snapshot:.+)$",
    );
    let timestamp = || {
        pattern(
            "a timestamp such as `2026-01-31T12:00:00Z`",
            "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$",
        )
    };
    let time = one_of(
        "`cutover`, `latest` or a timestamp such as `2026-01-31T12:00:00Z`",
        [words(["cutover", "latest"]), timestamp()],
    );
    let before = one_of("`cutover` or a timestamp such as `2026-01-31T12:00:00Z`", [words(["cutover"]), timestamp()]);
    let tags = Shape::Map(MapShape {
        keys: Text::new("the key of a tag", Some("^.{1,128}$")),
        value: Box::new(pattern("the value of a tag", "^.{1,256}$")),
        least: 1,
        most: Some(50),
        not_all_zero: None,
        own: Vec::new(),
    });
    let tagged = one_of(
        "`migration` (the tag `belay:migration` with this migration's name), or tags and their values",
        [words(["migration"]), tags],
    );
    let newest = object([
        field("before", before, "Only snapshots that were taken before this.").or("cutover"),
        field("tagged", tagged, "Only snapshots that have these tags.").optional(),
    ]);
    one_of(
        "an object with exactly one of `snapshot`, `newest_snapshot`, `time`",
        [
            object([field("snapshot", snapshot, "The snapshot to restore.")]),
            object([field(
                "newest_snapshot",
                newest,
                "The newest of its snapshots, manual or automated, is restored.",
            )]),
            object([field("time", time, "The point in time to restore.")]),
        ],
    )
}

/// RDS identifiers know no case.
fn resource(with: &Value) -> String {
    let name = |key: &str| with[key].as_str().map(str::to_ascii_lowercase);
    match name("cluster") {
        Some(cluster) => format!("rds:cluster:{cluster}"),
        None => format!("rds:{}", name("instance").unwrap_or_default()),
    }
}

fn check(with: &Value, _to: Option<&Value>) -> Vec<Finding> {
    match (with["keep_endpoint"].as_str(), with.get("cname")) {
        (Some("cname"), None) => {
            let missing = Finding::new("/with/keep_endpoint", "`keep_endpoint: cname` needs to know which record");
            vec![missing.help("add `cname: { zone: Z0123456789ABC, record: db.example.com }`")]
        }
        (Some("rename" | "none"), Some(_)) => {
            let idle = Finding::new("/with/cname", "this record would not be used");
            vec![idle.help("write `keep_endpoint: cname`, or remove `cname`")]
        }
        _ => Vec::new(),
    }
}

/// The step's `with:`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct With {
    #[serde(flatten)]
    pub subject: Subject,
    pub from: Source,
    #[serde(default)]
    pub keep_endpoint: KeepEndpoint,
    pub cname: Option<Cname>,
    /// What is not missed.
    #[serde(default)]
    pub without: BTreeSet<String>,
    /// Not for plans: a restore test alone sets it.
    pub test: Option<Test>,
}

/// A setting of a step that only a restore test has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Test {
    /// The migration that the snapshots and the restored database belong to.
    pub migration: String,
    /// In the place of a run's id: `test-20261129-210342`.
    pub id: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    Instance(String),
    Cluster(String),
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// An identifier or an ARN.
    Snapshot(String),
    NewestSnapshot(Newest),
    Time(Time),
}

impl Source {
    pub fn counts_from_cutover(&self) -> bool {
        match self {
            Self::Snapshot(_) => false,
            Self::NewestSnapshot(newest) => newest.before == Time::Cutover,
            Self::Time(time) => *time == Time::Cutover,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Newest {
    pub before: Time,
    pub tagged: Option<Tagged>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Tagged {
    /// The one word that there is: with the migration.
    Migration(String),
    Tags(BTreeMap<String, String>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Time {
    Cutover,
    Latest,
    At(Timestamp),
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match String::deserialize(from)?.as_str() {
            TIME_CUTOVER => Ok(Self::Cutover),
            "latest" => Ok(Self::Latest),
            time => time.parse().map(Self::At).map_err(D::Error::custom),
        }
    }
}

/// As plans write it.
pub const TIME_CUTOVER: &str = "cutover";

/// How clients find the restored database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepEndpoint {
    #[default]
    Rename,
    Cname,
    None,
}

impl KeepEndpoint {
    /// As plans write it.
    pub const NONE: &str = "none";
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Cname {
    pub zone: String,
    pub record: String,
    #[serde(default = "yes")]
    pub wait_ttl: bool,
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(from: &Value) -> With {
        With::deserialize(json!({ "instance": "Checkout", "from": from })).unwrap()
    }

    #[test]
    fn sources_are_read_as_plans_write_them() {
        assert_eq!(with(&json!({ "snapshot": "pre" })).from, Source::Snapshot("pre".to_owned()));
        assert_eq!(with(&json!({ "time": "cutover" })).from, Source::Time(Time::Cutover));
        assert_eq!(with(&json!({ "time": "latest" })).from, Source::Time(Time::Latest));
        let at = "2026-03-01T02:11:07Z".parse().unwrap();
        assert_eq!(with(&json!({ "time": "2026-03-01T04:11:07+02:00" })).from, Source::Time(Time::At(at)));
        assert!(With::deserialize(json!({ "instance": "c", "from": { "time": "yesterday" } })).is_err());
        let newest = json!({ "newest_snapshot": { "before": "cutover", "tagged": { "release": "42" } } });
        let tags = Tagged::Tags([("release".to_owned(), "42".to_owned())].into());
        assert_eq!(with(&newest).from, Source::NewestSnapshot(Newest { before: Time::Cutover, tagged: Some(tags) }));
    }

    #[test]
    fn instances_and_clusters_are_told_apart() {
        let cluster = With::deserialize(json!({ "cluster": "shop", "from": { "time": "latest" } })).unwrap();
        assert_eq!(cluster.subject, Subject::Cluster("shop".to_owned()));
        assert_eq!(cluster.keep_endpoint, KeepEndpoint::Rename);
        assert_eq!(resource(&json!({ "cluster": "Shop" })), "rds:cluster:shop");
        assert_eq!(resource(&json!({ "instance": "Shop" })), "rds:shop");
    }

    #[test]
    fn a_record_is_named_where_it_is_used_and_only_there() {
        let findings = |with: &Value| check(with, None).into_iter().map(|found| found.pointer).collect::<Vec<_>>();
        assert_eq!(findings(&json!({ "keep_endpoint": "cname" })), ["/with/keep_endpoint"]);
        assert_eq!(findings(&json!({ "keep_endpoint": "rename", "cname": {} })), ["/with/cname"]);
        assert!(findings(&json!({ "keep_endpoint": "cname", "cname": {} })).is_empty());
        assert!(findings(&json!({ "keep_endpoint": "none" })).is_empty());
    }
}
