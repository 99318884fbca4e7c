//! The text of the plans, in `goldens/`. `UPDATE_GOLDEN=1` writes them anew; `belay/tests` holds each of them against the real
//! catalogue.

use std::{env, fs, path::Path};

use belay_draft::{
    choice::{Wanted, choose},
    inventory::{Backups, Database, GroupHealth, Inventory, Source, Targets},
    text::draft,
};

use crate::worlds::{cluster, database, empty, group, mall, record, shop};

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The plan, and behind it what is not known.
fn drafted(inventory: &Inventory, wanted: &Wanted, name: Option<&str>) -> String {
    let choice = choose(inventory, wanted, &mut |_| None).unwrap();
    let draft = draft(inventory, &choice, name).unwrap();
    let notes = draft.not_known.iter().chain(&choice.left_out).map(|note| format!("#> {note}\n"));
    format!("{}{}", draft.text, notes.collect::<String>())
}

#[track_caller]
pub(crate) fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens").join(format!("{name}.yaml"));
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(text == expected, "{} differs; UPDATE_GOLDEN=1 writes it anew:\n{text}", path.display());
}

#[test]
fn a_record_and_its_load_balancer() {
    golden("shop", &drafted(&shop(), &Wanted::default(), None));
}

#[test]
fn everything_at_once() {
    let wanted = Wanted {
        listeners: words(&["shop:443", "shop:443/10"]),
        databases: words(&["orders"]),
        alarms: words(&["shop-5xx", "shop-hurt"]),
        ..Wanted::default()
    };
    golden("mall", &drafted(&mall(), &wanted, Some("mall-cutover")));
}

/// Both sides have traffic, and of one nothing is known; the alarms are not fit to be armed with.
#[test]
fn what_stands_in_the_way_is_told() {
    let mut inventory = shop();
    inventory.records[0].members[1].weight = 50;
    inventory.health = [(group("shop-blue"), GroupHealth { healthy: 0, targets: 2 })].into();
    inventory.alarms[0].state = Some("ALARM".to_owned());
    golden("in_the_way", &drafted(&inventory, &Wanted::default(), None));
}

#[test]
fn no_alarms() {
    let quiet = Inventory { alarms: Vec::new(), ..shop() };
    golden("no_alarms", &drafted(&quiet, &Wanted::default(), None));
}

#[test]
fn addresses_behind_a_record() {
    let addresses =
        Inventory { records: vec![record("*.example.com", "A", &[("old", 0, None), ("new", 0, None)])], ..empty() };
    golden("addresses", &drafted(&addresses, &Wanted::default(), None));
}

/// Health checks of Route 53 prove that the addresses are healthy, and the search of `belay explore` knows none of them.
#[test]
fn addresses_with_health_checks() {
    let mut checked = record("www.example.com", "A", &[("blue", 100, None), ("green", 0, None)]);
    checked.members[0].health_check = Some("hc-blue".to_owned());
    checked.members[1].health_check = Some("hc-green".to_owned());
    let alone = Inventory { records: vec![checked.clone()], ..empty() };
    golden("checked_alone", &drafted(&alone, &Wanted::default(), None));
    let beside = Inventory { records: vec![checked], balancers: Vec::new(), ..shop() };
    let wanted = Wanted { listeners: words(&["shop:443"]), alarms: words(&["shop-5xx"]), ..Wanted::default() };
    golden("checked", &drafted(&beside, &wanted, None));
}

/// One listener for each side: the weights are in the record alone.
#[test]
fn a_load_balancer_for_each_side() {
    let one_group = [("old", 3), ("new", 0)].map(|(name, healthy)| (group(name), GroupHealth { healthy, targets: 3 }));
    let (old, new) = (crate::worlds::balancer("old"), crate::worlds::balancer("new"));
    let inventory = Inventory {
        records: vec![record(
            "www.example.com",
            "A",
            &[("old", 1, Some(&old.dns_name)), ("new", 0, Some(&new.dns_name))],
        )],
        forwarders: vec![crate::worlds::listener("old", &[("old", 1)]), crate::worlds::listener("new", &[("new", 1)])],
        balancers: vec![old, new],
        health: one_group.into(),
        ..empty()
    };
    golden("two_balancers", &drafted(&inventory, &Wanted::default(), None));
}

#[test]
fn databases() {
    let snapshot_only = Backups { point_in_time: Some(false), latest_restorable: None, ..database("ledger").backups };
    let ledger = Database { backups: snapshot_only, ..database("ledger") };
    let nothing = Backups { point_in_time: Some(false), ..Backups::default() };
    let cache = Database { backups: nothing, ..database("cache") };
    let switched = Backups { switches_back: Some("carts-upgrade".to_owned()), ..Backups::default() };
    let carts = Database { backups: Backups { point_in_time: Some(false), ..switched }, ..database("carts") };
    let wound = Backups { other_side_of: Vec::new(), ..cluster().backups };
    let hits = Database { name: "hits".to_owned(), backups: wound, ..cluster() };
    let inventory = Inventory { databases: vec![cluster(), ledger, cache, carts, hits], ..empty() };
    let wanted = Wanted { databases: words(&["stock", "ledger", "cache", "carts", "hits"]), ..Wanted::default() };
    golden("databases", &drafted(&inventory, &wanted, Some("data")));
}

/// The cutover moves instances: of one group a state shows that people register them, of the other an account does not.
#[test]
fn instances_behind_one_group() {
    let registered = |by_hand: bool| {
        let ids = vec!["i-0123456789abcdef0:8080".to_owned(), "i-0123456789abcdef1:8080".to_owned()];
        [(group("shop-web"), Targets { ids, by_hand })].into()
    };
    let one = vec![crate::worlds::listener("shop", &[("shop-web", 1)])];
    let inventory =
        Inventory { forwarders: one, targets: registered(true), databases: vec![database("orders")], ..shop() };
    let wanted = Wanted { databases: words(&["orders"]), ..Wanted::default() };
    golden("instances", &drafted(&inventory, &wanted, None));
    let inventory = Inventory { targets: registered(false), ..inventory };
    let wanted = Wanted { listeners: words(&["shop:443"]), ..Wanted::default() };
    golden("instances_of_somebody", &drafted(&inventory, &wanted, None));
}

/// Without an account, and with names that would break a text that trusts them.
#[test]
fn a_state_that_shows_little_and_names_that_are_hostile() {
    let mut inventory = shop();
    inventory.source = Source::Terraform { file: "a\u{1b}]0;x\u{7}\nsteps: {}".to_owned() };
    (inventory.account, inventory.region) = (None, None);
    inventory.health.clear();
    inventory.records[0].members[0].set_identifier = "blue\u{85}steps: {}\n# \u{202e}".to_owned();
    inventory.alarms[0].name = "5xx: \"too many\" # \u{202e}".to_owned();
    inventory.alarms[0].arn = String::new();
    inventory.alarms[0].state = None;
    inventory.alarms[0].metric = Some("My\nApp errors".to_owned());
    golden("hostile", &drafted(&inventory, &Wanted::default(), None));
}

#[test]
fn nothing_to_restore_from_is_no_plan() {
    let cache = Database { backups: Backups { point_in_time: Some(false), ..Backups::default() }, ..database("cache") };
    let inventory = Inventory { databases: vec![cache], ..empty() };
    let wanted = Wanted { databases: words(&["cache"]), ..Wanted::default() };
    let choice = choose(&inventory, &wanted, &mut |_| None).unwrap();
    assert_eq!(draft(&inventory, &choice, None), None);
}
