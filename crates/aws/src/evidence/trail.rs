//! CloudTrail's event history: what was changed on the plan's resources, and by whom.

use std::collections::BTreeMap;

use aws_sdk_cloudtrail::{
    primitives::DateTime,
    types::{Event, LookupAttribute, LookupAttributeKey},
};
use belay_plan::model::AwsTarget;
use belay_ports::{
    Gathered,
    evidence::{EvidenceSource, Finding, Question},
};
use jiff::Timestamp;

use super::{
    Patience,
    names::{Names, Record},
    places,
};
use crate::{
    errors, place,
    services::{Granted, Service},
    session::Aws,
};

pub(crate) const SERVICE: Service = Service {
    // "LookupEvents", two a second.
    quotas: &[Granted::all(2.0, 4.0)],
    reads: &["LookupEvents"],
    ..Service::new("CloudTrail", "cloudtrail")
};

/// The IAM action.
pub(super) const CALL: &str = "cloudtrail:LookupEvents";

/// AWS grants two calls a second, and each can take seconds.
const PAGES_MAX: usize = 8;
const PAGE: i32 = 50;

/// People are named, up to so many, who have changed something else.
const OTHERS_MAX: usize = 3;

pub(super) const LATE_NOTE: &str =
    "CloudTrail shows a call up to 15 minutes after it: the latest changes may be missing";

pub(super) async fn gather(aws: &Aws, patience: &Patience<'_>, question: &Question) -> Gathered {
    let names = Names::of(&question.plan);
    let back = question.plan.evidence.as_ref().and_then(|evidence| evidence.cloudtrail).unwrap_or_default();
    let mut gathered = match question.source {
        EvidenceSource::CloudtrailLater => Gathered::default(),
        _ => Gathered::note(LATE_NOTE),
    };
    for target in places(&question.plan) {
        let place = place::name(&target);
        if patience.is_over() {
            gathered.notes.push(format!("{place}: not looked at, since CloudTrail answers too slowly"));
            continue;
        }
        let back = i64::try_from(back.as_secs()).unwrap_or(i64::MAX);
        let from_s = question.opened.as_second().saturating_sub(back);
        let asked = Asked { target: &target, by: By::Changing, from_s, until: question.opened, pages_max: PAGES_MAX };
        let changes = match events(aws, patience, &asked).await {
            Ok(changes) => changes,
            Err(why) => {
                gathered.notes.push(why);
                continue;
            }
        };
        if let Some(from) = changes.cut_off {
            let looked_at = changes.events.len();
            gathered
                .notes
                .push(format!("{place}: only the latest {looked_at} changes were looked at, back to {from:.0}"));
        }
        let mut others: BTreeMap<String, usize> = BTreeMap::new();
        let mut refused = 0;
        for event in &changes.events {
            let record = Record::of(event);
            match names.find(&record) {
                // It has changed nothing.
                Some(_) if record.is_refused() => refused += 1,
                Some(name) => gathered.findings.extend(finding(event, name, &record)),
                None if record.is_refused() => {}
                None => *others.entry(who(event, &record)).or_default() += 1,
            }
        }
        if refused > 0 {
            let calls: &str = if refused == 1 { "1 call was" } else { &format!("{refused} calls were") };
            gathered.notes.push(format!("{place}: {calls} refused on the plan's resources, and changed nothing"));
        }
        gathered.notes.extend(other_changes(&place, &others));
    }
    gathered
}

pub(super) struct Events {
    /// The latest first.
    pub(super) events: Vec<Event>,
    /// There are earlier ones, and they were not looked at.
    pub(super) cut_off: Option<Timestamp>,
}

/// The one attribute that a lookup takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum By<'a> {
    /// Calls that change something.
    Changing,
    /// Calls that list this resource, as the service calls it.
    Resource(&'a str),
}

pub(super) struct Asked<'a> {
    pub(super) target: &'a AwsTarget,
    pub(super) by: By<'a>,
    pub(super) from_s: i64,
    pub(super) until: Timestamp,
    pub(super) pages_max: usize,
}

pub(super) async fn events(aws: &Aws, patience: &Patience<'_>, asked: &Asked<'_>) -> Result<Events, String> {
    let Asked { target, by, from_s, until, pages_max } = *asked;
    let clients = aws.clients(target).await.map_err(|error| error.to_string())?;
    let (key, value) = match by {
        By::Changing => (LookupAttributeKey::ReadOnly, "false"),
        By::Resource(name) => (LookupAttributeKey::ResourceName, name),
    };
    let attribute = LookupAttribute::builder().attribute_key(key).attribute_value(value).build();
    let attribute = attribute.map_err(|error| error.to_string())?;
    let mut events = Vec::new();
    let mut token = None;
    for _ in 0..pages_max {
        let answer = clients
            .cloudtrail
            .lookup_events()
            .start_time(DateTime::from_secs(from_s))
            .end_time(DateTime::from_secs(until.as_second()))
            .lookup_attributes(attribute.clone())
            .max_results(PAGE)
            .set_next_token(token)
            .send()
            .await
            .map_err(|error| errors::read(error, CALL, &format!("the events of {}", place::name(target))).why)?;
        events.extend(answer.events.unwrap_or_default());
        token = answer.next_token;
        if token.is_none() || patience.is_over() {
            break;
        }
    }
    let cut_off = token.and_then(|_| events.last().and_then(at));
    Ok(Events { events, cut_off })
}

fn at(event: &Event) -> Option<Timestamp> {
    Timestamp::from_second(event.event_time()?.secs()).ok()
}

pub(super) fn finding(event: &Event, name: &str, record: &Record) -> Option<Finding> {
    let what = event.event_name().unwrap_or("a call without a name").to_owned();
    Some(Finding { at: at(event)?, what, resource: name.to_owned(), who: Some(who(event, record)), detail: None })
}

/// The name of a user or session; else the identity's ARN, or the service that called.
fn who(event: &Event, record: &Record) -> String {
    if let Some(name) = event.username().filter(|name| !name.is_empty()) {
        return name.to_owned();
    }
    let identity = &record.detail["userIdentity"];
    let known = ["arn", "invokedBy", "type"].iter().find_map(|key| identity[*key].as_str());
    known.unwrap_or("somebody unknown").to_owned()
}

fn other_changes(place: &str, others: &BTreeMap<String, usize>) -> Option<String> {
    let count: usize = others.values().sum();
    let mut most: Vec<(&String, &usize)> = others.iter().collect();
    most.sort_by_key(|(who, count)| (std::cmp::Reverse(**count), (*who).clone()));
    let named: Vec<String> = most.iter().take(OTHERS_MAX).map(|(who, count)| format!("{who} ({count})")).collect();
    let rest = if most.len() > OTHERS_MAX { ", ..." } else { "" };
    (count > 0).then(|| format!("{place}: {count} changes of other resources, by {}{rest}", named.join(", ")))
}
