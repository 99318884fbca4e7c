//! What `rds.restore` promises beyond the one instance of `database.rs`: clusters with their members, the newest snapshot,
//! a record instead of a rename, and settings that are read back.

use std::thread;

use belay_tests::{Belay, Boto, Call, Emulator, Kind, Proxy, When};
use serde_json::{Value, json};

use crate::database::{
    Instance, MODIFY, RESTORE, accepted, assert_nothing_is_lost, parameters, plan, renames, roll_back, run_id,
};

const CREATE: &str = "CreateDBInstance";
const MODIFY_CLUSTER: &str = "ModifyDBCluster";
const RESTORE_CLUSTER: &str = "RestoreDBClusterFromSnapshot";

/// A plan with this restore alone.
fn restoring(with: &str) -> String {
    format!(
        "belay: 1
migration: schema-change
aws: {{ account: \"123456789012\", region: us-east-1 }}
steps:
  database_back:
    action: rds.restore
    with: {{ {with} }}
    loses_data: true
    retry: {{ backoff: 100ms..500ms }}
"
    )
}

/// An Aurora cluster in moto with a writer and a reader, and a snapshot of it.
pub(crate) struct Cluster {
    boto: Boto,
    name: String,
}

impl Cluster {
    pub(crate) fn create(endpoint: &str, name: &str) -> Self {
        let cluster = Self { boto: Boto::at(endpoint), name: name.to_owned() };
        cluster.call(
            "create_db_cluster_parameter_group",
            &json!({ "DBClusterParameterGroupName": format!("{name}-tuned"), "DBParameterGroupFamily": "aurora-postgresql15",
                     "Description": "test" }),
        );
        cluster.call(
            "create_db_cluster",
            &json!({
                "DBClusterIdentifier": name, "Engine": "aurora-postgresql", "EngineVersion": "15.4",
                "MasterUsername": "belay", "MasterUserPassword": "not-a-secret", "Port": 6432,
                "BackupRetentionPeriod": 9, "PreferredBackupWindow": "02:00-03:00",
                "PreferredMaintenanceWindow": "sun:05:00-sun:06:00", "DeletionProtection": true, "CopyTagsToSnapshot": true,
                "DBClusterParameterGroupName": format!("{name}-tuned"),
                "EnableCloudwatchLogsExports": ["postgresql"], "EnableIAMDatabaseAuthentication": true,
                "ServerlessV2ScalingConfiguration": { "MinCapacity": 0.5, "MaxCapacity": 8 },
                "Tags": [{ "Key": "team", "Value": "shop" }],
            }),
        );
        // The second is made first, so that the writer is not the first by name.
        for (number, class, tier, zone) in
            [(2, "db.r6g.xlarge", 1, "us-east-1b"), (1, "db.serverless", 4, "us-east-1a")]
        {
            cluster.call(
                "create_db_instance",
                &json!({
                    "DBInstanceIdentifier": format!("{name}-{number}"), "DBClusterIdentifier": name,
                    "Engine": "aurora-postgresql", "DBInstanceClass": class, "PromotionTier": tier,
                    "AvailabilityZone": zone, "PubliclyAccessible": false, "AutoMinorVersionUpgrade": false, "MonitoringInterval": 30,
                    "MonitoringRoleArn": "arn:aws:iam::123456789012:role/rds-monitoring-role",
                    "Tags": [{ "Key": "member", "Value": number.to_string() }],
                }),
            );
        }
        cluster.call(
            "create_db_cluster_snapshot",
            &json!({ "DBClusterIdentifier": name, "DBClusterSnapshotIdentifier": format!("{name}-before") }),
        );
        cluster
    }

    #[track_caller]
    fn call(&self, method: &str, arguments: &Value) -> Value {
        let answer = self.boto.call("rds", method, arguments);
        assert_eq!(answer["error"], Value::Null, "{method}: {answer}");
        answer
    }

    fn find(&self, name: &str) -> Option<Value> {
        let answer = self.boto.call("rds", "describe_db_clusters", &json!({ "DBClusterIdentifier": name }));
        answer["DBClusters"].get(0).cloned()
    }

    fn instance(&self, name: &str) -> Option<Value> {
        let answer = self.boto.call("rds", "describe_db_instances", &json!({ "DBInstanceIdentifier": name }));
        answer["DBInstances"].get(0).cloned()
    }

    /// Exactly one restored cluster has the name, its members have theirs, and what was replaced is kept.
    #[track_caller]
    fn assert_replaced(&self, run: &str, calls: &[Call]) {
        for call in calls {
            assert!(!call.action.starts_with("Delete"), "{call:?}");
        }
        let name = &self.name;
        let now = self.find(name).expect("the name is taken again");
        assert!(has_tag(&now, "belay:run", run) && has_tag(&now, "team", "shop"), "{now:#}");
        assert!(self.find(&format!("{name}-failed-{run}")).is_some_and(|kept| !has_tag(&kept, "belay:run", run)));
        assert!(self.find(&format!("{name}-restored-{run}")).is_none());
        for (number, class, tier) in [(1, "db.serverless", 4), (2, "db.r6g.xlarge", 1)] {
            let member = format!("{name}-{number}");
            let now = self.instance(&member).expect("the member's name is taken again");
            assert!(has_tag(&now, "belay:run", run) && has_tag(&now, "member", &number.to_string()), "{now:#}");
            assert_eq!(now["DBInstanceClass"], class);
            // fakecloud has none.
            assert!(now["PromotionTier"].is_null() || now["PromotionTier"] == tier, "{now:#}");
            let kept = self.instance(&format!("{member}-failed-{run}")).expect("the replaced member is kept");
            assert!(!has_tag(&kept, "belay:run", run), "{kept:#}");
            assert!(self.instance(&format!("{member}-restored-{run}")).is_none());
        }
        let taken = accepted(calls);
        let count = |action: &str| taken.iter().filter(|call| call.action == action).count();
        assert_eq!((count(RESTORE_CLUSTER), count(CREATE)), (1, 2), "{calls:#?}");
        assert_eq!(taken.iter().filter_map(|call| renames(call)).count(), 4);
    }
}

fn has_tag(found: &Value, key: &str, value: &str) -> bool {
    found["TagList"].as_array().into_iter().flatten().any(|tag| tag["Key"] == key && tag["Value"] == value)
}

#[test]
fn an_aurora_cluster_is_back_with_its_members() {
    let aws = Emulator::moto();
    let cluster = Cluster::create(aws.url(), "shop");
    let proxy = Proxy::to(aws.url());
    let belay = Belay::at(proxy.url());
    let plan =
        belay.write("plan.yaml", &restoring("cluster: shop, from: { snapshot: shop-before }, without: [resource_id]"));
    let rehearsed = belay.run(&["dry-run", &plan]);
    assert_eq!(rehearsed.code, 0, "{rehearsed}");
    assert!(proxy.mutating_calls().is_empty());

    let done = roll_back(&belay, &plan);
    assert_eq!(done.code, 0, "{done}");
    let run = run_id(&done);
    cluster.assert_replaced(&run, &proxy.calls());

    let calls = proxy.mutating_calls();
    let told = parameters(&calls[0]);
    for (name, value) in [
        ("SnapshotIdentifier", "shop-before"),
        ("Engine", "aurora-postgresql"),
        ("EngineVersion", "15.4"),
        ("Port", "6432"),
        ("BackupRetentionPeriod", "9"),
        ("PreferredBackupWindow", "02:00-03:00"),
        ("DeletionProtection", "true"),
        ("CopyTagsToSnapshot", "true"),
        ("DBClusterParameterGroupName", "shop-tuned"),
        ("EnableIAMDatabaseAuthentication", "true"),
        ("ServerlessV2ScalingConfiguration.MinCapacity", "0.5"),
        ("ServerlessV2ScalingConfiguration.MaxCapacity", "8.0"),
    ] {
        assert_eq!(told.get(name).map(String::as_str), Some(value), "{name} in {told:#?}");
    }
    // The writer first; it keeps its zone.
    let made: Vec<_> = calls.iter().filter(|call| call.action == CREATE).map(parameters).collect();
    assert_eq!(made[0]["DBInstanceIdentifier"], format!("shop-2-restored-{run}"));
    assert_eq!(
        (made[0]["AvailabilityZone"].as_str(), made[1]["AvailabilityZone"].as_str()),
        ("us-east-1b", "us-east-1a")
    );
    // The cluster's endpoints come back before its members change their names.
    let last: Vec<&str> = calls.iter().rev().take(5).map(|call| call.action.as_str()).collect();
    assert_eq!(last, [MODIFY, MODIFY, MODIFY, MODIFY, MODIFY_CLUSTER]);
}

/// The mutating calls of a cluster's restore in moto: what they are for, which they are, and the how many-th of its kind.
const DANCE: [(&str, &str, usize); 9] = [
    ("restore", RESTORE_CLUSTER, 1),
    ("create-writer", CREATE, 1),
    ("create-reader", CREATE, 2),
    ("away", MODIFY_CLUSTER, 1),
    ("back", MODIFY_CLUSTER, 2),
    ("reader-away", MODIFY, 1),
    ("reader-back", MODIFY, 2),
    ("writer-away", MODIFY, 3),
    ("writer-back", MODIFY, 4),
];

#[test]
fn a_lost_answer_at_any_call_of_a_cluster_leaves_one_effect() {
    let aws = Emulator::moto();
    thread::scope(|scope| {
        for (purpose, action, nth) in DANCE {
            let endpoint = aws.url();
            scope.spawn(move || {
                let cluster = Cluster::create(endpoint, &format!("c-{purpose}"));
                let proxy = Proxy::to(endpoint);
                let rule = proxy.fault("rds", action, When::Nth(nth), Kind::LostAnswer);
                let belay = Belay::at(proxy.url());
                let name = &cluster.name;
                let plan =
                    restoring(&format!("cluster: {name}, from: {{ snapshot: {name}-before }}, without: [resource_id]"));
                let done = roll_back(&belay, &belay.write("plan.yaml", &plan));
                assert_eq!(done.code, 0, "{purpose}: {done}");
                assert_eq!(rule.hits(), 1, "{purpose}");
                cluster.assert_replaced(&run_id(&done), &proxy.calls());
            });
        }
    });
}

#[test]
fn a_setting_that_rds_refuses_shows_after_the_swap() {
    let aws = Emulator::moto();
    let instance = Instance::create(aws.url(), "checkout");
    let proxy = Proxy::to(aws.url());
    // Both settings together, then each on its own.
    proxy.fault("rds", MODIFY, When::First(3), Kind::code(400, "InvalidParameterCombination"));
    let belay = Belay::at(proxy.url());
    let plan = belay.write("plan.yaml", &plan("checkout", &instance.snapshot, "", ""));
    let done = belay.run(&["run", &plan, "--reason", "test"]);
    assert_eq!(done.code, 4, "{done}");
    let said = format!("{}{}", done.stdout, done.stderr);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "has its data back, but is not set as on checkout-failed-",
        "max_allocated_storage: wanted 100, found",
        "RDS refused",
        "InvalidParameterCombination",
    ] {
        assert!(said.contains(expected), "{expected}: {done}");
    }
    // The data is back all the same.
    assert_nothing_is_lost(&proxy.calls());
    assert_eq!(accepted(&proxy.calls()).iter().filter_map(|call| renames(call)).count(), 2);
    assert!(has_tag(&instance.find("checkout").unwrap(), "team", "shop"));
}

#[test]
fn the_newest_snapshot_is_restored_beside_the_other_and_a_record_points_at_it() {
    let aws = Emulator::moto();
    let instance = Instance::create(aws.url(), "ledger");
    let boto = Boto::at(aws.url());
    for (name, release) in [("ledger-41", "41"), ("ledger-42", "42"), ("ledger-43", "43")] {
        let tags = json!([{ "Key": "release", "Value": release }]);
        let made = boto.call(
            "rds",
            "create_db_snapshot",
            &json!({ "DBInstanceIdentifier": "ledger", "DBSnapshotIdentifier": name, "Tags": tags }),
        );
        assert_eq!(made["error"], Value::Null, "{made}");
    }
    let zone = boto.call("route53", "create_hosted_zone", &json!({ "Name": "example.com", "CallerReference": "1" }));
    let zone = zone["HostedZone"]["Id"].as_str().unwrap().trim_start_matches("/hostedzone/").to_owned();
    let record = json!({ "Name": "db.example.com", "Type": "CNAME", "TTL": 77, "ResourceRecords": [{ "Value": "old.example.com" }] });
    let changes = json!({ "Changes": [{ "Action": "CREATE", "ResourceRecordSet": record }] });
    boto.call("route53", "change_resource_record_sets", &json!({ "HostedZoneId": zone, "ChangeBatch": changes }));

    let proxy = Proxy::to(aws.url());
    let lost = proxy.fault("route53", "ChangeResourceRecordSets", When::Nth(1), Kind::LostAnswer);
    let belay = Belay::at(proxy.url());
    let plan = restoring(&format!(
        "instance: ledger, keep_endpoint: cname, cname: {{ zone: {zone}, record: db.example.com, wait_ttl: false }}, \
         from: {{ newest_snapshot: {{ before: \"2100-01-01T00:00:00Z\", tagged: {{ release: \"42\" }} }} }}, without: [resource_id]"
    ));
    let done = roll_back(&belay, &belay.write("plan.yaml", &plan));
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(lost.hits(), 1);

    let calls = proxy.mutating_calls();
    assert_eq!(calls[0].action, RESTORE);
    assert_eq!(parameters(&calls[0])["DBSnapshotIdentifier"], "ledger-42");
    assert!(calls.iter().all(|call| renames(call).is_none()), "{calls:#?}");
    let restored = instance.find(&format!("ledger-restored-{}", run_id(&done))).expect("it stays beside the other");
    let endpoint = restored["Endpoint"]["Address"].as_str().unwrap();
    let records = boto.call("route53", "list_resource_record_sets", &json!({ "HostedZoneId": zone }));
    let records = records["ResourceRecordSets"].as_array().unwrap();
    let cname = records.iter().find(|record| record["Type"] == "CNAME").expect("it is still there");
    assert_eq!((&cname["TTL"], &cname["ResourceRecords"][0]["Value"]), (&json!(77), &json!(endpoint)), "{cname:#}");
}

#[test]
fn an_aurora_cluster_is_back_where_restores_take_their_time() {
    let aws = Emulator::fakecloud();
    let cluster = Cluster::create(aws.url(), "shop");
    let proxy = Proxy::to(aws.url());
    let belay = Belay::at(proxy.url());
    let plan =
        belay.write("plan.yaml", &restoring("cluster: shop, from: { snapshot: shop-before }, without: [resource_id]"));
    let done = roll_back(&belay, &plan);
    assert_eq!(done.code, 0, "{done}\n{:#?}", proxy.mutating_calls());
    cluster.assert_replaced(&run_id(&done), &proxy.calls());
}
