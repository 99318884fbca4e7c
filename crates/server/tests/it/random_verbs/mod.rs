//! Random verbs, faults, restarts and reloads against a live daemon. After each answer: a refusal has changed nothing and
//! says what is possible, what is said to be possible is, and whatever waits has verbs. In the end the verbs that are
//! offered bring every run to its end.
//!
//! `BELAY_SEEDS=5000` plays more, `BELAY_SEED=17` one seed again.

mod ask;
mod check;
mod play;

use std::panic::AssertUnwindSafe;

#[test]
fn every_refusal_changes_nothing_and_every_offer_is_honoured() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = number("BELAY_SEED").map_or(0..number("BELAY_SEEDS").unwrap_or(24), |seed| seed..seed + 1);
    let fails = |seed: &u64| std::panic::catch_unwind(AssertUnwindSafe(|| virtually(play::play(*seed)))).is_err();
    let failed: Vec<u64> = seeds.filter(fails).collect();
    if let Some(first) = failed.first() {
        panic!("seeds {failed:?}; again with: BELAY_SEED={first} cargo test -p belay-server --test it every_refusal");
    }
}

fn virtually<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(work)
}
