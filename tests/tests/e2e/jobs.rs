//! Jobs, and the ways back of a database that need no restore: what has to succeed is started once, whatever happens to the
//! answer, and a person decides where nobody can know.

use std::fs;
use std::path::Path;

use belay_tests::{Belay, Boto, Emulator, Finished, Kind, Process, Proxy, When, wait_until};
use serde_json::{Value, json};

use crate::database::{last_line, run_id};

/// A plan with one step. `step` is its body, indented by four.
fn plan(step: &str) -> String {
    format!(
        "belay: 1\nmigration: jobs\naws: {{ account: \"123456789012\", region: us-east-1 }}\nsteps:\n  back:\n{step}\n"
    )
}

/// Rolls back in the foreground, or goes on with a run that has halted.
fn roll_back(belay: &Belay, step: &str) -> Finished {
    let plan = belay.write("plan.yaml", &plan(step));
    belay.run(&["run", &plan, "--reason", "a test", "--json"])
}

#[track_caller]
fn assert_done(done: &Finished) -> Value {
    assert_eq!(done.code, 0, "{done}");
    last_line(done)["steps"]["back"].clone()
}

#[track_caller]
fn assert_halted(done: &Finished, why: &str) {
    assert_eq!(done.code, 4, "{done}");
    let told = last_line(done)["steps"]["back"]["why"].clone();
    assert!(told.as_str().is_some_and(|told| told.contains(why)), "{why} in {told}");
}

/// What boto3 says, which has to be an answer.
#[track_caller]
fn call(boto: &Boto, service: &str, method: &str, arguments: &Value) -> Value {
    let answer = boto.call(service, method, arguments);
    assert_eq!(answer["error"], Value::Null, "{method}: {answer}");
    answer
}

/// A daemon over `plan`, armed.
fn serve(belay: &mut Belay, step: &str) -> Process {
    let plan = belay.write("plan.yaml", &plan(step));
    belay.env("BELAY_LISTEN", "127.0.0.1:0");
    let mut daemon = belay.spawn(&["serve", "--plan", &plan]);
    let line = daemon.wait_for_stderr("listening on http://");
    let address = line.split("http://").nth(1).unwrap_or_default();
    let address: String = address.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
    belay.env("BELAY_URL", &format!("http://{address}"));
    daemon
}

#[track_caller]
fn tell(belay: &Belay, arguments: &[&str]) -> Finished {
    let done = belay.run(arguments);
    assert_eq!(done.code, 0, "{arguments:?}: {done}");
    done
}

fn wait_for_state(belay: &Belay, state: &str) {
    wait_until(&format!("the migration to be {state}"), || {
        let migration = belay.run(&["status", "--json"]).json();
        let found = migration["items"][0]["state"].as_str().or(migration["state"].as_str());
        (found == Some(state)).then_some(())
    });
}

fn read(file: &Path) -> Option<String> {
    fs::read_to_string(file).ok().filter(|text| text.ends_with('\n'))
}

fn is_gone(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    status.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
}

/// A program that says who it is and then waits until it is told to go on; each start leaves a line.
fn program(folder: &Path) -> (String, std::path::PathBuf, std::path::PathBuf) {
    let (started, go_on) = (folder.join("started"), folder.join("go-on"));
    let script = format!(
        "echo $$ >>{}; while ! [ -e {} ]; do sleep 0.05; done; echo try $BELAY_ATTEMPT of $BELAY_STEP; echo warned >&2",
        started.display(),
        go_on.display()
    );
    (format!("    action: command\n    with: {{ argv: [sh, -c, '{script}'] }}"), started, go_on)
}

#[test]
fn a_program_whose_outcome_nobody_knows_waits_for_a_person() {
    let aws = Emulator::moto();
    let mut belay = Belay::at(aws.url());
    let (step, started, go_on) = program(belay.folder());
    let daemon = serve(&mut belay, &step);
    tell(&belay, &["arm"]);
    tell(&belay, &["rollback", "--reason", "a test"]);
    let first = wait_until("the program to start", || read(&started));
    daemon.kill();

    // Killed like this, Belay can stop nothing, and learns nothing.
    let daemon = serve(&mut belay, &step);
    wait_for_state(&belay, "halted");
    let status = tell(&belay, &["status"]);
    assert!(status.stdout.contains("it is not known whether this took effect"), "{status}");
    fs::write(&go_on, "").unwrap();
    wait_until("the first program to end by itself", || is_gone(&first).then_some(()));
    assert_eq!(read(&started).unwrap().lines().count(), 1, "it was not started again");

    tell(&belay, &["retry", "back", "--reason", "it was looked at"]);
    wait_for_state(&belay, "rolled_back");
    assert_eq!(read(&started).unwrap().lines().count(), 2);
    let status = tell(&belay, &["status"]);
    assert!(status.stdout.contains("back says: try 2 of back stderr: warned"), "{status}");
    let stopped = daemon.terminate();
    assert_eq!(stopped.code, 0, "{stopped}");
}

