//! Reads signals. One sampler serves all migrations of a process, so that all alarms of all plans are read in the fewest
//! calls: at every poll one [`Sensor::read`](belay_ports::Sensor::read) for each kind of signal. A signal that somebody
//! needs fresher than its last reading is read at once, beside the sweep.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use belay_core::reading::{Health, Reading};
use belay_plan::model::Name;
use belay_ports::{Clock, Observer, Ports, Query, Sensors};
use futures::FutureExt;
use jiff::Timestamp;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
};

/// Sensors promise to answer within a time. The rest is for their own time-outs to speak first: they know more.
const READ_GRACE: Duration = Duration::from_secs(1);

/// A read that is not back so long after its sensor's time cannot be ended: it holds a thread up, or this host is overloaded.
const OVERDUE_AFTER: Duration = Duration::from_secs(5);

/// The least time between two reads of a signal whose reading comes back older than it was asked for.
const REREAD_MIN: Duration = Duration::from_millis(250);

/// Sweeps that a migration may be behind; what does not fit is read again.
const SWEEPS_MAX: usize = 16;

/// Reads signals for everybody who subscribes. Clones share it; the last one to go stops it.
#[derive(Clone)]
pub struct Sampler {
    shared: Arc<Shared>,
    poll: Duration,
    _task: Arc<JoinSet<()>>,
}

#[derive(Default)]
struct Shared {
    seats: Mutex<BTreeMap<u64, Seat>>,
    next_seat: AtomicU64,
    changed: Notify,
    /// Sent each time that the loop comes round.
    turned: watch::Sender<()>,
}

/// One subscription.
struct Seat {
    entries: BTreeMap<Name, Entry>,
    readings: mpsc::Sender<Vec<Reading>>,
}

/// One signal of one subscription.
struct Entry {
    kind: String,
    query: Arc<Query>,
    gated: bool,
    fresh_after: Timestamp,
    /// When the last reading that was handed on had been taken.
    taken: Option<Timestamp>,
    /// When the youngest read under way began.
    asked: Option<Timestamp>,
    /// On the monotonic clock.
    not_before: Duration,
    /// Sweeps pass it by until then: see [`Sensor::pace`](belay_ports::Sensor::pace). On the monotonic clock.
    swept_from: Duration,
    pace: Duration,
}

impl Entry {
    /// Nothing that was read or is being read is fresh enough.
    fn is_urgent(&self, monotonic: Duration) -> bool {
        let stale = |at: Option<Timestamp>| at.is_none_or(|at| at < self.fresh_after);
        stale(self.taken) && stale(self.asked) && monotonic >= self.not_before
    }
}

/// What a subscriber wants to know of a signal.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// The sensor's key.
    pub kind: String,
    pub query: Arc<Query>,
    /// It is read at every poll, whatever its sensor's pace.
    pub gated: bool,
    /// If the last reading is older, the signal is read at once.
    pub fresh_after: Timestamp,
}

/// One migration's seat at the sampler. Dropping it ends its reads.
pub struct Subscription {
    shared: Arc<Shared>,
    seat: u64,
    readings: mpsc::Receiver<Vec<Reading>>,
}

impl Sampler {
    /// `poll`: how often every wanted signal is read. `observer` is told of every read.
    pub fn start(
        sensors: Arc<dyn Sensors>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
        poll: Duration,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let mut task = JoinSet::new();
        task.spawn(sample(shared.clone(), sensors, clock, observer, poll));
        Self { shared, poll, _task: Arc::new(task) }
    }

    /// The poll interval in force.
    pub fn poll(&self) -> Duration {
        self.poll
    }

    /// How late the most overdue signal of each kind is: how far the age of its last reading, or of the read under way if
    /// there is none yet, exceeds the poll interval and its sensor's pace. Nothing when all of them are in time.
    pub fn lag(&self, now: Timestamp) -> BTreeMap<String, Duration> {
        let mut lag: BTreeMap<String, Duration> = BTreeMap::new();
        for entry in self.shared.seats().values().flat_map(|seat| seat.entries.values()) {
            let since = entry.taken.or(entry.asked).unwrap_or(now);
            let age = Duration::try_from(now.duration_since(since)).unwrap_or_default();
            let late = age.saturating_sub(self.poll.max(entry.pace));
            let most = lag.entry(entry.kind.clone()).or_default();
            *most = late.max(*most);
        }
        lag
    }

