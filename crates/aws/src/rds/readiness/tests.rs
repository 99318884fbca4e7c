use std::{collections::BTreeSet, sync::Arc};

use belay_ports::{Check, CheckVerdict, Permission, Scope, System};
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::{
    rds::{RdsRestore, With},
    session::Access,
    testing::{self, Still, Wire, form, http},
};

const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/data";

fn scope() -> Scope {
    // Without an account: nothing but the reads is asked.
    let aws = belay_plan::model::AwsTarget { account: None, ..testing::target() };
    Scope { aws, ..testing::scope(Value::Null, None, None) }
}

fn with(subject: &str) -> With {
    With::deserialize(json!({ subject: "orders", "from": { "snapshot": "before" } })).unwrap()
}

/// An encrypted instance, restored from a snapshot of a day before.
pub(super) fn instance() -> Value {
    json!({
        "looked": "2026-03-02T00:00:00Z",
        "instance": {
            "name": "orders", "resource_id": "db-1", "status": "available", "renaming_to": null, "modifying": false,
            "pending": [], "percent_progress": null, "endpoint": null, "created": null, "engine": "postgres",
            "engine_version": "16.4", "kms_key": KEY, "cluster": null, "promotion_tier": null,
            "latest_restorable": null, "tags": {},
            "settings": {
                "db_subnet_group": "data", "db_parameter_group": "tuned", "option_group": "default:postgres-16",
                "vpc_security_groups": ["sg-1"], "allocated_storage": 100, "db_instance_class": "db.r6g.large", "ca_certificate": "rds-ca-rsa2048-g1",
            },
            "attached": { "read_replicas": [], "replicates_from": null, "roles": [], "secret": null,
                          "replicated_backups": [], "activity_stream": false },
        },
        "restored": null, "failed": null,
        "snapshot": {
            "name": "before", "status": "available", "percent_progress": null, "taken": "2026-03-01T00:00:00Z",
            "instance": "orders", "engine": "postgres", "engine_version": "16.3", "allocated_storage": 100,
            "encrypted": true,
        },
        "earliest_restorable": null, "cname": null,
    })
}

fn observed() -> Observed {
    Observed::deserialize(instance()).unwrap()
}

fn answer(action: &str, result: &str) -> String {
    http("200 OK", &format!("<{action}Response><{action}Result>{result}</{action}Result></{action}Response>"))
}

fn refused(code: &str) -> String {
    let error = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
    );
    http("404 Not Found", &error)
}

fn quotas(instances: i64, storage: i64) -> String {
    let quota = |name: &str, used: i64, max: i64| {
        format!(
            "<AccountQuota><AccountQuotaName>{name}</AccountQuotaName><Used>{used}</Used><Max>{max}</Max></AccountQuota>"
        )
    };
    let all =
        quota("DBInstances", instances, 40) + &quota("AllocatedStorage", storage, 1000) + &quota("DBClusters", 39, 40);
    answer("DescribeAccountAttributes", &format!("<AccountQuotas>{all}</AccountQuotas>"))
}

/// Name and day of March, of the migration that the tag names.
fn snapshots(all: &[(&str, u8, &str)]) -> String {
    let one = |(name, day, migration): &(&str, u8, &str)| {
        format!(
            "<DBSnapshot><DBSnapshotIdentifier>{name}</DBSnapshotIdentifier><DBSnapshotArn>arn:snapshot:{name}</DBSnapshotArn>\
             <Status>available</Status><SnapshotCreateTime>2026-03-{day:02}T00:00:00Z</SnapshotCreateTime><KmsKeyId>{KEY}\
             </KmsKeyId><TagList><Tag><Key>belay:migration</Key><Value>{migration}</Value></Tag></TagList></DBSnapshot>"
        )
    };
    answer("DescribeDBSnapshots", &format!("<DBSnapshots>{}</DBSnapshots>", all.iter().map(one).collect::<String>()))
}

fn certificate(until: &str) -> String {
    let one = format!("<Certificate><ValidTill>{until}</ValidTill></Certificate>");
    answer("DescribeCertificates", &format!("<Certificates>{one}</Certificates>"))
}

