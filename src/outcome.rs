//! How an upstream took a request: the four words that everything after it goes by.

/// What the upstream did with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It took it.
    Delivered,
    /// It certainly did nothing.
    NotSent,
    /// It certainly did nothing, and never will for this very request.
    Refused,
    /// Nobody knows.
    Unknown,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Delivered, Self::NotSent, Self::Refused, Self::Unknown];

    /// The word in metrics and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::NotSent => "not-sent",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}
