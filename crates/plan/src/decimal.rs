//! Numbers as they are written, compared to their last digit. No power of ten is ever computed, so an exponent of a billion costs
//! nothing.

use std::cmp::Ordering;

/// A finite decimal number of any length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal {
    is_negative: bool,
    /// Without zeros at either end; empty for zero.
    digits: Vec<u8>,
    /// Of the last digit, as a power of ten.
    exponent: i64,
}

impl Decimal {
    /// None: the text is no finite number in the notation of Rust, JSON and SQL (`-1.50`, `1e3`).
    pub fn parse(text: &str) -> Option<Self> {
        let (is_negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let mut exponent = i64::from(exponent) - i64::try_from(fraction.len()).ok()?;
        while digits.pop_if(|digit| *digit == b'0').is_some() {
            exponent += 1;
        }
        let leading = digits.iter().take_while(|digit| **digit == b'0').count();
        digits.drain(..leading);
        match digits.is_empty() {
            true => Some(Self { is_negative: false, digits, exponent: 0 }),
            false => Some(Self { is_negative, digits, exponent }),
        }
    }

    /// Of the first digit, as a power of ten.
    fn magnitude(&self) -> i64 {
        self.exponent.saturating_add(i64::try_from(self.digits.len()).unwrap_or(i64::MAX))
    }

    fn signum(&self) -> i8 {
        match (self.digits.is_empty(), self.is_negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = self.signum();
        let by_size = || self.magnitude().cmp(&other.magnitude()).then_with(|| self.digits.cmp(&other.digits));
        sign.cmp(&other.signum()).then_with(|| match sign {
            0 => Ordering::Equal,
            1 => by_size(),
            _ => by_size().reverse(),
        })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Decimal {
        Decimal::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn numbers_are_ordered_to_their_last_digit() {
        let ascending = [
            "-1e400",
            "-9007199254740993",
            "-9007199254740992.5",
            "-1.5",
            "-0.1",
            "0",
            "1e-2000000000",
            "0.05",
            "0.1",
            "0.10000000000000000001",
            "1",
            "9.99",
            "10",
            "9007199254740992",
            "9007199254740992.5",
            "9007199254740993",
            "1e400",
            "1e2000000000",
        ];
        for (at, left) in ascending.iter().enumerate() {
            for (other, right) in ascending.iter().enumerate() {
                assert_eq!(of(left).cmp(&of(right)), at.cmp(&other), "{left} and {right}");
            }
        }
    }

    #[test]
    fn one_number_is_written_in_many_ways() {
        for (left, right) in [("1", "1.000"), ("-0", "0.0"), ("1e3", "1000"), ("+.5", "0005e-1"), ("5.", "5E0")] {
            assert_eq!(of(left), of(right), "{left} and {right}");
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in ["", "-", ".", "e3", "1e", "1e1.5", "0x10", "1,000", "1 000", "NaN", "inf", "--1", "1e99999999999"]
        {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }
}