fn version(status: &str) -> String {
    let family = "<DBParameterGroupFamily>postgres16</DBParameterGroupFamily>";
    let one = format!("<DBEngineVersion><Status>{status}</Status>{family}</DBEngineVersion>");
    answer("DescribeDBEngineVersions", &format!("<DBEngineVersions>{one}</DBEngineVersions>"))
}

fn parameters(family: &str) -> String {
    let one = format!("<DBParameterGroup><DBParameterGroupFamily>{family}</DBParameterGroupFamily></DBParameterGroup>");
    answer("DescribeDBParameterGroups", &format!("<DBParameterGroups>{one}</DBParameterGroups>"))
}

/// Of this class; none: RDS offers nothing.
fn orderable(class: Option<&str>) -> String {
    let one = |class| {
        format!("<OrderableDBInstanceOption><DBInstanceClass>{class}</DBInstanceClass></OrderableDBInstanceOption>")
    };
    let all = class.map(one).unwrap_or_default();
    let all = format!("<OrderableDBInstanceOptions>{all}</OrderableDBInstanceOptions>");
    answer("DescribeOrderableDBInstanceOptions", &all)
}

fn subnets(status: &str) -> String {
    let one = format!("<DBSubnetGroup><SubnetGroupStatus>{status}</SubnetGroupStatus></DBSubnetGroup>");
    answer("DescribeDBSubnetGroups", &format!("<DBSubnetGroups>{one}</DBSubnetGroups>"))
}

fn key(state: &str) -> String {
    http("200 OK", &json!({ "KeyMetadata": { "KeyId": "data", "KeyState": state } }).to_string())
}

/// What is asked for: `DescribeDBSnapshots`; of KMS, which has it in a header, `DescribeKey`.
fn action(request: &str) -> String {
    form(request).remove("Action").unwrap_or_else(|| "DescribeKey".to_owned())
}

/// A sound account, but for one call.
async fn world(broken: Option<(&'static str, String)>) -> Wire {
    Wire::answering(move |request| {
        let action = action(request);
        match (&broken, action.as_str()) {
            (Some((of, answer)), action) if *of == action => answer.clone(),
            (_, "DescribeAccountAttributes") => quotas(39, 900),
            (_, "DescribeDBSnapshots") => snapshots(&[("before", 1, "checkout"), ("other", 1, "checkout")]),
            (_, "DescribeCertificates") => certificate("2061-01-01T00:00:00Z"),
            (_, "DescribeDBEngineVersions") => version("available"),
            (_, "DescribeDBSubnetGroups") => subnets("Complete"),
            (_, "DescribeDBParameterGroups") => parameters("postgres16"),
            (_, "DescribeOrderableDBInstanceOptions") => orderable(Some("db.r6g.large")),
            (_, "DescribeKey") => key("Enabled"),
            (_, other) => answer(other, ""),
        }
    })
    .await
}

async fn found(wire: &Wire, now: Observed, baseline: Option<Observed>) -> Vec<Check> {
    let restore = RdsRestore::new(wire.aws(Access::ReadOnly).await, Arc::new(At("2026-03-02T00:00:00Z")));
    let subject = if matches!(now, Observed::Cluster(_)) { "cluster" } else { "instance" };
    restore.readiness(&scope(), with(subject), now, baseline).await
}

/// A clock that shows one time.
struct At(&'static str);

impl belay_ports::Clock for At {
    fn now(&self) -> Timestamp {
        self.0.parse().unwrap()
    }

    fn monotonic(&self) -> std::time::Duration {
        Still { wakes: false }.monotonic()
    }

    fn sleep<'a>(&'a self, _time: std::time::Duration) -> belay_ports::Fut<'a, ()> {
        Box::pin(std::future::pending())
    }
}

fn ids(checks: &[Check]) -> Vec<&str> {
    checks.iter().map(|check| check.id.as_str()).collect()
}

