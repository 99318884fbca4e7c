//! Time and chance as this process has them: the one place that asks the machine for either.

// Everything else gets them through the ports, so that it can be simulated.
#![allow(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use belay_ports::{Clock, Entropy, Fut};
use jiff::Timestamp;
use uuid::Uuid;

pub(crate) struct SystemClock {
    started: Instant,
}

impl SystemClock {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn computed(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        time.try_into().unwrap_or_default() // it never runs below zero
    }

    fn sleep<'a>(&'a self, time: Duration) -> Fut<'a, ()> {
        Box::pin(tokio::time::sleep(time))
    }
}

pub(crate) struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn draw(&self) -> u32 {
        // The last 32 bits of a v7 UUID are random.
        let [.., a, b, c, d] = Uuid::now_v7().into_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

/// A key that no other request has.
pub(crate) fn fresh_key() -> String {
    Uuid::now_v7().to_string()
}
