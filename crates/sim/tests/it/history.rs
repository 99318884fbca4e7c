//! What a start reads, and what it goes by.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use belay_core::{event::Record, input::Verb, migration::Migration, reading::Health, reading::Reading};
use belay_engine::{folded, keep_snapshot, unfit_snapshot, view::MigrationView};
use belay_journal::MemoryJournal;
use belay_ports::{
    AppendError, Fut, Head, Journal, NewRecord, Permission, Placed, Query, ReadFailure, Rescued, Sensor, Sensors,
    Snapshot,
};
use belay_sim::Faults;

use crate::{
    golden_journals::journals,
    plans::{plan, weights},
    scene::{Scene, command, virtually},
};

/// Counts the records that are read.
struct Counting {
    journal: MemoryJournal,
    read: AtomicUsize,
}

/// A journal with the records of a stream in it.
pub(crate) async fn journal_of(records: &[Record]) -> MemoryJournal {
    let journal = MemoryJournal::default();
    let new = |record: &Record| NewRecord { at: record.at, actor: record.actor.clone(), event: record.event.clone() };
    journal.append(&records[0].stream, 0, records.iter().map(new).collect()).await.unwrap();
    journal
}

impl Counting {
    async fn of(records: &[Record]) -> Self {
        Self { journal: journal_of(records).await, read: AtomicUsize::new(0) }
    }
}

impl Journal for Counting {
    fn append<'a>(
        &'a self,
        stream: &'a str,
        after: u64,
        records: Vec<NewRecord>,
    ) -> Fut<'a, Result<Vec<Record>, AppendError>> {
        self.journal.append(stream, after, records)
    }

    fn read<'a>(&'a self, stream: &'a str, after: u64) -> Fut<'a, Result<Vec<Record>, ReadFailure>> {
        self.journal.read(stream, after)
    }

    fn page<'a>(&'a self, stream: &'a str, after: u64, max: usize) -> Fut<'a, Result<Vec<Record>, ReadFailure>> {
        Box::pin(async move {
            let page = self.journal.page(stream, after, max).await?;
            self.read.fetch_add(page.len(), Ordering::Relaxed);
            Ok(page)
        })
    }

    fn snapshot<'a>(&'a self, stream: &'a str) -> Fut<'a, Result<Option<Snapshot>, ReadFailure>> {
        self.journal.snapshot(stream)
    }

    fn keep_snapshot<'a>(&'a self, stream: &'a str, snapshot: Snapshot) -> Fut<'a, Result<(), ReadFailure>> {
        self.journal.keep_snapshot(stream, snapshot)
    }

    fn streams<'a>(&'a self) -> Fut<'a, Result<Vec<String>, ReadFailure>> {
        self.journal.streams()
    }

    fn across<'a>(&'a self, from: u64, max: usize) -> Fut<'a, Result<Vec<Placed>, ReadFailure>> {
        self.journal.across(from, max)
    }

    fn head(&self) -> u64 {
        self.journal.head()
    }

    fn grown<'a>(&'a self, position: u64) -> Fut<'a, ()> {
        self.journal.grown(position)
    }

    fn check<'a>(&'a self) -> Fut<'a, Result<(), ReadFailure>> {
        self.journal.check()
    }

    fn advance<'a>(&'a self, from: &'a Head, to: u64) -> Fut<'a, Result<Head, ReadFailure>> {
        self.journal.advance(from, to)
    }

    fn rescue<'a>(&'a self) -> Fut<'a, Result<Rescued, ReadFailure>> {
        self.journal.rescue()
    }
}

#[test]
fn a_start_folds_only_what_comes_behind_the_snapshot() {
    virtually(async {
        for (name, records) in journals() {
            let journal = Counting::of(&records).await;
            let stream = &records[0].stream;
            let whole = folded(&journal, stream).await.unwrap();
            assert_eq!(journal.read.swap(0, Ordering::Relaxed), records.len());
            let mut early = Migration::new(stream.clone());
            let half = journal.read(stream, 0).await.unwrap();
            half[..half.len() / 2].iter().for_each(|record| early.evolve(record).unwrap());
            keep_snapshot(&journal, &early).await.unwrap();
            assert_eq!(folded(&journal, stream).await.unwrap(), whole, "{name}");
            assert_eq!(journal.read.load(Ordering::Relaxed), records.len() - records.len() / 2);
            assert_eq!(unfit_snapshot(&journal, stream).await, Ok(None));
        }
    });
}

