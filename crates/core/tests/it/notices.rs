//! Who is told what, when, and how often.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::common::*;
use belay_core::{
    event::Event,
    id::NoticeId,
    input::{Input, NotSent, Retry, Verb},
    migration::MigrationState,
    notice::{Facts, POSTMORTEM_AFTER},
    reading::Health,
};
use belay_plan::{
    model::*,
    notify::{Channel, NoticeKind, Notify},
};
use jiff::SignedDuration;
use serde_json::json;

use NoticeKind::{Decision as Decided, Finished, Incident, Recovered};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

pub(crate) fn channel(events: &[NoticeKind]) -> Channel {
    Channel {
        kind: "slack".to_owned(),
        spec: json!({ "slack": "env:HOOK" }),
        aws: AwsTarget::default(),
        events: events.to_vec(),
        customer_facing: false,
        within: None,
        after: None,
        every: None,
    }
}

fn minutes(minutes: u64) -> Option<Duration> {
    Some(Duration::from_secs(minutes * MINUTE))
}

fn ladder(after: u64, every: u64) -> Channel {
    let story = [Incident, Finished, Recovered];
    Channel { customer_facing: true, after: minutes(after), every: minutes(every), ..channel(&story) }
}

/// A trigger that fires at once, and people who are asked and never answer, unless a rule is given.
pub(crate) fn telling(channels: Vec<(&str, Channel)>) -> Plan {
    let mut plan = plan(vec![("dns", step(&[]))]);
    plan.triggers["hurt"].dwell = Duration::ZERO;
    plan.decision.rules = vec![Rule::always(Answer::FixForward)];
    let channels = channels.into_iter().map(|(name, channel)| (name.to_owned(), channel)).collect();
    plan.notify = Arc::new(Notify { channels, ..Notify::default() });
    plan
}

pub(crate) fn armed(plan: &Plan) -> Stage {
    let mut stage = Stage::new();
    stage.arm(plan);
    stage.read("errors", Health::Healthy);
    stage
}

/// Everybody takes what is sent to them. What they got, in order.
pub(crate) fn deliver(stage: &mut Stage) -> Vec<(Name, Facts)> {
    let mut got = Vec::new();
    while let Some((id, waiting)) = next(stage) {
        got.push((waiting.0, Facts::clone(&waiting.1)));
        stage.feed(Input::Noticed { notice: id, result: Ok("200".to_owned()) }).expect("an answer is never refused");
    }
    got
}

fn next(stage: &Stage) -> Option<(NoticeId, (Name, Arc<Facts>))> {
    let wanted = stage.state.wants().notices;
    let id = wanted.into_iter().find(|id| stage.state.outbox.waiting[id].again_at <= stage.now)?;
    let waiting = &stage.state.outbox.waiting[&id];
    Some((id, (waiting.channel.clone(), waiting.facts.clone())))
}

/// Minute by minute, as the engine ticks at deadlines.
fn live(stage: &mut Stage, seconds: u64) -> Vec<(Name, Facts)> {
    let mut got = deliver(stage);
    for _ in 0..seconds / MINUTE {
        stage.pass(MINUTE);
        stage.tick();
        got.extend(deliver(stage));
    }
    got
}

pub(crate) fn fails(stage: &mut Stage, retry: Retry) -> Vec<Event> {
    let (id, _) = next(stage).expect("something is to be sent");
    let result = Err(NotSent { why: "503".to_owned(), retry });
    stage.feed(Input::Noticed { notice: id, result }).expect("an answer is never refused")
}

pub(crate) fn kinds(got: &[(Name, Facts)], channel: &str) -> Vec<(NoticeKind, u32)> {
    got.iter().filter(|(name, _)| name == channel).map(|(_, facts)| (facts.kind, facts.update)).collect()
}

#[test]
fn the_ladder_of_three_hours_rung_by_rung() {
    let team = Channel { within: Some(Duration::from_secs(5 * MINUTE)), ..channel(&NoticeKind::ALL) };
    let executives = Channel { customer_facing: true, ..channel(&[Incident, Finished, Recovered]) };
    let plan = telling(vec![("team", team), ("executives", executives), ("customers", ladder(30, 15))]);
    let mut stage = armed(&plan);
    assert_eq!(kinds(&live(&mut stage, 0), "team"), [(NoticeKind::Armed, 0)]);
    stage.read("errors", Health::Unhealthy);
    let mut got = live(&mut stage, 3 * HOUR);
    stage.read("errors", Health::Healthy);
    got.extend(live(&mut stage, HOUR));
    assert_eq!(kinds(&got, "team"), [(Incident, 0), (Recovered, 0)]);
    assert_eq!(kinds(&got, "executives"), [(Incident, 0), (Recovered, 0)]);
    // At 30, 45, ... 180 minutes, and the end.
    let mut customers: Vec<_> = (0..11).map(|update| (Incident, update)).collect();
    customers.push((Recovered, 0));
    assert_eq!(kinds(&got, "customers"), customers);
    let of_customers: Vec<&Facts> =
        got.iter().filter(|(name, _)| name == "customers").map(|(_, facts)| facts).collect();
    let gap = of_customers[10].at.duration_since(of_customers[9].at);
    assert_eq!(gap, SignedDuration::from_mins(15));
    assert!(of_customers[0].incident.as_ref().unwrap().customer_facing);
    assert!(stage.state.outbox.waiting.is_empty() && stage.state.outbox.channels["customers"].sent == 12);
    assert_eq!(stage.replay(), stage.state);
}

