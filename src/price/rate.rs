//! What a bitcoin costs in another currency.

use super::Msat;
use super::decimal::{Decimal, NoDecimal};

/// Satoshi in one bitcoin.
const SAT_PER_BITCOIN: u128 = 100_000_000;

/// The price of one bitcoin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate(Decimal);

impl Rate {
    /// From a number as programs write it; nothing costs nothing.
    pub fn read(text: &str) -> Result<Self, NoDecimal> {
        let price = Decimal::cut(text)?;
        if price.is_zero() { Err(NoDecimal) } else { Ok(Self(price)) }
    }

    /// The number.
    pub fn price(self) -> Decimal {
        self.0
    }

    /// Whether it is more than twice as much as another, or less than half.
    pub fn is_far_from(self, other: Self) -> bool {
        let (low, high) = (self.0.min(other.0), self.0.max(other.0));
        high > low.times(2)
    }

    /// What an amount of the currency is in whole satoshi, rounded up; `None` for more than there
    /// is, and for nothing.
    pub fn msat(self, amount: Decimal) -> Option<Msat> {
        let sat = amount.billionths().checked_mul(SAT_PER_BITCOIN)?.div_ceil(self.0.billionths());
        Msat::from_sat(u64::try_from(sat).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_rounded_up_to_whole_satoshi() {
        let rate = Rate::read("100000").unwrap();
        let msat = |amount: &str| rate.msat(amount.parse().unwrap()).map(Msat::get);
        assert_eq!(msat("0.05"), Some(50_000));
        assert_eq!(msat("0.0500001"), Some(51_000));
        assert_eq!(msat("0.000000001"), Some(1000));
        assert_eq!(
            (msat("0"), Rate::read("0"), Rate::read("0.0000000001")),
            (None, Err(NoDecimal), Err(NoDecimal))
        );
        let far = |one: &str, other: &str| {
            Rate::read(one).unwrap().is_far_from(Rate::read(other).unwrap())
        };
        assert!(!far("100", "200") && far("100", "200.1") && far("49.9", "100"));
        let dear = Rate::read("0.000000001").unwrap();
        assert_eq!(dear.msat("999999999999999".parse().unwrap()), None);
    }
}
