//! The durable record of what happened: [`belay_ports::Journal`] on SQLite, and one in memory for simulations and
//! tests.
//!
//! `chain` says what a record is and how it is hashed; `store` keeps records in SQLite; `sqlite` is the thread that
//! owns the store and the handle that talks to it; `lease` makes sure that there is one such process.
//!
//! Architecture Invariant: a journal never decides. It knows neither the meaning of an event nor the time.

mod audit;
mod chain;
mod fault;
mod files;
mod lease;
mod memory;
mod rescue;
mod schema;
mod sqlite;
mod state_url;
mod store;

#[cfg(test)]
mod fault_tests;

pub use audit::{AuditFailure, AuditReport, audit, head_at};
pub use lease::{Holder, Process};
pub use memory::{AppendFault, MemoryJournal};
pub use schema::OpenError;
pub use sqlite::SqliteJournal;
pub use state_url::{StateUrl, StateUrlError};
