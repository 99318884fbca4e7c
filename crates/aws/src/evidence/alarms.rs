//! How the plan's alarms have turned in the last day, and how they were changed.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_cloudwatch::{
    primitives::DateTime,
    types::{AlarmHistoryItem, AlarmType, HistoryItemType, ScanBy},
};
use belay_aws_catalogue::cloudwatch::{ALARM, alarm::located};
use belay_plan::model::AwsTarget;
use belay_ports::{
    Gathered,
    evidence::{Finding, Question},
};

use super::Patience;
use crate::{
    cloudwatch::{HISTORY_CALL, timestamp},
    errors, place,
    session::Aws,
};

/// The IAM action.
pub(super) const CALL: &str = HISTORY_CALL;

const BACK: Duration = Duration::from_secs(24 * 3600);

/// Of one alarm.
const ITEMS_MAX: i32 = 20;

/// A call each.
const ALARMS_MAX: usize = 30;

pub(super) async fn gather(aws: &Aws, patience: &Patience<'_>, question: &Question) -> Gathered {
    let signals = question.plan.signals.values().filter(|signal| signal.kind == ALARM);
    let mut alarms: BTreeMap<(AwsTarget, String), ()> = BTreeMap::new();
    for signal in signals {
        let Some(alarm) = signal.spec[ALARM].as_str() else { continue };
        let (target, name) = located(alarm, &signal.aws);
        alarms.insert((target, name.to_owned()), ());
    }
    let mut gathered = Gathered::default();
    if alarms.len() > ALARMS_MAX {
        gathered.notes.push(format!("of {} alarms, {ALARMS_MAX} were looked at", alarms.len()));
    }
    for (target, name) in alarms.into_keys().take(ALARMS_MAX) {
        if patience.is_over() {
            gathered.notes.push("CloudWatch answers too slowly: not all alarms were looked at".to_owned());
            break;
        }
        match history(aws, &target, &name, question).await {
            Ok(found) => gathered.findings.extend(found),
            Err(why) if gathered.notes.contains(&why) => {} // the same for all
            Err(why) => gathered.notes.push(why),
        }
    }
    gathered
}

async fn history(aws: &Aws, target: &AwsTarget, name: &str, question: &Question) -> Result<Vec<Finding>, String> {
    let clients = aws.clients(target).await.map_err(|error| error.to_string())?;
    let until_s = question.opened.as_second();
    let answer = clients
        .cloudwatch
        .describe_alarm_history()
        .alarm_name(name)
        .alarm_types(AlarmType::MetricAlarm)
        .alarm_types(AlarmType::CompositeAlarm)
        .start_date(DateTime::from_secs(until_s - BACK.as_secs().cast_signed()))
        .end_date(DateTime::from_secs(until_s + 1))
        .scan_by(ScanBy::TimestampDescending)
        .max_records(ITEMS_MAX)
        .send()
        .await
        .map_err(|error| errors::read(error, CALL, &format!("alarms in {}", place::name(target))).why)?;
    Ok(answer.alarm_history_items().iter().filter_map(|item| finding(name, item)).collect())
}

/// What the alarm has told others is no evidence.
fn finding(name: &str, item: &AlarmHistoryItem) -> Option<Finding> {
    let told = matches!(item.history_item_type(), Some(HistoryItemType::Action));
    let at = timestamp(item.timestamp()?).filter(|_| !told)?;
    let what = item.history_summary().unwrap_or("it was changed").to_owned();
    Some(Finding { at, what, resource: name.to_owned(), who: None, detail: None })
}