#[tokio::test]
async fn a_sound_account_has_no_finding_and_shows_what_was_looked_at() {
    let checks = found(&world(None).await, observed(), None).await;
    assert!(checks.iter().all(|check| check.verdict == CheckVerdict::Go), "{checks:#?}");
    assert_eq!(
        ids(&checks),
        [
            "restore_source",
            "database_status",
            "quota",
            "quota",
            "subnet_group",
            "parameter_group",
            "option_group",
            "certificate",
            "engine_version",
            "security_groups",
            "instance_class",
            "snapshots_kept",
            "snapshot_label",
            "key",
        ]
    );
    assert_eq!(checks[0].found, "snapshot before of 2026-03-01T00:00:00Z");
    assert_eq!(checks[2].line(), "DBInstances: 39 of 40 are used, and a restore beside the database needs 1");
    assert_eq!(checks[8].subject, "postgres 16.3", "of the snapshot, not of the database");
}

/// In each world exactly one thing is broken.
#[tokio::test]
async fn each_defect_is_found_and_no_other() {
    use CheckVerdict::{NoGo, Unknown, Warn};
    let denied = || refused("AccessDenied");
    for (call, broken, id, verdict, part) in [
        ("DescribeAccountAttributes", quotas(40, 900), "quota", NoGo, "40 of 40 are used"),
        ("DescribeAccountAttributes", quotas(39, 901), "quota", NoGo, "901 of 1000 are used"),
        ("DescribeAccountAttributes", denied(), "quota", Unknown, "rds:DescribeAccountAttributes"),
        ("DescribeDBSubnetGroups", refused("DBSubnetGroupNotFoundFault"), "subnet_group", NoGo, "no such subnet group"),
        ("DescribeDBSubnetGroups", subnets("Incomplete"), "subnet_group", NoGo, "Incomplete"),
        (
            "DescribeDBParameterGroups",
            refused("DBParameterGroupNotFound"),
            "parameter_group",
            NoGo,
            "no such parameter group",
        ),
        ("DescribeDBParameterGroups", denied(), "parameter_group", Unknown, "AccessDenied"),
        ("DescribeDBParameterGroups", parameters("postgres15"), "parameter_group", NoGo, "of the family postgres15"),
        ("DescribeOrderableDBInstanceOptions", orderable(None), "instance_class", Warn, "lists no instance class"),
        ("DescribeOrderableDBInstanceOptions", denied(), "instance_class", Unknown, "AccessDenied"),
        ("DescribeOptionGroups", refused("OptionGroupNotFoundFault"), "option_group", NoGo, "no such option group"),
        ("DescribeCertificates", refused("CertificateNotFound"), "certificate", NoGo, "no such certificate"),
        ("DescribeCertificates", certificate("2026-03-01T23:59:59Z"), "certificate", NoGo, "valid until 2026-03-01"),
        ("DescribeDBEngineVersions", version("deprecated"), "engine_version", Warn, "deprecated"),
        (
            "DescribeDBEngineVersions",
            answer("DescribeDBEngineVersions", ""),
            "engine_version",
            NoGo,
            "does not offer this version",
        ),
        ("DescribeDBSnapshots", snapshots(&[("before", 1, "checkout")]), "snapshots_kept", Warn, "1 available"),
        (
            "DescribeDBSnapshots",
            snapshots(&[("before", 1, "search"), ("other", 1, "checkout")]),
            "snapshot_label",
            Warn,
            "belay:migration=search",
        ),
        ("DescribeDBSnapshots", denied(), "snapshots_kept", Unknown, "rds:DescribeDBSnapshots"),
        ("DescribeKey", key("Disabled"), "key", NoGo, "it is Disabled"),
        ("DescribeKey", key("PendingDeletion"), "key", NoGo, "about to be deleted"),
        ("DescribeKey", key("PendingImport"), "key", NoGo, "it is PendingImport"),
    ] {
        let checks = found(&world(Some((call, broken))).await, observed(), None).await;
        let findings: Vec<_> = checks.iter().filter(|check| check.verdict != CheckVerdict::Go).collect();
        assert_eq!(findings.len(), 1, "{call} {part}: {findings:#?}");
        assert_eq!((findings[0].id.as_str(), findings[0].verdict), (id, verdict), "{findings:#?}");
        assert!(findings[0].found.contains(part), "{part}: {findings:#?}");
        assert!(verdict == Unknown || !findings[0].cure.is_empty(), "{findings:#?}");
    }
}

