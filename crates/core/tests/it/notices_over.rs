//! What people were told of ends for them, too; what they do not need any more is not sent, and that is on record.

use std::time::Duration;

use belay_core::{
    event::Event,
    input::{Input, Retry, Verb},
    notice::{Facts, POSTMORTEM_AFTER},
    readiness::{CheckVerdict, Checked},
    reading::Health,
};
use belay_plan::{
    model::*,
    notify::Channel,
    notify::NoticeKind::{self, Approval, Blind, Incident, PointOfNoReturn, Readiness},
};

use crate::{
    common::*,
    notices::{armed, channel, deliver, fails, kinds, telling},
};

fn checked(stage: &mut Stage, verdict: CheckVerdict) -> Vec<Facts> {
    let findings = vec![format!("{}: shop: is stopped", verdict.word())];
    stage.feed(Input::Checked(Checked { verdict, findings })).unwrap();
    got(stage)
}

fn got(stage: &mut Stage) -> Vec<Facts> {
    deliver(stage).into_iter().map(|(_, facts)| facts).collect()
}

fn watching(kinds: &[NoticeKind]) -> Stage {
    armed(&telling(vec![("oncall", channel(kinds))]))
}

fn again(stage: &mut Stage) {
    stage.feed(Input::Resumed { belay_version: "2".to_owned() }).unwrap();
}

#[test]
fn whoever_was_told_that_a_rollback_would_not_work_hears_the_end_of_it() {
    let mut stage = watching(&[Readiness]);
    let told = checked(&mut stage, CheckVerdict::NoGo);
    assert!(!told[0].over && told[0].readiness == Some(CheckVerdict::NoGo), "{told:?}");
    let told = checked(&mut stage, CheckVerdict::Unknown);
    assert!(!told[0].over && told[0].readiness == Some(CheckVerdict::Unknown), "{told:?}");
    let told = checked(&mut stage, CheckVerdict::Warn);
    assert!(told.len() == 1 && told[0].over && told[0].readiness == Some(CheckVerdict::Warn), "{told:?}");
    assert_eq!(checked(&mut stage, CheckVerdict::Go), [], "it held before");
    assert_eq!(checked(&mut stage, CheckVerdict::Warn), [], "it still holds");
    assert_eq!(checked(&mut stage, CheckVerdict::Go), []);

    // Armed anew: the first verdict is no change, and yet it ends what these people know.
    checked(&mut stage, CheckVerdict::NoGo);
    let plan = stage.state.plan.clone().unwrap();
    stage.arm(&plan);
    assert_eq!(got(&mut stage), []);
    let told = checked(&mut stage, CheckVerdict::Go);
    assert!(told.len() == 1 && told[0].over, "{told:?}");

    checked(&mut stage, CheckVerdict::NoGo);
    stage.command(Verb::Disarm).unwrap();
    let told = got(&mut stage);
    assert!(told.len() == 1 && told[0].over, "{told:?}");
    assert_eq!(told[0].why, "the migration is disarmed");
    stage.tick();
    assert_eq!(got(&mut stage), [], "once");
    assert_eq!(stage.replay(), stage.state);
}

#[test]
fn blindness_that_a_restart_forgets_is_over_when_the_source_is_read_again() {
    let mut stage = watching(&[Blind]);
    stage.read_from("errors", Health::Unknown, "cloudwatch", true);
    assert!(!got(&mut stage)[0].over);
    again(&mut stage);
    assert_eq!(got(&mut stage), [], "nobody has looked yet");
    stage.read("errors", Health::Healthy);
    let told = got(&mut stage);
    assert!(told.len() == 1 && told[0].over && told[0].why.is_empty(), "{told:?}");
    assert_eq!(told[0].source.as_deref(), Some("cloudwatch"));

    stage.read_from("errors", Health::Unknown, "cloudwatch", true);
    got(&mut stage);
    stage.command(Verb::Disarm).unwrap();
    let told = got(&mut stage);
    assert!(told.len() == 1 && told[0].over && told[0].why == "the migration is disarmed", "{told:?}");
}

