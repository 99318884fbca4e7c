//! How often the sampler reads.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

use belay_core::reading::{Health, Reading};
use belay_engine::{Sampler, Wanted};
use belay_plan::model::AwsTarget;
use belay_ports::{Clock, Fut, Permission, Query, Sensor, Sensors};
use belay_sim::SimClock;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::{Notify, watch};

use crate::scene::virtually;

/// Counts its reads; a routine read more often than every minute tells nothing new.
struct Metric {
    clock: Arc<SimClock>,
    reads: AtomicUsize,
    unreadable: bool,
}

impl Sensor for Metric {
    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let reading = |query: &Query| Reading {
            signal: query.signal.clone(),
            taken: self.clock.now(),
            health: if self.unreadable { Health::Unknown } else { Health::Healthy },
            evidence: "0.2".to_owned(),
            source: "cloudwatch".to_owned(),
            unreadable: self.unreadable,
            permanent: false,
            measured: None,
        };
        let readings = queries.iter().map(reading).collect();
        Box::pin(async move { readings })
    }

    fn pace(&self, _query: &Query) -> Duration {
        Duration::from_secs(60)
    }

    fn permissions(&self, _query: &Query) -> Vec<Permission> {
        Vec::new()
    }
}

struct Only(Arc<Metric>);

impl Sensors for Only {
    fn sensor(&self, _kind: &str) -> Option<Arc<dyn Sensor>> {
        Some(self.0.clone())
    }
}

/// Reads in five minutes with a poll of 5 s; `urgent` asks for a fresh reading once, half way between two.
async fn reads_in_five_minutes(unreadable: bool, urgent: bool) -> usize {
    let clock = Arc::new(SimClock::new("2026-01-01T00:00:00Z".parse().unwrap(), 1));
    let metric = Arc::new(Metric { clock: clock.clone(), reads: AtomicUsize::new(0), unreadable });
    let sampler = Sampler::start(Arc::new(Only(metric.clone())), clock.clone(), Arc::new(()), Duration::from_secs(5));
    let subscription = sampler.subscribe();
    let query = Arc::new(Query {
        signal: "slow".to_owned(),
        spec: json!({}),
        aws: AwsTarget::default(),
        of_trigger: false,
        baseline: Default::default(),
    });
    let want = |fresh_after| {
        let wanted = Wanted { kind: "metric".to_owned(), query: query.clone(), gated: false, fresh_after };
        subscription.want(BTreeMap::from([("slow".to_owned(), wanted)]));
    };
    want(clock.now());
    clock.sleep(Duration::from_secs(150)).await;
    if urgent {
        want(clock.now());
    }
    clock.sleep(Duration::from_secs(149)).await;
    metric.reads.load(Ordering::Relaxed)
}

#[test]
fn a_signal_is_read_no_more_often_than_its_pace_unless_somebody_needs_it_fresh() {
    virtually(async {
        assert_eq!(reads_in_five_minutes(false, false).await, 5);
        assert!((5..=6).contains(&reads_in_five_minutes(false, true).await));
    });
}

#[test]
fn signals_of_one_pace_share_their_reads_whenever_each_was_wanted_first() {
    virtually(async {
        let clock = Arc::new(SimClock::new("2026-01-01T00:00:00Z".parse().unwrap(), 1));
        let metric = Arc::new(Metric { clock: clock.clone(), reads: AtomicUsize::new(0), unreadable: false });
        let sampler =
            Sampler::start(Arc::new(Only(metric.clone())), clock.clone(), Arc::new(()), Duration::from_secs(5));
        let mut subscriptions = Vec::new();
        for migration in ["first", "second", "third"] {
            let subscription = sampler.subscribe();
            let (spec, aws) = (json!({}), AwsTarget::default());
            let query = Arc::new(Query {
                signal: migration.to_owned(),
                spec,
                aws,
                of_trigger: false,
                baseline: Default::default(),
            });
            let wanted = Wanted { kind: "metric".to_owned(), query, gated: false, fresh_after: clock.now() };
            subscription.want(BTreeMap::from([(migration.to_owned(), wanted)]));
            subscriptions.push(subscription);
            clock.sleep(Duration::from_secs(17)).await;
        }
        assert_eq!(metric.reads.load(Ordering::Relaxed), 3, "each at once");
        clock.sleep(Duration::from_secs(250 - 3 * 17)).await;
        // At 60, 120, 180 and 240 s all of them in one.
        assert_eq!(metric.reads.load(Ordering::Relaxed), 3 + 4);
    });
}