#[tokio::test]
async fn a_key_that_may_not_be_looked_at_is_unknown() {
    let denied = json!({ "__type": "AccessDeniedException", "message": "not authorized to perform: kms:DescribeKey" });
    let wire = world(Some(("DescribeKey", http("400 Bad Request", &denied.to_string())))).await;
    let checks = found(&wire, observed(), None).await;
    let check = checks.iter().find(|check| check.id == "key").unwrap();
    assert_eq!(check.verdict, CheckVerdict::Unknown);
    assert!(check.found.contains("the role needs kms:DescribeKey") && check.cure.contains("--baseline"), "{check:#?}");
}

/// What the baseline names may be gone by now.
#[tokio::test]
async fn the_settings_of_the_baseline_count() {
    let mut before = instance();
    before["instance"]["settings"]["vpc_security_groups"] = json!(["sg-1", "sg-old"]);
    before["instance"]["settings"]["db_parameter_group"] = json!("older");
    let wire = world(None).await;
    let checks = found(&wire, observed(), Some(Observed::deserialize(before).unwrap())).await;
    let groups = checks.iter().find(|check| check.id == "security_groups").unwrap();
    assert_eq!(groups.verdict, CheckVerdict::Unknown);
    assert!(groups.found.contains("sg-old") && !groups.found.contains("sg-1,"), "{groups:#?}");
    let asked: BTreeSet<String> =
        wire.requests().iter().filter_map(|request| form(request).remove("DBParameterGroupName")).collect();
    assert_eq!(asked, BTreeSet::from(["older".to_owned()]));
}

#[tokio::test]
async fn a_snapshot_that_is_older_than_a_week_does_not_count() {
    let old =
        snapshots(&[("before", 1, "checkout"), ("february", 1, "checkout")]).replacen("2026-03-01", "2026-02-22", 2);
    let old = old.replacen("2026-02-22", "2026-03-01", 1);
    let checks = found(&world(Some(("DescribeDBSnapshots", old))).await, observed(), None).await;
    let kept = checks.iter().find(|check| check.id == "snapshots_kept").unwrap();
    assert_eq!((kept.verdict, kept.found.as_str()), (CheckVerdict::Warn, "1 available of the last 7 days"));
}

#[tokio::test]
async fn where_nothing_is_there_to_be_replaced_nothing_is_asked() {
    let mut gone = instance();
    gone["instance"] = Value::Null;
    let wire = world(None).await;
    let checks = found(&wire, Observed::deserialize(gone).unwrap(), None).await;
    assert!(checks.is_empty(), "{checks:#?}");
    assert!(wire.requests().is_empty());
}

/// What `belay iam` puts into the policy for readiness is what is called.
#[tokio::test]
async fn readiness_calls_what_it_declares() {
    let called = async |now: Observed| {
        let wire = world(None).await;
        let checks = found(&wire, now, None).await;
        assert!(checks.len() > 5, "{checks:#?}");
        let actions = wire.requests().iter().map(|request| action(request)).collect::<BTreeSet<_>>();
        actions.into_iter().filter(|action| action != "DescribeKey").map(|action| format!("rds:{action}")).collect()
    };
    let declared = |kind: Kind| {
        let mut made = Permissions::new(&scope());
        permissions(&mut made, kind, "orders", &Source::Snapshot("before".to_owned()));
        made.list
            .into_iter()
            .map(|Permission { action, mutates, .. }| {
                assert!(!mutates);
                action
            })
            .collect::<BTreeSet<_>>()
    };
    let instances: BTreeSet<String> = called(observed()).await;
    assert_eq!(instances, declared(Kind::Instance));
    let clusters: BTreeSet<String> = called(cluster()).await;
    assert_eq!(clusters, declared(Kind::Cluster));
}

