//! Evidence is wanted once for each source of an incident, and goes on record in bounded pieces.

use std::{sync::Arc, time::Duration};

use crate::common::{Stage, plan, step};
use belay_core::{
    event::Event,
    evidence::{Detail, EvidenceSource, FINDINGS_MAX, Finding, Gathered, LATER_AFTER},
    id::IncidentId,
    input::{Input, Verb},
    reading::Health,
};
use belay_plan::{
    model::{AwsTarget, Evidence, Severity},
    notify::{Channel, NoticeKind, Notify},
};
use jiff::Timestamp;

fn incident() -> Stage {
    incident_with(Evidence { cloudtrail: Some(Duration::from_secs(1800)), ..Evidence::default() })
}

fn incident_with(evidence: Evidence) -> Stage {
    let mut plan = plan(vec![("dns", step(&[]))]);
    plan.evidence = Some(evidence);
    plan.triggers["hurt"].severity = Severity::Minor;
    plan.triggers["hurt"].dwell = Duration::ZERO;
    let channel = Channel {
        kind: "slack".to_owned(),
        spec: serde_json::json!({ "slack": "env:HOOK" }),
        aws: AwsTarget::default(),
        events: vec![NoticeKind::Decision],
        customer_facing: false,
        within: None,
        after: None,
        every: None,
    };
    plan.notify =
        Arc::new(Notify { channels: [("team".to_owned(), channel)].into_iter().collect(), ..Notify::default() });
    let mut stage = Stage::new();
    stage.arm(&plan);
    assert_eq!(stage.state.wants().evidence, None, "nothing has happened");
    stage.read("errors", Health::Unhealthy);
    stage
}

fn id(stage: &Stage) -> IncidentId {
    stage.state.incident.as_ref().unwrap().id.clone()
}

fn finding(number: usize) -> Finding {
    let what = format!("ModifyListener {number}");
    Finding { at: Timestamp::UNIX_EPOCH, what, resource: "x".repeat(400), who: Some("alice".to_owned()), detail: None }
}

#[test]
fn each_source_is_asked_once_for_an_incident_and_again_after_a_restart() {
    let mut stage = incident();
    let (open, both) = (id(&stage), vec![EvidenceSource::AlarmHistory, EvidenceSource::Cloudtrail]);
    assert_eq!(stage.state.wants().evidence, Some((open.clone(), both.clone())));
    stage.feed(Input::Resumed { belay_version: "1".to_owned() }).unwrap();
    assert_eq!(stage.state.wants().evidence, Some((open.clone(), both)), "whoever was asked is gone");

    // Nothing was found: that is an answer.
    let nothing = Input::Gathered {
        incident: open.clone(),
        source: EvidenceSource::AlarmHistory,
        gathered: Gathered::note("access denied"),
    };
    let events = stage.feed(nothing.clone()).unwrap();
    assert!(
        matches!(&events[..], [Event::EvidenceGathered { findings, notes, .. }] if findings.is_empty() && notes.len() == 1)
    );
    assert_eq!(stage.state.wants().evidence, Some((open.clone(), vec![EvidenceSource::Cloudtrail])));
    assert_eq!(stage.feed(nothing).unwrap(), [], "the second answer of a source is none");

    // An incident that is over by then has its evidence all the same.
    stage.read("errors", Health::Healthy);
    assert!(stage.state.incident.is_none());
    assert_eq!(stage.state.wants().evidence, None);
    let gathered = Gathered { findings: vec![finding(1)], notes: vec![] };
    let late = Input::Gathered { incident: open, source: EvidenceSource::Cloudtrail, gathered };
    assert_eq!(stage.feed(late).unwrap().len(), 1);
    assert_eq!(stage.replay(), stage.state);
}

#[test]
fn what_is_found_is_bounded_and_its_first_lines_are_told() {
    let mut stage = incident();
    let gathered = Gathered { findings: (0..FINDINGS_MAX + 30).map(finding).collect(), notes: vec!["late".to_owned()] };
    let incident = id(&stage);
    let events = stage.feed(Input::Gathered { incident, source: EvidenceSource::Cloudtrail, gathered }).unwrap();
    let mut found = Vec::new();
    let mut told = Vec::new();
    for event in &events {
        let Event::EvidenceGathered { findings, notes, .. } = event else { panic!("{event:?}") };
        assert!(findings.len() <= 20);
        assert!(findings.iter().all(|finding| finding.resource.chars().count() <= 303), "{findings:?}");
        found.extend(findings);
        told.extend(notes);
    }
    assert_eq!(
        (found.len(), told),
        (FINDINGS_MAX, vec![&"late".to_owned(), &"30 earlier ones are left out".to_owned()])
    );
    let open = stage.state.incident.as_ref().unwrap();
    assert_eq!(
        open.evidence.first().map(|one| one.what.as_str()).collect::<Vec<_>>(),
        ["ModifyListener 0", "ModifyListener 1", "ModifyListener 2",]
    );
    assert!(open.evidence.first().next().unwrap().words().starts_with("00:00:00Z ModifyListener 0 xxx"));

    // Whoever is told of the decision is told of them.
    let events = stage.command(Verb::Decide { roll_back: false }).unwrap();
    let told = events.iter().find_map(|event| match event {
        Event::NoticeDue { facts, .. } => facts.incident.as_ref().map(|incident| incident.changes.clone()),
        _ => None,
    });
    let told = told.expect("the channel is told");
    assert!(told.len() == 3 && told[2].starts_with("00:00:00Z ModifyListener 2 x"), "{told:?}");
    assert_eq!(stage.replay(), stage.state);
}

