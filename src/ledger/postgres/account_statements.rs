//! The SQL of the accounts. Each step is one statement, since the connections are shared and so
//! have no transactions of several. Names in braces are numbers, see `ledger::sql`.

use std::sync::LazyLock;

use crate::ledger::sql::fill;

/// Writes challenges down and counts them: those that weren't counted, if there are rows ($7). What
/// isn't to be counted yet is minted at 0.
pub(super) static NOTE: LazyLock<String> = LazyLock::new(|| {
    fill(
        "
    WITH new AS (
        SELECT * FROM unnest(
            $1::bytea[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
            AS n (hash, service, price_msat, minted, expires, valid_until)),
    inserted AS (
        INSERT INTO farebox.challenges
            (hash, service, price_msat, minted, expires, valid_until, state, paid_msat, paid_at,
             served)
        SELECT hash, service, price_msat, minted, expires, valid_until, {open}, 0, 0, false
        FROM new WHERE $7
        ON CONFLICT (hash) DO UPDATE SET minted = excluded.minted
            WHERE challenges.minted = 0 AND excluded.minted > 0
        RETURNING service, price_msat, minted),
    counted AS (
        SELECT service, price_msat, minted FROM inserted
        UNION ALL
        SELECT service, price_msat, minted FROM new WHERE NOT $7)
    INSERT INTO farebox.days (day, service, minted, minted_msat)
    SELECT minted / {day_s}, service, count(*), sum(price_msat)::bigint
    FROM counted WHERE minted > 0 GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (day, service) DO UPDATE SET
        minted = days.minted + excluded.minted,
        minted_msat = days.minted_msat + excluded.minted_msat",
    )
});

/// Notes in which ways services were sold.
pub(super) const SOLD: &str = "
    INSERT INTO farebox.offers
    SELECT * FROM unnest($1::text[], $2::boolean[], $3::text[], $4::bigint[])
    ON CONFLICT (service, is_pass, address) DO UPDATE SET
        until = greatest(offers.until, excluded.until)";

/// The ways in which services were sold.
pub(super) const ALL_SOLD: &str =
    "SELECT service, is_pass, address, until FROM farebox.offers ORDER BY 1, 2, 3";

/// Notes that tickets were delivered.
pub(super) const SERVED: &str =
    "UPDATE farebox.challenges SET served = true WHERE hash = ANY($1::bytea[])";

/// Marks payments and counts those that are news, with the stream's new index.
pub(super) static PAID: LazyLock<String> = LazyLock::new(|| {
    fill(
        "
    WITH new AS (
        SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[]) AS n (hash, msat, at)),
    marked AS (
        UPDATE farebox.challenges AS c
        SET state = {paid}, paid_msat = new.msat, paid_at = new.at
        FROM new WHERE c.hash = new.hash AND c.state <> {paid}
        RETURNING c.hash, c.service, c.paid_msat, c.paid_at),
    added AS (
        INSERT INTO farebox.days (day, service, paid, paid_msat)
        SELECT paid_at / {day_s}, service, count(*), sum(paid_msat)::bigint
        FROM marked GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (day, service) DO UPDATE SET
            paid = days.paid + excluded.paid, paid_msat = days.paid_msat + excluded.paid_msat),
    index AS (
        INSERT INTO farebox.marks VALUES ($4, $5)
        ON CONFLICT (name) DO UPDATE SET value = greatest(marks.value, excluded.value))
    SELECT hash, service FROM marked",
    )
});

/// Marks a payment that was looked up: the index is set back if it had passed one that is news.
pub(super) static FOUND: LazyLock<String> = LazyLock::new(|| {
    fill(
        "
    WITH marked AS (
        UPDATE farebox.challenges SET state = {paid}, paid_msat = $2, paid_at = $3
        WHERE hash = $1 AND state <> {paid}
        RETURNING service, paid_msat, paid_at, minted),
    added AS (
        INSERT INTO farebox.days (day, service, paid, paid_msat)
        SELECT paid_at / {day_s}, service, 1, paid_msat FROM marked
        ON CONFLICT (day, service) DO UPDATE SET
            paid = days.paid + excluded.paid, paid_msat = days.paid_msat + excluded.paid_msat),
    index AS (
        UPDATE farebox.marks SET value = $5 WHERE name = $4 AND value >= $5
            AND EXISTS (SELECT FROM marked WHERE minted > 0)
        RETURNING value)
    SELECT service, EXISTS (SELECT FROM index) FROM marked",
    )
});

/// Closes challenges that will not be paid any more.
pub(super) static CLOSE: LazyLock<String> = LazyLock::new(|| {
    fill(
        "UPDATE farebox.challenges SET state = {closed}
         WHERE hash = ANY($1::bytea[]) AND state = {open}",
    )
});

/// The open challenges whose invoices run out before $1.
pub(super) static OPEN: LazyLock<String> = LazyLock::new(|| {
    fill(
        "SELECT hash, state, expires FROM farebox.challenges
         WHERE state = {open} AND expires < $1 ORDER BY expires LIMIT $2",
    )
});

/// Paid and not delivered: neither noted as served nor, where a crash came before the note,
/// delivered by its row.
const OWED: &str = "
    FROM farebox.challenges AS c WHERE c.state = {paid} AND NOT c.served AND NOT EXISTS (
        SELECT FROM farebox.tickets AS t WHERE t.hash = c.hash AND t.state = {delivered})";

/// What is owed, by service.
pub(super) static OWED_BY_SERVICE: LazyLock<String> = LazyLock::new(|| {
    let what = "SELECT c.service, count(*), sum(c.paid_msat)::bigint";
    fill(&format!("{what} {OWED} GROUP BY 1"))
});

/// What is owed of payments from day $1 on, by day and service.
pub(super) static OWED_BY_DAY: LazyLock<String> = LazyLock::new(|| {
    let what = "SELECT c.paid_at / {day_s}, c.service, count(*), sum(c.paid_msat)::bigint";
    fill(&format!("{what} {OWED} AND c.paid_at >= $1::bigint * {{day_s}} GROUP BY 1, 2"))
});

/// What was delivered from day $1 on, by day and service.
pub(super) static DELIVERED_BY_DAY: LazyLock<String> = LazyLock::new(|| {
    fill(
        "SELECT changed / {day_ms}, service, count(*), sum(price_msat)::bigint
         FROM farebox.tickets
         WHERE state = {delivered} AND changed >= $1::bigint * {day_ms} GROUP BY 1, 2",
    )
});

/// The sums that are kept, from day $1 on.
pub(super) const DAYS: &str = "
    SELECT day, service, minted, minted_msat, paid, paid_msat, redeemed, redeemed_msat, unredeemed,
        unredeemed_msat
    FROM farebox.days WHERE day >= $1";

/// One small step of forgetting challenges that weren't paid, a while after they ran out. What is
/// open stays until it was looked up.
pub(super) static PRUNE_CLOSED: LazyLock<String> = LazyLock::new(|| {
    fill(
        "
    DELETE FROM farebox.challenges WHERE hash IN (
        SELECT hash FROM farebox.challenges
        WHERE state = {closed} AND expires < farebox.clock_ms() / 1000 - {closed_for_s}
        LIMIT {prune_step})",
    )
});

/// One small step of forgetting paid ones whose time ended $1 seconds ago. What was never delivered
/// is kept as a sum.
pub(super) static PRUNE_PAID: LazyLock<String> = LazyLock::new(|| {
    fill(
        "
    WITH old AS (
        SELECT hash FROM farebox.challenges
        WHERE state = {paid} AND valid_until < farebox.clock_ms() / 1000 - $1
        LIMIT {prune_step} FOR UPDATE SKIP LOCKED),
    gone AS (
        DELETE FROM farebox.challenges WHERE hash IN (SELECT hash FROM old)
        RETURNING hash, service, paid_at, paid_msat, served),
    lost AS (
        SELECT paid_at / {day_s} AS day, service, count(*) AS n, sum(paid_msat)::bigint AS msat
        FROM gone WHERE NOT served AND NOT EXISTS (
            SELECT FROM farebox.tickets AS t WHERE t.hash = gone.hash AND t.state = {delivered})
        GROUP BY 1, 2 ORDER BY 1, 2),
    folded AS (
        INSERT INTO farebox.days (day, service, unredeemed, unredeemed_msat)
        SELECT day, service, n, msat FROM lost
        ON CONFLICT (day, service) DO UPDATE SET
            unredeemed = days.unredeemed + excluded.unredeemed,
            unredeemed_msat = days.unredeemed_msat + excluded.unredeemed_msat)
    SELECT hash FROM gone",
    )
});
