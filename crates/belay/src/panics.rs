//! A panic is a defect. One task's must not take the daemon down; it is logged like everything else, and counted.

use std::{backtrace::Backtrace, panic};

use belay_server::Metrics;

pub(crate) fn count_and_log(metrics: Metrics) {
    panic::set_hook(Box::new(move |panic| {
        metrics.panicked();
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        let why = panic.payload_as_str().unwrap_or("no message");
        let backtrace = Backtrace::capture();
        tracing::error!(at, why, %backtrace, "a defect in Belay: please report it");
    }));
}
