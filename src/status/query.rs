//! What a request for a ticket's state asks for.

use std::time::Duration;

use super::state::TicketStatus;
use crate::ledger::messages::DeliveryState;

/// Longest wait of a long poll, in seconds.
const WAIT_MAX_S: u64 = 60;

/// What the query asks for.
pub(super) struct StatusQuery {
    /// How long the answer may wait for another state.
    pub(super) wait: Option<Duration>,
    /// The state that the client knows.
    pub(super) known: Option<TicketStatus>,
    /// How far the message had come, as far as the client knows.
    pub(super) known_delivery: Option<DeliveryState>,
}

impl StatusQuery {
    pub(super) fn read(query: Option<&str>) -> Result<Self, String> {
        let mut asked = Self { wait: None, known: None, known_delivery: None };
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "wait" => {
                    let seconds =
                        value.parse().ok().filter(|seconds| (1..=WAIT_MAX_S).contains(seconds));
                    asked.wait = Some(Duration::from_secs(
                        seconds
                            .ok_or(format!("`wait` is between 1 and {WAIT_MAX_S}, in seconds."))?,
                    ));
                }
                "state" => {
                    asked.known = Some(
                        TicketStatus::read(&value)
                            .ok_or("`state` is a state that this path has told before.")?,
                    )
                }
                "delivery" => {
                    let known = DeliveryState::ALL.into_iter().find(|one| one.word() == value);
                    let known = known.ok_or("`delivery` is a state that this path has told.")?;
                    asked.known_delivery = Some(known);
                }
                _ => {
                    let what = "This path takes `wait`, `state` and `delivery` only.";
                    return Err(what.to_owned());
                }
            }
        }
        Ok(asked)
    }
}
