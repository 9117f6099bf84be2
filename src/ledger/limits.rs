//! Margins and bounds that every ledger keeps, whatever stores it.

use std::time::Duration;

/// Most tickets that are listed at once.
pub(super) const LIST_MAX: u32 = 1000;

/// How long the row of a spent ticket outlives the ticket: no clock that jumps by less has it
/// forgotten too early.
pub(super) const PRUNE_MARGIN: Duration = Duration::from_secs(7 * 24 * 3600);

/// By how much challenges are forgotten before their tickets, which say what of them was delivered.
pub(super) const CHALLENGES_FIRST: Duration = Duration::from_secs(24 * 3600);

/// How long a challenge that wasn't paid is remembered after its invoice ran out.
pub(super) const CLOSED_FOR: Duration = Duration::from_secs(3600);

/// How long it is kept what a parked ticket was for.
pub(super) const ORDERS_KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// Rows that one step of pruning deletes at most, so that claims don't wait for it.
pub(super) const PRUNE_STEP: u32 = 200;