#[test]
fn an_incident_that_ends_early_is_told_to_those_who_heard_of_it() {
    let mut stage = armed(&telling(vec![("team", channel(&[Incident, Recovered])), ("customers", ladder(30, 15))]));
    stage.read("errors", Health::Unhealthy);
    let mut got = live(&mut stage, 20 * MINUTE);
    stage.read("errors", Health::Healthy);
    got.extend(live(&mut stage, HOUR));
    assert_eq!(kinds(&got, "team"), [(Incident, 0), (Recovered, 0)]);
    assert_eq!(kinds(&got, "customers"), []);
    // The next one begins anew.
    stage.read("errors", Health::Unhealthy);
    let got = live(&mut stage, 31 * MINUTE);
    assert_eq!((kinds(&got, "team"), kinds(&got, "customers")), (vec![(Incident, 0)], vec![(Incident, 0)]));
}

#[test]
fn nobody_hears_of_the_end_before_the_beginning_and_old_updates_are_left_out() {
    let mut stage = armed(&telling(vec![("customers", ladder(0, 15))]));
    stage.read("errors", Health::Unhealthy);
    fails(&mut stage, Retry::Later { after: None });
    // Down for an hour.
    for _ in 0..60 {
        stage.pass(MINUTE);
        stage.tick();
        if next(&stage).is_some() {
            fails(&mut stage, Retry::Later { after: None });
        }
    }
    assert_eq!(stage.state.outbox.waiting.len(), 2, "the beginning, and how it stands now");
    stage.read("errors", Health::Healthy);
    let got = live(&mut stage, HOUR);
    assert_eq!(kinds(&got, "customers"), [(Incident, 0), (Recovered, 0)]);
}

#[test]
fn what_fails_is_tried_again_for_a_day_and_a_refusal_is_final() {
    let mut stage = armed(&telling(vec![("team", channel(&[Incident]))]));
    stage.read("errors", Health::Unhealthy);
    let (first, _) = next(&stage).unwrap();
    let again = |stage: &Stage, id: &NoticeId| stage.state.outbox.waiting[id].again_at.duration_since(stage.now);
    fails(&mut stage, Retry::Later { after: None });
    assert_eq!(again(&stage, &first), SignedDuration::from_secs(2));
    assert!(next(&stage).is_none(), "not before");
    stage.pass(2);
    fails(&mut stage, Retry::Later { after: None });
    assert_eq!(again(&stage, &first), SignedDuration::from_secs(4));
    stage.pass(4);
    fails(&mut stage, Retry::Later { after: Some(Duration::from_secs(300)) });
    assert_eq!(again(&stage, &first), SignedDuration::from_secs(300), "what the receiver asks for");
    let mut tries = 0;
    while stage.state.outbox.waiting.contains_key(&first) {
        let wait = again(&stage, &first);
        stage.now += wait;
        fails(&mut stage, Retry::Later { after: Some(Duration::from_secs(90_000)) });
        tries += 1;
        assert!(tries < 30, "an hour at most is waited");
    }
    let given_up = stage.now.duration_since("2026-01-01T02:00:00Z".parse().unwrap());
    assert!(given_up > SignedDuration::from_hours(22) && given_up <= SignedDuration::from_hours(24), "{given_up}");
    let team = &stage.state.outbox.channels["team"];
    assert_eq!((team.sent, team.failed, team.failing.as_ref().map(|(_, why)| why.as_str())), (0, 1, Some("503")));

    let mut stage = armed(&telling(vec![("team", channel(&[Incident]))]));
    stage.read("errors", Health::Unhealthy);
    let events = fails(&mut stage, Retry::Never);
    assert!(matches!(&events[..], [Event::NoticeFailed { again_at: None, .. }]), "{events:?}");
    assert!(stage.state.outbox.waiting.is_empty());
}

#[test]
fn a_restart_sends_what_was_not_recorded_under_the_same_key_and_the_same_words() {
    let mut stage = armed(&telling(vec![("team", channel(&[Incident]))]));
    stage.read("errors", Health::Unhealthy);
    let before = next(&stage).unwrap();
    stage.pass(10);
    stage.feed(Input::Resumed { belay_version: "2".to_owned() }).unwrap();
    assert_eq!(next(&stage).unwrap(), before);
    deliver(&mut stage);
    assert!(next(&stage).is_none());
    // An answer that comes twice changes nothing.
    let late = Input::Noticed { notice: before.0, result: Ok("200".to_owned()) };
    assert_eq!(stage.feed(late).unwrap(), []);
}

#[test]
fn what_is_not_sent_in_time_is_late_once() {
    let team = Channel { within: Some(Duration::from_secs(5 * MINUTE)), ..channel(&[Incident]) };
    let mut stage = armed(&telling(vec![("team", team)]));
    stage.read("errors", Health::Unhealthy);
    fails(&mut stage, Retry::Later { after: Some(Duration::from_secs(HOUR)) });
    assert_eq!(stage.wants().deadline, Some(stage.now + Duration::from_secs(5 * MINUTE)));
    stage.pass(5 * MINUTE);
    let is_late = |events: &[Event]| events.iter().filter(|event| matches!(event, Event::NoticeLate { .. })).count();
    assert_eq!(is_late(&stage.tick()), 1);
    stage.pass(MINUTE);
    assert_eq!(is_late(&stage.tick()), 0);
}

