//! Incidents in which nothing was rolled back, and notices that nobody needed any more.

use std::{sync::Arc, time::Duration};

use belay_core::{
    change::Assessment,
    event::RunKind,
    id::IncidentId,
    input::{Input, NotSent, Retry, Verb},
    reading::Health,
};
use belay_plan::{
    model::*,
    notify::{Channel, NoticeKind, Notify},
};
use belay_report::{
    html, markdown,
    model::{GoalName, MeasureName, NoticeState, Verdict},
    report, report_of_incident,
};
use serde_json::json;

use crate::common::{Stage, change, plan, step};

fn opened(answer: Answer, events: &[NoticeKind]) -> (Stage, IncidentId) {
    let approve = Approve { role: "commander".to_owned(), quorum: 1, within: None, otherwise: Otherwise::Halt };
    let mut plan = plan(vec![("dns", Step { approve: Some(approve), ..step(&[]) })]);
    plan.triggers["hurt"].dwell = Duration::ZERO;
    plan.decision.rules = vec![Rule::always(answer)];
    let channel = Channel {
        kind: "slack".to_owned(),
        spec: json!({ "slack": "env:HOOK" }),
        aws: AwsTarget::default(),
        events: events.to_vec(),
        customer_facing: false,
        within: None,
        after: None,
        every: None,
    };
    let channels = [("team".to_owned(), channel)].into_iter().collect();
    plan.notify = Arc::new(Notify { channels, ..Notify::default() });
    let mut stage = Stage::new();
    stage.arm(&plan);
    stage.read("errors", Health::Healthy);
    stage.pass(60);
    stage.read("errors", Health::Unhealthy);
    let incident = stage.state.incident.as_ref().expect("one is open").id.clone();
    (stage, incident)
}

#[test]
fn an_incident_that_ended_by_itself_has_a_report_of_its_own() {
    let (mut stage, incident) = opened(Answer::FixForward, &[NoticeKind::Incident]);
    let open = report_of_incident(&stage.journal, &incident).unwrap().unwrap();
    assert!(!open.over && open.summary.last().unwrap().as_str().starts_with("The incident is open."), "{open:?}");
    stage.pass(600);
    stage.read("errors", Health::Healthy);
    let link = "https://wiki.example.com/incidents/17".to_owned();
    stage.command(Verb::IncidentPostmortemHeld { incident: incident.clone(), link }).unwrap();

    let found = report_of_incident(&stage.journal, &incident).unwrap().unwrap();
    assert!(found.over && found.run.is_none() && found.steps.is_empty());
    let goals: Vec<_> = found.goals.iter().map(|goal| (goal.name, goal.measured_s, goal.verdict)).collect();
    assert_eq!(goals, [(GoalName::Severity, Some(600.0), Verdict::Met)]);
    assert_eq!(found.incident.as_ref().unwrap().id.as_str(), incident.0);
    assert!(found.ended.is_some() && found.ended == found.incident.as_ref().unwrap().closed);
    let last = found.summary.last().unwrap().as_str();
    assert!(
        last.ends_with("10m 00s after the breach: its triggers stopped firing. Nothing was rolled back."),
        "{last}"
    );
    let measured: Vec<_> = found.measures.iter().map(|measure| (measure.name, measure.seconds)).collect();
    let wanted = [(MeasureName::Detect, 0.0), (MeasureName::Decide, 0.0), (MeasureName::Total, 600.0)];
    assert_eq!(measured, wanted.map(|(name, seconds)| (name, Some(seconds))));
    assert_eq!(found.postmortem.held.as_ref().unwrap().link.as_str(), "https://wiki.example.com/incidents/17");
    let items: Vec<&str> = found.checklist.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(items, ["notices", "cause_understood", "postmortem"]);

    let text = markdown(&found);
    assert!(text.starts_with(&format!("# Report of incident {incident} of ")), "{text}");
    assert!(text.contains("| Run | none: nothing was rolled back |"), "{text}");
    assert!(text.contains(" by hurt |\n") && !text.contains("| Reason |"), "{text}");
    assert!(text.contains(" the incident ends\n") && !text.contains("the run ends"), "{text}");
    assert!(html(&found).contains("none: nothing was rolled back"));
    let document = serde_json::to_value(&found).unwrap();
    assert_eq!((&document["run"], &document["state"]), (&json!(null), &json!(null)));
    assert!(report_of_incident(&stage.journal, &IncidentId("nope".to_owned())).unwrap().is_none());
}

