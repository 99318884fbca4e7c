//! The one loop that drives core through the ports, and what daemon and command line do with it.
//!
//! [`Engine::open`] starts one loop (`driver`) for one migration. It is the only place where the state of a migration
//! changes: inputs are decided, the events appended, and only when they are durable folded, published and acted upon.
//! Everything that waits (looks, sends, reads of signals) is a task beside it that answers with an input.
//!
//! **Architecture Invariant:** nothing in here knows AWS, HTTP or a file; the clock and chance come through the ports.

mod arming;
mod capture;
mod drift;
mod drill;
mod driver;
mod dry_run;
mod evidence;
mod expected;
mod handle;
mod history;
mod injection;
mod loss;
mod notices;
mod permissions;
mod readiness;
mod restore_test;
mod running;
mod sampler;
mod scope;
mod tasks;
mod tell;
mod unreadable;
pub mod view;

pub use arming::{ArmError, Armed, Arming, arm, unusable_channels};
pub use capture::{CaptureError, capture};
pub use drift::Seen;
pub use drill::{DrillReport, DrillStep, Objective, Standing, drill_report, standing};
pub use dry_run::{
    DryChange, DryGate, DryRun, DryRunError, DrySignal, DryStep, DryTrigger, Found, Stop, Verdict, Which, dry_run,
};
pub use expected::{ExpectedFrom, Measured, Took, measured, relatives};
pub use handle::{CommandError, Engine, Fault, FaultPart, Handle, Options, SlowAppend, Snapshot};
pub use history::{OpenError, folded, forgotten, keep_snapshot, unfit_snapshot};
pub use injection::{INJECTED, Injection};
pub use loss::{Loss, LossView, Read};
pub use permissions::permissions;
pub use readiness::{Circumstances, HostChecks, Readiness, ReadinessCheck, readiness};
pub use restore_test::{Answer, RestoreTest, RestoreTestError, ask, proved, restore_test, restored};
pub use running::{Foreground, Request, RunError, rollback, run_foreground, undo};
pub use sampler::{Sampler, Subscription, Wanted, read_once};
pub use scope::Unknown;
pub use unreadable::UnreadableSignal;
