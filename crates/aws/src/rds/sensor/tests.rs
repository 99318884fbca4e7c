use aws_sdk_rds::types::{
    ClusterPendingModifiedValues, DbClusterMember, DbParameterGroupStatus, OptionGroupMembership, PendingModifiedValues,
};
use serde_json::{Value, json};

use super::*;
use crate::{
    session::Access,
    testing::{Still, aws, endpoint, http, target},
};

fn decided(spec: Value, found: Option<&Found>) -> (Health, String) {
    match decide(&Spec::deserialize(&spec).unwrap(), found, "eu-west-1") {
        Finding::Read { health, evidence, .. } => (health, evidence),
        Finding::Unreadable(error) => panic!("{error}"),
    }
}

fn query(spec: Value) -> Query {
    let aws = belay_plan::model::AwsTarget { account: None, ..target() };
    Query { signal: "db".to_owned(), spec: json!({ KEY: spec }), aws, of_trigger: false, baseline: Default::default() }
}

#[test]
fn the_status_is_the_health_of_an_instance() {
    let spec = || json!({"instance": "Checkout", "status": "available"});
    let found = |status: &str| Found { status: status.to_owned(), ..Found::default() };
    let told = |health, evidence: &str| (health, evidence.to_owned());
    assert_eq!(decided(spec(), Some(&found("available"))), told(Health::Healthy, "checkout is available"));
    // A nightly backup, or storage that is being optimized, interrupts nothing.
    for status in ["backing-up", "storage-optimization", "modifying", "maintenance", "configuring-log-exports"] {
        let (health, evidence) = decided(spec(), Some(&found(status)));
        assert_eq!((health, evidence), told(Health::Healthy, &format!("checkout is {status}")));
    }
    for (status, health) in [
        ("stopped", Health::Unhealthy),
        ("storage-full", Health::Unhealthy),
        ("upgrade-failed", Health::Unhealthy),
        ("rebooting", Health::Unknown),
        ("creating", Health::Unknown),
        ("brand-new", Health::Unknown),
    ] {
        assert_eq!(
            decided(spec(), Some(&found(status))),
            told(health, &format!("checkout is {status}, wanted available"))
        );
    }
    assert_eq!(decided(spec(), None), told(Health::Unhealthy, "there is no instance checkout in eu-west-1"));
    assert_eq!(
        decided(json!({"cluster": "orders", "status": "available"}), None),
        told(Health::Unhealthy, "there is no cluster orders in eu-west-1")
    );
}

#[test]
fn several_statuses_may_be_healthy() {
    let health = |wanted: Value, status: &str| {
        let found = Found { status: status.to_owned(), ..Found::default() };
        decided(json!({"instance": "checkout", "status": wanted}), Some(&found))
    };
    let stopped = || json!(["stopped", "storage-full"]);
    assert_eq!(health(stopped(), "stopped").0, Health::Healthy);
    assert_eq!(health(stopped(), "storage-full").0, Health::Healthy);
    assert_eq!(health(stopped(), "stopping").0, Health::Unknown);
    assert_eq!(
        health(stopped(), "backing-up"),
        (Health::Unhealthy, "checkout is backing-up, wanted stopped or storage-full".to_owned())
    );
    assert_eq!(health(json!(["available", "upgrading"]), "upgrading").0, Health::Healthy);
    assert_eq!(health(json!(["available", "upgrading"]), "backing-up").0, Health::Healthy);
    // Only `available` stands for others.
    assert_eq!(health(json!(["modifying"]), "available").0, Health::Unhealthy);
}

#[tokio::test]
async fn what_does_not_exist_or_may_not_be_read_stays_so() {
    let error =
        |code: &str| format!("<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>");
    for (status, code, permanent) in [
        ("404 Not Found", "DBInstanceNotFound", true),
        ("403 Forbidden", "AccessDenied", true),
        ("500 Internal Server Error", "InternalFailure", false),
    ] {
        let endpoint = endpoint(http(status, &error(code))).await;
        let sensor = RdsStatus::new(aws(Access::ReadOnly, &endpoint).await, Arc::new(Still { wakes: false }));
        let reading = sensor.read(&[query(json!({"instance": "checkout", "status": "available"}))]).await.remove(0);
        assert_eq!(reading.permanent, permanent, "{reading:?}");
    }
}

#[test]
fn pending_changes_are_told_and_count_if_the_plan_says_so() {
    let instance = DbInstance::builder()
        .db_instance_status("available")
        .pending_modified_values(
            PendingModifiedValues::builder().engine_version("16.4").multi_az(true).master_user_password("****").build(),
        )
        .db_parameter_groups(
            DbParameterGroupStatus::builder()
                .db_parameter_group_name("tuned")
                .parameter_apply_status("pending-reboot")
                .build(),
        )
        .option_group_memberships(OptionGroupMembership::builder().option_group_name("plain").status("in-sync").build())
        .build();
    let found = Found::instance(&instance);
    let pending =
        "; pending: engine version to 16.4, Multi-AZ to true, master password, parameter group tuned is pending-reboot";
    let ignored = decided(json!({"instance": "db", "status": "available"}), Some(&found));
    assert_eq!(ignored, (Health::Healthy, format!("db is available{pending}")));
    let counted = decided(json!({"instance": "db", "status": "available", "pending": "unhealthy"}), Some(&found));
    assert_eq!(
        counted,
        (Health::Unhealthy, format!("db is available, but has changes that did not take effect{pending}"))
    );
}

