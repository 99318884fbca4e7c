//! Durations as plans write them: `30s`, `15m`, `1h30m`.
//!
//! The grammar is narrower than general duration syntaxes on purpose: whole numbers, units in descending order, each
//! unit once. So `1m30` or `1.5h` is an error with a reason, never a guess.

use std::time::Duration;

/// The longest duration a plan may name.
pub const MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Units in descending order, with their length in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    #[error("a duration is empty; write for example `30s`, `15m` or `1h30m`")]
    Empty,
    #[error("`{0}` is not a duration; write whole numbers with units, for example `30s`, `15m` or `1h30m`")]
    Malformed(String),
    #[error("`{0}` has a number without a unit; write for example `{0}s` or `{0}m`")]
    NoUnit(String),
    #[error("`{text}` uses the unknown unit `{unit}`; units are d, h, m, s and ms")]
    UnknownUnit { text: String, unit: String },
    #[error("`{0}` has its units out of order or twice; write d, h, m, s, ms in that order, each once")]
    Order(String),
    #[error("`{0}` is too long; the longest duration is 366d")]
    TooLong(String),
}

/// Reads plan text such as `30s`, `15m`, `1h30m`, `250ms` or `2d`.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    let mut rest = text;
    let mut units_left = &UNITS[..];
    let mut total_ms: u64 = 0;
    while !rest.is_empty() {
        let (number, after) = split_while(rest, |c| c.is_ascii_digit());
        if number.is_empty() {
            return Err(DurationError::Malformed(text.to_owned()));
        }
        let (unit, after) = split_while(after, |c| c.is_ascii_alphabetic());
        if unit.is_empty() {
            return Err(match after.is_empty() {
                true => DurationError::NoUnit(text.to_owned()),
                false => DurationError::Malformed(text.to_owned()),
            });
        }
        if !UNITS.iter().any(|(name, _)| *name == unit) {
            return Err(DurationError::UnknownUnit { text: text.to_owned(), unit: unit.to_owned() });
        }
        let Some(position) = units_left.iter().position(|(name, _)| *name == unit) else {
            return Err(DurationError::Order(text.to_owned()));
        };
        // Digits only, so the one way to fail is to be too large.
        let number: u64 = number.parse().map_err(|_| DurationError::TooLong(text.to_owned()))?;
        total_ms = number
            .checked_mul(units_left[position].1)
            .and_then(|part| total_ms.checked_add(part))
            .filter(|total| *total <= MAX.as_secs() * 1_000)
            .ok_or_else(|| DurationError::TooLong(text.to_owned()))?;
        units_left = &units_left[position + 1..];
        rest = after;
    }
    Ok(Duration::from_millis(total_ms))
}

/// Writes the shortest text that [`parse`] reads back as the same duration; what is below a millisecond is dropped.
pub fn format(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, length) in UNITS {
        let count = rest / length;
        rest %= length;
        if count > 0 {
            text.push_str(&count.to_string());
            text.push_str(unit);
        }
    }
    text
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !keep(c)).unwrap_or(text.len()))
}

/// serde: a [`std::time::Duration`] as plan text.
pub mod text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&crate::duration::format(*value))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        crate::duration::parse(&text).map_err(D::Error::custom)
    }

    /// The same for an optional duration.
    pub mod option {
        use std::time::Duration;

        use serde::{Deserialize, Deserializer, Serializer, de::Error};

        pub fn serialize<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
            match value {
                Some(value) => to.serialize_str(&crate::duration::format(*value)),
                None => to.serialize_none(),
            }
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
            Option::<String>::deserialize(from)?
                .map(|text| crate::duration::parse(&text).map_err(D::Error::custom))
                .transpose()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_plans_write() {
        let cases =
            [("30s", 30_000), ("15m", 900_000), ("1h30m", 5_400_000), ("250ms", 250), ("2d", 172_800_000), ("0s", 0)];
        for (text, milliseconds) in cases {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest_and_says_why() {
        let text = |text: &str| text.to_owned();
        let cases = [
            ("", DurationError::Empty),
            ("30", DurationError::NoUnit(text("30"))),
            ("1m30", DurationError::NoUnit(text("1m30"))),
            ("1.5h", DurationError::Malformed(text("1.5h"))),
            ("-5s", DurationError::Malformed(text("-5s"))),
            ("5 m", DurationError::Malformed(text("5 m"))),
            ("5x", DurationError::UnknownUnit { text: text("5x"), unit: text("x") }),
            ("5M", DurationError::UnknownUnit { text: text("5M"), unit: text("M") }),
            ("5m1h", DurationError::Order(text("5m1h"))),
            ("1s1s", DurationError::Order(text("1s1s"))),
            ("367d", DurationError::TooLong(text("367d"))),
            ("99999999999999999999999s", DurationError::TooLong(text("99999999999999999999999s"))),
        ];
        for (input, error) in cases {
            assert_eq!(parse(input), Err(error), "{input}");
        }
    }

    #[test]
    fn formats_in_the_largest_units() {
        for text in ["1h30m", "2d", "90d1ms", "1m30s", "250ms", "0s"] {
            assert_eq!(format(parse(text).expect("a duration")), text);
        }
        assert_eq!(format(Duration::from_secs(90)), "1m30s");
    }

    proptest::proptest! {
        #[test]
        fn every_duration_survives_the_round_trip(milliseconds in 0..=MAX.as_secs() * 1_000) {
            let duration = Duration::from_millis(milliseconds);
            proptest::prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }
    }
}