#[test]
fn two_who_need_it_fresh_one_right_after_the_other_are_both_served_at_once() {
    virtually(async {
        let clock = Arc::new(SimClock::new("2026-01-01T00:00:00Z".parse().unwrap(), 1));
        let metric = Arc::new(Metric { clock: clock.clone(), reads: AtomicUsize::new(0), unreadable: false });
        let sampler =
            Sampler::start(Arc::new(Only(metric.clone())), clock.clone(), Arc::new(()), Duration::from_secs(5));
        let mut subscription = sampler.subscribe();
        let query = Query {
            signal: "slow".to_owned(),
            spec: json!({}),
            aws: AwsTarget::default(),
            of_trigger: false,
            baseline: Default::default(),
        };
        let query = Arc::new(query);
        for _ in 0..3 {
            let fresh_after = clock.now();
            let wanted = Wanted { kind: "metric".to_owned(), query: query.clone(), gated: true, fresh_after };
            subscription.want(BTreeMap::from([("slow".to_owned(), wanted)]));
            let readings = subscription.next().await;
            assert!(readings[0].taken >= fresh_after);
            assert_eq!(clock.now(), fresh_after, "without a pause");
            clock.sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn what_could_not_be_read_is_asked_again_at_the_next_poll() {
    virtually(async {
        assert!(reads_in_five_minutes(true, false).await > 50);
    });
}

/// A clock that a test moves.
#[derive(Default)]
struct Moved(watch::Sender<Duration>);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        *self.0.borrow()
    }

    fn sleep<'a>(&'a self, time: Duration) -> Fut<'a, ()> {
        let until = self.monotonic().saturating_add(time);
        Box::pin(async move {
            let over = self.0.subscribe().wait_for(|now| *now >= until).await.map(drop);
            over.expect("the clock is there");
        })
    }
}

/// Holds its thread up until the other end is dropped.
struct Hanging {
    begun: Notify,
    until: Mutex<Receiver<()>>,
}

impl Sensor for Hanging {
    fn read<'a>(&'a self, _queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        Box::pin(async {
            self.begun.notify_one();
            self.until.lock().unwrap().recv().expect_err("nothing is ever sent");
            Vec::new()
        })
    }

    fn permissions(&self, _query: &Query) -> Vec<Permission> {
        Vec::new()
    }
}

struct OnlyHanging(Arc<Hanging>);

impl Sensors for OnlyHanging {
    fn sensor(&self, _kind: &str) -> Option<Arc<dyn Sensor>> {
        Some(self.0.clone())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sensor_that_holds_its_thread_up_leaves_its_signals_unknown() {
    let (let_go, until) = channel::<()>();
    let sensor = Arc::new(Hanging { begun: Notify::new(), until: Mutex::new(until) });
    let clock = Arc::new(Moved::default());
    let poll = Duration::from_secs(5);
    let sampler = Sampler::start(Arc::new(OnlyHanging(sensor.clone())), clock.clone(), Arc::new(()), poll);
    let mut subscription = sampler.subscribe();
    let query = Arc::new(Query {
        signal: "page".to_owned(),
        spec: json!({}),
        aws: AwsTarget::default(),
        of_trigger: false,
        baseline: Default::default(),
    });
    let wanted = Wanted { kind: "http".to_owned(), query, gated: true, fresh_after: clock.now() };
    subscription.want(BTreeMap::from([("page".to_owned(), wanted)]));
    sensor.begun.notified().await;
    let mut last = clock.now();
    for _ in 0..2 {
        // Time goes on until it is told: the sampler may not be waiting for it yet when the read begins.
        let reading = loop {
            tokio::select! {
                biased;
                mut readings = subscription.next() => break readings.remove(0),
                () = tokio::task::yield_now() => clock.0.send_modify(|now| *now += Duration::from_secs(1)),
            }
        };
        assert_eq!((reading.health, reading.unreadable), (Health::Unknown, true));
        assert!(reading.taken > last, "at {}, after {last}", reading.taken);
        assert!(reading.evidence.contains("does not come back"), "{}", reading.evidence);
        last = reading.taken;
    }
    drop(let_go);
}
