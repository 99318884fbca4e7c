//! The unmodified binary against an AWS that somebody else wrote: what Belay promises, seen from outside.
//!
//! Each test builds a world of its own, and looks at it through a proxy of its own: what one test breaks, no other sees.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // the worlds of these tests have the true time

mod crowd;
mod journal;
mod night;
mod stage;

mod balancers;
mod check;
mod client;
mod crash;
mod database;
mod decisions;
mod declared;
mod drill;
mod dry_run;
mod fault_table;
mod faults;
mod footprint;
mod foreground;
mod guard;
mod http;
mod init;
mod jobs;
mod load;
mod main_job;
mod nights;
mod notices;
mod notices_killed;
mod operation;
mod operators;
mod permissions;
#[path = "../deploy/pipeline_lines.rs"]
mod pipeline_lines;
mod reach;
mod records;
mod refusals;
mod restore;
mod restore_test;
mod role;
mod sensors;
mod telemetry;
mod torture;
mod unix_signals;