#[test]
fn a_trigger_that_can_be_decided_again_is_told() {
    let mut plan = telling(vec![("oncall", channel(&[Blind]))]);
    plan.triggers["hurt"].if_unknown = Some(IfUnknown { after: Duration::from_secs(60), then: UnknownPolicy::Alert });
    let mut stage = armed(&plan);
    stage.read_from("errors", Health::Unknown, "cloudwatch", false);
    stage.pass(61);
    stage.tick();
    let trigger = |facts: &Facts| facts.source.as_deref() == Some("trigger hurt");
    let told = got(&mut stage);
    assert!(told.iter().any(|facts| trigger(facts) && !facts.over), "{told:?}");
    stage.read("errors", Health::Healthy);
    let told = got(&mut stage);
    assert_eq!(told.iter().filter(|facts| trigger(facts) && facts.over).count(), 1, "{told:?}");
}

#[test]
fn a_point_of_no_return_that_was_told_is_over_when_it_has_passed_or_nothing_is_armed() {
    let mut plan = telling(vec![("oncall", channel(&[PointOfNoReturn]))]);
    plan.window = Some(Window {
        point_of_no_return: Some(Duration::from_secs(3600)),
        past: PastWindow::RequireApproval,
        opens: None,
    });
    for passes in [true, false] {
        let mut stage = armed(&plan);
        stage.command(Verb::Cutover).unwrap();
        stage.pass(1801);
        stage.tick();
        let told = got(&mut stage);
        assert!(told.len() == 1 && !told[0].is_over(), "{told:?}");
        if passes {
            stage.pass(1800);
            stage.tick();
        } else {
            stage.command(Verb::Disarm).unwrap();
        }
        let told = got(&mut stage);
        assert!(told.len() == 1 && told[0].is_over() && told[0].over != passes, "{told:?}");
        stage.command(Verb::Disarm).ok();
        assert_eq!(got(&mut stage), []);
    }
}

fn dropped(stage: &Stage) -> Vec<(NoticeKind, &str)> {
    let dropped = stage.journal.iter().filter_map(|record| match &record.event {
        Event::NoticeDropped { about, why, .. } => Some((*about, why.as_str())),
        _ => None,
    });
    dropped.collect()
}

#[test]
fn an_approval_that_was_not_sent_when_the_run_ends_is_dropped_with_the_reason_on_record() {
    let mut plan = telling(vec![("team", channel(&[Approval]))]);
    plan.decision.rules = vec![Rule::always(Answer::RollBack)];
    let approve = Approve { role: "commander".to_owned(), quorum: 1, within: None, otherwise: Otherwise::Halt };
    plan.steps["dns"].approve = Some(approve);
    let mut stage = armed(&plan);
    stage.read("errors", Health::Unhealthy);
    stage.look("dns", belay_core::change::Assessment::Remaining(vec![change("weights")]));
    fails(&mut stage, Retry::Later { after: None });
    let run = stage.state.run.as_ref().unwrap().id.clone();
    stage.command(Verb::Abort { run }).unwrap();
    assert!(stage.state.run.as_ref().unwrap().state.is_over());
    assert_eq!(dropped(&stage), [(Approval, "the run has ended: nobody is asked for anything any more")]);
    assert_eq!(kinds(&deliver(&mut stage), "team"), []);
    assert!(stage.state.outbox.waiting.is_empty());
    assert_eq!(stage.replay(), stage.state);
}

#[test]
fn an_update_that_gives_way_to_a_newer_one_is_on_record() {
    let story = [Incident, NoticeKind::Finished, NoticeKind::Recovered];
    let minutes = |minutes: u64| Some(Duration::from_secs(minutes * 60));
    let customers = Channel { after: minutes(0), every: minutes(15), ..channel(&story) };
    let mut stage = armed(&telling(vec![("customers", customers)]));
    stage.read("errors", Health::Unhealthy);
    deliver(&mut stage);
    stage.pass(15 * 60);
    stage.tick();
    fails(&mut stage, Retry::Later { after: Some(Duration::from_secs(1800)) });
    stage.pass(15 * 60);
    stage.tick();
    assert_eq!(dropped(&stage), [(Incident, "a newer notice tells what has become of it")]);
    assert_eq!(stage.state.outbox.waiting.len(), 1);
}

