//! The journal from outside, on real files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod across;
mod agree;
mod files;
mod kept;
mod owner;
mod place;
mod round_trip;
mod samples;
mod snapshots;
mod tamper;