/// What `found` shows in a sound account for another snapshot.
async fn of_snapshot(change: impl Fn(&mut Value), cutover: Option<&str>, from: Value) -> (Vec<Check>, Wire) {
    let (mut now, wire) = (instance(), world(None).await);
    change(&mut now["snapshot"]);
    let restore = RdsRestore::new(wire.aws(Access::ReadOnly).await, Arc::new(At("2026-03-02T00:00:00Z")));
    let with = With::deserialize(json!({ "instance": "orders", "from": from })).unwrap();
    let scope = Scope { cutover: cutover.map(|at| at.parse().unwrap()), ..scope() };
    (restore.readiness(&scope, with, Observed::deserialize(now).unwrap(), None).await, wire)
}

fn one<'c>(checks: &'c [Check], id: &str) -> &'c Check {
    checks.iter().find(|check| check.id == id).unwrap_or_else(|| panic!("{id} in {checks:#?}"))
}

#[tokio::test]
async fn a_snapshot_of_the_wrong_database_time_or_state_is_found() {
    use CheckVerdict::{Go, NoGo, Warn};
    let named = || json!({ "snapshot": "before" });
    let before = Some("2026-02-28T00:00:00Z"); // a day before the data
    for (key, value, cutover, from, verdict, part) in [
        ("status", json!("available"), None, named(), Go, "snapshot before of 2026-03-01"),
        ("status", json!("available"), Some("2026-03-01T00:00:00Z"), named(), Go, "snapshot before of 2026-03-01"),
        ("status", json!("available"), before, named(), NoGo, "after the cutover of 2026-02-28T00:00:00Z"),
        ("status", json!("creating"), None, named(), NoGo, "snapshot before is creating"),
        ("instance", json!("search"), None, named(), Warn, "of search, not of orders"),
        ("engine", json!("mysql"), None, named(), NoGo, "of mysql 16.3"),
        ("of", json!("db-1"), None, named(), Go, "snapshot before of"),
        ("of", json!("db-0"), None, named(), Warn, "an earlier instance that was called orders (db-0)"),
        ("status", json!("failed"), None, named(), NoGo, "snapshot before is failed"),
    ] {
        let (checks, _) = of_snapshot(|snapshot| snapshot[key] = value.clone(), cutover, from).await;
        let source = one(&checks, "restore_source");
        assert_eq!(source.verdict, verdict, "{source:#?}");
        assert!(source.found.contains(part), "{part}: {source:#?}");
        assert_eq!(source.cure.is_empty(), verdict == Go, "{source:#?}");
    }
}

/// RDS does not show the time of a snapshot that it is still making.
#[tokio::test]
async fn a_snapshot_that_is_being_made_is_found_without_its_time() {
    let making = |snapshot: &mut Value| {
        (snapshot["status"], snapshot["taken"]) = (json!("creating"), Value::Null);
    };
    let (checks, _) = of_snapshot(making, None, json!({ "snapshot": "before" })).await;
    let source = one(&checks, "restore_source");
    assert_eq!((source.verdict, source.found.as_str()), (CheckVerdict::NoGo, "snapshot before is creating"));
}

/// The cutover is still to come, and RDS has stopped to ship the logs that a restore to it needs.
#[tokio::test]
async fn logs_that_are_not_shipped_are_found_before_the_cutover() {
    let source = async |latest: &str, from: Value, cutover: Option<&str>| {
        let (mut now, wire) = (instance(), world(None).await);
        now["instance"]["latest_restorable"] = json!(latest);
        now["snapshot"] = Value::Null;
        let restore = RdsRestore::new(wire.aws(Access::ReadOnly).await, Arc::new(At("2026-03-02T00:00:00Z")));
        let with = With::deserialize(json!({ "instance": "orders", "from": from })).unwrap();
        let scope = Scope { cutover: cutover.map(|at| at.parse().unwrap()), ..scope() };
        let checks = restore.readiness(&scope, with, Observed::deserialize(now).unwrap(), None).await;
        checks.into_iter().find(|check| check.id == "restore_source").map(|check| (check.verdict, check.found))
    };
    let (fresh, stale) = ("2026-03-01T23:55:00Z", "2026-03-01T23:29:00Z");
    for from in [json!({ "time": "cutover" }), json!({ "time": "latest" })] {
        let (verdict, found) = source(stale, from.clone(), None).await.unwrap();
        assert_eq!(verdict, CheckVerdict::NoGo, "{from}: {found}");
        assert!(found.contains("up to 2026-03-01T23:29:00Z alone"), "{from}: {found}");
        let fresh = source(fresh, from.clone(), None).await;
        assert!(fresh.as_ref().is_none_or(|(verdict, _)| *verdict == CheckVerdict::Go), "{from}: {fresh:?}");
    }
    // The point is behind: nothing more has to be shipped.
    let marked = source(stale, json!({ "time": "cutover" }), Some("2026-03-01T20:00:00Z")).await.unwrap();
    assert_eq!(marked.0, CheckVerdict::Go, "{marked:?}");
}

