//! Time and chance, as the edge has them.

use std::time::Duration;

use jiff::Timestamp;

use crate::Fut;

pub trait Clock: Send + Sync {
    /// The wall clock: what goes on record. It may jump.
    fn now(&self) -> Timestamp;
    /// Time since the clock was made. It never jumps, so send-before times are checked on it.
    fn monotonic(&self) -> Duration;
    fn sleep<'a>(&'a self, time: Duration) -> Fut<'a, ()>;
}

pub trait Entropy: Send + Sync {
    fn draw(&self) -> u32;
}
