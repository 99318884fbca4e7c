//! A journal that is full, slow, or does not answer; and a process that is not there for a while.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use belay_core::{
    event::{Event, Record, StepEvent},
    migration::Migration,
    reading::Health,
    run::RunState,
};
use belay_engine::{CommandError, FaultPart};
use belay_journal::AppendFault;
use belay_plan::model::Plan;
use belay_ports::{AppendError, Clock, Fut, Journal, NewRecord, Observer, ReadFailure};
use belay_sim::{Faults, Rule, SimClock};
use jiff::Timestamp;

use crate::{
    plans::{plan, weights},
    scene::{Scene, command, roll_back, sim_clock, virtually},
};

fn scene(plan: Plan) -> Scene {
    Scene::new(plan, 1, Faults::none())
}

fn small() -> Plan {
    plan([("dns", weights())])
}

/// With a dwell.
fn dwelling(dwell: Duration) -> Plan {
    let mut plan = small();
    plan.triggers["hurt"].dwell = dwell;
    plan
}

fn times_resumed(scene: &Scene) -> usize {
    let resumed = |record: &&Record| matches!(record.event, Event::WatchResumed { .. });
    scene.witness.records().iter().filter(resumed).count()
}

#[test]
fn a_full_disk_stops_all_acting_and_ends_by_itself() {
    virtually(async {
        let scene = scene(small());
        let handle = scene.open().await;
        scene.arm(&handle).await.unwrap();
        let next = scene.journal.appends() + 1;
        (next..next + 5).for_each(|append| scene.journal.fail_at(append, AppendFault::Refuse));
        scene.world.cut_over();
        scene.until(&handle, |snapshot| !snapshot.faults.is_empty()).await;
        let refused = command(&handle, roll_back(&[])).await.unwrap_err();
        assert!(matches!(refused, CommandError::Stopped { .. }));
        assert_eq!(scene.world.calls(), []);
        let snapshot = scene.until_run(&handle, RunState::RolledBack).await;
        assert_eq!(snapshot.faults, []);
        scene.assert_sound(None);
    });
}

#[test]
fn who_asks_is_told_when_the_journal_does_not_take_it_and_it_is_done_when_it_does() {
    virtually(async {
        let scene = scene(small());
        let handle = scene.open().await;
        scene.arm(&handle).await.unwrap();
        scene.world.cut_over();
        // The journal comes back after an hour or so.
        let next = scene.journal.appends() + 1;
        (next..next + 700).for_each(|append| scene.journal.fail_at(append, AppendFault::Refuse));
        let asked = command(&handle, roll_back(&[]));
        let told = tokio::time::timeout(Duration::from_secs(10), asked).await.expect("nobody is kept waiting");
        let told = told.unwrap_err();
        assert!(matches!(&told, CommandError::Stopped { why } if why.contains("as soon as the journal")), "{told}");
        assert_eq!(scene.world.calls(), []);
        scene.until_run(&handle, RunState::RolledBack).await;
        scene.assert_sound(None);
    });
}

#[test]
fn a_lost_answer_of_the_journal_is_looked_up() {
    for fault in [AppendFault::Lose, AppendFault::WriteUnknown] {
        for append in 1..=9 {
            virtually(async {
                let scene = scene(small());
                scene.journal.fail_at(append, fault);
                let handle = scene.open().await;
                scene.armed_and_cut_over(&handle).await;
                scene.until_run(&handle, RunState::RolledBack).await;
                assert_eq!(scene.world.calls().len(), 1);
                scene.assert_sound(None);
            });
        }
    }
}

type Pace = dyn FnMut(&[NewRecord]) -> Duration + Send;

/// A journal on a disk with its own idea of time.
struct SlowJournal {
    journal: Arc<dyn Journal>,
    /// How long an append takes.
    slow: Mutex<Box<Pace>>,
    /// Nothing is answered any more while this is so.
    hangs: AtomicBool,
}

impl SlowJournal {
    fn under(scene: &mut Scene, slow: impl FnMut(&[NewRecord]) -> Duration + Send + 'static) -> Arc<Self> {
        let journal = scene.ports.journal.clone();
        let slow = Arc::new(Self { journal, slow: Mutex::new(Box::new(slow)), hangs: AtomicBool::new(false) });
        scene.ports.journal = slow.clone();
        slow
    }

    /// So long for every append from now on.
    fn take(&self, time: Duration) {
        *self.slow.lock().unwrap() = Box::new(move |_| time);
    }
}

