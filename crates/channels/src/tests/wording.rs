//! The built-in texts, as they are read.

use std::{fs, path::Path, sync::Arc};

use belay_plan::notify::{NoticeKind, Notify};
use belay_ports::Notice;

use crate::{
    check_text, samples,
    texts::{Markup, Texts, kinds},
};

/// Compares with the file of this path below the crate, or writes it when `UPDATE_GOLDEN` is set.
pub(super) fn golden(path: &str, actual: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens").join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(file, actual).expect("writing the golden file");
        return;
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    assert!(expected == actual, "{path} differs (UPDATE_GOLDEN=1 writes it); it would be:\n{actual}");
}

pub(super) fn with_zone(notice: Notice, zone: &str) -> Notice {
    Notice { notify: Arc::new(Notify { timezone: Some(zone.to_owned()), ..Notify::default() }), ..notice }
}

fn every_text(channel: &str) -> String {
    let mut all = String::new();
    for kind in kinds(channel) {
        for sample in samples::all(kind) {
            let notice = with_zone(samples::notice(sample.facts, channel), "Europe/Berlin");
            let text = Texts.text(channel, Markup::None, &notice).unwrap().plain();
            let rule = "=".repeat(100);
            all += &format!("{rule}\n{kind}: {}\n{rule}\n{}\n\n{}\n\n", sample.name, text.title, text.body);
        }
    }
    all
}

#[test]
fn the_built_in_texts_are_as_people_have_read_them() {
    for (style, channel) in [("internal", "slack"), ("executive", "email"), ("customer", "statuspage")] {
        golden(&format!("{style}.txt"), &every_text(channel));
    }
}

#[test]
fn customers_read_no_name_of_anything_inside() {
    let all = every_text("statuspage");
    for inside in [
        "checkout-cutover",
        "customers_hurt",
        "customer_errors",
        "db_back",
        "anna",
        "incident_commander",
        "alarm",
        "rds",
        "mm7q2",
        "belay status",
        "roll",
    ] {
        let texts = all.lines().filter(|line| !line.starts_with('=') && !is_heading(line));
        for line in texts {
            assert!(!line.to_lowercase().contains(inside), "{inside}: {line}");
        }
    }
}

fn is_heading(line: &str) -> bool {
    NoticeKind::ALL.iter().any(|kind| line.starts_with(&format!("{kind}: ")))
}

#[test]
fn tests_and_drills_are_marked_in_every_text() {
    for channel in ["slack", "email", "statuspage"] {
        for sample in kinds(channel).into_iter().flat_map(samples::all) {
            let mut notice = samples::notice(sample.facts, channel);
            notice.facts.drill = true;
            assert!(Texts.text(channel, Markup::None, &notice).unwrap().title.starts_with("DRILL: "));
            notice.test = true;
            assert!(Texts.text(channel, Markup::None, &notice).unwrap().title.starts_with("TEST: "));
        }
    }
}

#[test]
fn an_own_text_is_checked_with_its_lines() {
    let checked = |source: &str| check_text(NoticeKind::Incident, "slack", source);
    assert_eq!(
        checked("{{ migration }} is hurt\n\n{% if update %}\nStill.\n{% endif %}\nSince {{ incident.opened | time }}"),
        Ok(())
    );
    for (source, wanted) in [
        (
            "Title\n\n{{ incident.severty }}",
            "line 3: `incident` has no `severty`; it has id, opened, felt_since, severity",
        ),
        ("Title\n{% if update %}\n{% endif %}\n{{ sevrity }}", "line 4: there is no `sevrity`; known are kind, update"),
        (
            "Title\n\n{% if incident %}{{ incident.opened | tme }}{% endif %}",
            "line 3: unknown filter: filter tme is unknown",
        ),
        ("Title\n\n{% if incident %}", "line 3: syntax error"),
        ("Title {{ migration", "line 1: syntax error"),
        ("{% for a in range(100000) %}{{ a }}{% endfor %}", "it takes more than any text needs"),
        ("{{ migration * 3000 }}", "it renders to more than 32 KiB"),
        ("", "line 1: nothing is left of the text with the sample \"rolled back at once\""),
        ("Title {{ incident.opened | time | time }}", "`2026-03-01 02:11 UTC (03:11 CET)` is no time"),
        // Without a run there is nothing to name.
        ("Title {{ run.state }}", "line 1: undefined value"),
    ] {
        let why = checked(source).unwrap_err();
        assert!(why.contains(wanted), "{source}: {why}");
    }
    let why = check_text(NoticeKind::Halted, "slack", "Title {{ incident.id }}").unwrap_err();
    assert!(why.ends_with("(with the sample \"started by hand\")"), "{why}");
}