#[test]
fn the_notice_of_an_incident_says_who_is_asked_and_a_decision_is_told_by_itself() {
    let mut plan = telling(vec![("team", channel(&NoticeKind::ALL)), ("customers", ladder(0, 15))]);
    let rule = Rule { timebox: Some(Duration::from_secs(900)), ..Rule::always(Answer::Decide) };
    plan.decision.rules = vec![Rule { authority: Some(Authority::AllOf { all: vec!["lead".to_owned()] }), ..rule }];
    let mut stage = armed(&plan);
    deliver(&mut stage);
    stage.read("errors", Health::Unhealthy);
    let got = deliver(&mut stage);
    assert_eq!(kinds(&got, "team"), [(Incident, 0)], "the rule's answer is in the notice of the incident");
    let asked = got[0].1.incident.clone().unwrap();
    assert_eq!((asked.authority, asked.all, asked.then), (vec!["lead".to_owned()], true, Some(Answer::RollBack)));
    assert_eq!(asked.timebox_ends, Some(stage.now + Duration::from_secs(900)));
    assert_eq!(asked.evidence, ["errors: errors reads Unhealthy"]);

    stage.pass(MINUTE);
    stage.command(Verb::Decide { roll_back: true }).unwrap();
    let got = deliver(&mut stage);
    assert_eq!((kinds(&got, "team"), kinds(&got, "customers")), (vec![(Decided, 0)], vec![]));
    assert!(got[0].1.incident.as_ref().unwrap().authority.is_empty(), "nobody is asked any more");
    assert_eq!(got[0].1.run.as_ref().unwrap().now, ["dns"]);
    stage.put_back("dns");
    let got = deliver(&mut stage);
    assert_eq!((kinds(&got, "team"), kinds(&got, "customers")), (vec![(Finished, 0)], vec![(Finished, 0)]));
    assert_eq!(stage.state.state(), MigrationState::RolledBack);
}

#[test]
fn a_rollback_that_a_person_asks_for_while_all_is_well_is_told_to_the_team_alone() {
    let executives = Channel { customer_facing: true, ..channel(&[Incident, Finished, Recovered]) };
    let plan =
        telling(vec![("team", channel(&NoticeKind::ALL)), ("customers", ladder(0, 15)), ("executives", executives)]);
    let mut stage = armed(&plan);
    deliver(&mut stage);
    stage.command(Verb::Rollback { kind: belay_core::event::RunKind::Real, only: vec![], pin: None }).unwrap();
    let mut got = deliver(&mut stage);
    stage.put_back("dns");
    got.extend(deliver(&mut stage));
    assert_eq!(kinds(&got, "team"), [(Decided, 0), (Finished, 0)]);
    assert_eq!(got.iter().filter(|(name, _)| name != "team").count(), 0);
    assert_eq!(got[0].1.run.as_ref().unwrap().by, "ada");
}

#[test]
fn a_drill_is_told_as_one_and_never_to_those_who_hear_of_customers() {
    let mut plan = telling(vec![("team", channel(&NoticeKind::ALL)), ("customers", ladder(0, 15))]);
    plan.decision.rules = vec![Rule::always(Answer::RollBack)];
    let mut stage = armed(&plan);
    deliver(&mut stage);
    stage.command(Verb::Drill { trigger: Some("hurt".to_owned()) }).unwrap();
    stage.read("errors", Health::Unhealthy);
    let mut got = deliver(&mut stage);
    stage.put_back("dns");
    got.extend(deliver(&mut stage));
    assert_eq!(kinds(&got, "team"), [(Incident, 0), (Finished, 0)]);
    assert!(got.iter().all(|(name, facts)| name == "team" && facts.drill));
    assert!(stage.state.outbox.postmortems.is_empty(), "a drill is talked over by its report");
}

#[test]
fn a_trigger_that_customers_feel_brings_them_in_when_it_joins() {
    let mut plan = telling(vec![("customers", ladder(10, 15))]);
    plan.triggers["hurt"].customer_facing = Some(false);
    let slow = Trigger { severity: Severity::Major, ..trigger(Condition::Signal("latency".to_owned()), 0) };
    plan.triggers.insert("slow".to_owned(), slow);
    let mut stage = armed(&plan);
    stage.read("latency", Health::Healthy);
    stage.read("errors", Health::Unhealthy);
    assert_eq!(live(&mut stage, 20 * MINUTE).len(), 0);
    stage.read("latency", Health::Unhealthy);
    let felt_since = stage.now;
    assert_eq!(kinds(&live(&mut stage, 9 * MINUTE), "customers"), [], "customers have felt it for nine minutes");
    let got = live(&mut stage, MINUTE);
    let told = told(&got, "customers", Incident);
    assert_eq!((told.at, told.incident.as_ref().unwrap().felt_since), (felt_since, Some(felt_since)));
    stage.read("latency", Health::Healthy);
    live(&mut stage, 2 * MINUTE);
    stage.read("latency", Health::Unhealthy);
    let again = live(&mut stage, 15 * MINUTE);
    let told = again.iter().rfind(|(name, _)| name == "customers").map(|(_, facts)| facts).unwrap();
    assert_eq!(
        told.incident.as_ref().unwrap().felt_since,
        Some(felt_since),
        "it fired anew, and they had felt it before"
    );
}

/// After an outage nobody says that an incident lasts before a reading shows it, nor while it heals.
#[test]
fn who_is_told_of_an_incident_that_lasts_is_not_told_of_one_that_no_reading_shows() {
    let mut plan = telling(vec![("customers", ladder(30, 15))]);
    plan.triggers["hurt"].dwell = Duration::from_secs(5 * MINUTE);
    let mut stage = armed(&plan);
    stage.read("errors", Health::Unhealthy);
    stage.pass(5 * MINUTE);
    stage.tick();
    assert_eq!(stage.state.state(), MigrationState::Incident);
    stage.pass(40 * MINUTE);
    stage.feed(Input::Resumed { belay_version: "1".to_owned() }).unwrap();
    assert_eq!(kinds(&live(&mut stage, 0), "customers"), []);
    assert!(stage.wants().deadline.is_none_or(|deadline| deadline > stage.now), "the engine does not spin");
    let mut healing = stage.clone();
    healing.read("errors", Health::Healthy);
    assert_eq!(kinds(&live(&mut healing, HOUR), "customers"), []);
    stage.read("errors", Health::Unhealthy);
    assert_eq!(kinds(&live(&mut stage, 0), "customers"), [(Incident, 0)]);
}