    /// Waits until the loop has come round: a sign of life. One that hangs or has ended never does.
    pub async fn turn(&self) {
        let mut turned = self.shared.turned.subscribe();
        self.shared.changed.notify_one();
        if turned.changed().await.is_err() {
            std::future::pending().await
        }
    }

    pub fn subscribe(&self) -> Subscription {
        let (sender, readings) = mpsc::channel(SWEEPS_MAX);
        let seat = self.shared.next_seat.fetch_add(1, Ordering::Relaxed);
        self.shared.seats().insert(seat, Seat { entries: BTreeMap::new(), readings: sender });
        Subscription { shared: self.shared.clone(), seat, readings }
    }
}

impl Shared {
    fn seats(&self) -> MutexGuard<'_, BTreeMap<u64, Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// These signals from here on, and no others.
    pub fn want(&self, wanted: BTreeMap<Name, Wanted>) {
        let mut seats = self.shared.seats();
        let Some(seat) = seats.get_mut(&self.seat) else { return };
        let mut before = std::mem::take(&mut seat.entries);
        for (name, wanted) in wanted {
            let known =
                before.remove(&name).filter(|entry| entry.kind == wanted.kind && is_same(&entry.query, &wanted.query));
            let entry = match known {
                // Who asks anew does not wait for the pause between two reads of the same question.
                Some(entry) if wanted.fresh_after > entry.fresh_after => {
                    Entry { gated: wanted.gated, fresh_after: wanted.fresh_after, not_before: Duration::ZERO, ..entry }
                }
                Some(entry) => Entry { gated: wanted.gated, fresh_after: wanted.fresh_after, ..entry },
                None => Entry {
                    kind: wanted.kind,
                    query: wanted.query,
                    gated: wanted.gated,
                    fresh_after: wanted.fresh_after,
                    taken: None,
                    asked: None,
                    not_before: Duration::ZERO,
                    swept_from: Duration::ZERO,
                    pace: Duration::ZERO,
                },
            };
            seat.entries.insert(name, entry);
        }
        drop(seats);
        self.shared.changed.notify_one();
    }

