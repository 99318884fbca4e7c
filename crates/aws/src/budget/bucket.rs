//! A token bucket that learns from being throttled. Pure.

use std::time::Duration;

/// What AWS grants an account, or what Belay allows itself of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Quota {
    /// Calls a second.
    pub(crate) rate: f64,
    /// Calls at once after a rest.
    pub(crate) burst: f64,
}

/// Whose calls go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Looks and sweeps.
    Read,
    /// The rollback itself.
    Write,
}

/// Reads leave this part of the burst to writes.
const RESERVE: f64 = 0.25;

/// The least rate after any number of throttled calls, as a part of the quota's.
const RATE_LEAST: f64 = 1.0 / 16.0;

/// From any lower rate back to the quota's, if nothing is throttled meanwhile.
const RECOVERY: Duration = Duration::from_secs(60);

/// The calls that were under way when AWS began to throttle say the same thing once.
const ONE_STORM: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Bucket {
    quota: Quota,
    /// At most the quota's.
    rate: f64,
    tokens: f64,
    /// On the monotonic clock, as all times here.
    filled_at: Duration,
    throttled_at: Option<Duration>,
}

impl Bucket {
    pub(crate) fn full(quota: Quota, now: Duration) -> Self {
        Self { quota, rate: quota.rate, tokens: quota.burst, filled_at: now, throttled_at: None }
    }

    /// Takes a token for one call; or says how long to wait before it is worth asking again.
    pub(crate) fn take(&mut self, now: Duration, urgency: Urgency) -> Result<(), Duration> {
        self.refill(now);
        let needed = match urgency {
            Urgency::Read => 1.0 + self.reserve(),
            Urgency::Write => 1.0,
        };
        if self.tokens >= needed {
            self.tokens -= 1.0;
            return Ok(());
        }
        // Never zero: a wait that is rounded away would be asked for again at once.
        Err(Duration::from_secs_f64((needed - self.tokens) / self.rate).max(Duration::from_millis(1)))
    }

    /// AWS has asked for fewer calls: somebody else uses the same quota. What is left is for writes.
    pub(crate) fn throttled(&mut self, now: Duration) {
        self.refill(now);
        self.tokens = self.tokens.min(self.reserve());
        if self.throttled_at.is_none_or(|at| now >= at + ONE_STORM) {
            self.throttled_at = Some(now);
            self.rate = (self.rate / 2.0).max(self.quota.rate * RATE_LEAST);
        }
    }

    fn reserve(&self) -> f64 {
        self.quota.burst * RESERVE
    }

    fn refill(&mut self, now: Duration) {
        let gone = now.saturating_sub(self.filled_at).as_secs_f64();
        self.filled_at = self.filled_at.max(now);
        self.tokens = (self.tokens + gone * self.rate).min(self.quota.burst);
        self.rate = (self.rate + gone * self.quota.rate / RECOVERY.as_secs_f64()).min(self.quota.rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota = Quota { rate: 4.0, burst: 8.0 };

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// How many calls go at once.
    fn drain(bucket: &mut Bucket, now: Duration, urgency: Urgency) -> usize {
        (0..100).take_while(|_| bucket.take(now, urgency).is_ok()).count()
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut bucket = Bucket::full(QUOTA, Duration::ZERO);
        assert_eq!(drain(&mut bucket, Duration::ZERO, Urgency::Write), 8);
        assert_eq!(bucket.take(Duration::ZERO, Urgency::Write), Err(seconds(0.25)));
        assert_eq!(drain(&mut bucket, seconds(1.0), Urgency::Write), 4);
        assert_eq!(drain(&mut bucket, seconds(100.0), Urgency::Write), 8, "it never holds more than the burst");
    }

    #[test]
    fn reads_leave_a_reserve_to_writes() {
        let mut bucket = Bucket::full(QUOTA, Duration::ZERO);
        assert_eq!(drain(&mut bucket, Duration::ZERO, Urgency::Read), 6);
        assert_eq!(drain(&mut bucket, Duration::ZERO, Urgency::Write), 2);
        assert_eq!(bucket.take(Duration::ZERO, Urgency::Read), Err(seconds(0.75)), "writes have first claim");
    }

    #[test]
    fn throttling_slows_down_once_a_storm_and_recovers() {
        let mut bucket = Bucket::full(QUOTA, Duration::ZERO);
        for _ in 0..20 {
            bucket.throttled(Duration::ZERO);
        }
        assert_eq!(bucket.take(Duration::ZERO, Urgency::Read), Err(seconds(0.5)), "half of the rate");
        assert_eq!(drain(&mut bucket, Duration::ZERO, Urgency::Write), 2, "the reserve");
        for second in 2..60 {
            bucket.throttled(seconds(f64::from(second)));
        }
        let _ = drain(&mut bucket, seconds(60.0), Urgency::Write);
        let Err(wait) = bucket.take(seconds(60.0), Urgency::Write) else { panic!("it is empty") };
        assert!(wait <= seconds(4.0), "it never stops: {wait:?}");
        assert_eq!(drain(&mut bucket, seconds(180.0), Urgency::Write), 8);
        assert_eq!(bucket.take(seconds(180.0), Urgency::Write), Err(seconds(0.25)), "the whole rate again");
    }

    #[test]
    fn a_clock_that_stands_still_gives_nothing() {
        let mut bucket = Bucket::full(QUOTA, seconds(10.0));
        let _ = drain(&mut bucket, seconds(10.0), Urgency::Write);
        assert!(bucket.take(seconds(9.0), Urgency::Write).is_err());
    }
}
