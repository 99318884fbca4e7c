//! The `alarm` signal: the state of a metric, composite or log alarm.

mod data;
mod history;
mod read;
mod readiness;
mod rule;
mod state;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use belay_aws_catalogue::cloudwatch::alarm::{Spec, located};
use belay_core::reading::Reading;
use belay_plan::{model::AwsTarget, suggest};
use belay_ports::{Clock, Detects, Fut, Permission, Query, ReadError, Sensor, SignalReadiness, sensor::READ_TIME_MAX};
use futures::{StreamExt, stream};
use serde::Deserialize;

use self::{
    data::Seen,
    history::{Histories, History},
    read::{CALL, Found, Kept, Learned, NAMES_MAX, Place},
    state::State,
};
pub(crate) use self::{history::CALL as HISTORY_CALL, read::types};
use crate::{
    budget, cloudwatch, place,
    sensing::{Deadline, Finding},
    session::Aws,
};

/// What the readings are from, in each place.
const SOURCE: &str = "cloudwatch";

/// What to do about an alarm of another account than the plan's.
const ELSEWHERE: &str =
    "the alarm is in another account than the plan's: give the signal an `aws:` with a `role` of that account";

/// Calls under way at the same time: enough to see thousands of alarms in seconds, inside half of the quota of 9/s.
const CONCURRENT_CALLS: usize = 4;

/// Alarms whose history is looked at in one evaluation of the readiness, a call each; the others in the next ones.
const HISTORIES_MAX: usize = 50;

/// At once, and for so long: the alarms themselves are read from the same quota.
const CONCURRENT_HISTORIES: usize = 2;
const HISTORIES_TIME: Duration = Duration::from_secs(30);

/// Alarms of one place whose data is looked for in one evaluation: each of their metrics is paid.
const DATA_MAX: usize = 100;

/// A composite alarm may name others: so many levels are looked at.
const CHILDREN_DEEP: usize = 5;

/// How many existing alarms a reading names instead of one that does not exist.
const SIMILAR_MAX: usize = 3;

/// The sensor of `alarm`.
pub struct Alarm {
    aws: Aws,
    clock: Arc<dyn Clock>,
    learned: Learned,
    histories: Histories,
    seen: Seen,
}

/// One signal: what the plan writes, and where its alarm is.
struct Asked<'a> {
    query: &'a Query,
    spec: &'a Spec,
    target: AwsTarget,
    name: &'a str,
}

/// The alarms of all places, by place and name.
type All<'a> = HashMap<(&'a AwsTarget, String), Found>;

/// An alarm that a trigger goes by.
type Watched<'a> = (&'a AwsTarget, &'a str, &'a State);

/// When it has last fired, or why that is not known.
type HistoryFound = Result<History, String>;

fn specs(queries: &[Query]) -> Vec<Result<Spec, serde_json::Error>> {
    queries.iter().map(|query| Spec::deserialize(&query.spec)).collect()
}

fn asked<'a>(queries: &'a [Query], specs: &'a [Result<Spec, serde_json::Error>]) -> Vec<Result<Asked<'a>, Finding>> {
    let asked = queries.iter().zip(specs).map(|(query, spec)| {
        let spec = spec.as_ref().map_err(Finding::not_understood)?;
        let (target, name) = located(&spec.alarm, &query.aws);
        Ok(Asked { query, spec, target, name })
    });
    asked.collect()
}

impl Alarm {
    pub fn new(aws: Aws, clock: Arc<dyn Clock>) -> Self {
        Self { aws, clock, learned: Learned::default(), histories: Histories::default(), seen: Seen::default() }
    }

    async fn read_all(&self, queries: &[Query]) -> Vec<Reading> {
        let taken = self.clock.now();
        let deadline = Deadline::within(self.clock.as_ref(), self.time_max(queries));
        let specs = specs(queries);
        let asked = asked(queries, &specs);
        let all = self.find_all(&asked, Kept::State, &deadline).await;
        let existing = self.existing(&all, &deadline).await;
        let readings = asked.iter().zip(queries).map(|(asked, query)| match asked {
            Err(finding) => finding.clone().reading(query, taken, SOURCE),
            Ok(asked) => {
                let reading = asked.finding(&all, &existing).reading(query, taken, SOURCE);
                Reading { source: format!("{SOURCE} {}", place::name(&asked.target)), ..reading }
            }
        });
        readings.collect()
    }

