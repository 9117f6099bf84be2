//! Bitcoin's networks, and which of them an invoice belongs to (BOLT 11, "Human-Readable Part").

use std::fmt;

/// Where the money is real, or isn't.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Network {
    /// Real money; prefix `bc`.
    Mainnet,
    /// Prefix `tb`.
    Testnet,
    /// Prefix `tbs`.
    Signet,
    /// One's own chain; prefix `bcrt`. The play node's.
    Regtest,
}

impl Network {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Mainnet, Self::Testnet, Self::Signet, Self::Regtest];

    /// As the config and LND name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Testnet => "testnet",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Mainnet => "bc",
            Self::Testnet => "tb",
            Self::Signet => "tbs",
            Self::Regtest => "bcrt",
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Network and amount (msat) that an invoice's human-readable part names; `None` if it can't be
/// read or has no amount.
pub fn read_prefix(invoice: &str) -> Option<(Network, u64)> {
    let (human, _) = invoice.rsplit_once('1')?;
    let rest = human.strip_prefix("ln")?;
    let amount_at = rest.find(|c: char| c.is_ascii_digit())?;
    let (prefix, amount) = rest.split_at(amount_at);
    let network = Network::ALL.into_iter().find(|network| network.prefix() == prefix)?;
    Some((network, msat(amount)?))
}

/// `2500u` is 2500 micro-bitcoin. 1 BTC = 10^11 msat; a pico-bitcoin is a tenth of a msat.
fn msat(amount: &str) -> Option<u64> {
    let digits = amount.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    match amount.strip_prefix(digits)? {
        "" => number.checked_mul(100_000_000_000),
        "m" => number.checked_mul(100_000_000),
        "u" => number.checked_mul(100_000),
        "n" => number.checked_mul(100),
        "p" => (number.is_multiple_of(10)).then_some(number / 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_examples_of_bolt_11() {
        assert_eq!(read_prefix("lnbc2500u1pvjluezpp5xyz"), Some((Network::Mainnet, 250_000_000)));
        assert_eq!(read_prefix("lnbc20m1pvjluez"), Some((Network::Mainnet, 2_000_000_000)));
        assert_eq!(read_prefix("lntb20m1pvjluez"), Some((Network::Testnet, 2_000_000_000)));
        assert_eq!(read_prefix("lntbs1u1p"), Some((Network::Signet, 100_000)));
        assert_eq!(read_prefix("lnbcrt1u1p"), Some((Network::Regtest, 100_000)));
        assert_eq!(read_prefix("lnbc9678785340p1pwmna7l"), Some((Network::Mainnet, 967_878_534)));
        assert_eq!(read_prefix("lnbc1500n1ps36h3s"), Some((Network::Mainnet, 150_000)));
    }

    #[test]
    fn refuses_what_has_no_amount_or_is_no_invoice() {
        for bad in [
            "lnbc1pvjluez",
            "lnxx10u1p",
            "lnbc10x1p",
            "lnbc1p1q",
            "bc10u1p",
            "",
            "1",
            "ln1",
            "lnbc99999999999999999999m1p",
        ] {
            assert_eq!(read_prefix(bad), None, "{bad}");
        }
    }
}