impl Journal for SlowJournal {
    fn append<'a>(
        &'a self,
        stream: &'a str,
        after: u64,
        records: Vec<NewRecord>,
    ) -> Fut<'a, Result<Vec<Record>, AppendError>> {
        Box::pin(async move {
            let time = (self.slow.lock().unwrap())(&records);
            tokio::time::sleep(time).await;
            while self.hangs.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            self.journal.append(stream, after, records).await
        })
    }

    fn read<'a>(&'a self, stream: &'a str, after: u64) -> Fut<'a, Result<Vec<Record>, ReadFailure>> {
        self.journal.read(stream, after)
    }

    fn page<'a>(&'a self, stream: &'a str, after: u64, max: usize) -> Fut<'a, Result<Vec<Record>, ReadFailure>> {
        self.journal.page(stream, after, max)
    }

    fn snapshot<'a>(&'a self, stream: &'a str) -> Fut<'a, Result<Option<belay_ports::Snapshot>, ReadFailure>> {
        self.journal.snapshot(stream)
    }

    fn keep_snapshot<'a>(
        &'a self,
        stream: &'a str,
        snapshot: belay_ports::Snapshot,
    ) -> Fut<'a, Result<(), ReadFailure>> {
        self.journal.keep_snapshot(stream, snapshot)
    }

    fn streams<'a>(&'a self) -> Fut<'a, Result<Vec<String>, ReadFailure>> {
        self.journal.streams()
    }

    fn across<'a>(&'a self, from: u64, max: usize) -> Fut<'a, Result<Vec<belay_ports::Placed>, ReadFailure>> {
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

    fn advance<'a>(&'a self, from: &'a belay_ports::Head, to: u64) -> Fut<'a, Result<belay_ports::Head, ReadFailure>> {
        self.journal.advance(from, to)
    }

    fn rescue<'a>(&'a self) -> Fut<'a, Result<belay_ports::Rescued, ReadFailure>> {
        self.journal.rescue()
    }
}

#[test]
fn what_was_decided_too_long_ago_is_not_sent() {
    virtually(async {
        let mut scene = scene(small());
        let mut first = true;
        SlowJournal::under(&mut scene, move |records| {
            let intends =
                |record: &NewRecord| matches!(&record.event, Event::Step { what: StepEvent::Intended { .. }, .. });
            let slow = records.iter().any(intends) && std::mem::take(&mut first);
            if slow { Duration::from_secs(40) } else { Duration::ZERO }
        });
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        scene.until_run(&handle, RunState::RolledBack).await;
        let attempts: Vec<u32> = scene.world.calls().iter().map(|call| call.key.attempt).collect();
        assert_eq!(attempts, [2], "the first intent must not have been sent");
        scene.assert_sound(None);
    });
}

/// Longer than three polls and two seconds, and short enough for a send.
const SLOW: Duration = Duration::from_secs(20);

#[test]
fn a_slow_disk_makes_slow_and_not_blind() {
    virtually(async {
        let mut scene = scene(dwelling(Duration::from_secs(60)));
        let journal = SlowJournal::under(&mut scene, |_| Duration::ZERO);
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        journal.take(SLOW);
        let snapshot = scene.until(&handle, |snapshot| snapshot.slow_append.is_some()).await;
        assert!(snapshot.slow_append.is_some_and(|slow| slow.took >= SLOW));
        scene.until_run(&handle, RunState::RolledBack).await;
        assert_eq!(times_resumed(&scene), 0, "it was never asleep");
        scene.assert_sound(None);
    });
}

#[test]
fn what_was_well_in_between_has_not_dwelled() {
    virtually(async {
        let mut scene = scene(dwelling(Duration::from_secs(20)));
        // The dwell begins at 10 s, and comes to its end while the append takes its time.
        let at = |s, health| (Duration::from_secs(s), health);
        let (hurt, well) = (Health::Unhealthy, Health::Healthy);
        scene.world.set_rule("in_place", Rule::Script(vec![at(7, hurt), at(13, well), at(17, hurt), at(40, well)]));
        let dwells =
            |records: &[NewRecord]| records.iter().any(|record| matches!(record.event, Event::DwellStarted { .. }));
        SlowJournal::under(&mut scene, move |records| match dwells(records) {
            true => Duration::from_secs(25),
            false => Duration::ZERO,
        });
        let handle = scene.open().await;
        scene.arm(&handle).await.unwrap();
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert!(handle.snapshot().state.run.is_none(), "{:#?}", scene.transcript());
        assert_eq!(times_resumed(&scene), 0);
    });
}

#[test]
fn who_asks_while_the_journal_hangs_is_told() {
    virtually(async {
        let mut scene = scene(small());
        let journal = SlowJournal::under(&mut scene, |_| Duration::ZERO);
        let handle = scene.open().await;
        scene.arm(&handle).await.unwrap();
        journal.hangs.store(true, Ordering::Relaxed);
        for expected in ["as soon as the journal", "nothing is lost"] {
            let asked = tokio::time::timeout(Duration::from_secs(10), command(&handle, roll_back(&[])));
            let told = asked.await.expect("nobody is kept waiting").unwrap_err();
            let CommandError::Stopped { why } = told else { panic!("{told}") };
            assert!(why.starts_with("the journal does not answer") && why.contains(expected), "{why}");
        }
        assert_eq!(handle.snapshot().faults[0].part, FaultPart::Journal);
        let sign_of_life = tokio::time::timeout(Duration::from_secs(60), handle.turn()).await;
        assert!(sign_of_life.is_err(), "it hangs, and whoever watches over it is to know");

        journal.hangs.store(false, Ordering::Relaxed);
        scene.until_run(&handle, RunState::RolledBack).await;
        assert_eq!(scene.witness.records().iter().filter(|r| matches!(r.event, Event::RunStarted { .. })).count(), 1);
        assert_eq!(times_resumed(&scene), 1, "who can do nothing for more than a minute might as well have slept");
        scene.assert_sound(None);
    });
}

