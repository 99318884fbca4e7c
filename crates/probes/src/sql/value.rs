//! What a database answers, and how far two answers are apart.

use belay_plan::{decimal::Decimal, suggest::similar};

use crate::outcome::bounded;

/// How many columns a message names.
const COLUMNS_MAX: usize = 8;

/// The value in the one column of the one row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Text(String),
    /// Of a type that has no numbers in it.
    Other(String),
}

/// What one query yields.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    NoRow,
    OneRow(Cell),
    SeveralRows,
}

/// A number as a database writes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Number {
    pub(super) text: String,
    pub(super) value: f64,
    /// Sums and checksums can have more digits than an `f64`.
    pub(super) exact: Decimal,
    whole: Option<i128>,
}

impl Answer {
    /// # Errors
    /// Why it is not one number.
    pub(super) fn number(self) -> Result<Number, String> {
        match self {
            Self::NoRow => Err("the query yields no row, and one is needed".to_owned()),
            Self::SeveralRows => {
                Err("the query yields several rows, and one is needed: aggregate them, or add `limit 1`".to_owned())
            }
            Self::OneRow(Cell::Null) => Err("the query yields NULL, which is no number".to_owned()),
            Self::OneRow(Cell::Other(kind)) => Err(format!("the query yields a {kind}, which is no number: cast it")),
            Self::OneRow(Cell::Text(text)) => {
                Number::parse(&text).ok_or_else(|| format!("the query yields {:?}, which is no number", bounded(&text)))
            }
        }
    }
}

impl Number {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let value = text.parse::<f64>().ok().filter(|value| value.is_finite())?;
        Some(Self { text: text.to_owned(), value, exact: Decimal::parse(text)?, whole: text.parse().ok() })
    }
}

/// How far two numbers are apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Difference {
    pub(super) absolute: f64,
    /// Of the left one; infinite where that is zero and the other is not.
    pub(super) percent: f64,
}

impl Difference {
    pub(super) fn between(left: &Number, right: &Number) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a difference that is not zero stays so")]
        let absolute = match (left.whole, right.whole) {
            (Some(left), Some(right)) => left.abs_diff(right) as f64,
            _ if left.exact == right.exact => 0.0,
            _ => (left.value - right.value).abs().max(f64::MIN_POSITIVE),
        };
        let percent = if absolute == 0.0 { 0.0 } else { 100.0 * absolute / left.value.abs() };
        Self { absolute, percent }
    }
}

/// Which of the columns is meant.
///
/// # Errors
/// What the query yields instead.
pub(super) fn choose(columns: &[&str], wanted: Option<&str>) -> Result<usize, String> {
    let all = || {
        let named: Vec<String> = columns.iter().take(COLUMNS_MAX).map(|name| format!("`{}`", bounded(name))).collect();
        let more = if columns.len() > COLUMNS_MAX { ", ..." } else { "" };
        format!("{}{more}", named.join(", "))
    };
    match (columns, wanted) {
        ([], _) => Err("the query yields no value: it is no question".to_owned()),
        ([_], None) => Ok(0),
        (several, None) => Err(format!(
            "the query yields {} columns, and one is needed: name it with `column` ({})",
            several.len(),
            all()
        )),
        (columns, Some(wanted)) => {
            let same = columns.iter().position(|name| *name == wanted);
            same.or_else(|| columns.iter().position(|name| name.eq_ignore_ascii_case(wanted))).ok_or_else(|| {
                let meant = similar(wanted, columns.iter().copied(), 1);
                let meant = meant.first();
                let meant =
                    meant.map_or_else(|| format!("it has {}", all()), |meant| format!("did you mean `{meant}`?"));
                format!("the query yields no column `{wanted}`: {meant}")
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn text_that_is_a_number_counts_as_one() {
        for (text, value) in [("3", 3.0), (" -1.50 ", -1.5), ("1e3", 1000.0), ("0.00000000000000000001", 1e-20)] {
            assert_eq!(number(text).value, value, "{text}");
        }
        for text in ["", "many", "NaN", "inf", "Infinity", "1e999", "0x10", "1,000", "12:30"] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_difference_is_exact_and_relative_to_the_left() {
        let between = |left: &str, right: &str| Difference::between(&number(left), &number(right));
        assert_eq!(between("1000", "999"), Difference { absolute: 1.0, percent: 0.1 });
        assert_eq!(between("-4", "-5"), Difference { absolute: 1.0, percent: 25.0 });
        assert_eq!(between("0", "0"), Difference { absolute: 0.0, percent: 0.0 });
        assert_eq!(between("0", "7"), Difference { absolute: 7.0, percent: f64::INFINITY });
        assert_eq!(between("1.0", "1"), Difference { absolute: 0.0, percent: 0.0 });
        // Equal as far as an f64 goes.
        assert_eq!(between("9007199254740993", "9007199254740992").absolute, 1.0);
        let amounts = between("90071992547409931.25", "90071992547409931.26");
        assert!(amounts.absolute > 0.0 && amounts.percent < 0.1, "{amounts:?}");
    }

    #[test]
    fn a_column_is_found_by_its_name() {
        assert_eq!(choose(&["count"], None), Ok(0));
        assert_eq!(choose(&["a", "Seconds_Behind_Source"], Some("seconds_behind_source")), Ok(1));
        assert_eq!(choose(&["A", "a"], Some("a")), Ok(1));
        assert!(choose(&[], None).unwrap_err().contains("no value"));
        assert_eq!(
            choose(&["a", "b"], None).unwrap_err(),
            "the query yields 2 columns, and one is needed: name it with `column` (`a`, `b`)"
        );
        assert_eq!(
            choose(&["a", "lag_seconds"], Some("lag_second")).unwrap_err(),
            "the query yields no column `lag_second`: did you mean `lag_seconds`?"
        );
    }
}