#[test]
fn a_snapshot_that_does_not_fit_is_ignored_and_audited() {
    virtually(async {
        let (_, records) = journals().remove(0);
        let journal = Counting::of(&records).await;
        let stream = records[0].stream.clone();
        let whole = folded(&journal, &stream).await.unwrap();
        keep_snapshot(&journal, &whole).await.unwrap();
        let good = journal.snapshot(&stream).await.unwrap().unwrap();
        let forged = |from: &str, to: &str| Snapshot { text: good.text.replacen(from, to, 1), ..good.clone() };
        assert!(good.text.contains(r#""snapshot":1,"#));
        let elsewhere = Snapshot { hash: records[0].prev.clone(), ..good.clone() };
        let earlier = Snapshot { seq: good.seq - 1, ..good.clone() };
        let damaged = Snapshot { text: good.text[..good.text.len() / 2].to_owned(), ..good.clone() };
        // Of another version, of another record, of none, and broken.
        for unfit in [forged(r#""snapshot":1,"#, r#""snapshot":0,"#), elsewhere, earlier, damaged] {
            journal.keep_snapshot(&stream, unfit).await.unwrap();
            journal.read.store(0, Ordering::Relaxed);
            assert_eq!(folded(&journal, &stream).await.unwrap(), whole);
            assert_eq!(journal.read.load(Ordering::Relaxed), records.len(), "all of them are folded");
        }
        // What somebody has made with care is found by the audit.
        let careful = forged(r#""actor":""#, r#""actor":"not "#);
        assert_ne!(careful, good);
        journal.keep_snapshot(&stream, careful).await.unwrap();
        assert_eq!(unfit_snapshot(&journal, &stream).await, Ok(Some(good.seq)));
    });
}

#[test]
fn the_engine_keeps_a_snapshot_now_and_then() {
    virtually(async {
        let scene = Scene::new(plan([("dns", weights())]), 1, Faults::none());
        let handle = scene.open().await;
        while handle.snapshot().state.seq < 4_000 {
            assert_eq!(scene.journal.snapshot(&scene.plan.migration).await, Ok(None));
            scene.arm(&handle).await.unwrap();
            command(&handle, Verb::Disarm).await.unwrap();
        }
        let kept = async {
            loop {
                if let Some(kept) = scene.journal.snapshot(&scene.plan.migration).await.unwrap() {
                    return kept;
                }
                tokio::task::yield_now().await;
            }
        };
        let kept = kept.await;
        assert!(kept.seq >= 4_000);
        drop(handle);
        let state = scene.open().await.snapshot().state.clone();
        assert!(state.seq >= kept.seq);
        scene.assert_sound(Some(&state));
    });
}

/// A source that cannot be read, for a reason that changes.
struct Unreadable(Arc<Mutex<String>>);

impl Sensors for Unreadable {
    fn sensor(&self, _kind: &str) -> Option<Arc<dyn Sensor>> {
        Some(Arc::new(Self(self.0.clone())))
    }
}

impl Sensor for Unreadable {
    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        let evidence = self.0.lock().unwrap().clone();
        let reading = move |query: &Query| Reading {
            signal: query.signal.clone(),
            taken: "2100-01-01T00:00:00Z".parse().unwrap(),
            health: Health::Unknown,
            evidence: evidence.clone(),
            source: "page".to_owned(),
            unreadable: true,
            permanent: false,
            measured: None,
        };
        let readings = queries.iter().map(reading).collect();
        Box::pin(async move { readings })
    }

    fn permissions(&self, _query: &Query) -> Vec<Permission> {
        Vec::new()
    }
}

/// The journal has the turn alone; what people see is why it is unknown now.
#[test]
fn a_signal_that_stays_unknown_shows_its_latest_reason() {
    virtually(async {
        let mut scene = Scene::new(plan([("dns", weights())]), 1, Faults::none());
        let why = Arc::new(Mutex::new("connection refused".to_owned()));
        let handle = scene.open().await;
        scene.arm(&handle).await.unwrap();
        drop(handle);
        scene.ports.sensors = Arc::new(Unreadable(why.clone()));
        let handle = scene.open().await;
        let shows = |snapshot: &belay_engine::Snapshot, text: &str| {
            let view = MigrationView::new(snapshot, None, snapshot.at);
            view.signals.values().next().is_some_and(|signal| signal.evidence == text)
        };
        scene.until(&handle, |snapshot| shows(snapshot, "connection refused")).await;
        let records = scene.witness.records().len();
        *why.lock().unwrap() = "certificate expired".to_owned();
        scene.until(&handle, |snapshot| shows(snapshot, "certificate expired")).await;
        *why.lock().unwrap() = "connection refused".to_owned();
        scene.until(&handle, |snapshot| shows(snapshot, "connection refused")).await;
        let turns = scene.witness.records()[records..]
            .iter()
            .filter(|record| matches!(record.event, belay_core::event::Event::SignalTurned { .. }))
            .count();
        assert_eq!(turns, 0, "nothing of it is journaled");
    });
}
