//! How long a complete search of a plan takes: twelve steps in four branches, and as many steps beside each other as
//! there may be.

use belay_plan::model::Target;
use belay_sim::explore::explore;
use divan::Bencher;

#[path = "../src/explore/fixture.rs"]
mod fixture;

fn main() {
    let report = explore(&fixture::twelve_steps(), usize::MAX, &mut |_| true).expect("the plan runs");
    let (states, transitions, ends) = (report.states, report.transitions, report.ends_count);
    #[allow(clippy::print_stdout, reason = "a benchmark speaks to whoever runs it")]
    {
        println!("twelve steps in four branches: {states} states, {transitions} transitions, {ends} ends");
    }
    divan::main();
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn twelve_steps_in_four_branches(bencher: Bencher<'_, '_>) {
    let plan = fixture::twelve_steps();
    bencher.bench_local(|| explore(&plan, usize::MAX, &mut |_| true).map(|report| assert!(report.complete)));
}

#[divan::bench(args = [4, 16, 64], sample_count = 3, sample_size = 1)]
fn beside_each_other(bencher: Bencher<'_, '_>, steps: usize) {
    let step = |number| (format!("s{number}"), fixture::step("sim.set", Target::Own));
    let plan = fixture::from((0..steps).map(step));
    bencher.bench_local(|| explore(&plan, usize::MAX, &mut |_| true).map(|report| assert!(report.complete)));
}