#[test]
fn nothing_is_pending_when_all_is_in_sync() {
    // RDS answers an empty element when nothing is pending.
    let instance = DbInstance::builder().pending_modified_values(PendingModifiedValues::builder().build()).build();
    assert_eq!(pending::of_instance(&instance), [""; 0]);
    assert_eq!(pending::of_cluster(&DbCluster::builder().build()), [""; 0]);
}

#[test]
fn a_cluster_is_its_instances_too() {
    let member = |name: &str, status: &str| {
        DbClusterMember::builder().db_instance_identifier(name).db_cluster_parameter_group_status(status).build()
    };
    let cluster = DbCluster::builder()
        .status("available")
        .pending_modified_values(ClusterPendingModifiedValues::builder().engine_version("8.0").build())
        .db_cluster_members(member("orders-1", "in-sync"))
        .db_cluster_members(member("orders-2", "pending-reboot"))
        .build();
    let spec = || json!({"cluster": "orders", "status": "available", "pending": "unhealthy"});
    let (health, evidence) = decided(spec(), Some(&Found::cluster(&cluster)));
    assert_eq!(health, Health::Unhealthy);
    assert!(
        evidence.ends_with("pending: engine version to 8.0, cluster parameter group on orders-2 is pending-reboot"),
        "{evidence}"
    );
    let bare = DbCluster::builder().status("available");
    assert_eq!(
        decided(spec(), Some(&Found::cluster(&bare.clone().build()))),
        (Health::Unhealthy, "orders is available, but the cluster has no instance".to_owned())
    );
    let serverless = bare.engine_mode("serverless").build();
    assert_eq!(decided(spec(), Some(&Found::cluster(&serverless))).0, Health::Healthy);
}

#[test]
fn permissions_are_for_the_database_alone() {
    let sensor = RdsStatus::new(crate::testing::nowhere(), Arc::new(Still { wakes: false }));
    let needed = |spec: Value| {
        let permission = sensor.permissions(&query(spec)).remove(0);
        (permission.action, permission.resource)
    };
    assert_eq!(
        needed(json!({"instance": "Checkout", "status": "available"})),
        ("rds:DescribeDBInstances".to_owned(), "arn:aws:rds:eu-west-1:*:db:checkout".to_owned())
    );
    assert_eq!(
        needed(json!({"cluster": "Orders", "status": "available"})),
        ("rds:DescribeDBClusters".to_owned(), "arn:aws:rds:eu-west-1:*:cluster:orders".to_owned())
    );
}

async fn read(answer: String, spec: Value) -> (Health, String) {
    let endpoint = endpoint(answer).await;
    let sensor = RdsStatus::new(aws(Access::ReadOnly, &endpoint).await, Arc::new(Still { wakes: false }));
    let reading = sensor.read(&[query(spec)]).await.remove(0);
    (reading.health, reading.evidence)
}

#[tokio::test]
async fn a_cluster_is_read_over_the_wire() {
    let answer = "<DescribeDBClustersResponse xmlns=\"http://rds.amazonaws.com/doc/2014-10-31/\">\
        <DescribeDBClustersResult><DBClusters><DBCluster><Status>available</Status><DBClusterMembers>\
        <DBClusterMember><DBInstanceIdentifier>orders-1</DBInstanceIdentifier>\
        <DBClusterParameterGroupStatus>pending-reboot</DBClusterParameterGroupStatus></DBClusterMember>\
        </DBClusterMembers></DBCluster></DBClusters></DescribeDBClustersResult></DescribeDBClustersResponse>";
    let (health, evidence) = read(http("200 OK", answer), json!({"cluster": "orders", "status": "available"})).await;
    assert_eq!(health, Health::Healthy, "{evidence}");
    assert_eq!(evidence, "orders is available; pending: cluster parameter group on orders-1 is pending-reboot");
}

#[tokio::test]
async fn a_cluster_that_is_not_there_is_unhealthy() {
    let answer = "<ErrorResponse xmlns=\"http://rds.amazonaws.com/doc/2014-10-31/\"><Error><Type>Sender</Type>\
        <Code>DBClusterNotFoundFault</Code><Message>no</Message></Error></ErrorResponse>";
    let spec = json!({"cluster": "orders", "status": "available"});
    let (health, evidence) = read(http("404 Not Found", answer), spec).await;
    assert_eq!((health, evidence.as_str()), (Health::Unhealthy, "there is no cluster orders in eu-west-1"));
}