    async fn check_all(&self, queries: &[Query]) -> Vec<SignalReadiness> {
        let deadline = Deadline::within(self.clock.as_ref(), self.time_max(queries));
        let specs = specs(queries);
        let asked = asked(queries, &specs);
        let all = self.with_children(&asked, &deadline).await;
        // That one cannot be read, the reading shows.
        let watched: Vec<_> = asked.iter().flatten().filter(|asked| asked.query.of_trigger).collect();
        let watched = watched.iter().filter_map(|asked| Some((&asked.target, asked.name, asked.state(&all)?)));
        let histories = self.histories(watched.collect()).await;
        let data = self.data(asked.iter().flatten().flat_map(|asked| asked.leaves(&all)), &deadline).await;
        let found = |asked: &Asked<'_>| {
            let state = asked.state(&all)?;
            let detects = readiness::detects(&asked.target, asked.name, &all);
            let mut checks = readiness::checks(asked.name, state, &detects);
            checks.extend(asked.leaves(&all).into_iter().filter_map(|leaf| data::check(asked.name, leaf, &data)));
            let history = asked.query.of_trigger.then(|| histories.get(&(&asked.target, asked.name)));
            checks.extend(history.flatten().map(|history| history::check(asked.name, history.clone())));
            Some(SignalReadiness { checks, detects: detects.map_or(Detects::Unknown, Detects::Within) })
        };
        let unread = || SignalReadiness { detects: Detects::Unknown, ..SignalReadiness::default() };
        asked.iter().map(|asked| asked.as_ref().ok().and_then(&found).unwrap_or_else(unread)).collect()
    }

    /// Whether data has arrived lately for the alarms that stand OK.
    async fn data<'a>(
        &self,
        alarms: impl Iterator<Item = Watched<'a>>,
        deadline: &Deadline<'_>,
    ) -> HashMap<(&'a AwsTarget, &'a str), data::Found> {
        let (mut found, mut due) = (HashMap::new(), BTreeMap::<_, BTreeMap<_, _>>::new());
        for (target, name, state) in alarms.filter(|(_, _, state)| state.may_lack_data()) {
            match self.seen.lately(target, name, self.clock.monotonic()) {
                true => drop(found.insert((target, name), Ok(true))),
                false => drop(due.entry(target).or_default().insert(name, state)),
            }
        }
        for (target, alarms) in due {
            let alarms: Vec<_> = alarms.into_iter().take(DATA_MAX).collect();
            for some in alarms.chunks(data::ALARMS_MAX) {
                let looked = match deadline.bound(async { Ok(self.aws.clients(target).await?) }).await {
                    Ok(clients) => {
                        let place = Place { client: &clients.cloudwatch, target, deadline };
                        data::look(&place, some, self.clock.now()).await
                    }
                    Err(error) => some.iter().map(|(name, _)| (*name, Err(error.why.clone()))).collect(),
                };
                for (name, looked) in looked {
                    if looked == Ok(true) {
                        self.seen.keep(target, name, self.clock.monotonic());
                    }
                    found.insert((target, name), looked);
                }
            }
        }
        found
    }

    /// When each alarm has last fired, or why that is not known.
    async fn histories<'a>(&self, alarms: Vec<Watched<'a>>) -> HashMap<(&'a AwsTarget, &'a str), HistoryFound> {
        let (deadline, now) = (Deadline::within(self.clock.as_ref(), HISTORIES_TIME), self.clock.monotonic());
        let mut looked: HashMap<_, _> = HashMap::new();
        let mut due = Vec::new();
        for (target, name, state) in &alarms {
            match history::fires_now(state) {
                Some(fired) => drop(looked.insert((*target, *name), Ok(fired))),
                None => due.extend(self.histories.due(target, name, now).map(|last| (last, *target, *name, *state))),
            }
        }
        due.sort_by_key(|(last, target, name, _)| (*last, *target, *name));
        due.dedup_by_key(|(_, target, name, _)| (*target, *name));
        let looks = due.into_iter().take(HISTORIES_MAX).map(|(_, target, name, state)| {
            let deadline = &deadline;
            async move { ((target, name), self.history(target, name, state, deadline).await) }
        });
        let looks: Vec<_> = looks.collect();
        looked.extend(stream::iter(looks).buffer_unordered(CONCURRENT_HISTORIES).collect::<Vec<_>>().await);
        let found = alarms.into_iter().map(|(target, name, _)| {
            let found = self.histories.found((target, name), now, looked.remove(&(target, name)));
            ((target, name), found)
        });
        found.collect()
    }

    async fn history(
        &self,
        target: &AwsTarget,
        name: &str,
        state: &State,
        deadline: &Deadline<'_>,
    ) -> Result<History, ReadError> {
        let clients = deadline.bound(async { Ok(self.aws.clients(target).await?) }).await?;
        history::look(&Place { client: &clients.cloudwatch, target, deadline }, name, state.kind.clone()).await
    }

    /// All alarms that are asked for, in as few calls as possible.
    async fn find_all<'a>(
        &self,
        asked: &'a [Result<Asked<'_>, Finding>],
        kept: Kept,
        deadline: &Deadline<'_>,
    ) -> All<'a> {
        let calls = self.calls(asked.iter().flatten().map(|asked| (&asked.target, asked.name)));
        self.find(calls, kept, deadline).await
    }

    /// With the children of composite alarms, which are in the same place, and theirs in turn.
    async fn with_children<'a>(&self, asked: &'a [Result<Asked<'_>, Finding>], deadline: &Deadline<'_>) -> All<'a> {
        let mut all = self.find_all(asked, Kept::WithMetrics, deadline).await;
        for _ in 0..CHILDREN_DEEP {
            let composite =
                all.iter().filter_map(|((target, _), found)| Some((*target, found.as_ref().ok()?.as_ref()?)));
            let children =
                composite.flat_map(|(target, state)| state.children.iter().map(move |name| (target, name.clone())));
            let unknown: BTreeSet<(&AwsTarget, String)> = children.filter(|child| !all.contains_key(child)).collect();
            if unknown.is_empty() {
                break;
            }
            let calls = self.calls(unknown.iter().map(|(target, name)| (*target, name.as_str())));
            all.extend(self.find(calls, Kept::WithMetrics, deadline).await);
        }
        all
    }

    async fn find<'a>(&self, calls: Vec<(&'a AwsTarget, Vec<String>)>, kept: Kept, deadline: &Deadline<'_>) -> All<'a> {
        let looks: Vec<_> = calls.iter().map(|(target, names)| self.look(target, names, kept, deadline)).collect();
        let found: Vec<_> = stream::iter(looks).buffered(CONCURRENT_CALLS).collect().await;
        let targets = calls.iter().map(|(target, _)| *target);
        let all =
            targets.zip(found).flat_map(|(target, found)| found.into_iter().map(move |(name, f)| ((target, name), f)));
        all.collect()
    }

    /// Which names are asked for where, in as few calls as possible.
    fn calls<'a, 'n>(
        &self,
        alarms: impl Iterator<Item = (&'a AwsTarget, &'n str)>,
    ) -> Vec<(&'a AwsTarget, Vec<String>)> {
        let mut names: BTreeMap<&'a AwsTarget, BTreeSet<&'n str>> = BTreeMap::new();
        for (target, name) in alarms {
            names.entry(target).or_default().insert(name);
        }
        let chunks = names.into_iter().flat_map(|(target, names)| {
            let (alone, together): (Vec<String>, Vec<String>) =
                names.into_iter().map(ToOwned::to_owned).partition(|name| self.learned.is_refused(target, name));
            let chunks = together.chunks(NAMES_MAX).chain(alone.chunks(1));
            chunks.map(|chunk| (target, chunk.to_vec())).collect::<Vec<_>>()
        });
        chunks.collect()
    }

    async fn look(
        &self,
        target: &AwsTarget,
        names: &[String],
        kept: Kept,
        deadline: &Deadline<'_>,
    ) -> Vec<(String, Found)> {
        match deadline.bound(async { Ok(self.aws.clients(target).await?) }).await {
            Ok(clients) => {
                self.learned.look(&Place { client: &clients.cloudwatch, target, deadline }, names, kept).await
            }
            Err(error) => names.iter().map(|name| (name.clone(), Err(error.clone()))).collect(),
        }
    }

    /// The names that exist in each place where one of those asked for does not.
    async fn existing<'a>(&self, all: &All<'a>, deadline: &Deadline<'_>) -> HashMap<&'a AwsTarget, Vec<String>> {
        let missing = all.iter().filter(|(_, found)| matches!(found, Ok(None)));
        let places: BTreeSet<&AwsTarget> = missing.map(|((target, _), _)| *target).collect();
        let mut existing = HashMap::new();
        for target in places {
            let Ok(clients) = self.aws.clients(target).await else { continue };
            let place = Place { client: &clients.cloudwatch, target, deadline };
            existing.extend(self.learned.names(&place, self.clock.as_ref()).await.map(|names| (target, names)));
        }
        existing
    }
}