#[test]
fn a_stop_ends_the_program_and_what_it_was_doing_is_not_known() {
    let aws = Emulator::moto();
    let mut belay = Belay::at(aws.url());
    let (step, started, go_on) = program(belay.folder());
    let daemon = serve(&mut belay, &step);
    tell(&belay, &["arm"]);
    tell(&belay, &["rollback", "--reason", "a test"]);
    let first = wait_until("the program to start", || read(&started));
    let stopped = daemon.terminate();
    assert_eq!(stopped.code, 0, "{stopped}");
    assert!(is_gone(&first));

    let daemon = serve(&mut belay, &step);
    wait_for_state(&belay, "halted");
    let status = tell(&belay, &["status"]);
    assert!(status.stdout.contains("because Belay was stopped"), "{status}");
    fs::write(&go_on, "").unwrap();
    tell(&belay, &["retry", "back", "--reason", "it was looked at"]);
    wait_for_state(&belay, "rolled_back");
    assert_eq!(read(&started).unwrap().lines().count(), 2);
    let stopped = daemon.terminate();
    assert_eq!(stopped.code, 0, "{stopped}");
}

#[test]
fn a_program_neither_reads_nor_shows_the_secrets_of_belay() {
    let aws = Emulator::moto();
    let mut belay = Belay::at(aws.url());
    belay.env("PAGER_TOKEN", "a-token-of-the-pager");
    let secret = belay.write("secret", "a-token-of-the-pager");
    let done = roll_back(
        &belay,
        &format!(
            "    action: command\n    with: {{ argv: [sh, -c, 'cat {secret}; echo \"${{PAGER_TOKEN:-none}}\"'] }}"
        ),
    );
    let step = assert_done(&done);
    assert_eq!(step["report"]["output"], "[PAGER_TOKEN masked]none", "{step}");
}

#[test]
fn an_abort_stops_the_program_and_so_does_the_end_of_its_time() {
    let aws = Emulator::moto();
    let mut belay = Belay::at(aws.url());
    let (step, started, _) = program(belay.folder());
    let daemon = serve(&mut belay, &step);
    tell(&belay, &["arm"]);
    tell(&belay, &["rollback", "--reason", "a test"]);
    let running = wait_until("the program to start", || read(&started));
    tell(&belay, &["abort", "--reason", "not like this"]);
    wait_for_state(&belay, "aborted");
    assert!(is_gone(&running));
    drop(daemon);

    let belay = Belay::at(aws.url());
    let (step, started, _) = program(belay.folder());
    let done = roll_back(&belay, &format!("{step}\n    timeout: 1s"));
    assert_halted(&done, "not settled within 1s");
    assert!(is_gone(&read(&started).unwrap()));
}

