//! What group commit is worth: appends per second one after the other, and 64 at a time. Compare the throughputs of one
//! run; the numbers themselves are the disk's.

use belay_core::event::Event;
use belay_journal::SqliteJournal;
use belay_ports::{Journal, NewRecord};
use divan::{Bencher, counter::ItemsCount};
use futures::{executor::block_on, future::join_all};
use jiff::Timestamp;
use tempfile::TempDir;

fn main() {
    divan::main();
}

/// On the disk of the build, which is rarely in memory as the one for temporary files often is.
fn journal() -> (TempDir, SqliteJournal) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let journal = SqliteJournal::open(directory.path().join("belay.db")).expect("a journal");
    (directory, journal)
}

fn record() -> Vec<NewRecord> {
    let event = Event::Disarmed { why: "a reason of the usual length, which is a sentence".to_owned() };
    vec![NewRecord { at: Timestamp::UNIX_EPOCH, actor: "belay".to_owned(), event }]
}

/// One record to each of so many streams at once, again and again.
#[divan::bench(args = [1, 64], sample_count = 50, sample_size = 4)]
fn append(bencher: Bencher<'_, '_>, concurrent: usize) {
    let (_directory, journal) = journal();
    let streams: Vec<String> = (0..concurrent).map(|number| format!("stream-{number}")).collect();
    let mut after = 0;
    bencher.counter(ItemsCount::new(concurrent)).bench_local(|| {
        let appends = streams.iter().map(|stream| journal.append(stream, after, record()));
        for appended in block_on(join_all(appends)) {
            appended.expect("it is appended");
        }
        after += 1;
    });
}