#[test]
fn a_text_that_cannot_be_rendered_is_replaced_and_the_notice_goes_out() {
    let sample = samples::all(NoticeKind::Incident).remove(0);
    let mut notice = samples::notice(sample.facts, "slack");
    let mut notify = Notify::default();
    notify.texts.entry(NoticeKind::Incident).or_default().insert("slack".to_owned(), "Own {{ nothing }}".to_owned());
    notify.timezone = Some("Europe/Atlantis".to_owned());
    notice.notify = Arc::new(notify);
    assert!(Texts.text("slack", Markup::None, &notice).is_err());
    let text = Texts.text_or_built_in("slack", Markup::None, &notice);
    assert_eq!(text.title, "checkout-cutover: critical incident");
}

/// What core knows of an incident or a run may be less than the samples have.
#[test]
fn a_built_in_text_needs_no_fact_but_what_happened() {
    for (channel, kind) in ["slack", "email", "statuspage"]
        .into_iter()
        .flat_map(|channel| kinds(channel).into_iter().map(move |kind| (channel, kind)))
    {
        for (sample, without) in samples::all(kind)
            .into_iter()
            .flat_map(|sample| (0..16).map(move |without| (sample.facts.clone(), without)))
        {
            let mut facts = sample;
            if without & 1 > 0 {
                facts.incident = None;
            }
            if without & 2 > 0 {
                facts.run = None;
            }
            if without & 4 > 0 {
                facts.step = None;
            }
            if without & 8 > 0 {
                (facts.by, facts.why, facts.phase, facts.point_of_no_return) = (None, String::new(), None, None);
                if let Some(incident) = &mut facts.incident {
                    (incident.answer, incident.then, incident.authority) = (None, None, Vec::new());
                    incident.timebox_ends = None;
                }
            }
            let notice = samples::notice(facts, channel);
            let text = Texts.text(channel, Markup::None, &notice);
            let text = text.unwrap_or_else(|why| panic!("{kind} of {channel} without {without:b}: {why}")).plain();
            let said = format!("{}\n{}", text.title, text.body);
            for hole in ["  ", " .", " ,", "()", ": \n", "by ;", "the  "] {
                assert!(!said.contains(hole), "{kind} of {channel} without {without:b} has `{hole}`: {said}");
            }
        }
    }
}

#[test]
fn every_name_that_a_text_can_use_is_documented() {
    let page = include_str!("../../TEXTS.md");
    let known = |template: &str| check_text(NoticeKind::Incident, "slack", template).unwrap_err();
    for (template, begin) in [
        ("{{ x }}", "known are "),
        ("{{ incident.x }}", "it has "),
        ("{{ run.x }}", "it has "),
        ("{{ step.x }}", "it has "),
    ] {
        let why = known(template);
        let (_, names) = why.split_once(begin).unwrap();
        for name in names.split(", ") {
            assert!(page.contains(&format!("`{name}`")), "{name} is not in TEXTS.md");
        }
    }
    let (_, example) = page.split_once("shows why.\n\n```\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    assert_eq!(check_text(NoticeKind::Incident, "slack", example), Ok(()));
}