#[test]
fn an_execution_is_found_again_by_its_name() {
    let aws = Emulator::fakecloud();
    let boto = Boto::at(aws.url());
    let machine = |name: &str, state: Value| {
        let definition = json!({ "StartAt": "Only", "States": { "Only": state } }).to_string();
        let made = json!({ "name": name, "definition": definition, "roleArn": "arn:aws:iam::123456789012:role/fence" });
        call(&boto, "stepfunctions", "create_state_machine", &made)["stateMachineArn"].as_str().unwrap().to_owned()
    };
    let executions = |machine: &str| {
        let listed = call(&boto, "stepfunctions", "list_executions", &json!({ "stateMachineArn": machine }));
        let names = listed["executions"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };
    let step = |machine: &str| {
        format!(
            "    action: stepfunctions.execution\n    with: {{ state_machine: \"{machine}\", input: {{ queue: orders }} }}\n    retry: {{ backoff: 100ms..1s }}"
        )
    };

    let works = machine("works", json!({ "Type": "Pass", "End": true }));
    for kind in [Kind::LostAnswer, Kind::Throttle, Kind::Error500, Kind::Cut] {
        let before = executions(&works).len();
        let proxy = Proxy::to(aws.url());
        proxy.fault("states", "StartExecution", When::First(1), kind.clone());
        let belay = Belay::at(proxy.url());
        let done = roll_back(&belay, &step(&works));
        let back = assert_done(&done);
        assert_eq!(executions(&works).len(), before + 1, "{kind:?}: {done}");
        let output = back["report"]["output"].as_str().unwrap();
        assert!(output.contains("orders"), "{kind:?}: {back:#}");
        let logs = back["report"]["logs"].as_str().unwrap();
        assert!(logs.ends_with(&format!("belay-{}-back-1", run_id(&done))), "{logs}");
    }

    let fails = machine("fails", json!({ "Type": "Fail", "Error": "NoQueue", "Cause": "there is no such queue" }));
    let belay = Belay::at(aws.url());
    let done = roll_back(&belay, &step(&fails));
    assert_halted(&done, "NoQueue: there is no such queue");
    let run = run_id(&done);
    assert_eq!(executions(&fails), [format!("belay-{run}-back-1")]);
    // A person says once more: that is another execution.
    let done = roll_back(&belay, &step(&fails));
    assert_halted(&done, "NoQueue: there is no such queue");
    assert_eq!(executions(&fails), [format!("belay-{run}-back-1"), format!("belay-{run}-back-2")]);
}

#[test]
fn an_automation_is_followed_to_its_end() {
    let aws = Emulator::fakecloud();
    let boto = Boto::at(aws.url());
    let proxy = Proxy::to(aws.url());
    proxy.fault("ssm", "StartAutomationExecution", When::First(1), Kind::Throttle);
    let belay = Belay::at(proxy.url());
    let step = "    action: ssm.automation\n    with: { document: Shop-StopWriters, parameters: { Group: workers } }\n    retry: { backoff: 100ms..1s }";
    let file = belay.write("plan.yaml", &plan(step));
    let running = belay.spawn(&["run", &file, "--reason", "a test", "--json"]);
    let id = wait_until("the automation to run", || {
        let listed = call(&boto, "ssm", "describe_automation_executions", &json!({}));
        listed["AutomationExecutionMetadataList"][0]["AutomationExecutionId"].as_str().map(str::to_owned)
    });
    call(&boto, "ssm", "stop_automation_execution", &json!({ "AutomationExecutionId": id }));
    let done = running.wait();
    assert_halted(&done, "the automation is Cancelled");
    let receipt = &last_line(&done)["steps"]["back"]["changes"][0]["receipt"];
    assert_eq!(receipt["id"], id.as_str());
}

#[test]
fn a_cluster_is_wound_back_once_and_after_a_snapshot() {
    let aws = Emulator::fakecloud();
    let boto = Boto::at(aws.url());
    let made = json!({
        "DBClusterIdentifier": "shop", "Engine": "aurora-mysql", "MasterUsername": "belay",
        "MasterUserPassword": "not-a-secret", "BacktrackWindow": 86400,
    });
    call(&boto, "rds", "create_db_cluster", &made);
    wait_until("the cluster to be available", || {
        let found = call(&boto, "rds", "describe_db_clusters", &json!({}));
        (found["DBClusters"][0]["Status"] == "available").then_some(())
    });
    let proxy = Proxy::to(aws.url());
    let lost = ["CreateDBClusterSnapshot", "BacktrackDBCluster"]
        .map(|action| proxy.fault("rds", action, When::First(1), Kind::LostAnswer));
    let belay = Belay::at(proxy.url());
    // The window is a day; the cluster is young, which fakecloud does not mind.
    let to = jiff::Timestamp::now().round(jiff::Unit::Second).unwrap() - std::time::Duration::from_secs(60);
    let step = format!(
        "    action: rds.backtrack\n    with: {{ cluster: shop, time: \"{to}\" }}\n    loses_data: true\n    retry: {{ backoff: 100ms..1s }}"
    );
    let done = roll_back(&belay, &step);
    assert_done(&done);
    assert!(lost.iter().all(|rule| rule.hits() == 1));
    let backtracks = call(&boto, "rds", "describe_db_cluster_backtracks", &json!({ "DBClusterIdentifier": "shop" }));
    assert_eq!(backtracks["DBClusterBacktracks"].as_array().map(Vec::len), Some(1), "{backtracks:#}");
    let snapshots = call(&boto, "rds", "describe_db_cluster_snapshots", &json!({}));
    let names: Vec<&Value> = snapshots["DBClusterSnapshots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["DBClusterSnapshotIdentifier"])
        .collect();
    assert_eq!(names, [&json!(format!("shop-before-{}", run_id(&done)))]);
}

#[test]
fn the_former_writer_writes_again() {
    let aws = Emulator::moto();
    let boto = Boto::at(aws.url());
    let cluster = json!({
        "DBClusterIdentifier": "shop", "Engine": "aurora-postgresql", "MasterUsername": "belay",
        "MasterUserPassword": "not-a-secret",
    });
    call(&boto, "rds", "create_db_cluster", &cluster);
    for name in ["shop-1", "shop-2"] {
        let member = json!({
            "DBInstanceIdentifier": name, "DBClusterIdentifier": "shop", "Engine": "aurora-postgresql",
            "DBInstanceClass": "db.r6g.large",
        });
        call(&boto, "rds", "create_db_instance", &member);
    }
    let writer = || {
        let found = call(&boto, "rds", "describe_db_clusters", &json!({ "DBClusterIdentifier": "shop" }));
        let members = found["DBClusters"][0]["DBClusterMembers"].as_array().unwrap().clone();
        members.iter().find(|one| one["IsClusterWriter"] == true).unwrap()["DBInstanceIdentifier"].clone()
    };
    let before = writer();
    let other = if before == "shop-1" { "shop-2" } else { "shop-1" };
    let proxy = Proxy::to(aws.url());
    let belay = Belay::at(proxy.url());
    let step = "    action: rds.failover\n    with: { cluster: shop }\n    retry: { backoff: 100ms..1s }";
    let file = belay.write("plan.yaml", &plan(step));
    tell(&belay, &["capture", &file, "-o", "baseline.json"]);
    let over = json!({ "DBClusterIdentifier": "shop", "TargetDBInstanceIdentifier": other });
    call(&boto, "rds", "failover_db_cluster", &over);
    assert_eq!(writer(), other);
    let lost = proxy.fault("rds", "FailoverDBCluster", When::First(1), Kind::LostAnswer);
    let run = ["run", &file, "--reason", "a test", "--json", "--baseline", "baseline.json"];
    assert_done(&belay.run(&run));
    assert_eq!((writer(), lost.hits()), (before, 1));
    assert_eq!(proxy.mutating_calls().len(), 1);
}

#[test]
fn the_old_blue_is_production_again() {
    let aws = Emulator::moto();
    let boto = Boto::at(aws.url());
    let blue = json!({
        "DBInstanceIdentifier": "shop", "Engine": "mysql", "DBInstanceClass": "db.m6g.large", "AllocatedStorage": 20,
        "MasterUsername": "belay", "MasterUserPassword": "not-a-secret", "BackupRetentionPeriod": 1,
    });
    let made = call(&boto, "rds", "create_db_instance", &blue);
    let source = made["DBInstance"]["DBInstanceArn"].clone();
    let deployment = json!({ "BlueGreenDeploymentName": "upgrade", "Source": source });
    let made = call(&boto, "rds", "create_blue_green_deployment", &deployment);
    let deployment = json!({
        "BlueGreenDeploymentIdentifier": made["BlueGreenDeployment"]["BlueGreenDeploymentIdentifier"],
    });
    let names = || {
        let found = call(&boto, "rds", "describe_db_instances", &json!({}));
        let listed = found["DBInstances"].as_array().unwrap().iter();
        let mut names: Vec<String> =
            listed.map(|one| one["DBInstanceIdentifier"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let proxy = Proxy::to(aws.url());
    let belay = Belay::at(proxy.url());
    let step = "    action: rds.switch_back\n    with: { instance: shop }\n    loses_data: true\n    retry: { backoff: 100ms..1s }";

    let unchanged = assert_done(&roll_back(&belay, step));
    assert_eq!(unchanged["phase"], "unchanged");
    call(&boto, "rds", "switchover_blue_green_deployment", &deployment);
    assert_eq!(names(), ["shop", "shop-old1"]);
    assert_halted(&roll_back(&belay, step), "delete-blue-green-deployment");
    assert!(proxy.mutating_calls().is_empty());

    call(&boto, "rds", "delete_blue_green_deployment", &deployment);
    let lost = proxy.fault("rds", "ModifyDBInstance", When::First(2), Kind::LostAnswer);
    let done = roll_back(&belay, step);
    assert_done(&done);
    assert_eq!(names(), ["shop".to_owned(), format!("shop-failed-{}", run_id(&done))]);
    assert_eq!((lost.hits(), proxy.mutating_calls().len()), (2, 2));
}
