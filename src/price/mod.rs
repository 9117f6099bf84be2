//! From an order to the amount that it costs. Pure.

pub mod decimal;
pub mod quote;
pub mod rate;
pub mod table;
pub mod tariff;

use std::fmt;

/// An amount in millisatoshi (1 sat = 1000 msat) that can be asked for in an invoice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Msat(u64);

impl Msat {
    /// One satoshi: several clients can't pay less.
    pub const MIN: Self = Self(1000);

    /// All that there can be: 21 million bitcoin.
    pub const MAX: Self = Self(2_100_000_000_000_000_000);

    /// `None` for less than a satoshi, and for more than there is.
    pub const fn new(msat: u64) -> Option<Self> {
        if msat < Self::MIN.0 || msat > Self::MAX.0 { None } else { Some(Self(msat)) }
    }

    /// From satoshi.
    pub const fn from_sat(sat: u64) -> Option<Self> {
        match sat.checked_mul(1000) {
            Some(msat) => Self::new(msat),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The same in whole satoshi, rounded up: what a payer has to have.
    pub const fn sat(self) -> u64 {
        self.0.div_ceil(1000)
    }
}

impl fmt::Display for Msat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) {
            write!(f, "{} sat", self.0 / 1000)
        } else {
            write!(f, "{} msat", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_and_words() {
        assert_eq!(
            (Msat::from_sat(0), Msat::new(999), Msat::from_sat(u64::MAX)),
            (None, None, None)
        );
        assert_eq!(Msat::from_sat(2_100_000_000_000_000), Some(Msat::MAX));
        assert_eq!(Msat::from_sat(2_100_000_000_000_001), None);
        let odd = Msat::new(1500).unwrap();
        assert_eq!((odd.sat(), odd.to_string().as_str()), (2, "1500 msat"));
        assert_eq!(Msat::from_sat(100).unwrap().to_string(), "100 sat");
    }
}
