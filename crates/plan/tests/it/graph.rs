//! Orders, paths and pictures.

use std::time::Duration;

use belay_plan::graph::{Graph, mermaid, svg};

use crate::{golden, samples::good};

#[test]
fn orders_and_closures_follow_needs() {
    let plan = good("many-steps").plan;
    let graph = Graph::new(&plan);
    assert_eq!(graph.order().first(), Some(&"drain"));
    assert_eq!(graph.dependents("drain"), ["edge_back", "orders_back", "stock_back"]);
    assert_eq!(graph.closure_of_needs(&["orders_back".to_owned()]), ["drain", "orders_back", "orders_by_hand"]);
    assert_eq!(graph.fallback_of("orders_back"), Some("orders_by_hand"));
    assert!(graph.is_fallback("orders_by_hand") && !graph.is_fallback("orders_back"));
    assert!(graph.closure_of_needs(&["nobody".to_owned()]).is_empty());
}

#[test]
fn the_critical_path_is_the_longest_chain_without_fallbacks() {
    let plan = good("many-steps").plan;
    let graph = Graph::new(&plan);
    let path = graph.critical_path(|name| Duration::from_secs(if name == "orders_by_hand" { 10_000 } else { 60 }));
    assert_eq!(path.duration, Duration::from_secs(240));
    assert_eq!(path.steps.first(), Some(&"drain"));
    assert_eq!(path.steps.last(), Some(&"reopen"));
}

#[test]
fn pictures_are_as_they_were() {
    for name in ["checkout", "many-steps"] {
        let plan = good(name).plan;
        golden(&format!("tests/samples/valid/{name}.mermaid"), &mermaid(&plan));
        golden(&format!("tests/samples/valid/{name}.svg"), &svg(&plan));
    }
}
