//! PostgreSQL.

use super::*;

fn url(server: &DataServer) -> Secret {
    Secret::new(&format!("postgres://belay:s3cret@127.0.0.1:{}/postgres\n", server.port()))
}

fn shop() -> DataServer {
    let server = DataServer::start(&["postgres"]).unwrap();
    server.sql(
        "create table orders (id int, customer int); insert into orders select n, n from generate_series(1, 1000) n",
    );
    server.sql("create type colour as enum ('red'); grant select, insert, update, delete on orders to belay");
    server
}

#[test]
fn a_number_is_compared_whatever_its_type() {
    let (server, watcher) = (shop(), Watcher::new());
    let url = url(&server);
    let place = format!("127.0.0.1:{}/postgres", server.port());
    let reading = watcher.read(sql(&url, "select count(*) from orders", "== 1000"));
    assert_reads(&reading, Health::Healthy, &format!("the query's value at {place} is 1000, which is == 1000"));
    let reading = watcher.read(sql(&url, "select count(*) from orders where customer is null", "> 0"));
    assert_reads(&reading, Health::Unhealthy, "is 0, which is not > 0");
    for (query, healthy) in [
        ("select 1.50::numeric(10,2)", "== 1.5"),
        ("select sum(id) / 3.0 from orders", "> 166833.3"),
        ("select 0.1::float4", "< 0.2"),
        ("select 1::smallint", "== 1"),
        ("select true", "== 1"),
        ("select ' 42 '::text", "== 42"),
        ("select '7'", "== 7"),
        ("select extract(epoch from interval '2 minutes')", "== 120"),
        ("select -12345678901234567890.5::numeric", "< 0"),
        ("show max_connections", "> 1"),
        ("table orders limit 1", "== 1"),
        ("select * from orders order by id limit 1;", "== 1"),
    ] {
        let mut spec = sql(&url, query, healthy);
        if query.contains("orders") && !query.contains("sum") {
            spec["sql"]["column"] = json!("ID");
        }
        assert_reads(&watcher.read(spec), Health::Healthy, "which is");
    }
}

#[test]
fn what_is_not_one_number_is_unknown_with_the_reason() {
    let (server, watcher) = (shop(), Watcher::new());
    let url = url(&server);
    for (query, why) in [
        ("select 'many'", "yields \"many\", which is no number"),
        ("select null::int", "yields NULL"),
        ("select 'NaN'::numeric", "no number"),
        ("select 'infinity'::float8", "no number"),
        ("select id from orders where id < 0", "yields no row"),
        ("select id from orders", "yields several rows"),
        ("select now()", "yields a timestamptz, which is no number"),
        ("select 'red'::colour", "the enum"),
        ("select id, customer from orders limit 1", "yields 2 columns, and one is needed"),
        ("select $1::int", "placeholders"),
        ("select 1; select 2", "cannot insert multiple commands"),
        ("select 1; drop table orders", "cannot insert multiple commands"),
        ("selekt 1", "syntax error"),
        ("select count(*) from nothing", "relation \"nothing\" does not exist"),
        ("copy orders to program 'touch /tmp/x'", "yields no value"),
        ("set transaction read write", "yields no value"),
        ("commit", "yields no value"),
        ("select repeat('x', 5000000)", "the answer has more than 1024 KiB"),
    ] {
        let reading = watcher.read(sql(&url, query, "== 0"));
        assert_reads(&reading, Health::Unknown, why);
        assert!(!reading.unreadable, "{}", reading.evidence);
    }
}

#[test]
fn a_query_that_writes_is_refused_by_the_session() {
    let (server, watcher) = (shop(), Watcher::new());
    let url = url(&server);
    for query in [
        "delete from orders",
        "insert into orders values (1, 1) returning id",
        "update orders set id = 0",
        "with gone as (delete from orders returning id) select count(*) from gone",
        "select id from orders where id = 1 for update",
        "create table more (id int)",
        "drop table orders",
    ] {
        let reading = watcher.read(sql(&url, query, "== 0"));
        assert_reads(&reading, Health::Unknown, "read-only transaction");
    }
    assert_eq!(server.sql("select count(*) from orders"), "1000");
    assert_reads(&watcher.read(sql(&url, "select count(*) from orders", "== 1000")), Health::Healthy, "1000");
}

fn sessions(server: &DataServer) -> String {
    server.sql("select count(*) from pg_stat_activity where usename = 'belay'")
}

