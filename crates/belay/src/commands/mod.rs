//! One file a command.

pub(crate) mod arm;
pub(crate) mod audit;
pub(crate) mod capture;
pub(crate) mod completions;
pub(crate) mod cutover;
pub(crate) mod decide;
pub(crate) mod demo;
pub(crate) mod disarm;
pub(crate) mod drill;
pub(crate) mod dry_run;
pub(crate) mod explore;
pub(crate) mod graph;
pub(crate) mod journal;
pub(crate) mod man;
pub(crate) mod mute;
pub(crate) mod phase;
pub(crate) mod rollback;
pub(crate) mod run;
pub(crate) mod run_verbs;
pub(crate) mod schema;
mod sent;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod step_verbs;
pub(crate) mod token;
pub(crate) mod validate;
pub(crate) mod watch;
