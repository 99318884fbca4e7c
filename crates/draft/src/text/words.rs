//! Times and lists as the comments have them.

use jiff::Timestamp;

/// `2026-11-29T17:20:00Z`: seconds are enough for people.
pub(super) fn time(at: Timestamp) -> String {
    format!("{at:.0}")
}

/// `90s`, `25m`, `2h`, as plans write durations.
pub(super) fn duration(seconds: u64) -> String {
    match seconds {
        whole if whole > 0 && whole.is_multiple_of(3_600) => format!("{}h", whole / 3_600),
        whole if whole > 0 && whole.is_multiple_of(60) => format!("{}m", whole / 60),
        seconds => format!("{seconds}s"),
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [word] => word.clone(),
        [words @ .., last] => format!("{} and {last}", words.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_plans() {
        for (seconds, expected) in [(0, "0s"), (90, "90s"), (300, "5m"), (7_200, "2h"), (5_400, "90m")] {
            assert_eq!(duration(seconds), expected);
        }
    }
}
