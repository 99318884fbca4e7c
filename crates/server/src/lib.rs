//! The daemon: its configuration, one engine a migration, the HTTP interface, Unix signals.
//!
//! `config` says what is wanted, `daemon` opens the engines, `operate` is what people may ask of them, `http` and
//! `unix_signals` are the ways to ask, `serve` puts it together. `health` is what is wrong with all that, `pulse` finds it
//! out, `heartbeat` and `service_manager` tell it to the outside.
//!
//! **Architecture Invariant:** nothing in here decides about a migration, and nothing waits for AWS while an engine waits
//! for it: everything goes through an engine's handle.

pub mod auth;
pub mod config;
pub mod daemon;
pub mod head;
pub mod health;
pub mod heartbeat;
pub mod http;
pub mod metrics;
pub mod operate;
mod pipeline;
pub mod plan_files;
pub mod pulse;
pub mod secret;
pub mod serve;
pub mod traces;
pub mod unix_signals;

mod config_file;
mod guard;
mod history;
mod listener;
mod outbound;
mod permits;
mod readiness;
mod reload;
mod resume;
mod service_manager;

pub use config::{Config, ConfigError};
pub use daemon::{BuildError, Daemon, Parts};
pub use listener::{Address, Listeners, Proxies};
pub use metrics::Metrics;
pub use permits::reaches;
pub use plan_files::{PlanFile, PlanFileError, load_all};
pub use readiness::{people, people_unknown};
pub use serve::{ServeError, run};
pub use traces::Traces;
