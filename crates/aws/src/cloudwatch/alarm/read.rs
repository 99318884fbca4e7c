//! Reads alarms by name, in as few calls as possible, and learns from refusals: one value that CloudWatch does not take
//! refuses a whole call, and must not blind the other alarms in it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_sdk_cloudwatch::{
    Client,
    error::SdkError,
    operation::describe_alarms::{DescribeAlarmsError, DescribeAlarmsOutput},
    types::AlarmType,
};
use belay_plan::model::AwsTarget;
use belay_ports::{Clock, ReadError};
use futures::{FutureExt, future::BoxFuture};

use super::state::{State, from_composite, from_log, from_metric};
use crate::{cloudwatch::is_request_wrong, errors, place, sensing::Deadline};

/// What `DescribeAlarms` takes and answers at most in one call.
pub(super) const NAMES_MAX: usize = 100;

/// How many calls a list of all names may take: it only helps to find a misspelling.
const LIST_CALLS_MAX: usize = 10;

/// For how long a list of names is used again.
const LIST_LASTS: Duration = Duration::from_secs(10 * 60);

pub(super) const CALL: &str = "cloudwatch:DescribeAlarms";

/// An alarm, None where there is no such alarm; or why it could not be read.
pub(super) type Found = Result<Option<State>, ReadError>;

/// What earlier calls have taught about each place.
#[derive(Debug, Default)]
pub(super) struct Learned(Mutex<Lessons>);

#[derive(Debug, Default)]
struct Lessons {
    /// Whether CloudWatch knows alarms on logs there: older regions and partitions may not.
    log_alarms: HashMap<AwsTarget, bool>,
    /// Names that CloudWatch refuses: each of them is asked for alone.
    refused: HashSet<(AwsTarget, String)>,
    /// The names of all alarms, as far as they were listed, and when: on the monotonic clock.
    names: HashMap<AwsTarget, (Duration, Vec<String>)>,
}

/// What is kept of an alarm: a look every few seconds at a thousand of them needs no more than their states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    State,
    WithMetrics,
}

/// What a look at one place needs.
pub(super) struct Place<'a> {
    pub(super) client: &'a Client,
    pub(super) target: &'a AwsTarget,
    pub(super) deadline: &'a Deadline<'a>,
}

/// Why a call brought nothing.
enum Failure {
    /// CloudWatch does not take a value of it.
    Wrong(ReadError),
    Other(ReadError),
}

