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
