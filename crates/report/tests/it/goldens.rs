//! What a report looks like, as a whole.

use std::{fs, path::Path};

use belay_plan::checklist::{ITEMS, OF_A_ROLLBACK};
use belay_report::{RunReport, html, markdown, report};

use crate::{
    common::{Stage, plan, step},
    story::{Story, halted, over},
};

/// Compares with the file of this path below the crate, or writes it when `UPDATE_GOLDEN` is set.
pub(crate) fn golden(path: &str, actual: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens").join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(file, actual).expect("writing the golden file");
        return;
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    assert!(expected == actual, "{path} differs (UPDATE_GOLDEN=1 writes it); it would be:\n{actual}");
}

fn of(story: &Story) -> RunReport {
    report(&story.stage.journal, &story.run).expect("it can be folded").expect("the run is there")
}

pub(crate) fn json(value: &impl serde::Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("it is plain data");
    text.push('\n');
    text
}

#[test]
fn a_run_that_is_over() {
    let report = of(&over());
    golden("over.json", &json(&report));
    golden("over.md", &markdown(&report));
    golden("over.html", &html(&report));
}

#[test]
fn a_run_that_halted_tells_what_is_known_so_far() {
    let report = of(&halted());
    golden("halted.md", &markdown(&report));
    let page = html(&report);
    assert!(!report.over && page.contains("The run is not over (halted)"), "{page}");
}

#[test]
fn what_seldom_happens_has_its_place_in_each_rendering() {
    let mut report = of(&over());
    let text = report.actor.clone();
    for listed in [&mut report.steps[0].sends.left_out, &mut report.signals.marks.left_out] {
        *listed = 31;
    }
    report.steps[0].sends.gap = 1;
    report.signals.left_out = 32;
    (report.signals.rows[0].bands.left_out, report.signals.rows[0].bands.gap) = (33, 1);
    (report.decisions.left_out, report.decisions.gap) = (34, 1);
    (report.unknown.left_out, report.unknown.gap) = (35, 1);
    (report.notices.left_out, report.notices.gap) = (36, 1);
    report.notices.items[0].update = 37;
    report.steps[0].overrides = vec![text.clone()];
    report.steps[0].job = text.clone();
    report.steps[0].fallback_for = Some(text.clone());
    report.steps[1].started = None;
    report.phase = Some(text);
    (report.data_loss[0].from, report.data_loss[0].to) = (None, None);
    report.data_loss[0].seconds = None;
    (report.incident, report.plan_summary, report.postmortem.held, report.timezone) = (None, None, None, None);
    report.goals.clear();
    report.confirm.clear();
    let rare = [
        "31 more sends",
        "31 more marks",
        "32 more signals",
        "34 more",
        "35 more",
        "36 more",
        "(update 37)",
        "overridden by a person",
        "its job",
        "stands in for",
        "not started",
        "Phase",
        "not on record",
        "unknown",
        "No trigger opened an incident: the run was asked for",
        "Not held yet",
        "there is no goal",
        "confirmation was opened",
    ];
    let (page, text) = (html(&report), markdown(&report));
    for part in rare {
        assert!(page.contains(part), "{part} in {page}");
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(text.contains("33 more"), "{text}");
}

#[test]
fn a_run_that_a_person_asked_for_is_rendered_without_an_incident() {
    let mut stage = Stage::new();
    let run = stage.run(&plan(vec![("dns", step(&[]))]), &[]);
    let report = report(&stage.journal, &run).unwrap().unwrap();
    let (page, text) = (html(&report), markdown(&report));
    for rendered in [&page, &text] {
        assert!(rendered.contains("No trigger opened an incident: the run was asked for"), "{rendered}");
        assert!(rendered.contains("the plan has no confirmation"), "{rendered}");
        assert!(rendered.contains("no notice is on record"), "{rendered}");
    }
}

/// A plan's own items must not be taken for them.
#[test]
fn every_id_of_the_checklist_is_taken() {
    for story in [over(), halted()] {
        for item in &of(&story).checklist {
            let id = item.id.as_str();
            assert!(OF_A_ROLLBACK.contains(&id) || ITEMS.iter().any(|item| item.id == id), "{id}");
        }
    }
}