#[test]
fn a_query_that_takes_long_ends_and_one_connection_serves_all_signals() {
    let (server, watcher) = (shop(), Watcher::new());
    let url = url(&server);
    let mut slow = sql(&url, "select 1 from pg_sleep(60)", "== 0");
    slow["sql"]["timeout"] = json!("2s");
    assert_reads(&watcher.read(slow), Health::Unknown, "took too long");
    // Not one query of the server is left behind, and its connection goes on.
    let specs: Vec<Value> = (0..20).map(|number| sql(&url, &format!("select {number}"), "< 20")).collect();
    for reading in watcher.read_all(&specs) {
        assert_reads(&reading, Health::Healthy, "which is < 20");
    }
    assert_eq!(sessions(&server), "1");
    assert_eq!(
        server.sql("select count(*) from pg_stat_activity where state ~ 'transaction' and usename = 'belay'"),
        "0"
    );
}

#[test]
fn a_lost_connection_is_replaced_and_a_server_that_hangs_or_is_away_is_unknown() {
    let (server, watcher) = (shop(), Watcher::new());
    let url = url(&server);
    let spec = || sql(&url, "select 1", "== 1");
    assert_eq!(watcher.read(spec()).health, Health::Healthy);
    server.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'belay'");
    wait_until("the session to end", || (sessions(&server) == "0").then_some(()));
    assert_eq!(watcher.read(spec()).health, Health::Healthy);

    // Nothing is accepted any more: a new session waits in vain.
    server.signal(belay_tests::Signal::STOP);
    let mut hung = spec();
    hung["sql"]["timeout"] = json!("500ms");
    assert_reads(&Watcher::new().read(hung), Health::Unknown, "did not answer within 500ms");
    server.signal(belay_tests::Signal::CONT);
    assert_eq!(watcher.read(spec()).health, Health::Healthy);

    server.sql("alter user belay password 'another'");
    drop(watcher);
    let watcher = Watcher::new();
    let reading = watcher.read(spec());
    assert_reads(&reading, Health::Unknown, "the server refuses the session: password authentication failed");
    assert!(reading.unreadable);

    drop(server);
    let reading = watcher.read(spec());
    assert_reads(&reading, Health::Unknown, "refused");
    assert!(!reading.unreadable, "it may come back: {}", reading.evidence);
}

#[test]
fn two_databases_are_compared() {
    let (old, new, watcher) = (shop(), shop(), Watcher::new());
    let (old_url, new_url) = (url(&old), url(&new));
    let count = |query: &str, healthy: &str| {
        let sides =
            json!({ "left": old_url.reference(), "right": new_url.reference(), "query": query, "timeout": "5s" });
        watcher.read(json!({ "sql_difference": sides, "healthy": healthy }))
    };
    let rows = "select count(*) from orders";
    assert_reads(&count(rows, "== 0"), Health::Healthy, "differ by 0 (0.000%), which is == 0");
    new.sql("delete from orders where id = 7");
    assert_reads(&count(rows, "<= 0.1%"), Health::Healthy, "differ by 1 (0.100%), which is <= 0.1%");
    assert_reads(&count(rows, "< 0.1%"), Health::Unhealthy, "which is not < 0.1%");
    assert_reads(&count(rows, "== 0"), Health::Unhealthy, "1000 at 127.0.0.1");
    // A checksum of all rows that fits into no f64.
    let sum = "select sum(('x' || substr(md5(o::text), 1, 15))::bit(60)::bigint) from orders o";
    new.sql("insert into orders values (7, 7)");
    assert_reads(&count(sum, "== 0"), Health::Healthy, "differ by 0");
    new.sql("update orders set customer = 8 where id = 7");
    assert_reads(&count(sum, "== 0"), Health::Unhealthy, "differ by");
    new.sql("drop table orders");
    assert_reads(&count(rows, "== 0"), Health::Unknown, "right: ");
}

#[test]
fn a_connection_that_nothing_reads_through_is_closed() {
    let server = shop();
    let watcher = Watcher::with_pace(10);
    let url = url(&server);
    let mut spec = sql(&url, "select 1", "== 1");
    spec["sql"]["timeout"] = json!("10s");
    for _ in 0..2 {
        wait_until("an answer", || (watcher.read(spec.clone()).health == Health::Healthy).then_some(()));
        wait_until("the idle session to end", || (sessions(&server) == "0").then_some(()));
    }
}
