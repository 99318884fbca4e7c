//! Texts of a plan's own, beside it.

use std::collections::HashMap;

use belay_plan::notify::NoticeKind;

use crate::catalogue::catalogue;

const PLAN: &str = "belay: 1
migration: sample
notify:
  team: { slack: env:HOOK }
  texts: { incident: { slack: file:incident.md }, finished: { slack: file:texts/end.md } }
steps:
  by_hand: { action: manual, with: { instructions: Do it. } }
";

fn with(files: &[(&str, &str)]) -> Result<belay_plan::Loaded, Vec<String>> {
    let files: HashMap<&str, &str> = files.iter().copied().collect();
    let loaded = belay_plan::load("plan.yaml", PLAN, &catalogue()).expect("the plan is valid");
    let read = |path: &str| files.get(path).map(|text| (*text).to_owned()).ok_or_else(|| "no such file".to_owned());
    let errors = |errors: Vec<belay_plan::diagnostic::Diagnostic>| {
        errors.iter().map(|error| format!("{}:{}: {}", error.place.line, error.place.column, error.message)).collect()
    };
    loaded.with_texts("plan.yaml", &catalogue(), read).map_err(errors)
}

#[test]
fn the_texts_are_pinned_with_the_plan() {
    let loaded = with(&[("incident.md", "It burns."), ("texts/end.md", "It is out.")]).unwrap();
    assert_eq!(loaded.plan.notify.texts[&NoticeKind::Incident]["slack"], "It burns.");
    let other = with(&[("incident.md", "It burns!"), ("texts/end.md", "It is out.")]).unwrap();
    assert_ne!(loaded.sha256, other.sha256, "what is told is part of what is armed");
}

#[test]
fn what_cannot_be_read_or_told_is_said_with_its_line() {
    let errors = with(&[("texts/end.md", "{{ oh")]).unwrap_err();
    assert_eq!(
        errors,
        [
            "5:24: the text incident.md cannot be read: no such file",
            "5:63: the text texts/end.md cannot be told: line 1: what is opened is not closed",
        ]
    );
}