#[test]
fn a_journal_that_hangs_does_not_keep_a_loop_from_stopping() {
    virtually(async {
        let mut scene = scene(small());
        let journal = SlowJournal::under(&mut scene, |_| Duration::ZERO);
        let handle = scene.open().await;
        scene.arm(&handle).await.unwrap();
        journal.hangs.store(true, Ordering::Relaxed);
        command(&handle, roll_back(&[])).await.unwrap_err();
        tokio::time::timeout(Duration::from_secs(9), handle.shutdown()).await.expect("it stops");
    });
}

#[test]
fn a_process_that_was_asleep_says_so() {
    virtually(async {
        let mut plan = small();
        plan.triggers["hurt"].dwell = Duration::from_secs(60);
        let scene = scene(plan);
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        tokio::time::advance(Duration::from_secs(300)).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let resumed = |record: &Record| matches!(record.event, Event::WatchResumed { .. });
        assert!(scene.witness.records().iter().any(resumed));
        assert!(handle.snapshot().state.run.is_none(), "time asleep counts for no dwell");
        scene.until_run(&handle, RunState::RolledBack).await;
    });
}

#[test]
fn a_process_that_was_asleep_while_its_disk_was_slow_says_so_once() {
    virtually(async {
        let mut scene = scene(dwelling(Duration::from_secs(60)));
        let journal = SlowJournal::under(&mut scene, |_| Duration::ZERO);
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        journal.take(SLOW);
        tokio::time::sleep(Duration::from_secs(10)).await;
        tokio::time::advance(Duration::from_secs(300)).await;
        scene.until_run(&handle, RunState::RolledBack).await;
        assert_eq!(times_resumed(&scene), 1);
    });
}

/// The clock of a process that has its thread taken away, or keeps it busy, in the middle of a piece of work: when a dwell
/// has gone on record, and nothing is waited for.
struct Halting {
    clock: SimClock,
    time: Duration,
    computes: bool,
    gone: Mutex<Duration>,
}

impl Halting {
    fn new(time: Duration, computes: bool) -> Arc<Self> {
        Arc::new(Self { clock: sim_clock(), time, computes, gone: Mutex::default() })
    }

    fn gone(&self) -> Duration {
        *self.gone.lock().unwrap()
    }
}

impl Clock for Halting {
    fn now(&self) -> Timestamp {
        self.clock.now() + self.gone()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic() + self.gone()
    }

    fn computed(&self) -> Duration {
        if self.computes { self.gone() } else { Duration::ZERO }
    }

    fn sleep<'a>(&'a self, time: Duration) -> Fut<'a, ()> {
        self.clock.sleep(time)
    }
}

impl Observer for Halting {
    fn recorded(&self, records: &[Record], _state: &Migration) {
        if records.iter().any(|record| matches!(record.event, Event::DwellStarted { .. })) {
            let mut gone = self.gone.lock().unwrap();
            *gone = gone.max(self.time);
        }
    }
}

/// Until the rollback is over.
async fn with_a_halt(halting: &Arc<Halting>) -> Scene {
    let mut scene = Scene::on(halting.clone(), dwelling(Duration::from_secs(60)), 1, Faults::none());
    scene.ports.observer = halting.clone();
    let handle = scene.open().await;
    scene.armed_and_cut_over(&handle).await;
    scene.until_run(&handle, RunState::RolledBack).await;
    scene.assert_sound(None);
    scene
}

#[test]
fn a_process_that_was_stopped_in_the_middle_of_its_work_says_so() {
    virtually(async {
        let scene = with_a_halt(&Halting::new(Duration::from_secs(300), false)).await;
        assert_eq!(times_resumed(&scene), 1, "{:#?}", scene.transcript());
        let at = |wanted: fn(&Event) -> bool| {
            let records = scene.witness.records();
            records.iter().find(|record| wanted(&record.event)).unwrap().at
        };
        let resumed = at(|event| matches!(event, Event::WatchResumed { .. }));
        let fired = at(|event| matches!(event, Event::TriggerFired { .. }));
        assert!(fired.duration_since(resumed).as_secs() >= 60, "time without looking counts for no dwell");
    });
}

#[test]
fn a_process_that_has_worked_for_long_was_not_asleep() {
    virtually(async {
        let scene = with_a_halt(&Halting::new(Duration::from_secs(30), true)).await;
        assert_eq!(times_resumed(&scene), 0, "{:#?}", scene.transcript());
    });
}