#[test]
fn two_days_later_people_are_reminded_unless_they_have_met() {
    let mut plan = telling(vec![("team", channel(&[NoticeKind::PostmortemDue]))]);
    plan.decision.rules = vec![Rule::always(Answer::RollBack)];
    let rolled_back = || {
        let mut stage = armed(&plan);
        stage.read("errors", Health::Unhealthy);
        stage.put_back("dns");
        assert_eq!(stage.state.state(), MigrationState::RolledBack);
        assert!(!stage.state.is_live() && stage.state.is_pending(), "it is disarmed, and something is to come");
        stage
    };
    let mut stage = rolled_back();
    assert_eq!(stage.wants().deadline, Some(stage.now + POSTMORTEM_AFTER));
    stage.now += POSTMORTEM_AFTER;
    stage.feed(Input::Resumed { belay_version: "2".to_owned() }).unwrap();
    let got = deliver(&mut stage);
    assert_eq!(kinds(&got, "team"), [(NoticeKind::PostmortemDue, 0)]);
    assert!(got[0].1.run.is_some() && got[0].1.incident.is_some());
    assert!(!stage.state.is_pending());

    let mut stage = rolled_back();
    let run = stage.state.run.as_ref().unwrap().id.clone();
    stage.command(Verb::PostmortemHeld { run, link: "https://wiki.example.com/17".to_owned() }).unwrap();
    stage.now += POSTMORTEM_AFTER;
    stage.tick();
    assert_eq!(deliver(&mut stage).len(), 0);
}

#[test]
fn a_clock_that_was_set_changes_nothing_of_what_people_were_promised() {
    let mut stage = armed(&telling(vec![("customers", ladder(30, 15))]));
    stage.read("errors", Health::Unhealthy);
    stage.pass(10 * MINUTE);
    stage.now += SignedDuration::from_hours(1);
    stage.awake(Duration::ZERO, SignedDuration::from_hours(1));
    stage.read("errors", Health::Unhealthy);
    assert_eq!(live(&mut stage, 19 * MINUTE).len(), 0);
    assert_eq!(kinds(&live(&mut stage, MINUTE), "customers"), [(Incident, 0)]);
}

/// The first process ran with a clock that was a year ahead.
#[test]
fn a_clock_set_back_over_a_restart_or_in_a_process_holds_up_no_notice() {
    const YEAR: u64 = 365 * 24 * HOUR;
    let mut plan = telling(vec![("team", channel(&[Incident, Finished, NoticeKind::PostmortemDue]))]);
    plan.decision.rules = vec![Rule::always(Answer::RollBack)];
    for (restarts, disarmed) in [(true, false), (true, true), (false, true), (false, false)] {
        let mut stage = armed(&plan);
        stage.read("errors", Health::Unhealthy);
        fails(&mut stage, Retry::Later { after: None });
        if disarmed {
            stage.put_back("dns");
            fails(&mut stage, Retry::Later { after: None });
            assert!(!stage.state.is_live());
        }
        stage.now -= Duration::from_secs(YEAR);
        let awoke = if restarts {
            Input::Resumed { belay_version: "2".to_owned() }
        } else {
            let clock_set = SignedDuration::from_secs(-i64::try_from(YEAR).unwrap());
            Input::Awoke { belay_version: "2".to_owned(), late: Duration::ZERO, clock_set }
        };
        let events = stage.feed(awoke).unwrap();
        let set = -i64::try_from(YEAR).unwrap();
        assert!(matches!(events[0], Event::WatchResumed { clock_set_s, .. } if clock_set_s == set), "{events:?}");
        stage.pass(4);
        let (id, _) = next(&stage).expect("it is tried again");
        stage.feed(Input::Noticed { notice: id.clone(), result: Ok("200".to_owned()) }).unwrap();
        let sent = stage.journal.iter().rev().find_map(|record| match &record.event {
            Event::NoticeSent { notice, delay_s, .. } if *notice == id => Some(*delay_s),
            _ => None,
        });
        assert_eq!(sent, Some(4), "it was due four seconds ago by any clock");
        if disarmed {
            deliver(&mut stage);
            let due = *stage.state.outbox.postmortems.values().next().unwrap();
            assert_eq!(due, stage.now - Duration::from_secs(4) + POSTMORTEM_AFTER);
        }
        assert_eq!(stage.replay(), stage.state);
    }
}

/// What was due by the wrong clock would else be as old as the clock was wrong, and be given up at its first failure.
#[test]
fn a_clock_set_forward_makes_no_notice_too_old() {
    let mut stage = armed(&telling(vec![("team", channel(&[Incident]))]));
    stage.read("errors", Health::Unhealthy);
    let year = SignedDuration::from_hours(24 * 365);
    stage.now += year;
    stage.awake(Duration::ZERO, year);
    let events = fails(&mut stage, Retry::Later { after: None });
    assert!(matches!(&events[..], [Event::NoticeFailed { again_at: Some(_), .. }]), "{events:?}");
}

#[test]
fn an_outage_is_followed_by_one_update_and_not_by_those_that_were_missed() {
    let mut stage = armed(&telling(vec![("customers", ladder(0, 15))]));
    stage.read("errors", Health::Unhealthy);
    deliver(&mut stage);
    stage.pass(5 * HOUR);
    stage.feed(Input::Resumed { belay_version: "2".to_owned() }).unwrap();
    stage.read("errors", Health::Unhealthy);
    assert_eq!(kinds(&live(&mut stage, 14 * MINUTE), "customers"), [(Incident, 1)]);
    assert_eq!(kinds(&live(&mut stage, MINUTE), "customers"), [(Incident, 2)]);
}

