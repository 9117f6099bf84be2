//! The SQL, in statements of one round trip each. What they decide is what `state` decides; where
//! they don't decide, `state` reads the row.

use tokio_postgres::{Client, Error, Statement};

/// Claims in one statement. `granted` is false where the row, in the further columns, says why not.
/// A row that a rival writes at this very moment may be invisible to it: then there is no grant
/// either.
const CLAIM: &str = "
    WITH clock AS MATERIALIZED (SELECT farebox.now_ms() AS now),
    mark AS (SELECT value AS watermark FROM farebox.marks WHERE name = 'watermark'),
    again AS (
        UPDATE farebox.tickets AS t
        SET state = 1, claim = $8, owner = $9, changed = clock.now, lease_until = clock.now + $10,
            doubtful = t.doubtful OR t.state = 4
        FROM clock
        WHERE t.hash = $1 AND $4 AND t.request = $3 AND (
            (t.state = 2 AND (clock.now < t.changed OR clock.now - t.changed >=
                CASE WHEN t.attempts = 0 THEN 0 ELSE least(60000, 1000 * power(2, least(t.attempts -
                    1, 16)))::bigint END))
            OR (t.state = 4 AND $11))
        RETURNING t.doubtful),
    first AS (
        INSERT INTO farebox.tickets
            (hash, service, request, valid_until, price_msat, state, claim, attempts, doubtful,
                changed, owner, lease_until)
        SELECT $1, $2, $3, $5, $7, 1, $8, 0, false, clock.now, $9, clock.now + $10
        FROM clock, mark
        WHERE $4 AND $6 > clock.now / 1000 AND $5 > mark.watermark
            -- In the snapshot that the watermark was read from: a row that is pruned meanwhile is
            -- not taken for one that never was.
            AND NOT EXISTS (SELECT FROM farebox.tickets AS t WHERE t.hash = $1)
        ON CONFLICT (hash) DO NOTHING
        RETURNING doubtful),
    granted AS (SELECT doubtful FROM again UNION ALL SELECT doubtful FROM first)
    SELECT EXISTS (SELECT FROM granted) AS granted, coalesce((SELECT doubtful FROM granted),
        t.doubtful) AS doubtful,
        clock.now, mark.watermark, t.service, t.request, t.valid_until, t.price_msat, t.state,
            t.claim, t.attempts, t.changed,
        t.lease_until, a.status, a.headers, a.body
    FROM clock CROSS JOIN mark
    LEFT JOIN farebox.tickets AS t ON t.hash = $1
    LEFT JOIN farebox.answers AS a ON a.hash = $1 AND t.state = 3";

/// Ends a try: $3 is 1 delivered, 2 not sent, 3 unknown. The answer to keep, if any, is stored in
/// the same statement.
const SETTLE: &str = "
    WITH done AS (
        UPDATE farebox.tickets SET
            state = CASE WHEN $3 = 1 THEN 3 WHEN $3 = 2 AND NOT doubtful THEN 2 ELSE 4 END,
            attempts = attempts + CASE WHEN $3 = 2 THEN 1 ELSE 0 END,
            doubtful = CASE WHEN $3 = 1 THEN false WHEN $3 = 2 THEN doubtful ELSE true END,
            changed = farebox.now_ms()
        WHERE hash = $1 AND claim = $2 AND (state = 1 OR (state = 4 AND ($3 = 1 OR ($3 = 2 AND NOT
            doubtful))))
        RETURNING attempts),
    kept AS (
        INSERT INTO farebox.answers (hash, status, headers, body, stored_at)
        SELECT $1, $4, $5, $6, farebox.now_ms() FROM done WHERE $4::integer IS NOT NULL
        ON CONFLICT (hash) DO UPDATE SET status = excluded.status, headers = excluded.headers, body
            = excluded.body,
            stored_at = excluded.stored_at)
    SELECT attempts FROM done
    UNION ALL
    -- Said before, and that went unconfirmed.
    SELECT attempts FROM farebox.tickets WHERE hash = $1 AND claim = $2 AND NOT EXISTS (SELECT FROM
        done)
        AND state = CASE WHEN $3 = 1 THEN 3 WHEN $3 = 2 AND NOT doubtful THEN 2 ELSE 4 END";

/// Takes back a claim whose commit was not confirmed: nothing was sent.
const WITHDRAW: &str = "
    UPDATE farebox.tickets SET state = CASE WHEN doubtful THEN 4 ELSE 2 END WHERE hash = $1 AND \
    claim = $2 AND (state = 1 OR (state = 4 AND NOT doubtful))";