impl Learned {
    fn lessons(&self) -> MutexGuard<'_, Lessons> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_refused(&self, target: &AwsTarget, name: &str) -> bool {
        self.lessons().refused.contains(&(target.clone(), name.to_owned()))
    }

    /// The alarms of these names, each on its own where one of them spoils the call.
    pub(super) fn look<'a>(
        &'a self,
        place: &'a Place<'_>,
        names: &'a [String],
        kept: Kept,
    ) -> BoxFuture<'a, Vec<(String, Found)>> {
        async move {
            let all = |found: &dyn Fn(&String) -> Found| names.iter().map(|name| (name.clone(), found(name))).collect();
            match self.describe(place, names, kept).await {
                Ok(alarms) => all(&|name| Ok(alarms.get(name).cloned())),
                Err(Failure::Wrong(_)) if names.len() > 1 => {
                    let (left, right) = names.split_at(names.len() / 2);
                    let (mut left, right) = (self.look(place, left, kept).await, self.look(place, right, kept).await);
                    left.extend(right);
                    left
                }
                Err(Failure::Wrong(error)) => {
                    self.lessons().refused.extend(names.iter().map(|name| (place.target.clone(), name.clone())));
                    all(&|_| Err(ReadError { permanent: true, ..error.clone() }))
                }
                Err(Failure::Other(error)) => all(&|_| Err(error.clone())),
            }
        }
        .boxed()
    }

    /// One call; a second one without alarms on logs, where CloudWatch may not know these.
    async fn describe(
        &self,
        place: &Place<'_>,
        names: &[String],
        kept: Kept,
    ) -> Result<HashMap<String, State>, Failure> {
        let known = self.lessons().log_alarms.get(place.target).copied();
        let first = self.ask(place, (names, kept), known != Some(false)).await;
        match &first {
            Ok(_) if known.is_none() => {
                self.lessons().log_alarms.insert(place.target.clone(), true);
            }
            Err(Failure::Wrong(_)) if known.is_none() => {
                let second = self.ask(place, (names, kept), false).await;
                if second.is_ok() {
                    self.lessons().log_alarms.insert(place.target.clone(), false);
                    return second;
                }
            }
            _ => {}
        }
        first
    }

    async fn ask(
        &self,
        place: &Place<'_>,
        (names, kept): (&[String], Kept),
        log_alarms: bool,
    ) -> Result<HashMap<String, State>, Failure> {
        let asked = place.client.describe_alarms().set_alarm_names(Some(names.to_vec()));
        let mut pages = asked
            .set_alarm_types(Some(types(log_alarms)))
            .into_paginator()
            .page_size(i32::try_from(NAMES_MAX).unwrap_or(i32::MAX))
            .send();
        let mut found = HashMap::new();
        loop {
            let page = place.deadline.bound(async { Ok(pages.next().await) }).await.map_err(Failure::Other)?;
            match page {
                None => return Ok(found),
                Some(Ok(page)) => found.extend(states(page, kept)),
                Some(Err(error)) => return Err(failure(error, place.target)),
            }
        }
    }

    /// The names of the alarms that exist there, as far as one bounded list of them goes. None where it cannot be read.
    pub(super) async fn names(&self, place: &Place<'_>, clock: &dyn Clock) -> Option<Vec<String>> {
        let now = clock.monotonic();
        if let Some((at, names)) = self.lessons().names.get(place.target)
            && now < *at + LIST_LASTS
        {
            return Some(names.clone());
        }
        let log_alarms = self.lessons().log_alarms.get(place.target) != Some(&false);
        let mut pages = place
            .client
            .describe_alarms()
            .set_alarm_types(Some(types(log_alarms)))
            .into_paginator()
            .page_size(i32::try_from(NAMES_MAX).unwrap_or(i32::MAX))
            .send();
        let mut names = Vec::new();
        for _ in 0..LIST_CALLS_MAX {
            match place.deadline.bound(async { Ok(pages.next().await) }).await.ok()? {
                None => break,
                Some(page) => names.extend(states(page.ok()?, Kept::State).map(|(name, _)| name)),
            }
        }
        self.lessons().names.insert(place.target.clone(), (now, names.clone()));
        Some(names)
    }
}

/// Without this list CloudWatch answers with metric alarms alone.
pub(crate) fn types(log_alarms: bool) -> Vec<AlarmType> {
    let logs = log_alarms.then_some(AlarmType::LogAlarm);
    [AlarmType::MetricAlarm, AlarmType::CompositeAlarm].into_iter().chain(logs).collect()
}

fn states(page: DescribeAlarmsOutput, kept: Kept) -> impl Iterator<Item = (String, State)> {
    let metric = page.metric_alarms.unwrap_or_default().into_iter();
    let metric = metric.filter_map(move |alarm| from_metric(alarm, kept == Kept::WithMetrics));
    let composite = page.composite_alarms.unwrap_or_default().into_iter().filter_map(from_composite);
    metric.chain(composite).chain(page.log_alarms.unwrap_or_default().into_iter().filter_map(from_log))
}

fn failure(error: SdkError<DescribeAlarmsError>, target: &AwsTarget) -> Failure {
    let wrong = is_request_wrong(&error);
    let error = errors::read(error, CALL, &place::name(target));
    if wrong { Failure::Wrong(error) } else { Failure::Other(error) }
}
