//! From the answer that shows the breach to the first mutating call, with nothing between the two that is not Belay's
//! own: no dwell, and a world that answers at once. Beside it, in the same run, the two commits that lie on this way: the
//! trigger and the start of the run, and the intent. What is more than they take is the engine's.

mod instant;

use std::sync::Arc;

use belay_core::event::Event;
use belay_journal::SqliteJournal;
use belay_ports::{Journal, NewRecord};
use divan::Bencher;
use instant::{On, Stage, plan};
use jiff::Timestamp;
use tokio::runtime::{Builder, Runtime};

fn main() {
    divan::main();
}

fn runtime() -> Arc<Runtime> {
    Arc::new(Builder::new_multi_thread().enable_all().build().expect("a runtime"))
}

/// An armed engine with the read of its signal under way.
fn watching(runtime: &Arc<Runtime>, on: On) -> Stage {
    let stage = Stage::new(runtime, on, plan(8, 4));
    stage.arm();
    runtime.block_on(stage.world.asked.notified());
    stage
}

fn breach(bencher: Bencher<'_, '_>, on: On) {
    let runtime = runtime();
    bencher.with_inputs(|| watching(&runtime, on)).bench_local_refs(|stage| {
        stage.world.breaks.notify_one();
        runtime.block_on(stage.world.called.notified());
    });
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn to_first_call_in_memory(bencher: Bencher<'_, '_>) {
    breach(bencher, On::Memory);
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn to_first_call_on_disk(bencher: Bencher<'_, '_>) {
    breach(bencher, On::Disk);
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn two_commits_on_disk(bencher: Bencher<'_, '_>) {
    let runtime = runtime();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let journal = SqliteJournal::open(folder.path().join("belay.db")).expect("a journal");
    let event = Event::Disarmed { why: "a reason of the usual length, which is a sentence".to_owned() };
    let records = vec![NewRecord { at: Timestamp::UNIX_EPOCH, actor: "belay".to_owned(), event }; 8];
    let mut after = 0;
    bencher.bench_local(|| {
        for _ in 0..2 {
            let appended = runtime.block_on(journal.append("moving", after, records.clone()));
            after += appended.expect("it is appended").len() as u64;
        }
    });
}
