//! What `belay init` writes, held against the real catalogue: each golden of `draft` is a valid plan, and the search finds in it
//! only what is marked TODO there.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use crate::{belay, repository, text};

fn goldens() -> Vec<String> {
    let folder = repository("crates/draft/goldens");
    let mut paths: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().display().to_string()).collect();
    paths.sort();
    assert!(paths.len() > 5, "{paths:?}");
    paths
}

#[test]
fn every_draft_is_a_valid_plan() {
    let folder = tempfile::tempdir().unwrap();
    let paths = goldens();
    let mut arguments = vec!["validate"];
    arguments.extend(paths.iter().map(String::as_str));
    let done = belay(folder.path(), &arguments).output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
}

#[test]
fn the_search_finds_only_what_a_person_has_to_decide() {
    let folder = tempfile::tempdir().unwrap();
    for path in goldens() {
        let done = belay(folder.path(), &["explore", &path, "--json"]).output().unwrap();
        let document: Value = serde_json::from_slice(&done.stdout).unwrap();
        let advice = document["advice"].as_array().unwrap().iter();
        let findings = advice.clone().filter(|advice| advice["level"] == "finding");
        let found: BTreeSet<&str> = findings.map(|finding| finding["rule"].as_str().unwrap()).collect();
        // Behind addresses nothing is known that could prove health: the draft says so.
        let addresses = path.ends_with("addresses.yaml");
        assert_eq!(done.status.code(), Some(if addresses { 3 } else { 0 }), "{path}: {document:#}");
        let known: &[&str] = match () {
            () if addresses => &["no_interlock", "no_trigger"],
            () if path.ends_with("shop.yaml") => &[],
            () => &["no_deadline", "loss_unasked", "no_trigger"],
        };
        assert!(found.iter().all(|finding| known.contains(finding)), "{path}: {found:?}");
        if path.ends_with("shop.yaml") {
            assert_eq!(advice.count(), 0, "nothing would be wiser: {document:#}");
        }
    }
}
