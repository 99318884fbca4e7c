//! Comparisons with a number, as plans write them: `<= 1.5`, `== 0`, `<= 0.1%`.

use serde::{Deserialize, Deserializer, de::Error};

use crate::decimal::Decimal;

/// `== 0`, `<= 1.5`: what a value is compared with, as the pattern of a shape.
pub const PATTERN: &str = "^(<|<=|>|>=|==|!=) ?-?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]+)?$";

/// A comparison of a value with a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// As the plan has it: `<= 1.5`.
    pub text: String,
    /// Whether the number is a percentage.
    pub is_percent: bool,
    operator: Operator,
    number: f64,
    exact: Decimal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Below,
    AtMost,
    Above,
    AtLeast,
    Equal,
    Different,
}

/// The longer words first: each is looked for at the begin of the text.
const OPERATORS: [(&str, Operator); 6] = [
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("==", Operator::Equal),
    ("!=", Operator::Different),
    ("<", Operator::Below),
    (">", Operator::Above),
];

impl Comparison {
    /// None: the text is no comparison with a number.
    pub fn parse(text: &str) -> Option<Self> {
        let (operator, rest) =
            OPERATORS.iter().find_map(|(word, operator)| Some((*operator, text.strip_prefix(word)?.trim())))?;
        let (number, is_percent) = rest.strip_suffix('%').map_or((rest, false), |number| (number, true));
        let exact = Decimal::parse(number)?;
        let number = number.parse().ok().filter(|number: &f64| number.is_finite())?;
        Some(Self { text: text.to_owned(), is_percent, operator, number, exact })
    }

    /// What values are compared with.
    pub fn number(&self) -> f64 {
        self.number
    }

    /// Values above it are not healthy, as against those below it.
    pub fn is_ceiling(&self) -> bool {
        matches!(self.operator, Operator::Below | Operator::AtMost)
    }

    /// Whether it holds for a value that is a number; what NaN means is for the caller to decide. What comes as text is compared by
    /// [`Self::holds_exactly`].
    pub fn holds(&self, value: f64) -> bool {
        self.operator.holds(&value, &self.number)
    }

    /// The same to the last digit: checksums and sums have more of them than an `f64`.
    pub fn holds_exactly(&self, value: &Decimal) -> bool {
        self.operator.holds(value, &self.exact)
    }
}

impl Operator {
    fn holds<T: PartialOrd>(self, value: &T, number: &T) -> bool {
        match self {
            Self::Below => value < number,
            Self::AtMost => value <= number,
            Self::Above => value > number,
            Self::AtLeast => value >= number,
            Self::Equal => value == number,
            Self::Different => value != number,
        }
    }
}

impl<'de> Deserialize<'de> for Comparison {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is not a comparison")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_compares() {
        let cases = [
            ("< 1", [true, false, false]),
            ("<=1", [true, true, false]),
            ("> 1e0", [false, false, true]),
            (">= 1", [false, true, true]),
            ("== 1", [false, true, false]),
            ("!= 1.0%", [true, false, true]),
        ];
        for (text, expected) in cases {
            let comparison = Comparison::parse(text).unwrap();
            assert_eq!([0.5, 1.0, 1.5].map(|value| comparison.holds(value)), expected, "{text}");
            let exact = ["5e-1", "1.0", "1.50"].map(|value| Decimal::parse(value).unwrap());
            assert_eq!(exact.map(|value| comparison.holds_exactly(&value)), expected, "{text}");
            assert_eq!(comparison.is_percent, text.ends_with('%'));
        }
        for text in ["= 1", "< one", "1", "< inf", "", "<"] {
            assert_eq!(Comparison::parse(text), None, "{text}");
        }
    }
}
