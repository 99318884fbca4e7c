//! The engine and core in a simulated world.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod agreement;
mod beforehand;
mod behaviour;
mod crashes;
mod deciders;
mod decision_replays;
mod drift;
mod drill;
mod ends;
mod evidence;
mod explore_seeds;
mod golden_journals;
mod golden_scenes;
mod history;
mod journal;
mod losses;
mod measures;
mod notices;
mod parts;
mod plans;
mod readiness;
mod rehearsals;
mod sampling;
mod scenarios;
mod scene;
mod scripts;
mod series;
