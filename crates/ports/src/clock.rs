//! Time and chance, as the edge has them.

use std::time::Duration;

use jiff::Timestamp;

use crate::Fut;

pub trait Clock: Send + Sync {
    /// The wall clock: what goes on record. It may jump.
    fn now(&self) -> Timestamp;
    /// Time since the clock was made. It never jumps, so send-before times are checked on it.
    fn monotonic(&self) -> Duration;
    /// How long the present thread has computed so far. Of two moments on one thread, what lies between them beyond this is
    /// time in which it was not running. In virtual time computing takes none.
    fn computed(&self) -> Duration {
        Duration::ZERO
    }
    fn sleep<'a>(&'a self, time: Duration) -> Fut<'a, ()>;
}

pub trait Entropy: Send + Sync {
    fn draw(&self) -> u32;
}
