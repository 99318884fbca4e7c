//! What was unknown, or could not be read, while the run went on.

use std::collections::BTreeMap;

use belay_core::{
    event::{Event, StepEvent},
    reading::Health,
};
use belay_narrate::words;
use jiff::{SignedDuration, Timestamp};

use crate::{
    course::Course,
    model::{Listing, SignalStrip, Unknown},
    shown,
};

const UNKNOWN_MAX: usize = 200;

pub(crate) fn unknown(course: &Course, strip: &SignalStrip) -> Listing<Unknown> {
    let mut found = stretches(course);
    for row in &strip.rows {
        let unknown = row.bands.items.iter().filter(|band| band.health == Health::Unknown);
        found.extend(unknown.map(|band| Unknown {
            what: shown(format!("signal {}", row.signal)),
            from: band.from,
            to: Some(band.to).filter(|to| *to < strip.to),
            why: band.evidence.clone(),
        }));
    }
    found.sort_by_key(|unknown| unknown.from);
    Listing::of(found, UNKNOWN_MAX)
}

fn stretches(course: &Course) -> Vec<Unknown> {
    let mut found: Vec<Unknown> = Vec::new();
    let mut open: BTreeMap<String, usize> = BTreeMap::new();
    let story = course.told();
    let (first, last) = (story.first().map(|record| record.at), story.last().map(|record| record.at));
    for (index, record) in course.records.iter().enumerate().take_while(|(_, record)| Some(record.at) <= last) {
        let (what, why) = match &record.event {
            Event::Blinded { source, why } => (format!("source {source}"), why.clone()),
            Event::TriggerUnknown { trigger, why } => (format!("trigger {trigger}"), why.clone()),
            Event::Sighted { source } => {
                close(&mut found, &mut open, &format!("source {source}"), record.at);
                continue;
            }
            Event::TriggerKnown { trigger } => {
                close(&mut found, &mut open, &format!("trigger {trigger}"), record.at);
                continue;
            }
            Event::PlanPinned { .. } => {
                close_all(&mut found, &mut open, "", record.at);
                continue;
            }
            Event::WatchResumed { outage_s, asleep, clock_set_s, .. } => {
                close_all(&mut found, &mut open, "source ", record.at);
                let outage = SignedDuration::from_secs(i64::try_from(*outage_s).unwrap_or(i64::MAX));
                let from = record.at.saturating_sub(outage).unwrap_or(record.at);
                let why = words::outage(*outage_s, *asleep, *clock_set_s);
                found.push(Unknown {
                    what: shown("everything"),
                    from,
                    to: Some(record.at),
                    why: shown(format!("{why}; then every signal was read anew")),
                });
                continue;
            }
            Event::Step { step, what } if course.story.contains(&index) => {
                let (what, why) = match what {
                    StepEvent::LookFailed { why } => (format!("state of step {step}"), why),
                    StepEvent::OutcomeUnknown { why, .. } => (format!("outcome of a call of step {step}"), why),
                    _ => continue,
                };
                found.push(Unknown { what: shown(what), from: record.at, to: None, why: shown(why) });
                continue;
            }
            _ => continue,
        };
        open.insert(what.clone(), found.len());
        found.push(Unknown { what: shown(what), from: record.at, to: None, why: shown(why) });
    }
    found.retain(|unknown| {
        unknown.to.or(last) >= first && Some(unknown.from) <= last && unknown.to != Some(unknown.from)
    });
    found
}

/// What is open under a name that begins like this.
fn close_all(found: &mut [Unknown], open: &mut BTreeMap<String, usize>, like: &str, at: Timestamp) {
    let names: Vec<String> = open.keys().filter(|name| name.starts_with(like)).cloned().collect();
    names.iter().for_each(|name| close(found, open, name, at));
}

fn close(found: &mut [Unknown], open: &mut BTreeMap<String, usize>, what: &str, at: Timestamp) {
    if let Some(unknown) = open.remove(what).and_then(|index| found.get_mut(index)) {
        unknown.to = Some(at);
    }
}
