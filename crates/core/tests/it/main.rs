//! The state machine from outside: inputs in, events out, and on every record the same by replay.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod approvals;
mod attempts;
mod checklist;
mod common;
mod decision;
mod drill;
mod evidence;
mod jobs;
mod measure;
mod notices;
mod notices_over;
mod order;
mod past;
mod phases;
mod properties;
mod readiness;
mod restore_tests;
mod sends;
mod series;
mod stages;
mod steps;
mod timeouts;
mod triggers;
mod undo;
mod verbs;
