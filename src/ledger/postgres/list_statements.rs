//! The SQL by which tickets are counted and listed for operators.

use std::sync::LazyLock;

use crate::ledger::sql::fill;

/// How many tickets are parked, free, and refused, per service.
pub(super) static WAITING: LazyLock<String> = LazyLock::new(|| {
    fill(
        "SELECT service, {free}::smallint, count(*) FROM farebox.tickets
         WHERE state = {free} GROUP BY 1
         UNION ALL
         SELECT service, state, count(*) FROM farebox.tickets
         WHERE state IN ({parked}, {refused}) GROUP BY 1, 2
         ORDER BY 1, 2",
    )
});

/// How many tickets there are in each state, per service.
pub(super) const COUNTS: &str = "
    SELECT service, state, count(*) FROM farebox.tickets WHERE service <> '' GROUP BY 1, 2
    ORDER BY 1, 2";

/// See `LedgerStore::export`: after hash $1, no more than $2.
pub(super) static EXPORT: LazyLock<String> = LazyLock::new(|| {
    fill(
        "SELECT hash, service, minted, price_msat, state, key FROM farebox.tickets
         WHERE hash > $1 AND service <> ''
         UNION ALL
         SELECT hash, service, 1000 * CASE WHEN minted > 0 THEN minted ELSE paid_at END,
            price_msat, (CASE WHEN served THEN {delivered} END)::smallint, NULL
         FROM farebox.challenges AS c WHERE hash > $1 AND state = {paid}
            AND NOT EXISTS (SELECT 1 FROM farebox.tickets AS t WHERE t.hash = c.hash)
         ORDER BY 1 LIMIT $2",
    )
});