/// What X-Ray and DevOps Guru have observed is told apart from what was changed.
#[test]
fn what_was_observed_is_asked_for_and_told_beside_the_changes() {
    let mut stage = incident_with(Evidence { cloudtrail: None, xray: Some("shop".to_owned()), devops_guru: true });
    let (open, observing) = (id(&stage), [EvidenceSource::Xray, EvidenceSource::DevopsGuru]);
    let sources = [EvidenceSource::AlarmHistory].into_iter().chain(observing).collect();
    assert_eq!(stage.state.wants().evidence, Some((open.clone(), sources)));
    let observed = |what: &str, detail| Finding {
        at: Timestamp::UNIX_EPOCH,
        what: what.to_owned(),
        resource: "it".to_owned(),
        who: None,
        detail: Some(detail),
    };
    let requests = Detail::Requests { total: 1200, faults: 340, errors: 0, throttles: 0 };
    let insight = Detail::Insight { id: "x".repeat(400), severity: "HIGH".to_owned(), status: "ONGOING".to_owned() };
    let answers = [
        (EvidenceSource::DevopsGuru, vec![observed("insight", insight)]),
        (EvidenceSource::Xray, (0..5).map(|number| observed(&format!("{number} faults"), requests.clone())).collect()),
        (EvidenceSource::AlarmHistory, vec![finding(1)]),
    ];
    for (source, findings) in answers {
        let gathered = Gathered { findings, notes: vec![] };
        let events = stage.feed(Input::Gathered { incident: open.clone(), source, gathered }).unwrap();
        let [Event::EvidenceGathered { findings, .. }] = &events[..] else { panic!("{events:?}") };
        if let Some(Detail::Insight { id, .. }) = &findings[0].detail {
            assert_eq!(id.chars().count(), 303, "text from outside is bounded there, too");
        }
    }
    assert_eq!(stage.state.wants().evidence, None);
    assert_eq!(stage.state.later_evidence(), [], "only CloudTrail is late");
    let events = stage.command(Verb::Decide { roll_back: false }).unwrap();
    let told = events.iter().find_map(|event| match event {
        Event::NoticeDue { facts, .. } => facts.incident.clone(),
        _ => None,
    });
    let told = told.expect("the channel is told");
    let observed = ["0 faults", "1 faults", "2 faults", "insight"].map(|what| format!("00:00:00Z {what} it"));
    assert_eq!(told.observed, observed);
    assert_eq!(told.changes.len(), 1, "the history of the alarms");
    assert_eq!(stage.replay(), stage.state);
}

#[test]
fn a_finding_of_an_earlier_version_has_no_detail() {
    let earlier = serde_json::json!({ "at": "2026-03-01T02:00:00Z", "what": "ModifyListener", "who": "alice" });
    let finding: Finding = serde_json::from_value(earlier.clone()).unwrap();
    assert_eq!(finding.detail, None);
    assert_eq!(serde_json::to_value(&finding).unwrap(), earlier);
}

/// CloudTrail shows the latest calls late: it is asked once more, over restarts, and after all is over.
#[test]
fn cloudtrail_is_asked_a_second_time_when_it_can_show_the_latest_calls() {
    let mut stage = incident();
    let (open, opened) = (id(&stage), stage.now);
    let gathered = |source, number| Input::Gathered {
        incident: open.clone(),
        source,
        gathered: Gathered { findings: vec![finding(number)], notes: vec![] },
    };
    assert_eq!(stage.state.later_evidence(), [], "the first answer is not there");
    stage.feed(gathered(EvidenceSource::Cloudtrail, 1)).unwrap();
    let due = vec![(open.clone(), opened + LATER_AFTER)];
    assert_eq!(stage.state.wants().later_evidence, due);
    stage.read("errors", Health::Healthy);
    stage.command(Verb::Disarm).unwrap();
    stage.feed(Input::Resumed { belay_version: "1".to_owned() }).unwrap();
    assert_eq!(stage.replay().wants().later_evidence, due, "it is over, and still asked");
    assert!(stage.state.is_pending(), "a daemon takes the stream up for it");
    stage.feed(gathered(EvidenceSource::CloudtrailLater, 2)).unwrap();
    assert_eq!(stage.state.later_evidence(), []);
    assert_eq!(stage.feed(gathered(EvidenceSource::CloudtrailLater, 3)).unwrap(), [], "its second answer is none");
    let past = stage.state.past_incidents.last().unwrap();
    let told: Vec<_> = past.evidence.first().map(|one| one.what.as_str()).collect();
    assert_eq!(told, ["ModifyListener 2"], "the second look shows what the first one did");
    assert_eq!(stage.replay(), stage.state);
}

#[test]
fn a_plan_without_evidence_asks_nobody() {
    let mut stage = Stage::new();
    let mut plan = plan(vec![("dns", step(&[]))]);
    plan.triggers["hurt"].dwell = Duration::ZERO;
    stage.arm(&plan);
    stage.read("errors", Health::Unhealthy);
    assert_eq!(stage.state.wants().evidence, None);
    assert!(stage.command(Verb::Disarm).is_err(), "a rollback is under way");
}
