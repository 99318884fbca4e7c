//! What was changed before the incident stands in the report, also what was known only after the run.

use belay_core::{
    evidence::{EvidenceSource, Finding, Gathered},
    input::Input,
};
use belay_report::{html, markdown, report};

use crate::story::{HOSTILE, Story, over};

#[test]
fn what_the_sources_have_answered_is_listed_and_is_text() {
    let Story { mut stage, run } = over();
    let incident = stage.state.past_incidents.last().unwrap().id.clone();
    let finding = |what: &str, who: Option<&str>| Finding {
        at: "2026-01-01T02:10:00Z".parse().unwrap(),
        what: what.to_owned(),
        resource: "shop-green".to_owned(),
        who: who.map(str::to_owned),
        detail: None,
    };
    let changes = Gathered {
        findings: (0..30).map(|number| finding(&format!("ModifyTargetGroup {number}"), Some(HOSTILE))).collect(),
        notes: vec!["the latest changes may be missing".to_owned()],
    };
    let late = Gathered {
        findings: [3, 77].map(|number| finding(&format!("ModifyTargetGroup {number}"), Some(HOSTILE))).into(),
        notes: vec![],
    };
    for (source, gathered) in [
        (EvidenceSource::Cloudtrail, changes),
        (EvidenceSource::AlarmHistory, Gathered::note("cloudwatch:DescribeAlarmHistory: access denied")),
        (EvidenceSource::CloudtrailLater, late),
        (
            EvidenceSource::Xray,
            Gathered { findings: vec![finding("340 faults (5xx) in 1200 requests to", None)], notes: vec![] },
        ),
        (EvidenceSource::DevopsGuru, Gathered { findings: vec![finding(HOSTILE, None)], notes: vec![] }),
    ] {
        stage.feed(Input::Gathered { incident: incident.clone(), source, gathered }).unwrap();
    }
    let report = report(&stage.journal, &run).unwrap().unwrap();
    let sources = &report.incident.as_ref().unwrap().sources;
    let counts: Vec<_> = sources.iter().map(|one| (one.source, one.findings.len(), one.notes.len())).collect();
    let later = (EvidenceSource::CloudtrailLater, 1, 0);
    let observed = [(EvidenceSource::Xray, 1, 0), (EvidenceSource::DevopsGuru, 1, 0)];
    let changed = [(EvidenceSource::Cloudtrail, 30, 1), (EvidenceSource::AlarmHistory, 0, 1), later];
    assert_eq!(counts, changed.into_iter().chain(observed).collect::<Vec<_>>());
    let (page, text) = (html(&report), markdown(&report));
    for rendered in [&page, &text] {
        for part in [
            "ModifyTargetGroup 29",
            "ModifyTargetGroup 77",
            "a quarter of an hour later",
            "shop",
            "the latest changes may be missing",
            "nothing was found",
            "access denied",
            "X-Ray observed in the half hour before it",
            "340 faults",
            "What DevOps Guru observed",
        ] {
            assert!(rendered.contains(part), "{part} is not in {rendered}");
        }
        assert!(!rendered.replace(r"\<", "").contains("<script") && !rendered.contains('\u{1b}'), "{rendered}");
    }
}
