//! `numeric`, as it comes over the wire (numeric_send in the server's numeric.c).

use std::error::Error;

use tokio_postgres::types::{FromSql, Type};

/// A `numeric` as text: it can have more digits than any number of Rust.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Numeric(pub(super) String);

/// Digits are to this base.
const DIGITS: usize = 4;

impl<'a> FromSql<'a> for Numeric {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let mut words = raw.chunks_exact(2).map(|word| u16::from_be_bytes([word[0], word[1]]));
        let mut next = || words.next().ok_or("a numeric that is cut off");
        let (count, weight, sign, scale) = (next()?, next()?.cast_signed(), next()?, next()?);
        let sign = match sign {
            0x0000 => "",
            0x4000 => "-",
            0xc000 => return Ok(Self("NaN".to_owned())),
            0xd000 => return Ok(Self("Infinity".to_owned())),
            0xf000 => return Ok(Self("-Infinity".to_owned())),
            _ => return Err("a numeric with an unknown sign".into()),
        };
        let digits: Vec<u16> = words.by_ref().take(usize::from(count)).collect();
        // The digit that is worth 10000 to the power of `power`.
        let digit = |power: i32| {
            let at = usize::try_from(i32::from(weight) - power).ok();
            at.and_then(|at| digits.get(at)).copied().unwrap_or(0)
        };
        let whole: String = (0..=i32::from(weight).max(0)).rev().map(|power| format!("{:04}", digit(power))).collect();
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        let scale = usize::from(scale);
        let groups = i32::try_from(scale.div_ceil(DIGITS))?;
        let fraction: String = (1..=groups).map(|group| format!("{:04}", digit(-group))).collect();
        Ok(Self(match scale {
            0 => format!("{sign}{whole}"),
            scale => format!("{sign}{whole}.{}", &fraction[..scale]),
        }))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::NUMERIC
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numeric_is_read_to_its_last_digit() {
        let read = |words: &[u16]| {
            let raw: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            Numeric::from_sql(&Type::NUMERIC, &raw).map(|number| number.0).map_err(|error| error.to_string())
        };
        let minus_2 = (-2_i16).cast_unsigned();
        for (words, text) in [
            (&[0, 0, 0, 0][..], "0"),
            (&[0, 0, 0, 2], "0.00"),
            (&[1, 0, 0, 0, 7], "7"),
            (&[2, 1, 0x4000, 0, 12, 345], "-120345"),
            // Zeros at the end are not sent.
            (&[1, 2, 0, 0, 5], "500000000"),
            (&[2, 0, 0, 3, 12, 3450], "12.345"),
            (&[1, minus_2, 0, 8, 25], "0.00000025"),
            (&[0, 0, 0xc000, 0], "NaN"),
            (&[0, 0, 0xd000, 0], "Infinity"),
        ] {
            assert_eq!(read(words).as_deref(), Ok(text), "{words:?}");
        }
        assert!(read(&[1, 0]).is_err());
    }
}
