//! The state machines of a migration: triggers, incident, run. No I/O, no clock, no async.
//!
//! [`Migration::decide`](migration::Migration::decide) says what follows from an input,
//! [`Migration::evolve`](migration::Migration::evolve) is the only way that state changes, and
//! [`Migration::wants`](migration::Migration::wants) says what the state wants of the outside.

mod approval;
mod attempt;
pub mod change;
pub mod checklist;
mod decide;
pub mod decision;
pub mod drift;
pub mod drill;
pub mod elapsed;
pub mod event;
pub mod evidence;
pub mod gate;
pub mod id;
pub mod incident;
pub mod input;
mod look;
pub mod measure;
pub mod migration;
pub mod mute;
pub mod notice;
mod order;
pub mod part_way;
pub mod past;
pub mod phase;
pub mod possible;
pub mod proof;
pub mod readiness;
pub mod reading;
mod relations;
pub mod restore_test;
pub mod run;
mod run_verbs;
pub mod scope;
pub mod series;
pub mod snapshot;
mod steps;
mod undo;
mod verbs;
mod vigil;
pub mod wants;
pub mod watch;
pub mod window;

pub use approval::OPERATOR;
pub use undo::{left as left_by_undo, unproven as unproven_by_undo};
pub use verbs::needs_baseline;
