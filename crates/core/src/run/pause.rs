//! What a pause of the process does to clocks.

use jiff::SignedDuration;

/// A time in which the process did not watch, or in which its clock was set.
pub(crate) struct Pause {
    pub(crate) outage_s: u64,
    pub(crate) asleep: bool,
    pub(crate) clock_set_s: i64,
}

impl Pause {
    /// By how much what counts only watched time moves on.
    pub(super) fn unwatched(&self) -> SignedDuration {
        let outage = SignedDuration::from_secs(i64::try_from(self.outage_s).unwrap_or(i64::MAX));
        outage.saturating_add(SignedDuration::from_secs(self.clock_set_s.min(0)))
    }

    pub(super) fn clock_set(&self) -> SignedDuration {
        SignedDuration::from_secs(self.clock_set_s)
    }
}
