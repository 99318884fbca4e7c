//! The binary reads them in a dry run.

use belay_tests::Belay;

use super::*;

const PLAN: &str = r#"
belay: 1
migration: orders
signals:
  orphans: { sql: { url: "file:$url", query: "select count(*) from orders where customer is null" }, healthy: "== 0" }
  writes: { sql: { url: "file:$url", query: "delete from orders" }, healthy: "== 0" }
steps:
  by_hand: { action: manual, with: { instructions: Do it. }, require: [orphans, writes] }
"#;

#[test]
fn a_dry_run_reads_databases_that_are_listed_for_it_and_no_others() {
    let server = DataServer::start(&["postgres"]).unwrap();
    server.sql(
        "create table orders (customer int); grant select, delete on orders to belay; insert into orders values (1)",
    );
    let mut belay = Belay::at("http://127.0.0.1:1");
    let url = belay.write("url", &format!("postgres://belay:s3cret@127.0.0.1:{}/postgres", server.port()));
    let plan = belay.write("plan.yaml", PLAN.replace("$url", &url).trim_start());
    let done = belay.run(&["validate", &plan]);
    assert!(done.code == 0 && done.to_string().contains("`delete` writes"), "{done}");
    let dry_run = |belay: &Belay| {
        let done = belay.run(&["dry-run", "--json", &plan]);
        assert!(!done.to_string().contains("s3cret"), "{done}");
        done.stdout
    };
    let shown = dry_run(&belay);
    assert!(shown.contains("signal orphans opens the database of file:"), "{shown}");
    assert!(shown.contains("only what is listed is permitted"), "{shown}");
    for (host, orphans, writes) in [
        ("db.example.com", "to 127.0.0.1, and without a person's word only what is listed", "only what is listed"),
        ("127.0.0.1", "is 0, which is == 0", "read-only transaction"),
    ] {
        let config = format!("secrets:\n  - {{ secret: \"file:{url}\", hosts: [{host}] }}\n");
        let config = belay.write("belay.yaml", &config);
        belay.env("BELAY_CONFIG", &config);
        let shown = dry_run(&belay);
        assert!(shown.contains(orphans) && shown.contains(writes), "{shown}");
    }
}

#[test]
fn what_yields_no_single_value_is_refused_with_its_line_and_a_cure() {
    let belay = Belay::at("http://127.0.0.1:1");
    let refused = |signal: &str| {
        let plan = "belay: 1\nmigration: orders\nsignals:\n  data: $signal\nsteps: { a: { action: wait, with: { for: 1s } } }\n";
        let plan = belay.write("plan.yaml", &plan.replace("$signal", signal));
        let done = belay.run(&["validate", &plan]);
        assert!(done.code == 2 && done.stderr.contains(":4:") && !done.to_string().contains("s3cret"), "{done}");
        done.stderr
    };
    for (sql, message, cure) in [
        ("url: env:DB, query: ' '", "this asks nothing", "select count(*)"),
        ("url: env:DB, query: 'select * from orders'", "several columns", "name the `column`"),
        ("url: env:DB, query: 'select 1; select 2'", "several statements", "write one statement"),
        ("url: env:DB, query: 'show replica status'", "many columns", "Seconds_Behind_Source"),
        ("url: 'postgres://u:s3cret@db.test/d', query: 'select 1'", "a password in a URL is a secret", "env:NAME"),
        ("url: 'postgres://u@db.test/d', password: s3cret, query: 'select 1'", "password", "env:NAME"),
        ("url: 'redis://u@db.test/d', query: 'select 1'", "where the database is", "postgres://"),
        ("url: env:DB, query: 'select 1', timeout: 1m", "at most 10s", "10s"),
    ] {
        let shown = refused(&format!("{{ sql: {{ {sql} }}, healthy: \"== 0\" }}"));
        assert!(shown.contains(message) && shown.contains(cure), "{sql}: {shown}");
    }
    let shown = refused("{ sql: { url: env:DB, query: select 1 }, healthy: \"= 0\" }");
    assert!(shown.contains("a comparison such as `== 0`"), "{shown}");
    let shown = refused("{ sql_difference: { left: env:A, right: env:B, query: select 1 }, healthy: \"> 1%\" }");
    assert!(shown.contains("a difference such as `== 0`, `<= 10` or `<= 0.1%`"), "{shown}");
    let shown = refused("{ http: { url: 'https://a.test/', body_json: { depth: \"< 1\" } } }");
    assert!(shown.contains("a path such as `$.queue.depth`"), "{shown}");
    let shown = refused("{ http: { url: 'https://a.test/', body_json: { $.state: \"== up\" } } }");
    assert!(shown.contains("texts in double quotes"), "{shown}");
}

const GUARDED: &str = r#"
belay: 1
migration: orders
signals:
  orphans: { sql: { url: "file:$url", query: "select count(*) from orders where customer is null" }, healthy: "== 0" }
triggers:
  data_hurt: { when: orphans, severity: critical }
steps:
  pause: { action: wait, with: { for: 1s } }
"#;

#[test]
fn rows_that_a_cutover_breaks_roll_it_back() {
    let server = DataServer::start(&["postgres"]).unwrap();
    server.sql("create table orders (customer int); grant select on orders to belay; insert into orders values (1)");
    let mut belay = Belay::at("http://127.0.0.1:1");
    let url = belay.write("url", &format!("postgres://belay:s3cret@127.0.0.1:{}/postgres", server.port()));
    let plan = belay.write("plan.yaml", GUARDED.replace("$url", &url).trim_start());
    belay.env("BELAY_LISTEN", "127.0.0.1:0").env("BELAY_POLL", "500ms");
    let daemon = belay.spawn(&["serve", "--plan", &plan]);
    let listening = wait_until("the daemon to listen", || {
        let line = daemon.stderr().lines().find(|line| line.contains("listening on http://"))?.to_owned();
        let address: String =
            line.split("http://").nth(1)?.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
        Some(format!("http://{address}"))
    });
    belay.env("BELAY_URL", &listening);
    let armed = belay.run(&["arm"]);
    assert_eq!(armed.code, 0, "{armed}");
    server.sql("insert into orders values (null)");
    let status = wait_until("the rollback", || {
        let status = belay.run(&["status", "--json"]).stdout;
        status.contains("\"rolled_back\"").then_some(status)
    });
    assert!(status.contains("is 1, which is not == 0"), "{status}");
    let ended = daemon.terminate();
    assert!(!status.contains("s3cret") && !ended.to_string().contains("s3cret"), "{ended}");
}
