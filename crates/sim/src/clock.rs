//! Time in a simulation.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use belay_ports::{Clock, Fut};
use jiff::Timestamp;
use tokio::time::Instant;

/// A clock that starts at a given moment and follows tokio's time, faster if wanted. On a paused runtime that is virtual
/// time: it jumps to whatever is due next.
#[derive(Debug)]
pub struct SimClock {
    start: Timestamp,
    began: Instant,
    speed: u32,
    jumped: Mutex<Duration>,
}

impl SimClock {
    /// `speed`: how many seconds go by in one of tokio's; at least 1.
    pub fn new(start: Timestamp, speed: u32) -> Self {
        Self { start, began: Instant::now(), speed: speed.max(1), jumped: Mutex::default() }
    }

    /// So much time is over at once. Who sleeps wakes up so much later by this clock.
    pub(crate) fn jump(&self, time: Duration) {
        *self.jumped.lock().unwrap_or_else(PoisonError::into_inner) += time;
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.start + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        self.began.elapsed() * self.speed + *self.jumped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep<'a>(&'a self, time: Duration) -> Fut<'a, ()> {
        Box::pin(tokio::time::sleep(time / self.speed))
    }
}
