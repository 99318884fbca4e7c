//! Ids. They are made at the edge (time and randomness live there), journaled, and never made again on replay.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One execution of the steps. Twelve characters `[0-9a-z]`, sorting by time, short enough to be part of an AWS
/// resource name (an RDS identifier has at most 63 characters).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub String);

/// One episode from the first trigger to closure. The same form as a [`RunId`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IncidentId(pub String);

/// One notice for one channel: an id as a [`RunId`] has it, and a number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NoticeId(pub String);

impl fmt::Display for NoticeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl RunId {
    /// When the run began, as its id tells. None for an id that was not made by [`id_text`].
    pub fn began(&self) -> Option<Timestamp> {
        let time_ms = i64::from_str_radix(self.0.get(..8)?, 36).ok()?;
        Timestamp::from_millisecond(time_ms).ok()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text of an id: eight base-36 digits of the time in milliseconds (enough until the year 2059), then four of
/// `entropy`, which the caller draws.
pub fn id_text(now: Timestamp, entropy: u32) -> String {
    let time_ms = u64::try_from(now.as_millisecond()).unwrap_or(0);
    format!("{}{}", base36(time_ms, 8), base36(u64::from(entropy), 4))
}

fn base36(mut value: u64, width: usize) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut digits = vec!['0'; width];
    for digit in digits.iter_mut().rev() {
        *digit = char::from(DIGITS[(value % 36) as usize]);
        value /= 36;
    }
    digits.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_tells_when_it_began() {
        let began = "2026-01-01T00:00:00.123Z".parse().unwrap();
        assert_eq!(RunId(id_text(began, 7)).began(), Some(began));
        assert_eq!(RunId("run".to_owned()).began(), None);
    }

    #[test]
    fn ids_sort_by_time_and_have_twelve_characters() {
        let early = id_text("2026-01-01T00:00:00Z".parse().unwrap(), u32::MAX);
        let late = id_text("2026-01-01T00:00:01Z".parse().unwrap(), 0);
        assert_eq!(early.len(), 12);
        assert!(early < late);
    }
}
