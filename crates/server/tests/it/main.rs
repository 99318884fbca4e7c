//! The daemon from the outside: its HTTP interface over a simulated world, in virtual time.

mod catalogue;
mod checklist;
mod daemon;
mod dashboards;
mod decision;
mod events;
mod evidence;
mod history;
mod idempotency;
mod incidents;
mod limits;
mod loss;
mod metrics;
mod migrations;
mod operation;
mod permits;
mod random_verbs;
mod readiness;
mod report;
mod requests;
mod runs;
mod tokens;
mod unix_signals;
mod world;