    /// The next readings: of one sweep, or of a signal that was read on its own.
    pub async fn next(&mut self) -> Vec<Reading> {
        match self.readings.recv().await {
            Some(readings) => readings,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.seats().remove(&self.seat);
    }
}

fn is_same(one: &Arc<Query>, other: &Arc<Query>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

/// One call of a sensor.
struct Batch {
    kind: String,
    /// A poll's sweep, as against a read of what is urgent.
    sweep: bool,
    items: Vec<(u64, Arc<Query>)>,
}

/// A call of a sensor that has not answered yet.
struct UnderWay {
    batch: Batch,
    /// On the monotonic clock; then again after each poll.
    overdue_at: Duration,
    is_overdue: bool,
}

/// The polls of one kind of signal.
#[derive(Default)]
struct Sweep {
    /// On the monotonic clock.
    due: Duration,
    under_way: bool,
}

/// The time to the next turn of a pace. Turns are counted on the wall clock from 1970, as the periods of metrics are: so
/// each read comes right after a period, none is passed over, and signals of one pace come up in the same sweep, whenever
/// each was wanted first.
fn to_next_turn(now: Timestamp, pace: Duration) -> Duration {
    let gone = now.as_nanosecond().checked_rem_euclid(i128::try_from(pace.as_nanos()).unwrap_or(i128::MAX));
    let gone = gone.and_then(|gone| u64::try_from(gone).ok()).map(Duration::from_nanos);
    pace.saturating_sub(gone.unwrap_or_default())
}

async fn sample(
    shared: Arc<Shared>,
    sensors: Arc<dyn Sensors>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    poll: Duration,
) {
    let mut sweeps: BTreeMap<String, Sweep> = BTreeMap::new();
    let mut reads: JoinSet<(u64, Vec<Reading>)> = JoinSet::new();
    let mut under_way: BTreeMap<u64, UnderWay> = BTreeMap::new();
    let mut number = 0;
    loop {
        shared.turned.send_replace(());
        let overdue = give_up(&shared, &mut under_way, clock.as_ref(), poll);
        let hung = under_way.values().filter(|read| read.is_overdue).map(|read| read.batch.kind.as_str()).collect();
        let (batches, next) = due(&shared, sensors.as_ref(), &mut sweeps, &hung, clock.as_ref(), poll);
        for batch in batches {
            let (sensors, clock, observer) = (sensors.clone(), clock.clone(), observer.clone());
            let queries: Vec<Query> = batch.items.iter().map(|(_, query)| query.as_ref().clone()).collect();
            let kind = batch.kind.clone();
            let began = clock.monotonic();
            let time_max = sensors.sensor(&kind).map_or(Duration::ZERO, |sensor| sensor.time_max(&queries));
            number += 1;
            let (number, overdue_at) = (number, began + time_max + OVERDUE_AFTER);
            under_way.insert(number, UnderWay { batch, overdue_at, is_overdue: false });
            reads.spawn(async move {
                let readings = read_kind(sensors.as_ref(), clock.as_ref(), &kind, &queries).await;
                observer.read(&kind, clock.now(), clock.monotonic().saturating_sub(began), &readings);
                (number, readings)
            });
        }
        tokio::select! {
            biased;
            Some(Ok((number, readings))) = reads.join_next() => {
                let Some(UnderWay { batch, .. }) = under_way.remove(&number) else { continue };
                if let Some(sweep) = sweeps.get_mut(&batch.kind).filter(|_| batch.sweep) {
                    sweep.under_way = false;
                }
                hand_out(&shared, &batch, readings);
            }
            () = shared.changed.notified() => {}
            () = clock.sleep(next.min(overdue)) => {}
        }
    }
}

/// Readings that a read under way should have given and has not are too old to go by: its signals are unknown, now and at
/// every poll until it ends. Gives how long it is until the next read is overdue.
fn give_up(shared: &Shared, under_way: &mut BTreeMap<u64, UnderWay>, clock: &dyn Clock, poll: Duration) -> Duration {
    let (now, monotonic) = (clock.now(), clock.monotonic());
    for read in under_way.values_mut().filter(|read| monotonic >= read.overdue_at) {
        let why = "the read does not come back: this host is overloaded, or the sensor hangs";
        let unknown = |(_, query): &(u64, Arc<Query>)| unread(&query.signal, &read.batch.kind, now, why);
        hand_out(shared, &read.batch, read.batch.items.iter().map(unknown).collect());
        (read.overdue_at, read.is_overdue) = (monotonic + poll, true);
    }
    let next = under_way.values().map(|read| read.overdue_at.saturating_sub(monotonic)).min();
    next.unwrap_or(Duration::MAX)
}

/// The reads that are due now, and how long until the next may be. `hung`: kinds of which a read does not come back; another
/// one would hold up another thread.
fn due(
    shared: &Shared,
    sensors: &dyn Sensors,
    sweeps: &mut BTreeMap<String, Sweep>,
    hung: &BTreeSet<&str>,
    clock: &dyn Clock,
    poll: Duration,
) -> (Vec<Batch>, Duration) {
    let (now, monotonic) = (clock.now(), clock.monotonic());
    let mut batches: BTreeMap<(String, bool), Batch> = BTreeMap::new();
    let mut next = monotonic + poll;
    for (seat, subscriber) in shared.seats().iter_mut() {
        for entry in subscriber.entries.values_mut().filter(|entry| !hung.contains(entry.kind.as_str())) {
            let sweep = sweeps.entry(entry.kind.clone()).or_default();
            let swept = !sweep.under_way && monotonic >= sweep.due && (entry.gated || monotonic >= entry.swept_from);
            if swept || entry.is_urgent(monotonic) {
                entry.asked = Some(now);
                entry.not_before = monotonic + REREAD_MIN;
                let pace = sensors.sensor(&entry.kind).map(|sensor| sensor.pace(&entry.query));
                entry.pace = pace.unwrap_or_default();
                entry.swept_from = monotonic + to_next_turn(now, entry.pace);
                let batch = batches.entry((entry.kind.clone(), swept)).or_insert_with(|| Batch {
                    kind: entry.kind.clone(),
                    sweep: swept,
                    items: Vec::new(),
                });
                batch.items.push((*seat, entry.query.clone()));
            } else if entry.taken.is_none_or(|taken| taken < entry.fresh_after) && entry.not_before > monotonic {
                next = next.min(entry.not_before);
            }
        }
    }
    for batch in batches.values().filter(|batch| batch.sweep) {
        let sweep = sweeps.entry(batch.kind.clone()).or_default();
        (sweep.due, sweep.under_way) = (monotonic + poll, true);
    }
    let idle = sweeps.values().filter(|sweep| !sweep.under_way && sweep.due > monotonic);
    next = idle.map(|sweep| sweep.due).fold(next, Duration::min);
    (batches.into_values().collect(), next - monotonic)
}

fn hand_out(shared: &Shared, batch: &Batch, readings: Vec<Reading>) {
    let mut seats = shared.seats();
    let mut parcels: BTreeMap<u64, Vec<Reading>> = BTreeMap::new();
    for ((seat, query), reading) in batch.items.iter().zip(readings) {
        let entry = seats.get(seat).and_then(|seat| seat.entries.get(&query.signal));
        // Somebody who has asked anew, or does not ask any more, gets no answer to the old question.
        if entry.is_some_and(|entry| Arc::ptr_eq(&entry.query, query)) {
            parcels.entry(*seat).or_default().push(reading);
        }
    }
    for (seat, parcel) in parcels {
        let Some(seat) = seats.get_mut(&seat) else { continue };
        let taken: Vec<(Name, Timestamp, bool)> =
            parcel.iter().map(|reading| (reading.signal.clone(), reading.taken, reading.unreadable)).collect();
        let arrived = seat.readings.try_send(parcel).is_ok();
        for (name, taken, unreadable) in taken {
            let Some(entry) = seat.entries.get_mut(&name) else { continue };
            entry.asked = None;
            if arrived {
                entry.taken = entry.taken.max(Some(taken));
            }
            if unreadable || !arrived {
                entry.swept_from = Duration::ZERO; // what was not read costs nothing to read again
            }
        }
    }
}

/// Reads these signals now, each once, whatever anybody read before.
pub async fn read_once(ports: &Ports, queries: Vec<(String, Query)>) -> BTreeMap<Name, Reading> {
    let mut kinds: BTreeMap<String, Vec<Query>> = BTreeMap::new();
    for (kind, query) in queries {
        kinds.entry(kind).or_default().push(query);
    }
    let (sensors, clock) = (ports.sensors.as_ref(), ports.clock.as_ref());
    let reads = kinds.iter().map(|(kind, queries)| read_kind(sensors, clock, kind, queries));
    let readings = futures::future::join_all(reads).await;
    readings.into_iter().flatten().map(|reading| (reading.signal.clone(), reading)).collect()
}

fn unread(signal: &str, kind: &str, taken: Timestamp, why: &str) -> Reading {
    Reading {
        signal: signal.to_owned(),
        taken,
        health: Health::Unknown,
        evidence: why.to_owned(),
        source: kind.to_owned(),
        unreadable: true,
        permanent: false,
        measured: None,
    }
}

/// One call of one sensor. Whatever goes wrong, every query gets its reading.
async fn read_kind(sensors: &dyn Sensors, clock: &dyn Clock, kind: &str, queries: &[Query]) -> Vec<Reading> {
    let taken = clock.now();
    let unknown = |query: &Query, why: &str| unread(&query.signal, kind, taken, why);
    let all_unknown = |why: &str| queries.iter().map(|query| unknown(query, why)).collect();
    let Some(sensor) = sensors.sensor(kind) else {
        return all_unknown("this Belay cannot read signals of this kind");
    };
    let time_max = sensor.time_max(queries);
    tokio::select! {
        biased;
        answer = AssertUnwindSafe(sensor.read(queries)).catch_unwind() => match answer {
            Ok(mut readings) => {
                let missing = queries.iter().skip(readings.len());
                readings.extend(missing.map(|query| unknown(query, "the sensor gave no reading")).collect::<Vec<_>>());
                readings
            }
            Err(_) => all_unknown("internal error: reading this signal panicked; see the daemon log"),
        },
        () = clock.sleep(time_max + READ_GRACE) => all_unknown(&format!("no answer within {} s", time_max.as_secs())),
    }
}
