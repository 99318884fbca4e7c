//! The pages, as they are typed: the plan of the README, and what it says to call on it without AWS.

use std::fs;

use crate::{belay, repository};

/// What the README prints for its plan is done in the order in which it stands there. Commands that need AWS or a daemon are left
/// to the tests that have one, and a thousand runs are a few.
#[test]
fn the_readme_holds_on_its_own_plan() {
    let page = fs::read_to_string(repository("README.md")).unwrap();
    let (_, plan) = page.split_once("```yaml\n").unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plan.yaml"), plan.split("```").next().unwrap()).unwrap();
    let offline = ["validate", "explore", "iam", "drill", "graph", "checklist"];
    let mut called = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("belay ") && !line.contains("--overlay staging")) {
        let line = line.split('#').next().unwrap().replace("--runs 1000", "--runs 10");
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        if offline.contains(&words[0]) {
            belay(folder.path(), &words).assert().code(0);
            called.push(words[0].to_owned());
        }
    }
    assert_eq!(called, ["validate", "explore", "iam", "explore", "drill"]);
}
