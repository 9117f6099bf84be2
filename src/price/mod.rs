//! From an order to the amount that it costs. Pure. So far a service has one flat price.

use std::fmt;

/// An amount in satoshi (1 sat = 1000 msat).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Sat(u64);

impl Sat {
    /// Most sat that there can be: 21 million bitcoin.
    pub const MAX: Self = Self(2_100_000_000_000_000);

    /// `None` for nothing, which no invoice may ask for, and for more than there is.
    pub const fn new(sat: u64) -> Option<Self> {
        if sat == 0 || sat > Self::MAX.0 { None } else { Some(Self(sat)) }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The same amount in millisatoshi.
    pub const fn msat(self) -> u64 {
        self.0 * 1000
    }
}

impl fmt::Display for Sat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sat", self.0)
    }
}