#[test]
fn more_than_two_hundred_do_not_wait_for_one_channel() {
    let mut stage = armed(&telling(vec![("team", channel(&[NoticeKind::Blind]))]));
    for _ in 0..150 {
        stage.read_from("errors", Health::Unknown, "cloudwatch", true);
        stage.read("errors", Health::Healthy);
    }
    let waiting = &stage.state.outbox.waiting;
    assert_eq!(waiting.len(), 200);
    assert_eq!(stage.state.outbox.channels["team"].failed, 100);
    assert!(
        waiting.values().next().unwrap().facts.source.as_deref() == Some("cloudwatch"),
        "the first may be on its way"
    );
    let over: BTreeMap<bool, usize> = waiting.values().fold(BTreeMap::new(), |mut over, waiting| {
        *over.entry(waiting.facts.over).or_default() += 1;
        over
    });
    assert_eq!(over.len(), 2, "that it can be read again is told, too");
}

/// One notice of each kind, as the channel gets them.
fn told(got: &[(Name, Facts)], channel: &str, kind: NoticeKind) -> Facts {
    let mut found = got.iter().filter(|(name, facts)| name == channel && facts.kind == kind);
    found.next().unwrap_or_else(|| panic!("{channel} was not told of {kind}: {:?}", kinds(got, channel))).1.clone()
}

#[test]
fn a_disarm_is_no_recovery_and_names_the_person_and_the_reason() {
    let mut stage =
        armed(&telling(vec![("team", channel(&NoticeKind::ALL)), ("well", channel(&[Incident, Recovered]))]));
    stage.read("errors", Health::Unhealthy);
    deliver(&mut stage);
    stage.command(Verb::Disarm).unwrap();
    let got = deliver(&mut stage);
    assert_eq!((kinds(&got, "team"), kinds(&got, "well")), (vec![(Finished, 0)], vec![(Finished, 0)]));
    let facts = told(&got, "team", Finished);
    assert_eq!((facts.by.as_deref(), facts.why.is_empty(), facts.is_well()), (Some("ada"), false, false));
    assert_eq!(facts.incident.unwrap().firing, ["hurt"]);
}

/// Rolled back with the trigger's signal as it reads at the end.
fn rolled_back(confirm: bool, health: Option<Health>) -> Facts {
    let mut plan = telling(vec![("team", channel(&NoticeKind::ALL))]);
    plan.decision.rules = vec![Rule::always(Answer::RollBack)];
    plan.confirm = if confirm { vec![gate("latency", 600, 0)] } else { Vec::new() };
    let mut stage = armed(&plan);
    stage.read("errors", Health::Unhealthy);
    let mut got = deliver(&mut stage);
    if let Some(health) = health {
        stage.read("errors", health);
    }
    stage.put_back("dns");
    if confirm {
        stage.pass(1);
        stage.read("latency", Health::Healthy);
    }
    got.extend(deliver(&mut stage));
    told(&got, "team", Finished)
}

#[test]
fn all_is_well_only_where_that_was_observed() {
    for (confirm, health, well) in [
        (false, None, false),
        (false, Some(Health::Unknown), false),
        (false, Some(Health::Healthy), true),
        // A confirmation says nothing of a trigger that still fires.
        (true, None, false),
        (true, Some(Health::Unknown), true),
        (true, Some(Health::Healthy), true),
    ] {
        let facts = rolled_back(confirm, health);
        assert_eq!(facts.is_well(), well, "confirm: {confirm}, {health:?}");
        assert_eq!(facts.run.as_ref().unwrap().confirmed, confirm);
        let still = if health.is_none() { vec!["hurt".to_owned()] } else { Vec::new() };
        assert_eq!(facts.incident.unwrap().firing, still);
    }
}

#[test]
fn a_notice_names_the_person_who_asked_and_no_other() {
    let mut plan = telling(vec![("team", channel(&NoticeKind::ALL))]);
    let rule = Rule { timebox: Some(Duration::from_secs(900)), ..Rule::always(Answer::Decide) };
    plan.decision.rules = vec![Rule { then: Some(Answer::FixForward), ..rule }];
    let mut stage = armed(&plan);
    let armed_by = told(&deliver(&mut stage), "team", NoticeKind::Armed);
    assert_eq!((armed_by.by.as_deref(), armed_by.why.is_empty()), (Some("ada"), false));
    stage.read("errors", Health::Unhealthy);
    deliver(&mut stage);
    stage.pass(900);
    stage.tick();
    assert_eq!(told(&deliver(&mut stage), "team", Decided).by, None, "the end of a timebox is nobody's word");
    stage.command(Verb::Decide { roll_back: true }).unwrap();
    assert_eq!(told(&deliver(&mut stage), "team", Decided).by.as_deref(), Some("ada"));
    let run = stage.state.run.as_ref().unwrap().id.clone();
    stage.command(Verb::Abort { run }).unwrap();
    let facts = told(&deliver(&mut stage), "team", Finished);
    assert_eq!(facts.by.as_deref(), Some("ada"));
    let run = facts.run.unwrap();
    assert_eq!((run.over, run.done, run.confirmed), (1, Some(0), false), "skipped is not done");
}

#[test]
fn a_worse_trigger_that_joins_is_told_at_once_with_the_worst_severity() {
    let mut plan =
        telling(vec![("team", channel(&NoticeKind::ALL)), ("customers", ladder(0, 15)), ("late", ladder(30, 15))]);
    plan.triggers["hurt"].severity = Severity::Minor;
    let dead = Trigger { severity: Severity::Critical, ..trigger(Condition::Signal("latency".to_owned()), 0) };
    plan.triggers.insert("dead".to_owned(), dead);
    let again = Trigger { severity: Severity::Major, ..trigger(Condition::Signal("blue_ready".to_owned()), 0) };
    plan.triggers.insert("again".to_owned(), again);
    let mut stage = armed(&plan);
    stage.read("latency", Health::Healthy);
    stage.read("blue_ready", Health::Healthy);
    stage.read("errors", Health::Unhealthy);
    assert_eq!(told(&deliver(&mut stage), "team", Incident).incident.unwrap().severity, Severity::Minor);
    stage.pass(MINUTE);
    stage.read("latency", Health::Unhealthy);
    let got = deliver(&mut stage);
    assert_eq!((kinds(&got, "team"), kinds(&got, "customers")), (vec![(Incident, 1)], vec![(Incident, 1)]));
    assert_eq!(kinds(&got, "late"), [], "it was not told of the beginning");
    let facts = told(&got, "team", Incident);
    assert_eq!((facts.joined, facts.incident.unwrap().severity), (vec!["dead".to_owned()], Severity::Critical));
    // No worse: customers hear at their time.
    stage.read("blue_ready", Health::Unhealthy);
    let got = deliver(&mut stage);
    assert_eq!((kinds(&got, "team"), kinds(&got, "customers")), (vec![(Incident, 2)], vec![]));
    let got = live(&mut stage, 14 * MINUTE);
    assert_eq!(kinds(&got, "customers"), [(Incident, 2)], "at a quarter past, as they were promised");
}