/// Of another database, or another account, it is not in the list of this one's.
#[tokio::test]
async fn key_and_label_are_those_of_the_snapshot_itself() {
    let copy = |snapshot: &mut Value| {
        snapshot["name"] = json!("copy");
        snapshot["kms_key"] = json!("arn:aws:kms:eu-west-1:111122223333:key/copy");
        snapshot["arn"] = json!("arn:snapshot:copy");
    };
    let (checks, wire) = of_snapshot(copy, None, json!({ "snapshot": "copy" })).await;
    assert_eq!(one(&checks, "key").subject, "arn:aws:kms:eu-west-1:111122223333:key/copy");
    let label = one(&checks, "snapshot_label");
    assert_eq!((label.subject.as_str(), label.verdict), ("copy", CheckVerdict::Warn));
    assert!(label.cure.contains("--resource-name arn:snapshot:copy "), "{label:#?}");
    let asked = wire.requests().iter().any(|request| request.contains("key/copy"));
    assert!(asked, "{:#?}", wire.requests());
}

#[test]
fn the_key_of_the_data_is_used_and_no_other() {
    let keys = |doc: Value| {
        let entry = belay_core::change::BaselineEntry { action: String::new(), resource: String::new(), doc };
        let scope = Scope { baseline: Some(entry), ..scope() };
        let all = crate::rds::permissions::instance(&scope, &with("instance"), "orders");
        let of_keys = all.into_iter().filter(|permission| permission.action == "kms:CreateGrant");
        of_keys.map(|permission| permission.resource).collect::<Vec<_>>()
    };
    assert_eq!(keys(instance()), [KEY], "the snapshot does not show its own");
    let mut copied = instance();
    copied["snapshot"]["kms_key"] = json!("arn:aws:kms:eu-west-1:111122223333:key/copy");
    assert_eq!(keys(copied), ["arn:aws:kms:eu-west-1:111122223333:key/copy"]);
}

/// Of two members.
fn cluster() -> Observed {
    let attached = instance()["instance"]["attached"].clone();
    let snapshot = instance()["snapshot"].clone();
    let mut member = instance()["instance"].clone();
    member["name"] = json!("orders-1");
    let cluster = json!({
        "looked": "2026-03-02T00:00:00Z",
        "cluster": {
            "name": "orders", "resource_id": null, "status": "available", "renaming_to": null, "pending": [],
            "percent_progress": null, "created": null, "engine": "aurora-postgresql", "engine_version": "16.4",
            "kms_key": KEY, "endpoint": null, "latest_restorable": null, "earliest_restorable": null, "tags": {},
            "settings": { "db_subnet_group": "data", "cluster_parameter_group": "tuned", "vpc_security_groups": ["sg-1"] },
            "members": [{ "name": "orders-1", "writer": true }, { "name": "orders-2", "writer": false }],
            "attached": attached, "custom_endpoints": [], "global_cluster": null,
        },
        "restored": null, "failed": null, "snapshot": snapshot, "cname": null,
        "members": [{ "name": "orders-1", "instance": member, "restored": null, "failed": null }],
    });
    Observed::Cluster(ClusterState::deserialize(cluster).unwrap())
}

