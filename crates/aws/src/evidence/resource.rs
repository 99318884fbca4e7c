//! Who has changed the resource of a step, by CloudTrail: for drift.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_cloudtrail::types::Event;
use belay_plan::model::AwsTarget;
use belay_ports::{Clock, Gathered, evidence::Changed};

use super::{
    Patience,
    names::{Names, Record},
    place_of,
    trail::{Asked, By, LATE_NOTE, events, finding},
};
use crate::session::Aws;

/// A call each.
const NAMES_MAX: usize = 3;

/// Where no call lists one of the names, those that change something are looked through.
const SCANNED_PAGES_MAX: usize = 2;

/// No new call is begun after that.
const CALLS_BEGIN_WITHIN: Duration = Duration::from_secs(8);

/// An answer is used again for so long: CloudTrail lists a call minutes after it anyway, and grants two lookups a second to all.
const LASTS: Duration = Duration::from_secs(10 * 60);

/// Answers that are kept.
const KEPT_MAX: usize = 100;

/// By place and resource, and when: on the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<HashMap<(AwsTarget, String), (Duration, Gathered)>>);

impl Answers {
    pub(super) async fn changes(&self, aws: &Aws, clock: &dyn Clock, changed: Changed<'_>) -> Gathered {
        let key = (place_of(changed.step), changed.step.resource.clone());
        let now = clock.monotonic();
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some((_, gathered)) = known.filter(|(at, _)| now < *at + LASTS) {
            return gathered;
        }
        let patience = Patience { clock, until: now + CALLS_BEGIN_WITHIN };
        let gathered = look(aws, &patience, &key.0, changed).await;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, (now, gathered.clone()));
        gathered
    }
}

async fn look(aws: &Aws, patience: &Patience<'_>, target: &AwsTarget, changed: Changed<'_>) -> Gathered {
    let Changed { step, since, until } = changed;
    let names = Names::of_resource(step);
    let ask = |by, pages_max| {
        let asked = Asked { target, by, from_s: since.as_second(), until, pages_max };
        async move { events(aws, patience, &asked).await }
    };
    let mut found: Vec<Event> = Vec::new();
    for name in names.longest_first().into_iter().take(NAMES_MAX).filter(|_| !patience.is_over()) {
        match ask(By::Resource(name), 1).await {
            Ok(listed) => found.extend(listed.events.into_iter().filter(changes)),
            Err(why) => return Gathered::note(why),
        }
    }
    if found.is_empty() && !patience.is_over() {
        match ask(By::Changing, SCANNED_PAGES_MAX).await {
            Ok(all) => found.extend(all.events.into_iter().filter(|event| names.find(&Record::of(event)).is_some())),
            Err(why) => return Gathered::note(why),
        }
    }
    let mut seen = BTreeSet::new();
    found.retain(|event| event.event_id().is_none_or(|id| seen.insert(id.to_owned())));
    // What was refused has changed nothing.
    let findings = found.iter().map(|event| (event, Record::of(event))).filter(|(_, record)| !record.is_refused());
    let mut findings: Vec<_> = findings.filter_map(|(event, record)| finding(event, &step.resource, &record)).collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.at));
    let notes = match findings.is_empty() {
        true => vec![format!("CloudTrail lists no change of it since {since:.0}"), LATE_NOTE.to_owned()],
        false => Vec::new(),
    };
    Gathered { findings, notes }
}

fn changes(event: &Event) -> bool {
    event.read_only() != Some("true")
}
