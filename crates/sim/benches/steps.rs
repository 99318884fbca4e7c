//! Durable steps a second, 64 chains beside each other: every step is looked at, intended, sent, looked at again, and on
//! record all the while. The world answers at once, so this is the engine and its journal.

mod instant;

use std::sync::Arc;

use divan::{Bencher, counter::ItemsCount};
use instant::{On, Stage, plan};
use tokio::runtime::{Builder, Runtime};

const CHAINS: usize = 64;

fn main() {
    divan::main();
}

fn runtime() -> Arc<Runtime> {
    Arc::new(Builder::new_multi_thread().enable_all().build().expect("a runtime"))
}

fn roll_back(bencher: Bencher<'_, '_>, on: On, steps_each: usize) {
    let runtime = runtime();
    let armed = || {
        let stage = Stage::new(&runtime, on, plan(CHAINS, steps_each));
        stage.arm();
        stage
    };
    bencher
        .counter(ItemsCount::new(CHAINS * steps_each))
        .with_inputs(armed)
        .bench_local_refs(|stage| stage.roll_back());
}

#[divan::bench(args = [1, 4, 16], sample_count = 5, sample_size = 1)]
fn in_memory(bencher: Bencher<'_, '_>, steps_each: usize) {
    roll_back(bencher, On::Memory, steps_each);
}

#[divan::bench(args = [1, 4, 16], sample_count = 5, sample_size = 1)]
fn on_disk(bencher: Bencher<'_, '_>, steps_each: usize) {
    roll_back(bencher, On::Disk, steps_each);
}
