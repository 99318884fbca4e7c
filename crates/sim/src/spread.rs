//! How long things take: a distribution in three numbers.

use std::time::Duration;

use crate::chance::Chance;

/// A duration that varies: at least, usually, at most. Drawn from the triangular distribution between the three, which is
/// what can be said of something that was seen a few times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    pub least: Duration,
    pub usual: Duration,
    pub most: Duration,
}

impl Spread {
    pub const fn new(least: Duration, usual: Duration, most: Duration) -> Self {
        Self { least, usual, most }
    }

    pub const fn seconds(least: u64, usual: u64, most: u64) -> Self {
        Self::new(Duration::from_secs(least), Duration::from_secs(usual), Duration::from_secs(most))
    }

    /// Always this long.
    pub const fn exactly(time: Duration) -> Self {
        Self::new(time, time, time)
    }

    /// Anything in between, each as likely.
    pub fn between(least: Duration, most: Duration) -> Self {
        Self::new(least, (least + most) / 2, most)
    }

    /// All three, so many times as long.
    pub fn times(self, factor: f64) -> Self {
        Self::new(self.least.mul_f64(factor), self.usual.mul_f64(factor), self.most.mul_f64(factor))
    }

    /// In whole milliseconds.
    pub(crate) fn draw(&self, chance: &mut Chance) -> Duration {
        let (least, usual, most) = (self.least.as_secs_f64(), self.usual.as_secs_f64(), self.most.as_secs_f64());
        let width = most - least;
        let share = chance.below(1 << 32) as f64 / (1u64 << 32) as f64;
        if width <= 0.0 {
            return self.least;
        }
        let bend = ((usual - least) / width).clamp(0.0, 1.0);
        let seconds = if share < bend {
            least + (share * bend).sqrt() * width
        } else {
            most - ((1.0 - share) * (1.0 - bend)).sqrt() * width
        };
        Duration::from_millis((seconds * 1000.0).round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_lies_in_between_and_mostly_near_the_usual() {
        let spread = Spread::seconds(10, 20, 60);
        let mut chance = Chance::new(1);
        let mut drawn: Vec<Duration> = (0..2000).map(|_| spread.draw(&mut chance)).collect();
        drawn.sort();
        assert!(drawn[0] >= spread.least && drawn[1999] <= spread.most);
        // The median of this triangle lies at 60 - sqrt(1000) seconds.
        let median = drawn[1000].as_secs_f64();
        assert!((27.0..30.0).contains(&median), "{median}");
        assert_eq!(Spread::exactly(spread.usual).draw(&mut chance), spread.usual);
    }
}