#[tokio::test]
async fn a_cluster_needs_room_for_itself_and_its_members() {
    let checks = found(&world(None).await, cluster(), None).await;
    let quotas: Vec<_> = checks
        .iter()
        .filter(|check| check.id == "quota")
        .map(|check| (check.subject.as_str(), check.verdict))
        .collect();
    assert_eq!(quotas, [("DBInstances", CheckVerdict::NoGo), ("DBClusters", CheckVerdict::Go)]);
}

/// A run would wait for what passes, but a cutover in the middle of it has no way back at hand.
#[tokio::test]
async fn a_database_that_rds_would_not_rename_now_is_found() {
    use CheckVerdict::{Go, NoGo, Unknown};
    let verdicts = async |now: Observed, with: Value| {
        let wire = world(None).await;
        let restore = RdsRestore::new(wire.aws(Access::ReadOnly).await, Arc::new(At("2026-03-02T00:00:00Z")));
        let checks = restore.readiness(&scope(), With::deserialize(with).unwrap(), now, None).await;
        let of_status = checks.into_iter().filter(|check| check.id == "database_status");
        of_status.map(|check| (check.subject, check.verdict)).collect::<Vec<_>>()
    };
    let plain = || json!({ "instance": "orders", "from": { "snapshot": "before" } });
    for (status, expected) in [
        ("available", Some(Go)),
        ("backing-up", Some(Go)),
        ("modifying", Some(Go)),
        ("configuring-log-exports", Some(Go)),
        ("deleting", Some(NoGo)),
        ("delete-precheck", Some(NoGo)),
        ("stopping", Some(NoGo)),
        ("rebooting", Some(Unknown)),
        ("creating", Some(Unknown)),
        ("moving-to-vpc", Some(Unknown)),
        // The assessment shows it.
        ("stopped", None),
    ] {
        let mut now = instance();
        now["instance"]["status"] = json!(status);
        let found = verdicts(Observed::deserialize(now).unwrap(), plain()).await;
        let expected: Vec<_> = expected.map(|verdict| ("orders".to_owned(), verdict)).into_iter().collect();
        assert_eq!(found, expected, "{status}");
    }
    // Nothing is renamed.
    let mut now = instance();
    now["instance"]["status"] = json!("rebooting");
    let beside = json!({ "instance": "orders", "from": { "snapshot": "before" }, "keep_endpoint": "none" });
    assert_eq!(verdicts(Observed::deserialize(now).unwrap(), beside).await, [("orders".to_owned(), Go)]);

    let Observed::Cluster(mut now) = cluster() else { unreachable!() };
    now.cluster.as_mut().unwrap().status = "deleting".to_owned();
    let of_cluster = json!({ "cluster": "orders", "from": { "snapshot": "before" } });
    assert_eq!(verdicts(Observed::Cluster(now), of_cluster).await, [("orders".to_owned(), NoGo)]);
}

/// RDS makes no new instance of a class that it has retired, though those that run go on.
#[tokio::test]
async fn a_class_that_rds_does_not_offer_any_more_is_found() {
    let retired = async |change: fn(&mut Value)| {
        let wire = Wire::answering(move |request| match action(request).as_str() {
            "DescribeOrderableDBInstanceOptions" if form(request).contains_key("DBInstanceClass") => orderable(None),
            "DescribeOrderableDBInstanceOptions" => orderable(Some("db.r6g.large")),
            "DescribeKey" => key("Enabled"),
            other => answer(other, ""),
        })
        .await;
        let (mut was, now) = (instance(), observed());
        was["instance"]["settings"]["db_instance_class"] = json!("db.m1.small");
        change(&mut was);
        found(&wire, now, Some(Observed::deserialize(was).unwrap())).await
    };
    let checks = retired(|_| {}).await;
    let class = one(&checks, "instance_class");
    assert_eq!((class.subject.as_str(), class.verdict), ("db.m1.small", CheckVerdict::Warn), "{class:#?}");
    assert!(class.found.ends_with("the restored instance would get db.r6g.large"), "{class:#?}");
    let checks = retired(|was| was["instance"]["settings"]["db_instance_class"] = json!("db.r6g.large")).await;
    assert_eq!(one(&checks, "instance_class").verdict, CheckVerdict::NoGo);
}
