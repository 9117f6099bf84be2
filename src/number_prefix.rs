//! The first digits of telephone numbers.

/// Longest number (E.164), and so the longest prefix.
const DIGITS_MAX: usize = 15;

/// The first digits of telephone numbers, which never begin with 0 (E.164).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Prefix(u64);

impl Prefix {
    /// From `+` and digits.
    pub fn read(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+')?;
        let is_prefix = (1..=DIGITS_MAX).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|digit| digit.is_ascii_digit());
        if is_prefix { digits.parse().ok().map(Self) } else { None }
    }

    /// Itself, and what it begins with, from the longest to a single digit.
    pub fn shorter(self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self), |prefix| match prefix.0 / 10 {
            0 => None,
            shorter => Some(Self(shorter)),
        })
    }
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "+{}", self.0)
    }
}
