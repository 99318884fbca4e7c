//! Prometheus, which scrapes a page of this test.

use belay_tests::Target;

use super::*;

#[test]
fn a_query_yields_what_was_scraped() {
    let page = Target::start("# TYPE queue_depth gauge\nqueue_depth{shard=\"a\"} 7\nqueue_depth{shard=\"b\"} 5\n");
    let Some(server) = DataServer::start(&["prometheus", &page.address()]) else { return };
    let watcher = Watcher::new();
    let read = |query: &str, healthy: &str| {
        let url = format!("http://127.0.0.1:{}", server.port());
        let asked = json!({ "url": url, "query": query, "timeout": "5s" });
        watcher.read(json!({ "prometheus": asked, "healthy": healthy }))
    };
    wait_until("the page to be scraped", || {
        (read("sum(queue_depth)", "== 12").health == Health::Healthy).then_some(())
    });
    assert_reads(&read("queue_depth{shard=\"a\"}", "< 7"), Health::Unhealthy, "yields 7 for {__name__=\"queue_depth\"");
    assert_reads(&read("scalar(sum(queue_depth))", ">= 12"), Health::Healthy, "yields 12");
    assert_reads(&read("queue_depth", "< 10"), Health::Unknown, "yields 2 values, and one is needed");
    assert_reads(&read("nothing", "< 10"), Health::Unknown, "no series matches it now");
    assert_reads(&read("nothing or vector(0)", "< 10"), Health::Healthy, "yields 0");
    assert_reads(&read("0 * sum(queue_depth) / 0", "< 10"), Health::Unknown, "NaN");
    assert_reads(&read("queue_depth[1m]", "< 10"), Health::Unknown, "yields a matrix");
    assert_reads(&read("sum(", "< 10"), Health::Unknown, "Prometheus refused the query: bad_data");
    let source = format!("Prometheus at 127.0.0.1:{}", server.port());
    assert_eq!(read("1", "< 10").source, source);
    let spec = json!({ "prometheus": { "url": format!("http://127.0.0.1:{}", server.port()), "query": "1", "timeout": "5s" },
        "healthy": "< 10" });
    drop(server);
    let reading = watcher.read(spec);
    assert_reads(&reading, Health::Unknown, "was not answered");
    assert!(reading.unreadable);
}
