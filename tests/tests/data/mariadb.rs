//! MariaDB, over the protocol of MySQL.

use super::*;

fn url(server: &DataServer) -> Secret {
    Secret::new(&format!("mysql://belay:s3cret@127.0.0.1:{}/shop", server.port()))
}

/// None: this machine has no MariaDB.
pub(crate) fn shop() -> Option<DataServer> {
    let server = DataServer::start(&["mariadb"])?;
    server.sql("create table shop.orders (id int, customer int, price decimal(10,2), flags bit(3))");
    server.sql("insert into shop.orders select seq, seq, 1.25, 5 from shop.seq_1_to_1000");
    server.sql("grant insert, update, delete, create, drop on shop.* to belay@'%'");
    Some(server)
}

#[test]
fn a_number_is_compared_whatever_its_type() {
    let Some(server) = shop() else { return };
    let watcher = Watcher::new();
    let url = url(&server);
    for (query, healthy) in [
        ("select count(*) from orders", "== 1000"),
        ("select sum(price) from orders", "== 1250.00"),
        ("select avg(id) from orders", "== 500.5"),
        ("select 1e0 / 3", "< 0.34"),
        ("select ' 42 '", "== 42"),
        ("select 18446744073709551615", "> 1e19"),
        ("select 9007199254740993", "!= 9007199254740992"),
        ("select 9007199254740993.50", "== 9007199254740993.5"),
        ("select true", "== 1"),
        ("select id from orders where id = 3;", "== 3"),
    ] {
        assert_reads(&watcher.read(sql(&url, query, healthy)), Health::Healthy, "which is");
    }
    let mut status = sql(&url, "show global status like 'uptime'", ">= 0");
    status["sql"]["column"] = json!("value");
    assert_reads(&watcher.read(status), Health::Healthy, "value at");
}

#[test]
fn what_is_not_one_number_is_unknown_with_the_reason() {
    let Some(server) = shop() else { return };
    let watcher = Watcher::new();
    let url = url(&server);
    for (query, why) in [
        ("select 'many'", "yields \"many\", which is no number"),
        ("select null", "yields NULL"),
        ("select id from orders where id < 0", "yields no row"),
        ("select id from orders", "yields several rows"),
        ("select id from orders limit 100", "yields several rows"),
        ("select now()", "which is no number"),
        ("select flags from orders limit 1", "yields a bit, which is no number"),
        ("select id, customer from orders limit 1", "yields 2 columns, and one is needed"),
        ("select ? + 1", "placeholders"),
        ("select 1; drop table orders", "syntax"),
        ("selekt 1", "syntax"),
        ("select count(*) from nothing", "doesn't exist"),
        ("commit", "yields no value"),
        ("call anything()", "yields no value"),
        ("select repeat('x', 5000000)", "more than 1024 KiB"),
    ] {
        let reading = watcher.read(sql(&url, query, "== 0"));
        assert_reads(&reading, Health::Unknown, why);
        assert!(!reading.unreadable, "{}", reading.evidence);
    }
}

#[test]
fn a_query_that_writes_is_refused_by_the_session() {
    let Some(server) = shop() else { return };
    let watcher = Watcher::new();
    let url = url(&server);
    for query in [
        "delete from orders",
        "insert into orders (id) values (1) returning id",
        "update orders set id = 0",
        "create table more (id int)",
        "drop table orders",
        "truncate orders",
    ] {
        assert_reads(&watcher.read(sql(&url, query, "== 0")), Health::Unknown, "READ ONLY transaction");
    }
    assert_eq!(server.sql("select count(*) from shop.orders"), "1000");
    assert_reads(&watcher.read(sql(&url, "select count(*) from orders", "== 1000")), Health::Healthy, "1000");
}