#[test]
fn a_notice_that_its_receiver_does_not_take_holds_no_urgent_one_up() {
    let mut stage = armed(&telling(vec![("team", channel(&NoticeKind::ALL))]));
    for _ in 0..6 {
        stage.now = stage.state.wants().notices.iter().map(|id| stage.state.outbox.waiting[id].again_at).max().unwrap();
        fails(&mut stage, Retry::Later { after: None });
    }
    assert!(next(&stage).is_none());
    stage.read("errors", Health::Unhealthy);
    let (id, (_, facts)) = next(&stage).expect("it is tried at once");
    assert_eq!(facts.kind, Incident);
    // That it works again is news for the others.
    stage.feed(Input::Noticed { notice: id, result: Ok("200".to_owned()) }).unwrap();
    assert_eq!(kinds(&deliver(&mut stage), "team"), [(NoticeKind::Armed, 0)]);
}

#[test]
fn what_a_receiver_has_asked_for_holds_until_it_takes_another_notice() {
    let mut stage = armed(&telling(vec![("team", channel(&NoticeKind::ALL))]));
    fails(&mut stage, Retry::Later { after: Some(Duration::from_secs(HOUR)) });
    stage.pass(HOUR - 1);
    assert_eq!(kinds(&deliver(&mut stage), "team"), []);
    stage.read("errors", Health::Unhealthy);
    let (id, _) = next(&stage).unwrap();
    stage.feed(Input::Noticed { notice: id, result: Ok("200".to_owned()) }).unwrap();
    // What has failed is in sight for as long as it waits, whatever else gets through.
    assert!(stage.state.outbox.channels["team"].failing.is_some());
    assert_eq!(kinds(&deliver(&mut stage), "team"), [(NoticeKind::Armed, 0)]);
    assert_eq!(stage.state.outbox.channels["team"].failing, None);
    assert_eq!(stage.replay(), stage.state);
}

#[test]
fn who_was_told_of_the_beginning_is_told_of_the_end_whatever_else_they_hear() {
    let mut plan = telling(vec![("team", channel(&[Incident])), ("deaf", channel(&[NoticeKind::Armed]))]);
    let mut stage = armed(&plan);
    stage.read("errors", Health::Unhealthy);
    let mut got = deliver(&mut stage);
    stage.read("errors", Health::Healthy);
    got.extend(deliver(&mut stage));
    assert_eq!(kinds(&got, "team"), [(Incident, 0), (Recovered, 0)]);
    assert_eq!(kinds(&got, "deaf"), [(NoticeKind::Armed, 0)]);
    plan.decision.rules = vec![Rule::always(Answer::RollBack)];
    let mut stage = armed(&plan);
    stage.read("errors", Health::Unhealthy);
    let mut got = deliver(&mut stage);
    stage.put_back("dns");
    got.extend(deliver(&mut stage));
    assert_eq!(kinds(&got, "team"), [(Incident, 0), (Finished, 0)]);
}

#[test]
fn a_beginning_that_was_not_sent_yet_tells_what_was_decided_meanwhile() {
    let mut plan = telling(vec![("team", Channel { within: minutes(1), ..channel(&NoticeKind::ALL) })]);
    plan.decision.rules = vec![Rule { timebox: minutes(15), ..Rule::always(Answer::Decide) }];
    let mut stage = armed(&plan);
    deliver(&mut stage);
    stage.read("errors", Health::Unhealthy);
    let opened = stage.now;
    let (first, _) = next(&stage).unwrap();
    fails(&mut stage, Retry::Later { after: None });
    stage.command(Verb::Decide { roll_back: false }).unwrap();
    let got = deliver(&mut stage);
    assert_eq!(kinds(&got, "team"), [(Incident, 0), (Decided, 0)]);
    let incident = got[0].1.incident.clone().unwrap();
    assert_eq!((incident.answer, incident.authority.len()), (Some(Answer::FixForward), 0), "nobody is asked any more");
    assert_eq!(got[0].1.at, opened);
    assert_eq!(sent(&stage)[1], first, "its first try may have arrived: it has the same key");
    assert_eq!(stage.state.outbox.rungs["team"].told, 1);
    assert_eq!(stage.replay(), stage.state);
}

/// The notices that were sent, in order.
fn sent(stage: &Stage) -> Vec<NoticeId> {
    let sent = stage.journal.iter().filter_map(|record| match &record.event {
        Event::NoticeSent { notice, .. } => Some(notice.clone()),
        _ => None,
    });
    sent.collect()
}

