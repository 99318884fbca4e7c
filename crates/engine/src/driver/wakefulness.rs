//! Whether the process was asleep.

use std::time::Duration;

use belay_ports::Clock;
use jiff::{SignedDuration, Timestamp};

/// Being late by more than three polls and this means: the process was asleep.
const LATE_MARGIN: Duration = Duration::from_secs(2);

/// Notices that the process was asleep: it woke up late from a nap, more time is gone between two naps than it has computed,
/// or the wall clock ran away from the monotonic one, which stands still while a machine is suspended. Whatever waits naps,
/// a slow append as well, so between two naps nothing waits; and long work was no sleep, however long it took.
pub(super) struct Wakefulness {
    poll: Duration,
    /// When both clocks were last looked at.
    wall: Timestamp,
    monotonic: Duration,
    /// By the thread that looked: it stays the same between two naps.
    computed: Duration,
    nap: Duration,
    asleep: Option<Asleep>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Asleep {
    pub(super) late: Duration,
    pub(super) jump: SignedDuration,
}

impl Wakefulness {
    pub(super) fn new(clock: &dyn Clock, poll: Duration) -> Self {
        Self {
            poll,
            wall: clock.now(),
            monotonic: clock.monotonic(),
            computed: clock.computed(),
            nap: Duration::ZERO,
            asleep: None,
        }
    }

    /// There is nothing to do for at most so long.
    pub(super) fn lie_down(&mut self, clock: &dyn Clock, nap: Duration) {
        self.look_up(clock);
        self.nap = nap;
    }

    /// Looks at the clocks between two naps, and gives the time.
    pub(super) fn look_up(&mut self, clock: &dyn Clock) -> Timestamp {
        let work = clock.computed().saturating_sub(self.computed);
        self.look(clock, work);
        self.wall
    }

    pub(super) fn get_up(&mut self, clock: &dyn Clock) {
        self.look(clock, self.nap);
    }

    /// Nothing could be done for so long: the same as a sleep.
    pub(super) fn stalled(&mut self, time: Duration) {
        self.asleep = Some(Asleep { late: time, jump: SignedDuration::ZERO });
    }

    /// Since this was last asked.
    pub(super) fn was_asleep(&mut self) -> Option<Asleep> {
        self.asleep.take()
    }

    /// `within`: how long ago the last look can have been in a process that was awake.
    fn look(&mut self, clock: &dyn Clock, within: Duration) {
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        let gone = monotonic.saturating_sub(self.monotonic);
        let drift = wall.duration_since(self.wall) - SignedDuration::try_from(gone).unwrap_or_default();
        let limit = self.poll * 3 + LATE_MARGIN;
        if gone > within.saturating_add(limit) || drift.unsigned_abs() > limit {
            self.asleep = Some(Asleep { late: gone.saturating_sub(within), jump: drift });
        }
        (self.wall, self.monotonic, self.computed) = (wall, monotonic, clock.computed());
    }
}
