//! Whether there is room for a message: what statements are asked, and what they say.

use std::time::Duration;

use crate::ledger::messages::{Limit, NoRoom, RoomQuery};
use crate::ledger::sql::{millis, signed, unsigned};

/// What a statement is asked about a message.
#[derive(Default)]
pub(super) struct RoomValues<'a> {
    pub(super) numbers: Vec<&'a [u8]>,
    pub(super) most: Option<i64>,
    pub(super) within: Option<i64>,
    pub(super) scopes: Vec<&'a str>,
    pub(super) maxima: Vec<i64>,
}

impl<'a> RoomValues<'a> {
    pub(super) fn of(asked: &'a RoomQuery) -> Self {
        Self {
            numbers: asked.numbers.iter().map(|number| number.as_bytes().as_slice()).collect(),
            most: asked.per_number.map(|limit| i64::from(limit.max)),
            within: asked.per_number.map(|limit| millis(limit.within)),
            scopes: asked.per_day.iter().map(|one| &*one.scope).collect(),
            maxima: asked.per_day.iter().map(|one| signed(one.max)).collect(),
        }
    }
}

/// Which limit a statement found to be reached.
pub(super) fn no_room(kind: Option<i32>, wait: Option<i64>) -> Option<NoRoom> {
    let limit = if kind? == 1 { Limit::Number } else { Limit::Day };
    Some(NoRoom { limit, retry_after: Duration::from_millis(unsigned(wait?)) })
}