#[test]
fn a_beginning_that_was_renewed_stays_late_and_keeps_its_tries() {
    let mut plan = telling(vec![("team", Channel { within: minutes(1), ..channel(&[Incident]) })]);
    plan.decision.rules = vec![Rule { timebox: minutes(15), ..Rule::always(Answer::Decide) }];
    let mut stage = armed(&plan);
    stage.read("errors", Health::Unhealthy);
    let (first, _) = next(&stage).unwrap();
    for wait in [MINUTE, 0] {
        fails(&mut stage, Retry::Later { after: None });
        stage.pass(wait);
        stage.tick();
    }
    stage.command(Verb::Decide { roll_back: false }).unwrap();
    let waiting = &stage.state.outbox.waiting[&first];
    assert_eq!((waiting.late, waiting.tries, waiting.why.as_str()), (true, 2, "503"));
    assert_eq!(waiting.facts.incident.as_ref().unwrap().answer, Some(Answer::FixForward));
    let (again, _) = next(&stage).expect("its news are tried at once");
    assert_eq!(again, first);
    stage.pass(MINUTE);
    stage.tick();
    let late = stage.journal.iter().filter(|record| matches!(record.event, Event::NoticeLate { .. })).count();
    assert_eq!((late, stage.replay()), (1, stage.state));
}

#[test]
fn what_is_urgent_is_wanted_beside_what_has_no_answer_yet_and_the_rest_waits_in_one_notice() {
    let mut stage = armed(&crowd(40));
    let armed = stage.state.wants().notices;
    stage.read("errors", Health::Unhealthy);
    let waiting = |stage: &Stage| {
        let kind = |id: &NoticeId| stage.state.outbox.waiting[id].facts.kind;
        stage.state.wants().notices.iter().map(kind).collect::<Vec<_>>()
    };
    let approval = NoticeKind::Approval;
    assert_eq!(waiting(&stage), [Incident, approval, approval, approval, NoticeKind::Armed]);
    assert_eq!(stage.state.wants().notices.last(), armed.last(), "it may still be on its way");
    let approvals: Vec<usize> = stage.state.outbox.waiting.values().map(|waiting| waiting.facts.more).collect();
    assert_eq!(approvals, [0, 0, 0, 0, 0, 0, 35]);
}

#[test]
fn a_channel_that_leads_elsewhere_has_taken_no_notice() {
    let mut plan = telling(vec![("team", channel(&[NoticeKind::Armed]))]);
    let mut stage = armed(&plan);
    deliver(&mut stage);
    let taken = stage.state.outbox.channels["team"].last_sent;
    assert!(taken.is_some());
    let team = |plan: &Plan| plan.notify.channels["team"].clone();
    for (spec, expected) in [("env:HOOK", taken), ("env:OTHER", None)] {
        let changed = Channel { spec: json!({ "slack": spec }), within: minutes(1), ..team(&plan) };
        let channels = [("team".to_owned(), changed)].into_iter().collect();
        plan.notify = Arc::new(Notify { channels, ..Notify::default() });
        stage.command(Verb::Disarm).unwrap();
        stage.arm(&plan);
        assert_eq!(stage.state.outbox.channels["team"].last_sent, expected);
    }
}

#[test]
fn a_rollback_that_a_person_asks_for_in_an_incident_is_a_decision() {
    let mut stage = armed(&telling(vec![("team", channel(&NoticeKind::ALL))]));
    stage.read("errors", Health::Unhealthy);
    deliver(&mut stage);
    stage.command(Verb::Rollback { kind: belay_core::event::RunKind::Real, only: vec![], pin: None }).unwrap();
    let got = deliver(&mut stage);
    assert_eq!(kinds(&got, "team"), [(Decided, 0)]);
    assert_eq!(
        (got[0].1.by.as_deref(), got[0].1.incident.as_ref().unwrap().answer),
        (Some("ada"), Some(Answer::RollBack))
    );
    assert_eq!(stage.replay(), stage.state);
}

#[test]
fn a_beginning_that_waits_is_tried_with_the_end() {
    let mut stage = armed(&telling(vec![("team", channel(&[Incident, Recovered]))]));
    stage.read("errors", Health::Unhealthy);
    for _ in 0..8 {
        stage.now = stage.state.wants().notices.iter().map(|id| stage.state.outbox.waiting[id].again_at).max().unwrap();
        fails(&mut stage, Retry::Later { after: None });
    }
    stage.pass(1);
    stage.read("errors", Health::Healthy);
    assert_eq!(kinds(&deliver(&mut stage), "team"), [(Incident, 0), (Recovered, 0)]);
}

#[test]
fn who_was_never_told_of_the_beginning_is_not_told_of_the_end() {
    let mut stage = armed(&telling(vec![("team", channel(&[Incident, Recovered]))]));
    stage.read("errors", Health::Unhealthy);
    fails(&mut stage, Retry::Never);
    stage.read("errors", Health::Healthy);
    assert_eq!(deliver(&mut stage).len(), 0);
    // Nor where the end waits already.
    stage.read("errors", Health::Unhealthy);
    fails(&mut stage, Retry::Later { after: None });
    stage.read("errors", Health::Healthy);
    assert_eq!(stage.state.outbox.waiting.len(), 2);
    fails(&mut stage, Retry::Never);
    assert_eq!((deliver(&mut stage).len(), stage.state.outbox.waiting.len()), (0, 0));
    let given_up = stage.state.outbox.channels["team"].given_up.clone().unwrap();
    assert_eq!((given_up.count, given_up.about), (3, Recovered));
    assert_eq!(stage.replay(), stage.state);
}

#[test]
fn what_was_given_up_is_in_sight_until_the_migration_is_armed_anew() {
    let plan = telling(vec![("team", channel(&[Incident, Recovered]))]);
    let mut stage = armed(&plan);
    stage.read("errors", Health::Unhealthy);
    fails(&mut stage, Retry::Never);
    stage.read("errors", Health::Healthy);
    stage.read("errors", Health::Unhealthy);
    deliver(&mut stage);
    let team = stage.state.outbox.channels["team"].clone();
    assert_eq!((team.failing, team.given_up.map(|given_up| given_up.count)), (None, Some(1)));
    stage.command(Verb::Disarm).unwrap();
    stage.arm(&plan);
    assert_eq!(stage.state.outbox.channels["team"].given_up, None);
}