impl Asked<'_> {
    /// The alarms with metrics that it goes by.
    fn leaves<'s>(&'s self, all: &'s All<'s>) -> Vec<Watched<'s>> {
        readiness::leaves(&self.target, self.name, all)
    }

    /// None where there is no such alarm, or it could not be read.
    fn state<'s>(&'s self, all: &'s All<'s>) -> Option<&'s State> {
        all.get(&(&self.target, self.name.to_owned()))?.as_ref().ok()?.as_ref()
    }

    fn finding(&self, all: &All<'_>, existing: &HashMap<&AwsTarget, Vec<String>>) -> Finding {
        let Self { query, spec, target, name } = self;
        let is_elsewhere = query.aws.account.as_ref().is_some_and(|account| target.account.as_ref() != Some(account));
        match &all[&(target, (*name).to_owned())] {
            Err(error) if is_elsewhere => {
                Finding::Unreadable(ReadError { why: format!("{}; {ELSEWHERE}", error.why), ..error.clone() })
            }
            Err(error) => Finding::Unreadable(error.clone()),
            Ok(Some(state)) => state.finding(spec.missing),
            Ok(None) => {
                let names = existing.get(target).into_iter().flatten().map(String::as_str);
                let similar = match suggest::similar(name, names, SIMILAR_MAX).as_slice() {
                    [] => String::new(),
                    similar => format!("; there is {}", suggest::quoted(similar.iter().copied(), ", ")),
                };
                Finding::unknown(format!("there is no alarm {name} in {}{similar}", place::name(target))).for_good()
            }
        }
    }
}

impl Sensor for Alarm {
    /// Thousands of alarms take as long as Belay's share of the quota lasts.
    fn time_max(&self, queries: &[Query]) -> Duration {
        let calls = queries.len().div_ceil(NAMES_MAX);
        READ_TIME_MAX + budget::pace(&cloudwatch::SERVICE, "DescribeAlarms") * u32::try_from(calls).unwrap_or(u32::MAX)
    }

    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        Box::pin(self.read_all(queries))
    }

    fn readiness<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<SignalReadiness>> {
        Box::pin(self.check_all(queries))
    }

    /// On `*`: composite alarms can be read in no other way, and which alarms are composite is not known beforehand.
    fn permissions(&self, query: &Query) -> Vec<Permission> {
        let history = query.of_trigger.then_some(HISTORY_CALL);
        let read = |action: &str| Permission {
            action: action.to_owned(),
            resource: "*".to_owned(),
            mutates: false,
            conditions: Vec::new(),
        };
        [CALL, data::CALL].into_iter().chain(history).map(read).collect()
    }
}

#[cfg(test)]
mod tests;
