//! How an upstream took a request: the three words that everything after it goes by.

/// What the upstream did with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It took it.
    Delivered,
    /// It certainly did nothing.
    NotSent,
    /// Nobody knows.
    Unknown,
}

impl Outcome {
    /// The word in metrics and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::NotSent => "not-sent",
            Self::Unknown => "unknown",
        }
    }
}
