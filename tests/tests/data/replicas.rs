//! Pairs of a source and its replica: lag, and rows on both sides.

use super::*;

#[test]
fn a_replica_of_postgres_lags_and_catches_up() {
    let source = DataServer::start(&["postgres"]).unwrap();
    source.sql("create table orders (id int); grant select on orders to belay; insert into orders values (1)");
    let replica = DataServer::start(&["postgres", "--replica-of", &source.port().to_string()]).unwrap();
    let watcher = Watcher::new();
    let url =
        |server: &DataServer| Secret::new(&format!("postgres://belay:s3cret@127.0.0.1:{}/postgres", server.port()));
    let (left, right) = (url(&source), url(&replica));
    let sides = json!({ "left": left.reference(), "right": right.reference(),
        "query": "select count(*) from orders", "timeout": "5s" });
    let rows = json!({ "sql_difference": sides, "healthy": "== 0" });
    let lag = sql(&right, "select pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())", "== 0");
    let becomes = |what: &str, spec: &Value, health: Health| {
        wait_until(what, || (watcher.read(spec.clone()).health == health).then_some(()));
    };
    becomes("the rows to be equal", &rows, Health::Healthy);
    becomes("the replica to have caught up", &lag, Health::Healthy);
    replica.sql("select pg_wal_replay_pause()");
    source.sql("insert into orders select generate_series(2, 500)");
    becomes("the replica to lag", &lag, Health::Unhealthy);
    becomes("the rows to differ", &rows, Health::Unhealthy);
    replica.sql("select pg_wal_replay_resume()");
    becomes("the replica to have caught up again", &lag, Health::Healthy);
    becomes("the rows to be equal again", &rows, Health::Healthy);
}

#[test]
fn a_replica_of_mariadb_tells_how_far_behind_it_is() {
    let Some(source) = mariadb::shop() else { return };
    let replica = DataServer::start(&["mariadb", "--replica-of", &source.port().to_string()]).unwrap();
    let watcher = Watcher::new();
    let url = |server: &DataServer| Secret::new(&format!("mysql://belay:s3cret@127.0.0.1:{}/shop", server.port()));
    let (left, right) = (url(&source), url(&replica));
    let mut behind = sql(&right, "show replica status", "== 0");
    behind["sql"]["column"] = json!("Seconds_Behind_Master");
    let sides = json!({ "left": left.reference(), "right": { "url": right.reference() },
        "query": "select sum(crc32(concat_ws(',', id, customer))) from orders", "timeout": "5s" });
    let rows = json!({ "sql_difference": sides, "healthy": "== 0" });
    wait_until("the replica to have caught up", || {
        (watcher.read(behind.clone()).health == Health::Healthy).then_some(())
    });
    wait_until("the checksums to be equal", || (watcher.read(rows.clone()).health == Health::Healthy).then_some(()));
    replica.sql("stop slave sql_thread");
    source.sql("update shop.orders set customer = 0 where id = 7");
    assert_reads(&watcher.read(rows.clone()), Health::Unhealthy, "differ by");
    assert_reads(&watcher.read(behind.clone()), Health::Unknown, "yields NULL");
    replica.sql("start slave sql_thread");
    wait_until("the checksums to be equal again", || {
        (watcher.read(rows.clone()).health == Health::Healthy).then_some(())
    });
    assert_eq!(watcher.read(behind.clone()).health, Health::Healthy);

    behind["sql"]["url"] = json!(left.reference());
    assert_reads(&watcher.read(behind.clone()), Health::Unknown, "yields no row");
    // As MySQL calls it.
    behind["sql"]["column"] = json!("Seconds_Behind_Source");
    assert_reads(&watcher.read(behind), Health::Unknown, "did you mean `Seconds_Behind_Master`?");
}
