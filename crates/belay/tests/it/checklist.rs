//! `belay checklist`: of a plan file, and of a daemon.

use std::fs;

use serde_json::Value;

use crate::{belay, daemon::Guarded, text};

const OWN: &str = "\
belay: 1
migration: shop
checklist: { after: [{ id: our_bank, text: The bank knows. }] }
steps:
  people: { action: manual, with: { instructions: Tell the shops. } }
";

#[test]
fn of_a_plan_the_list_is_shown_without_a_daemon() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plan.yaml"), OWN).unwrap();
    let shown = belay(folder.path(), &["checklist", "plan.yaml"]).assert().code(0).get_output().clone();
    let shown = text(&shown.stdout);
    for part in ["before 0 of", "during 0 of", "after 0 of", "after rollback 0 of", "[ ] our_bank  The bank knows."] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let one = belay(folder.path(), &["checklist", "plan.yaml", "--phase", "after", "--json"]).assert().code(0);
    let document: Value = serde_json::from_slice(&one.get_output().stdout).unwrap();
    let items = document["items"].as_array().unwrap();
    assert!(items.iter().all(|item| item["part"] == "after"), "{document:#}");
    assert_eq!(items.last().unwrap()["id"], "our_bank");
    assert!(document["not_evaluated"].as_str().unwrap().contains("belay check"), "{document:#}");
    belay(folder.path(), &["checklist", "plan.yaml", "--tick", "our_bank"]).assert().code(2);
}

#[test]
fn an_item_is_ticked_with_a_reason_and_the_tick_taken_back() {
    let guarded = Guarded::with(OWN);
    let ticked = guarded.run(&["checklist", "--tick", "our_bank", "--reason", "called them"], 0);
    assert!(ticked.contains("[x] our_bank  The bank knows.") && ticked.contains(": called them"), "{ticked}");
    let by_plan = guarded.run(&["checklist", "shop.yaml", "--untick", "our_bank", "--reason", "wrong bank"], 0);
    assert!(by_plan.contains("[ ] our_bank"), "{by_plan}");
    assert!(guarded.run(&["checklist", "--tick", "armed", "--reason", "r"], 5).contains("Belay knows it by itself"));
    assert!(guarded.run(&["checklist", "shop", "--tick", "nothing", "--reason", "r"], 2).contains("no item nothing"));
}

#[test]
fn the_list_shows_what_the_readiness_checks_have_found() {
    let guarded = Guarded::with(OWN);
    let shown = guarded.run(&["checklist", "--phase", "before"], 0);
    assert!(shown.contains("[ ] objectives") && shown.contains("1 check is go at 20"), "{shown}");
    let document: Value = serde_json::from_str(&guarded.run(&["checklist", "--json"], 0)).unwrap();
    let items = document["items"].as_array().unwrap();
    let drill = items.iter().find(|item| item["id"] == "drill").unwrap();
    assert_eq!(drill["evidence"]["checks"][0]["verdict"], "warn", "{drill:#}");
    assert_eq!(drill["evidence"]["at"], document["readiness"], "{drill:#}");
}