#[test]
fn an_approval_that_was_dropped_is_shown_as_such_and_is_nothing_to_tell() {
    let (mut stage, incident) = opened(Answer::RollBack, &[NoticeKind::Approval]);
    stage.look("dns", Assessment::Remaining(vec![change("weights")]));
    let notice = stage.state.outbox.waiting.keys().next().unwrap().clone();
    let result = Err(NotSent { why: "503".to_owned(), retry: Retry::Later { after: None } });
    stage.feed(Input::Noticed { notice, result }).unwrap();
    let run = stage.state.run.as_ref().unwrap().id.clone();
    stage.command(Verb::Abort { run: run.clone() }).unwrap();

    let found = report(&stage.journal, &run).unwrap().unwrap();
    let notice = &found.notices.items[0];
    assert_eq!((notice.about.as_str(), notice.state), ("approval", NoticeState::Dropped));
    assert_eq!(notice.text.as_str(), "the run has ended: nobody is asked for anything any more");
    let item = found.checklist.iter().find(|item| item.id.as_str() == "notices").unwrap();
    assert!(!item.note.as_str().contains("tell them yourself"), "{item:?}");
    assert_eq!(report_of_incident(&stage.journal, &incident).unwrap().unwrap(), found);
}

#[test]
fn a_beginning_that_was_renewed_keeps_what_became_of_it_and_the_timeline_is_not_full_of_tries() {
    let (mut stage, incident) = opened(Answer::Decide, &[NoticeKind::Incident, NoticeKind::Recovered]);
    let failed = || Err(NotSent { why: "503".to_owned(), retry: Retry::Later { after: None } });
    let answer = |stage: &mut Stage, result| {
        let notice = stage.state.wants().notices[0].clone();
        stage.feed(Input::Noticed { notice, result }).unwrap();
    };
    for _ in 0..3 {
        answer(&mut stage, failed());
        stage.pass(600);
    }
    stage.command(Verb::Decide { roll_back: false }).unwrap();
    answer(&mut stage, failed());
    answer(&mut stage, Ok("200".to_owned()));
    stage.pass(60);
    stage.read("errors", Health::Healthy);
    let found = report_of_incident(&stage.journal, &incident).unwrap().unwrap();
    let notice = &found.notices.items[0];
    assert_eq!((notice.about.as_str(), notice.state, notice.failed), ("incident", NoticeState::Sent, 4));
    let lines: Vec<&str> = found.timeline.items.iter().map(|entry| entry.text.as_str()).collect();
    assert_eq!(lines.iter().filter(|line| line.contains("is not told of incident yet")).count(), 1, "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("team is told: incident")), "{lines:#?}");
}

/// Who was not there reads of the arming, the cutover, and what the signals showed when a person asked for it.
#[test]
fn a_rollback_that_a_person_asks_for_shows_what_led_to_it() {
    let mut plan = plan(vec![("by_hand", Step { action: "manual".to_owned(), ..step(&[]) })]);
    plan.triggers["hurt"].dwell = Duration::from_secs(3600);
    let mut stage = Stage::new();
    stage.arm(&plan);
    stage.read("errors", Health::Healthy);
    stage.pass(60);
    stage.command(Verb::Cutover).unwrap();
    stage.pass(60);
    stage.read("errors", Health::Unhealthy);
    stage.command(Verb::Rollback { kind: RunKind::Real, only: Vec::new(), pin: None }).unwrap();
    let run = stage.state.run.as_ref().unwrap().id.clone();
    stage.command(Verb::Approve { run: run.clone(), step: "by_hand".to_owned(), approve: true }).unwrap();
    let found = report(&stage.journal, &run).unwrap().unwrap();
    let signals: Vec<(&str, &str)> =
        found.signals.rows.iter().map(|row| (row.signal.as_str(), row.used_by.as_str())).collect();
    assert!(signals.contains(&("errors", "trigger")), "{signals:?}");
    let marks: Vec<&str> = found.signals.marks.items.iter().map(|mark| mark.text.as_str()).collect();
    assert_eq!(marks[..3], ["armed", "the cutover is marked", "a run has begun"]);
    assert!(found.timeline.items[..2].iter().all(|entry| entry.at < found.started), "{:?}", found.timeline.items);
    let steps = found.checklist.iter().find(|item| item.id.as_str() == "steps_done").unwrap();
    let note = "1 step done or unchanged; done by hand, which Belay does not observe: by_hand (by the word of ada)";
    assert_eq!(steps.note.as_str(), note);
    assert!(markdown(&found).contains("was not gathered"), "{}", markdown(&found));
}
