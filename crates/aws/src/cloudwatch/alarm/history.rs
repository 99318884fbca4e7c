//! Whether an alarm has ever fired: of one that never has, it is not known whether it can.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_sdk_cloudwatch::types::{AlarmHistoryItem, AlarmType, HistoryItemType, ScanBy, StateValue};
use belay_plan::model::AwsTarget;
use belay_ports::{Check, ReadError};
use jiff::Timestamp;
use serde_json::Value;

use super::{read::Place, state::State};
use crate::{cloudwatch::timestamp, errors, place};

/// The IAM action.
pub(crate) const CALL: &str = "cloudwatch:DescribeAlarmHistory";

const ID: &str = "alarm_history";

/// What CloudWatch keeps.
const KEPT: &str = "30 days";

/// What was found is used again for so long.
const LASTS: Duration = Duration::from_secs(3600);

/// Of one alarm; the most that a page takes. An alarm whose data comes and goes turns often without firing.
const PAGES_MAX: usize = 3;
const PAGE: i32 = 100;

/// What a history shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum History {
    /// When it last turned to ALARM.
    Fired(Timestamp),
    Never,
    /// Not in the turns that were looked at, back to the time.
    NotSince(Timestamp),
}

/// What earlier evaluations have found, and when: on the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Histories(Mutex<HashMap<(AwsTarget, String), (Duration, History)>>);

impl Histories {
    fn known(&self) -> MutexGuard<'_, HashMap<(AwsTarget, String), (Duration, History)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When it was looked at last, if ever: those are first that never were. None: what was found still counts.
    pub(super) fn due(&self, target: &AwsTarget, name: &str, now: Duration) -> Option<Option<Duration>> {
        let last = self.known().get(&(target.clone(), name.to_owned())).map(|(at, _)| *at);
        last.is_none_or(|at| now >= at + LASTS).then_some(last)
    }

    /// What an earlier evaluation has found counts where this one finds nothing.
    pub(super) fn found(
        &self,
        (target, name): (&AwsTarget, &str),
        now: Duration,
        looked: Option<Result<History, ReadError>>,
    ) -> Result<History, String> {
        let mut known = self.known();
        let why = match looked {
            Some(Ok(history)) => {
                known.insert((target.clone(), name.to_owned()), (now, history.clone()));
                return Ok(history);
            }
            Some(Err(error)) => error.why,
            None => "not looked at yet: each evaluation looks at a few alarms only".to_owned(),
        };
        known.get(&(target.clone(), name.to_owned())).map(|(_, history)| history.clone()).ok_or(why)
    }
}

/// The latest turns first, until one is to ALARM.
pub(super) async fn look(place: &Place<'_>, name: &str, kind: AlarmType) -> Result<History, ReadError> {
    let asked = place.client.describe_alarm_history().alarm_name(name).alarm_types(kind);
    let asked = asked.history_item_type(HistoryItemType::StateUpdate).scan_by(ScanBy::TimestampDescending);
    let mut pages = asked.into_paginator().page_size(PAGE).send();
    let mut oldest = None;
    for _ in 0..PAGES_MAX {
        let page = match place.deadline.bound(async { Ok(pages.next().await) }).await? {
            None => break, // the same token again
            Some(page) => {
                page.map_err(|error| errors::read(error, CALL, &format!("{name} in {}", place::name(place.target))))?
            }
        };
        let is_last = page.next_token().is_none();
        for item in page.alarm_history_items() {
            oldest = item.timestamp().and_then(timestamp).or(oldest);
            if let Some(at) = oldest.filter(|_| turns_to_alarm(item)) {
                return Ok(History::Fired(at));
            }
        }
        if is_last {
            return Ok(History::Never);
        }
    }
    Ok(oldest.map_or(History::Never, History::NotSince))
}

fn turns_to_alarm(item: &AlarmHistoryItem) -> bool {
    let data: Option<Value> = item.history_data().and_then(|data| serde_json::from_str(data).ok());
    match data.as_ref().and_then(|data| data["newState"]["stateValue"].as_str()) {
        Some(state) => state == StateValue::Alarm.as_str(),
        None => item.history_summary().is_some_and(|summary| summary.trim_end().ends_with(" to ALARM")),
    }
}

/// Of an alarm that is in ALARM now, nothing has to be looked up.
pub(super) fn fires_now(state: &State) -> Option<History> {
    let at = state.since.filter(|_| state.value == Some(StateValue::Alarm))?;
    Some(History::Fired(at))
}

/// A warning at most: what it shows of the rollback is that it might not begin by itself.
pub(super) fn check(name: &str, found: Result<History, String>) -> Check {
    let never = |found: String| {
        Check::warn(ID, name, format!("{found}: it is not known whether it can fire"))
            .wanted("in ALARM once, in a rehearsal")
            .cure(format!(
                "in a rehearsal, make what it watches happen; or see that its state arrives: aws cloudwatch set-alarm-state \
                 --alarm-name {} --state-value ALARM --state-reason rehearsal",
                shell_word(name)
            ))
    };
    match found {
        Ok(History::Fired(at)) => Check::go(ID, name, format!("last in ALARM at {at:.0}")),
        Ok(History::Never) => never(format!("never in ALARM in the {KEPT} that CloudWatch keeps")),
        Ok(History::NotSince(from)) => never(format!("not in ALARM in its latest turns, back to {from:.0}")),
        Err(why) => Check::warn(ID, name, format!("whether it has ever fired is not known: {why}"))
            .wanted("in ALARM once, in a rehearsal")
            .cure(format!(
                "check again later, or look: aws cloudwatch describe-alarm-history --alarm-name {}",
                shell_word(name)
            )),
    }
}

/// The command is copied into a shell.
fn shell_word(text: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./:@".contains(char);
    match !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_told_by_its_data_and_without_data_by_its_summary() {
        let item = AlarmHistoryItem::builder;
        let data =
            |state: &str| format!(r#"{{"oldState":{{"stateValue":"ALARM"}},"newState":{{"stateValue":"{state}"}}}}"#);
        assert!(turns_to_alarm(&item().history_data(data("ALARM")).build()));
        assert!(!turns_to_alarm(&item().history_data(data("OK")).history_summary("from OK to ALARM").build()));
        assert!(turns_to_alarm(&item().history_summary("Alarm updated from OK to ALARM").build()));
        assert!(!turns_to_alarm(&item().history_summary("Alarm updated from ALARM to OK").build()));
    }

    #[test]
    fn a_name_is_one_word_of_the_shell() {
        for (name, word) in [("checkout-5xx", "checkout-5xx"), ("5xx; $(rm)", "'5xx; $(rm)'"), ("it's", r"'it'\''s'")] {
            assert_eq!(shell_word(name), word);
        }
    }
}
