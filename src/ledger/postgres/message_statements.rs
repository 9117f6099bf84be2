//! The SQL about text messages; see `ledger::messages`. What counts them is in functions of the
//! schema, since a claim has to look and to count in one step.

use crate::ledger::sql::fill;
use std::sync::LazyLock;

/// Until when a number of $1 is refused, and which limit it has reached.
pub(super) const STANDING: &str = "
    SELECT (SELECT max(until) FROM farebox.refused_numbers
            WHERE number = ANY($1) AND until > farebox.clock_ms()),
        full_.kind, full_.wait
    FROM farebox.no_room(NULL, $1, $2, $3, $4, $5) AS full_";

/// A report of state $2 on the message of name $1 that was sold by one of the names $3. Two at once
/// agree on which is news, since the second one waits for the first.
pub(super) const REPORT: &str = "
    WITH news AS (
        UPDATE farebox.messages SET state = $2, reported = farebox.now_ms()
        WHERE name = $1 AND service = ANY($3) AND state < $2 AND until > farebox.clock_ms()
        RETURNING ticket)
    SELECT ticket, country, EXISTS (SELECT FROM news) FROM farebox.messages
    WHERE name = $1 AND service = ANY($3) AND until > farebox.clock_ms()";

/// How far the message of the ticket $1 has come.
pub(super) const DELIVERY: &str = "
    SELECT state, reported FROM farebox.messages
    WHERE ticket = $1 AND until > farebox.clock_ms() AND name IS NOT NULL";

/// Nothing is sold to the number $1 for $2 milliseconds, by the operator's word ($3) or another's;
/// the secret $4 is needed as long. The number comes from the secret, so that their rows are locked
/// in the order of a settlement: else the two wait for each other.
pub(super) const REFUSE_NUMBER: &str = "
    WITH needed AS (
        INSERT INTO farebox.secrets VALUES ($4, (farebox.clock_ms() + $2) / 1000)
        ON CONFLICT (fingerprint) DO UPDATE SET
            needed_until = greatest(farebox.secrets.needed_until, excluded.needed_until)
        RETURNING fingerprint)
    INSERT INTO farebox.refused_numbers
    SELECT $1::bytea, $3::boolean, farebox.clock_ms() + $2 FROM needed
    ON CONFLICT (number, by_operator) DO UPDATE SET
        until = greatest(farebox.refused_numbers.until, excluded.until)";

/// The numbers $1 are sold to again, but for those that the operator refused, unless $2.
pub(super) const ALLOW_NUMBERS: &str = "
    DELETE FROM farebox.refused_numbers WHERE (number, by_operator) IN (
        SELECT number, by_operator FROM farebox.refused_numbers
        WHERE number = ANY($1) AND ($2 OR NOT by_operator)
        ORDER BY number, by_operator FOR UPDATE)";

/// One small step of forgetting messages.
pub(super) static PRUNE_MESSAGES: LazyLock<String> = LazyLock::new(|| {
    fill(
        "
    DELETE FROM farebox.messages WHERE ticket IN (
        SELECT ticket FROM farebox.messages WHERE until <= farebox.clock_ms()
        LIMIT {prune_step} FOR UPDATE SKIP LOCKED)",
    )
});

/// The same of refused numbers.
pub(super) static PRUNE_NUMBERS: LazyLock<String> = LazyLock::new(|| {
    fill(
        "
    DELETE FROM farebox.refused_numbers WHERE (number, by_operator) IN (
        SELECT number, by_operator FROM farebox.refused_numbers WHERE until <= farebox.clock_ms()
        LIMIT {prune_step} FOR UPDATE SKIP LOCKED)",
    )
});

/// The same of days that nobody counts in any more.
pub(super) static PRUNE_DAYS: LazyLock<String> = LazyLock::new(|| {
    fill("DELETE FROM farebox.day_counts WHERE day < farebox.clock_ms() / {day_ms} - 2")
});
