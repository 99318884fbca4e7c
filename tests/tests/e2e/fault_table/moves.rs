//! What the scenarios without a restore are made of.

use belay_tests::{World, wait_until};
use serde_json::{Value, json};

#[track_caller]
fn call(world: &World, service: &str, method: &str, arguments: &Value) -> Value {
    let answer = world.call(service, method, arguments);
    assert_eq!(answer["error"], Value::Null, "{method}: {answer}");
    answer
}

/// A cluster whose first member wrote, and whose second does.
pub(super) fn make_cluster(world: &World, name: &str) {
    let made = json!({
        "DBClusterIdentifier": name, "Engine": "aurora-postgresql", "MasterUsername": "belay",
        "MasterUserPassword": "a-password",
    });
    call(world, "rds", "create_db_cluster", &made);
    for member in [1, 2] {
        let made = json!({
            "DBInstanceIdentifier": format!("{name}-{member}"), "DBClusterIdentifier": name,
            "Engine": "aurora-postgresql", "DBInstanceClass": "db.r6g.large",
        });
        call(world, "rds", "create_db_instance", &made);
    }
    let second = json!({ "DBClusterIdentifier": name, "TargetDBInstanceIdentifier": format!("{name}-2") });
    call(world, "rds", "failover_db_cluster", &second);
}

/// A snapshot of a cluster.
pub(super) fn take_snapshot(world: &World, cluster: &str) {
    let made = json!({ "DBClusterIdentifier": cluster, "DBClusterSnapshotIdentifier": format!("{cluster}-snapshot") });
    call(world, "rds", "create_db_cluster_snapshot", &made);
}

/// The restored cluster and its members have their names, and the replaced ones are kept.
pub(super) fn is_restored(world: &World, cluster: &str) -> bool {
    let find = |method: &str, key: &str, list: &str, name: &str| -> Value {
        world.call("rds", method, &json!({ key: name }))[list][0].clone()
    };
    let cluster_of = |name: &str| find("describe_db_clusters", "DBClusterIdentifier", "DBClusters", name);
    let instance_of = |name: &str| find("describe_db_instances", "DBInstanceIdentifier", "DBInstances", name);
    let swapped = |find: &dyn Fn(&str) -> Value, name: &str| {
        let now = find(name);
        let mut tags = now["TagList"].as_array().into_iter().flatten();
        let run =
            tags.find(|tag| tag["Key"] == "belay:run").and_then(|tag| tag["Value"].as_str().map(ToOwned::to_owned));
        run.is_some_and(|run| !find(&format!("{name}-failed-{run}")).is_null())
    };
    let members = [1, 2].map(|member| format!("{cluster}-{member}"));
    swapped(&cluster_of, cluster) && members.iter().all(|member| swapped(&instance_of, member))
}

pub(super) fn writer(world: &World, cluster: &str) -> String {
    let found = call(world, "rds", "describe_db_clusters", &json!({ "DBClusterIdentifier": cluster }));
    let members = found["DBClusters"][0]["DBClusterMembers"].as_array().into_iter().flatten();
    let mut writers = members.filter(|member| member["IsClusterWriter"] == true);
    writers.next().and_then(|one| one["DBInstanceIdentifier"].as_str()).unwrap_or_default().to_owned()
}

/// An instance that was switched over, and the record of it deleted.
pub(super) fn switch_over(world: &World, name: &str) {
    let made = json!({
        "DBInstanceIdentifier": name, "Engine": "mysql", "DBInstanceClass": "db.m6g.large", "AllocatedStorage": 20,
        "MasterUsername": "belay", "MasterUserPassword": "a-password", "BackupRetentionPeriod": 1,
    });
    let made = call(world, "rds", "create_db_instance", &made);
    let deployment = json!({ "BlueGreenDeploymentName": name, "Source": made["DBInstance"]["DBInstanceArn"] });
    let made = call(world, "rds", "create_blue_green_deployment", &deployment);
    let id = &made["BlueGreenDeployment"]["BlueGreenDeploymentIdentifier"];
    for method in ["switchover_blue_green_deployment", "delete_blue_green_deployment"] {
        call(world, "rds", method, &json!({ "BlueGreenDeploymentIdentifier": id }));
    }
}

pub(super) fn is_blue(world: &World, name: &str) -> bool {
    let databases = world.databases();
    let names: Vec<&str> =
        databases.as_array().into_iter().flatten().filter_map(|found| found["DBInstanceIdentifier"].as_str()).collect();
    let failed = names.iter().any(|found| found.starts_with(&format!("{name}-failed-")));
    failed && names.contains(&name) && !names.contains(&format!("{name}-old1").as_str())
}

/// A cluster with a backtrack window; the time that it can go back to.
pub(super) fn make_backtrackable(world: &World, name: &str) -> String {
    let made = json!({
        "DBClusterIdentifier": name, "Engine": "aurora-mysql", "MasterUsername": "belay",
        "MasterUserPassword": "a-password", "BacktrackWindow": 86_400,
    });
    call(world, "rds", "create_db_cluster", &made);
    wait_until(&format!("{name} to be available"), || {
        let found = call(world, "rds", "describe_db_clusters", &json!({ "DBClusterIdentifier": name }));
        (found["DBClusters"][0]["Status"] == "available").then_some(())
    });
    // fakecloud does not mind that the cluster is younger.
    let to = jiff::Timestamp::now() - std::time::Duration::from_secs(60);
    format!("{to:.0}")
}

pub(super) fn is_wound_back(world: &World, cluster: &str) -> bool {
    let of = json!({ "DBClusterIdentifier": cluster });
    let backtracks = call(world, "rds", "describe_db_cluster_backtracks", &of);
    let snapshots = call(world, "rds", "describe_db_cluster_snapshots", &of);
    let count = |list: &Value| list.as_array().map(Vec::len);
    (count(&backtracks["DBClusterBacktracks"]), count(&snapshots["DBClusterSnapshots"])) == (Some(1), Some(1))
}

/// A state machine that does nothing, and succeeds.
pub(super) fn make_machine(world: &World, name: &str) -> String {
    let definition = json!({ "StartAt": "Only", "States": { "Only": { "Type": "Pass", "End": true } } }).to_string();
    let made = json!({ "name": name, "definition": definition, "roleArn": "arn:aws:iam::123456789012:role/fence" });
    call(world, "stepfunctions", "create_state_machine", &made)["stateMachineArn"].as_str().unwrap().to_owned()
}

pub(super) fn has_run_once(world: &World, machine: &str) -> bool {
    let machines = call(world, "stepfunctions", "list_state_machines", &json!({}));
    let machines = machines["stateMachines"].as_array().into_iter().flatten();
    let arn = machines.filter(|found| found["name"] == machine).map(|found| found["stateMachineArn"].clone()).next();
    let executions = call(world, "stepfunctions", "list_executions", &json!({ "stateMachineArn": arn }));
    let statuses: Vec<&Value> =
        executions["executions"].as_array().into_iter().flatten().map(|found| &found["status"]).collect();
    statuses == ["SUCCEEDED"]
}