/// Parks what a dead instance left claimed.
pub(super) const SWEEP: &str = "
    UPDATE farebox.tickets SET state = 4, changed = farebox.now_ms()
    WHERE state = 1 AND lease_until < farebox.now_ms()";

/// Shows that the server takes writes: a connection alone doesn't.
pub(super) const TOUCH: &str = "
    INSERT INTO farebox.marks VALUES ('alive', farebox.now_ms()) ON CONFLICT (name) DO UPDATE SET \
    value = excluded.value";

/// One small step of forgetting answers that are older than $1 milliseconds.
pub(super) const PRUNE_ANSWERS: &str = "
    DELETE FROM farebox.answers WHERE hash IN (SELECT hash FROM farebox.answers WHERE stored_at < \
    farebox.now_ms() - $1 LIMIT 200)";

/// One small step of forgetting tickets whose time ended $1 seconds ago and that weren't changed
/// for $2 milliseconds. It leaves the mark, and touches one row as long as there may be more.
pub(super) const PRUNE_TICKETS: &str = "
    WITH gone AS (
        DELETE FROM farebox.tickets WHERE hash IN (
            SELECT hash FROM farebox.tickets WHERE state IN (3, 5) AND valid_until <
                farebox.now_ms() / 1000 - $1
                AND changed < farebox.now_ms() - $2 LIMIT 200 FOR UPDATE SKIP LOCKED)
        RETURNING valid_until, service, state, changed, price_msat),
    folded AS (
        INSERT INTO farebox.days (day, service, redeemed, redeemed_msat)
        SELECT changed / 86400000, service, count(*), sum(price_msat)::bigint FROM gone WHERE state
            = 3 GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (day, service) DO UPDATE SET
            redeemed = days.redeemed + excluded.redeemed, redeemed_msat = days.redeemed_msat +
                excluded.redeemed_msat)
    UPDATE farebox.marks SET value = greatest(value, (SELECT max(valid_until) FROM gone))
    WHERE name = 'watermark' AND EXISTS (SELECT FROM gone)";

/// The columns of a row, for `list` and `show`.
pub(super) const ROW: &str = "SELECT hash, service, request, valid_until, price_msat, state, \
                              claim, attempts, doubtful, changed FROM farebox.tickets";

/// $2 is the state that a parked ticket gets.
pub(super) const RESOLVE: &str = "
    UPDATE farebox.tickets SET state = $2, attempts = 0, doubtful = false, changed = \
    farebox.now_ms() WHERE hash = $1 AND state = 4 AND claim = $3";

pub(super) const REVOKE: &str = "
    INSERT INTO farebox.tickets
        (hash, service, request, valid_until, price_msat, state, claim, attempts, doubtful, changed,
            owner, lease_until)
    VALUES ($1, '', '', $2, 0, 5, '', 0, false, farebox.now_ms(), '', 0)
    ON CONFLICT (hash) DO UPDATE SET state = 5, changed = excluded.changed";

pub(super) const NOTE_SECRET: &str = "
    INSERT INTO farebox.secrets VALUES ($1, $2)
    ON CONFLICT (fingerprint) DO UPDATE SET needed_until = greatest(farebox.secrets.needed_until, \
    excluded.needed_until)";

pub(super) const SECRETS_IN_USE: &str =
    "SELECT fingerprint FROM farebox.secrets WHERE needed_until > $1";

/// What is asked so often that each connection has it prepared.
pub(super) struct Prepared {
    pub(super) claim: Statement,
    pub(super) settle: Statement,
    pub(super) withdraw: Statement,
}

impl Prepared {
    pub(super) async fn on(client: &Client) -> Result<Self, Error> {
        use tokio_postgres::types::Type;
        let bytes = Type::BYTEA;
        let claim_types = [
            bytes.clone(),
            Type::TEXT,
            bytes.clone(),
            Type::BOOL,
            Type::INT8,
            Type::INT8,
            Type::INT8,
            bytes.clone(),
            bytes.clone(),
            Type::INT8,
            Type::BOOL,
        ];
        let settle_types =
            [bytes.clone(), bytes.clone(), Type::INT4, Type::INT4, Type::TEXT, bytes.clone()];
        Ok(Self {
            claim: client.prepare_typed(CLAIM, &claim_types).await?,
            settle: client.prepare_typed(SETTLE, &settle_types).await?,
            withdraw: client.prepare_typed(WITHDRAW, &[bytes.clone(), bytes]).await?,
        })
    }
}
