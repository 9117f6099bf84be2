//! A decimal number as prices are written, without the rounding of a float.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Billionths in one.
const SCALE: u128 = 1_000_000_000;

/// Digits after the point, at most.
const DECIMALS_MAX: usize = 9;

/// Digits before it: with these, no product here overflows.
const DIGITS_MAX: usize = 15;

/// A number from 0 to below 10^15, in billionths.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Decimal(u128);

/// It isn't one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("should be a number such as 12 or 0.035, with at most 9 digits after the point")]
pub struct NoDecimal;

impl Decimal {
    /// How many billionths it is.
    pub fn billionths(self) -> u128 {
        self.0
    }

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// So many times as much.
    pub fn times(self, count: u32) -> Self {
        Self(self.0.saturating_mul(count.into()))
    }

    /// As programs write numbers: what lies beyond the ninth digit after the point is left out.
    pub fn cut(text: &str) -> Result<Self, NoDecimal> {
        match text.split_once('.') {
            Some((whole, part)) if part.len() > DECIMALS_MAX => {
                if !part.bytes().all(|digit| digit.is_ascii_digit()) {
                    return Err(NoDecimal);
                }
                let part = part.get(..DECIMALS_MAX).unwrap_or(part);
                format!("{whole}.{part}").parse()
            }
            _ => text.parse(),
        }
    }
}

impl FromStr for Decimal {
    type Err = NoDecimal;

    fn from_str(text: &str) -> Result<Self, NoDecimal> {
        let (whole, part) = match text.split_once('.') {
            Some((whole, part)) if !part.is_empty() => (whole, part),
            Some(_) => return Err(NoDecimal),
            None => (text, ""),
        };
        let is_number = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
        let fits = (1..=DIGITS_MAX).contains(&whole.len()) && part.len() <= DECIMALS_MAX;
        if !fits || !is_number(whole) || !is_number(part) {
            return Err(NoDecimal);
        }
        format!("{whole}{part:0<DECIMALS_MAX$}").parse().map(Self).map_err(|_| NoDecimal)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / SCALE, self.0 % SCALE);
        if part == 0 {
            return write!(f, "{whole}");
        }
        let part = format!("{part:0DECIMALS_MAX$}");
        write!(f, "{whole}.{}", part.trim_end_matches('0'))
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        writer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_plain_numbers_are_read() {
        for (text, said) in
            [("0", "0"), ("12", "12"), ("0.050", "0.05"), ("1.000000001", "1.000000001")]
        {
            assert_eq!(text.parse::<Decimal>().unwrap().to_string(), said);
        }
        let rubbish =
            ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", " 1", "1 ", "0x1", "１", "NaN"];
        for text in rubbish {
            assert_eq!(text.parse::<Decimal>(), Err(NoDecimal), "{text}");
        }
        assert_eq!("1.0000000001".parse::<Decimal>(), Err(NoDecimal));
        assert_eq!(Decimal::cut("97123.12345678999").unwrap().to_string(), "97123.123456789");
        assert_eq!(Decimal::cut("1.123456789x"), Err(NoDecimal));
        assert_eq!("1000000000000000".parse::<Decimal>(), Err(NoDecimal), "sixteen digits");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(number in 0_u128..SCALE * 1_000_000_000_000_000) {
            let number = Decimal(number);
            prop_assert_eq!(number.to_string().parse::<Decimal>(), Ok(number));
        }
    }
}