/// A read-only transaction does not hold it back, so it is not run. The user may write files of the server's host.
#[test]
fn a_query_that_writes_a_file_is_not_run() {
    let Some(server) = shop() else { return };
    server.sql("grant file on *.* to belay@'%'");
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let file = folder.path().join("leak");
    let shown = file.display();
    let watcher = Watcher::new();
    let url = url(&server);
    for query in [
        format!("select 1 into outfile '{shown}'"),
        format!("(select 1) union (select 2) into dumpfile '{shown}'"),
        format!("with a as (select 1) select * from a into outfile '{shown}'"),
        format!("select /* c */ 1 from orders limit 1 into outfile '{shown}'"),
    ] {
        let reading = watcher.read(sql(&url, &query, "< 1e12"));
        assert_reads(&reading, Health::Unknown, "was not run");
        assert!(!file.exists(), "{query} has written: {}", reading.evidence);
    }
    assert_reads(&watcher.read(sql(&url, "select count(*) from orders", "== 1000")), Health::Healthy, "1000");
}

fn sessions(server: &DataServer) -> String {
    server.sql("select count(*) from information_schema.processlist where user = 'belay'")
}

#[test]
fn a_query_that_takes_long_ends_and_one_connection_serves_all_signals() {
    let Some(server) = shop() else { return };
    let watcher = Watcher::new();
    let url = url(&server);
    let mut slow = sql(&url, "select count(*) from orders a, orders b, orders c, orders d", "== 0");
    slow["sql"]["timeout"] = json!("2s");
    assert_reads(&watcher.read(slow), Health::Unknown, "took too long");
    let specs: Vec<Value> = (0..20).map(|number| sql(&url, &format!("select {number}"), "< 20")).collect();
    for reading in watcher.read_all(&specs) {
        assert_reads(&reading, Health::Healthy, "which is < 20");
    }
    assert_eq!(sessions(&server), "1");
}

#[test]
fn a_lost_connection_is_replaced_and_a_server_that_hangs_or_is_away_is_unknown() {
    let Some(server) = shop() else { return };
    let watcher = Watcher::new();
    let url = url(&server);
    let spec = || sql(&url, "select 1", "== 1");
    assert_eq!(watcher.read(spec()).health, Health::Healthy);
    server.sql("kill user belay");
    wait_until("the session to end", || (sessions(&server) == "0").then_some(()));
    assert_eq!(watcher.read(spec()).health, Health::Healthy);

    server.signal(belay_tests::Signal::STOP);
    let mut hung = spec();
    hung["sql"]["timeout"] = json!("500ms");
    assert_reads(&watcher.read(hung.clone()), Health::Unknown, "did not answer within 500ms");
    assert_reads(&watcher.read(hung), Health::Unknown, "did not answer within 500ms");
    server.signal(belay_tests::Signal::CONT);
    assert_eq!(watcher.read(spec()).health, Health::Healthy);

    server.sql("set password for belay@'%' = password('another')");
    let reading = Watcher::new().read(spec());
    assert_reads(&reading, Health::Unknown, "the server refuses the session: Access denied for user 'belay'");
    assert!(reading.unreadable);

    drop(server);
    let reading = Watcher::new().read(spec());
    assert_reads(&reading, Health::Unknown, "refused");
    assert!(!reading.unreadable, "it may come back: {}", reading.evidence);
}

#[test]
fn a_connection_that_nothing_reads_through_is_closed() {
    let Some(server) = shop() else { return };
    let watcher = Watcher::with_pace(10);
    let url = url(&server);
    let mut spec = sql(&url, "select 1", "== 1");
    spec["sql"]["timeout"] = json!("10s");
    for _ in 0..2 {
        wait_until("an answer", || (watcher.read(spec.clone()).health == Health::Healthy).then_some(()));
        wait_until("the idle session to end", || (sessions(&server) == "0").then_some(()));
    }
}

#[test]
fn signals_that_wait_too_long_for_each_other_say_so() {
    let Some(server) = shop() else { return };
    let (url, watcher) = (url(&server), Watcher::new());
    let mut slow = sql(&url, "select sleep(1.5)", "== 0");
    slow["sql"]["timeout"] = json!("2s");
    let evidence: Vec<String> =
        watcher.read_all(&[slow.clone(), slow.clone(), slow]).into_iter().map(|read| read.evidence).collect();
    assert!(evidence[0].contains("is 0, which is == 0"), "{evidence:?}");
    assert!(
        evidence[2].contains("did not answer within 2s: for ") && evidence[2].contains("other signals asked it"),
        "{evidence:?}"
    );
}