#[test]
fn a_rung_that_an_outage_has_missed_is_late_and_its_delay_counts_from_the_schedule() {
    let late = Channel {
        after: Some(Duration::from_secs(20 * MINUTE)),
        within: Some(Duration::from_secs(5 * MINUTE)),
        ..channel(&[Incident])
    };
    let mut stage = armed(&telling(vec![("late", late)]));
    stage.read("errors", Health::Unhealthy);
    stage.pass(HOUR);
    stage.feed(Input::Resumed { belay_version: "2".to_owned() }).unwrap();
    // That it lasts is known when it is read.
    let mut events = stage.read("errors", Health::Unhealthy);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::NoticeLate { .. })).count(), 1, "{events:?}");
    let (id, _) = next(&stage).unwrap();
    events = stage.feed(Input::Noticed { notice: id, result: Ok("200".to_owned()) }).unwrap();
    assert!(matches!(&events[..], [Event::NoticeSent { delay_s: 2400, .. }]), "{events:?}");
}

/// A plan of many manual steps, all of which ask for a person at once.
fn crowd(steps: usize) -> Plan {
    let mut plan = telling(vec![("team", channel(&NoticeKind::ALL))]);
    plan.decision.rules = vec![Rule::always(Answer::RollBack)];
    plan.steps = (0..steps)
        .map(|number| {
            let by_hand = Step { action: "manual".to_owned(), ..step(&[]) };
            (format!("step{number}"), by_hand)
        })
        .collect();
    plan
}

#[test]
fn a_thousand_approvals_are_five_notices_and_lose_nothing_else() {
    let mut stage = armed(&crowd(1000));
    deliver(&mut stage);
    stage.read("errors", Health::Unhealthy);
    let got = deliver(&mut stage);
    let approvals: Vec<&Facts> =
        got.iter().map(|(_, facts)| facts).filter(|facts| facts.kind == NoticeKind::Approval).collect();
    assert_eq!(approvals.len() + approvals.iter().map(|facts| facts.more).sum::<usize>(), 1000);
    assert!(approvals.len() <= 10, "{}", approvals.len());
    assert_eq!(told(&got, "team", Incident).update, 0);
    let team = &stage.state.outbox.channels["team"];
    assert_eq!((team.failed, team.sent), (0, 2 + approvals.len() as u64));
}

#[test]
fn an_approval_that_was_answered_before_anybody_was_told_is_not_asked_for() {
    let mut stage = armed(&crowd(5));
    deliver(&mut stage);
    stage.read("errors", Health::Unhealthy);
    let asks = |stage: &Stage| -> Vec<Name> {
        let approvals =
            stage.state.outbox.waiting.values().filter(|waiting| waiting.facts.kind == NoticeKind::Approval);
        approvals.map(|waiting| waiting.facts.step.as_ref().unwrap().name.clone()).collect()
    };
    assert_eq!(asks(&stage), ["step0", "step1", "step2", "step3", "step4"]);
    let run = stage.state.run.as_ref().unwrap().id.clone();
    let approve = |stage: &mut Stage, step: &str| {
        stage.command(Verb::Approve { run: run.clone(), step: step.to_owned(), approve: true }).unwrap()
    };
    // The first ones may be on their way.
    let events = approve(&mut stage, "step3");
    let dropped = events.iter().find_map(|event| match event {
        Event::NoticeDropped { about: NoticeKind::Approval, why, .. } => Some(why.as_str()),
        _ => None,
    });
    assert_eq!(dropped, Some("it was answered before anybody was told"));
    assert_eq!(asks(&stage), ["step0", "step1", "step2", "step4"]);
    // What was tried may have arrived.
    while next(&stage).is_some_and(|(_, (_, facts))| facts.kind != NoticeKind::Approval) {
        let (id, _) = next(&stage).unwrap();
        stage.feed(Input::Noticed { notice: id, result: Ok("200".to_owned()) }).unwrap();
    }
    fails(&mut stage, Retry::Later { after: None });
    approve(&mut stage, "step0");
    assert_eq!(asks(&stage), ["step0", "step1", "step2", "step4"]);
    assert_eq!(stage.replay(), stage.state);
}

#[test]
fn recipients_who_were_refused_are_in_sight_until_the_migration_is_armed_anew() {
    let plan = telling(vec![("team", channel(&[Incident, Recovered]))]);
    let mut stage = armed(&plan);
    for health in [Health::Unhealthy, Health::Healthy] {
        stage.read("errors", health);
        let (id, _) = next(&stage).unwrap();
        let answer = "250 OK; refused for gone@example.com (550 no such user)".to_owned();
        stage.feed(Input::Noticed { notice: id, result: Ok(answer) }).unwrap();
    }
    let team = stage.state.outbox.channels["team"].clone();
    let refused = team.refused.unwrap();
    assert_eq!((team.sent, refused.count, refused.about), (2, 2, Recovered));
    assert_eq!(refused.why, "gone@example.com (550 no such user)");
    assert_eq!(stage.replay(), stage.state);
    stage.command(Verb::Disarm).unwrap();
    stage.arm(&plan);
    assert_eq!(stage.state.outbox.channels["team"].refused, None);
}

#[test]
fn nothing_urgent_is_given_up_for_what_is_not() {
    let mut stage = armed(&telling(vec![("team", channel(&[NoticeKind::Blind, Incident]))]));
    stage.read("errors", Health::Unhealthy);
    fails(&mut stage, Retry::Later { after: Some(Duration::from_secs(HOUR)) });
    for _ in 0..150 {
        stage.read_from("errors", Health::Unknown, "cloudwatch", true);
        stage.read("errors", Health::Unhealthy);
    }
    assert_eq!(stage.state.outbox.waiting.len(), 200);
    assert_eq!(stage.state.outbox.waiting.values().filter(|waiting| waiting.facts.kind == Incident).count(), 1);
}
