//! What a service says of the numbers that it sends to.

use std::time::Duration;

use crate::ledger::messages::{PerDay, PerNumber};
use crate::number_prefix::Prefix;

/// What a service says of the numbers that it sends to.
#[derive(Clone, Default)]
pub struct NumberRules {
    /// Most messages to one number in a time.
    pub per_number: Option<PerNumber>,
    /// Most messages of the service in a day.
    pub per_day_of_all: Option<u64>,
    /// The same for numbers that begin so; the longest prefix counts.
    pub per_day_to: Vec<(Prefix, u64)>,
    /// How long nothing is sold to a number that gets no messages.
    pub refused_for: Duration,
}

impl NumberRules {
    /// Whether messages have to be counted.
    pub fn counts(&self) -> bool {
        self.per_number.is_some() || self.per_day_of_all.is_some() || !self.per_day_to.is_empty()
    }

    /// How long a message counts.
    pub fn counted_for(&self) -> Duration {
        const DAY: Duration = Duration::from_secs(86_400);
        let of_number = self.per_number.map(|limit| limit.within).unwrap_or_default();
        let of_day = self.per_day_of_all.is_some() || !self.per_day_to.is_empty();
        of_number.max(if of_day { DAY } else { Duration::ZERO })
    }

    /// The limits of a day that a message to a number falls under.
    pub fn per_day(&self, service: &str, number: &str) -> Vec<PerDay> {
        let of_service = self.per_day_of_all.map(|max| PerDay { scope: service.to_owned(), max });
        let of_prefix = Prefix::read(number).and_then(|number| {
            let limit = |prefix| self.per_day_to.iter().find(|(limited, _)| *limited == prefix);
            let (prefix, max) = number.shorter().find_map(limit)?;
            Some(PerDay { scope: format!("{service} {prefix}"), max: *max })
        });
        of_service.into_iter().chain(of_prefix).collect()
    }
}
