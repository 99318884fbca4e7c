//! The engine and core in a simulated world.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod behaviour;
mod crashes;
mod explore_seeds;
mod plans;
mod rehearsals;
mod sampling;
mod scenarios;
mod scene;
