use std::net::TcpStream;

use belay_tests::{Emulator, Target, World, wait_until};
use serde_json::json;

#[test]
fn weights_move_and_all_else_stays() {
    let aws = Emulator::fakecloud();
    let options = ["--prefix", "pay", "--seed", "7", "--authenticate", "--stickiness", "300", "--extra-sets", "1"];
    let world = World::seed(aws.url(), &options);
    assert_eq!(world.dns_weights()["blue"], 100);
    let (records, listener, rule) = (world.records(), world.listener(), world.rule());
    world.set_weights(0, 100);
    assert_eq!((world.dns_weights()["blue"], world.dns_weights()["green"]), (0, 100));
    assert_eq!((world.listener_weights()["blue"], world.listener_weights()["green"]), (0, 100));
    assert_eq!((world.rule_weights()["blue"], world.rule_weights()["green"]), (0, 100));
    world.set_some_weights(100, 0, &["dns"]);
    assert_eq!(world.listener_weights()["green"], 100);
    world.set_some_weights(100, 0, &["listener", "rule"]);
    assert_eq!((world.records(), world.listener(), world.rule()), (records, listener, rule));
}

#[test]
fn worlds_of_different_seeds_differ_and_live_side_by_side() {
    let aws = Emulator::moto();
    let one = World::seed(aws.url(), &["--seed", "1"]);
    let two = World::seed(aws.url(), &["--seed", "2", "--alias", "--health-check"]);
    assert_ne!(one.text("/name"), two.text("/name"));
    two.set_weights(3, 7);
    assert_eq!((one.dns_weights()["blue"], two.dns_weights()["blue"]), (100, 3));
    assert_eq!((one.rule_weights()["green"], two.rule_weights()["green"]), (0, 7));
    assert!(one.json["alarms"]["composite"].is_null(), "moto has learned composite alarms: use them");
}

#[test]
fn targets_are_really_probed() {
    let aws = Emulator::fakecloud();
    let (blue, green) = (Target::start("blue"), Target::start("green"));
    green.set_healthy(false);
    let world = World::seed(aws.url(), &["--blue-target", &blue.address(), "--green-target", &green.address()]);
    wait_until("blue to be healthy", || (world.target_states("blue") == ["healthy"]).then_some(()));
    wait_until("green to be unhealthy", || (world.target_states("green") == ["unhealthy"]).then_some(()));
    // The weights steer real requests; a few leak to a weight of zero.
    assert!(world.traffic(20, "/")["blue"] >= 15);
    blue.set_healthy(false);
    wait_until("blue to be unhealthy", || (world.target_states("blue") == ["unhealthy"]).then_some(()));
    assert!(blue.received().iter().all(|request| ["GET /health\n", "GET /\n"].contains(&request.as_str())));
}

#[test]
fn alarms_keep_the_state_they_are_given() {
    let aws = Emulator::fakecloud();
    let world = World::seed(aws.url(), &[]);
    assert_eq!(world.set_alarm("/alarms/errors", "ALARM")["StateValue"], "ALARM");
    let composite = world.ask("read-alarm", &[world.text("/alarms/composite")]);
    assert_eq!(composite["StateValue"], "ALARM");
    assert_eq!(world.set_alarm("/alarms/errors", "OK")["StateValue"], "OK");
}

#[test]
fn rows_move_with_snapshot_restore_and_rename() {
    let aws = Emulator::fakecloud();
    let world = World::seed(aws.url(), &["--database", "--row", "one", "--row", "two"]);
    let (instance, snapshot) = (world.text("/database/instance"), world.text("/database/snapshot"));
    assert_eq!(world.write_rows(instance, "orders", &["lost"]), ["one", "two", "lost"]);

    let (restored, failed) = (format!("{instance}-restored"), format!("{instance}-failed"));
    let restore = json!({ "DBInstanceIdentifier": restored, "DBSnapshotIdentifier": snapshot });
    let answer = world.call("rds", "restore_db_instance_from_db_snapshot", &restore);
    assert_eq!(answer["DBInstance"]["DBInstanceStatus"], "creating", "{answer}");
    wait_until("the restored instance", || (world.database_status(&restored)? == "available").then_some(()));

    for (from, to) in [(instance, failed.as_str()), (restored.as_str(), instance)] {
        let rename = json!({ "DBInstanceIdentifier": from, "NewDBInstanceIdentifier": to, "ApplyImmediately": true });
        let answer = world.call("rds", "modify_db_instance", &rename);
        assert_eq!(answer["error"], json!(null), "{answer}");
        wait_until("the renamed instance", || (world.database_status(to)? == "available").then_some(()));
    }
    assert_eq!(world.rows(instance, "orders"), ["one", "two"]);
    assert_eq!(world.rows(&failed, "orders"), ["one", "two", "lost"]);

    // Nothing is left running.
    let port = world.databases()[0]["Endpoint"]["Port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    drop(aws);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}