#[test]
fn an_incident_in_which_nothing_was_rolled_back_is_talked_over_as_well() {
    let mut plan = telling(vec![("team", channel(&[NoticeKind::PostmortemDue]))]);
    plan.decision.rules = vec![Rule::always(Answer::FixForward)];
    let link = || "https://wiki.example.com/17".to_owned();
    for (is_held, is_disarmed) in [(false, false), (true, false), (false, true)] {
        let mut stage = armed(&plan);
        stage.read("errors", Health::Unhealthy);
        let incident = stage.state.incident.as_ref().unwrap().id.clone();
        let held = Verb::IncidentPostmortemHeld { incident: incident.clone(), link: link() };
        let refused = stage.command(held.clone()).unwrap_err();
        assert_eq!(refused.why, format!("incident {incident} is open"));
        if is_disarmed {
            stage.command(Verb::Disarm).unwrap();
        } else {
            stage.read("errors", Health::Healthy);
        }
        assert!(stage.state.incident.is_none() && stage.state.is_pending());
        if is_held {
            stage.command(held).unwrap();
        }
        assert_eq!(stage.state.wants().deadline.is_some_and(|at| at == stage.now + POSTMORTEM_AFTER), !is_held);
        stage.now += POSTMORTEM_AFTER;
        stage.tick();
        let told = got(&mut stage);
        assert_eq!(told.len(), usize::from(!is_held), "{told:?}");
        assert!(told.iter().all(|facts| facts.run.is_none() && facts.incident.as_ref().unwrap().id == incident));
        assert_eq!(stage.replay(), stage.state);
    }
}

#[test]
fn the_post_mortem_of_an_incident_that_was_rolled_back_is_that_of_its_run() {
    let mut plan = telling(vec![("team", channel(&[NoticeKind::PostmortemDue]))]);
    plan.decision.rules = vec![Rule::always(Answer::RollBack)];
    let mut stage = armed(&plan);
    stage.read("errors", Health::Unhealthy);
    let incident = stage.state.incident.as_ref().unwrap().id.clone();
    stage.put_back("dns");
    assert!(stage.state.outbox.incident_postmortems.is_empty());
    let held = Verb::IncidentPostmortemHeld { incident, link: "https://wiki.example.com/17".to_owned() };
    let events = stage.command(held).unwrap();
    assert!(matches!(events[1], Event::PostmortemHeld { .. }), "{events:?}");
    assert!(stage.state.outbox.postmortems.is_empty());
}

#[test]
fn nobody_is_reminded_of_incidents_that_ended_before_there_were_such_reminders() {
    let mut plan = telling(vec![("team", channel(&[NoticeKind::PostmortemDue]))]);
    plan.decision.rules = vec![Rule::always(Answer::FixForward)];
    let mut stage = armed(&plan);
    stage.read("errors", Health::Unhealthy);
    stage.command(Verb::Disarm).unwrap();
    assert!(stage.state.is_pending());
    let mut old = belay_core::migration::Migration::new(stage.state.name.clone());
    for record in &stage.journal {
        old.evolve(&belay_core::event::Record { version: 5, ..record.clone() }).unwrap();
    }
    assert!(!old.is_pending());
}

#[test]
fn an_incident_is_no_news_of_the_readiness() {
    let mut stage = watching(&[Readiness]);
    checked(&mut stage, CheckVerdict::Warn);
    stage.read("errors", Health::Unhealthy);
    assert_eq!(checked(&mut stage, CheckVerdict::NoGo), []);
    stage.read("errors", Health::Healthy);
    let told = checked(&mut stage, CheckVerdict::NoGo);
    assert!(told.len() == 1 && told[0].readiness == Some(CheckVerdict::NoGo), "it is so after it, too: {told:?}");
    assert_eq!(stage.replay(), stage.state);
}
