//! The SQL about tickets, in statements of one round trip each. What they decide is what `state`
//! decides, which the conformance suite compares; where they don't decide, `state` reads the row.
//! Names in braces are numbers, see `ledger::sql`.

use std::sync::LazyLock;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Statement};

use crate::ledger::sql::fill;

/// Claims in one statement. `granted` is false where the row, in the further columns, says why not.
/// A row that a rival writes at this very moment may be invisible to it: then there is no grant
/// either.
static CLAIM: LazyLock<String> = LazyLock::new(|| {
    fill(
        "
    WITH clock AS MATERIALIZED (
        SELECT farebox.now_ms() AS now, farebox.clock_ms() AS ledger),
    mark AS (
        SELECT max(value) FILTER (WHERE name = 'watermark') AS watermark,
            max(value) FILTER (WHERE name = 'era') AS era,
            max(value) FILTER (WHERE name = 'released') AS released,
            -- False where the table is another than that which the ledger's life began with.
            max(value) FILTER (WHERE name = 'oid') =
                to_regclass('farebox.tickets')::oid::bigint AS is_same
        FROM farebox.marks WHERE name IN ('watermark', 'era', 'released', 'oid')),
    -- Whether there is room for the message, where such are counted ($19 to $23).
    full_ AS MATERIALIZED (
        SELECT f.kind, f.wait FROM (SELECT WHERE $19::bytea[] IS NOT NULL) AS asked
        CROSS JOIN LATERAL farebox.no_room($1, $19, $20, $21, $22, $23) AS f
        WHERE f.wait IS NOT NULL),
    -- In the FROM of what follows, so that its locks come before those of rows.
    room AS MATERIALIZED (
        SELECT count(*) AS full, max(kind) AS kind, max(wait) AS wait FROM full_),
    again AS (
        UPDATE farebox.tickets AS t
        SET state = {claimed}, request = $3,
            rebound = CASE WHEN t.state = {refused} THEN $18 ELSE t.rebound END,
            claim = $8, owner = $9, lease_until = clock.now + $10,
            doubtful = t.doubtful OR t.state = {parked}, place = $15, restored = false,
            tried = least(clock.now, CASE WHEN t.state = {parked} THEN t.tried END),
            tried_ledger =
                least(clock.ledger, CASE WHEN t.state = {parked} THEN t.tried_ledger END),
            changed = clock.now, changed_ledger = clock.ledger, sealed = $16
        FROM clock, mark, room
        WHERE t.hash = $1 AND mark.is_same
            -- What may have been sent is counted, and isn't kept from being found out.
            AND (t.state = {parked} OR room.full = 0) AND (
            -- Another request takes the place of a refused one, once.
            ($4 = {instead} AND t.state = {refused} AND t.rebound IS NULL AND t.request <> $3
                AND $17 <= t.price_msat)
            OR $4 <> {other} AND t.request = $3
                AND ((t.state = {free} AND (clock.now < t.changed OR clock.now - t.changed >=
                CASE WHEN t.attempts = 0 THEN 0 ELSE least({retry_delay_max_ms},
                    {retry_delay_first_ms} * power(2, least(t.attempts - 1, 16)))::bigint END))
            OR (t.state = {parked} AND t.place = $15 AND $11::bigint IS NOT NULL
                AND greatest(clock.now - t.tried, clock.ledger - t.tried_ledger) <= $11)))
        RETURNING t.doubtful),
    first AS (
        INSERT INTO farebox.tickets
            (hash, service, request, valid_until, price_msat, claim, attempts, owner, lease_until,
             key, minted, tried, tried_ledger, changed, changed_ledger, sealed,
             state, doubtful, place, restored)
        SELECT $1, $2, $3, $5, $7, $8, 0, $9, clock.now + $10,
            $12, $14, clock.now, clock.ledger, clock.now, clock.ledger,
            CASE WHEN NOT known OR room.full = 0 THEN $16 END,
            -- What there is no room for waits: handed in, it doesn't run out meanwhile.
            CASE WHEN NOT known THEN {parked} WHEN room.full > 0 THEN {free} ELSE {claimed} END,
            NOT known, CASE WHEN known AND room.full = 0 THEN $15 END, NOT known
        FROM clock, mark, room,
            LATERAL (SELECT $13 = mark.era OR $14 < mark.released AS known) AS life
        WHERE $4 = {bought} AND $6 > clock.ledger / 1000
            AND $5 > mark.watermark AND mark.is_same
            -- In the snapshot that the watermark was read from: a row that is pruned meanwhile
            -- is not taken for one that never was.
            AND NOT EXISTS (SELECT FROM farebox.tickets AS t WHERE t.hash = $1)
        ON CONFLICT (hash) DO NOTHING
        RETURNING doubtful, state),
    granted AS (
        SELECT doubtful FROM again
        UNION ALL SELECT doubtful FROM first WHERE state = {claimed})
    SELECT EXISTS (SELECT FROM granted) AS granted,
        CASE WHEN $19 IS NOT NULL AND EXISTS (SELECT FROM granted) THEN
            -- Only after a parked row it may repeat what was sent.
            farebox.keep_message($1, $2, $19, $22, $24, $25, $26, (SELECT doubtful FROM granted))
            END AS kept,
        room.kind AS full_kind, room.wait AS full_wait,
        coalesce((SELECT doubtful FROM granted), t.doubtful) AS doubtful,
        clock.now, clock.ledger, mark.watermark, mark.era, mark.released,
        t.service, t.request, t.rebound, t.key, t.minted, t.valid_until, t.price_msat, t.state,
        t.claim, t.attempts, t.place, t.tried, t.tried_ledger, t.restored, t.changed,
        t.changed_ledger, t.lease_until, a.status, a.headers, a.body
    FROM clock CROSS JOIN mark CROSS JOIN room
    LEFT JOIN farebox.tickets AS t ON t.hash = $1
    LEFT JOIN farebox.answers AS a ON a.hash = $1 AND t.state = {delivered}",
    )
});

/// The state that a try leaves which ended with the outcome $3.
const STATE_AFTER: &str = "CASE WHEN $3 = {was_delivered} THEN {delivered}
            WHEN $3 = {was_not_sent} AND NOT doubtful THEN {free}
            WHEN $3 = {was_refused} AND NOT doubtful THEN {refused} ELSE {parked} END";

/// Ends a try with the outcome $3. The answer to keep, if any, is stored in the same statement.
static SETTLE: LazyLock<String> = LazyLock::new(|| {
    let statement = "
    WITH done AS (
        UPDATE farebox.tickets SET
            state = STATE_AFTER,
            attempts = attempts +
                CASE WHEN $3 IN ({was_not_sent}, {was_refused}) THEN 1 ELSE 0 END,
            doubtful = CASE WHEN $3 = {was_delivered} THEN false
                WHEN $3 IN ({was_not_sent}, {was_refused}) THEN doubtful ELSE true END,
            changed = farebox.now_ms(), changed_ledger = farebox.clock_ms(),
            sealed = CASE WHEN STATE_AFTER = {parked} THEN sealed END
        WHERE hash = $1 AND claim = $2 AND NOT restored AND (state = {claimed} OR (state = {parked}
            AND ($3 = {was_delivered}
                OR ($3 IN ({was_not_sent}, {was_refused}) AND NOT doubtful))))
        RETURNING attempts),
    kept AS (
        INSERT INTO farebox.answers (hash, status, headers, body, stored_at)
        SELECT $1, $4, $5, $6, farebox.clock_ms() FROM done WHERE $4::integer IS NOT NULL
        ON CONFLICT (hash) DO UPDATE SET status = excluded.status, headers = excluded.headers,
            body = excluded.body, stored_at = excluded.stored_at),
    -- The secret that a refused number is hashed with is needed as long. What is refused comes from
    -- it, so that the rows are locked in this order, as by whoever else refuses a number.
    needed AS (
        INSERT INTO farebox.secrets
        SELECT $9, (farebox.clock_ms() + $8) / 1000 FROM done WHERE $7::bytea IS NOT NULL
        ON CONFLICT (fingerprint) DO UPDATE SET
            needed_until = greatest(farebox.secrets.needed_until, excluded.needed_until)
        RETURNING fingerprint),
    refused AS (
        INSERT INTO farebox.refused_numbers
        SELECT $7, false, farebox.clock_ms() + $8 FROM needed
        ON CONFLICT (number, by_operator) DO UPDATE SET
            until = greatest(farebox.refused_numbers.until, excluded.until))
    SELECT attempts, CASE WHEN $10::bytea[] IS NOT NULL THEN
        farebox.take_back_message($1, $10, $11) END FROM done
    UNION ALL
    -- Said before, and that went unconfirmed.
    SELECT attempts, false FROM farebox.tickets
    WHERE hash = $1 AND claim = $2 AND NOT restored AND NOT EXISTS (SELECT FROM done)
        AND state = STATE_AFTER";
    fill(&statement.replace("STATE_AFTER", STATE_AFTER))
});

/// Takes back a claim whose commit was not confirmed: nothing was sent.
static WITHDRAW: LazyLock<String> = LazyLock::new(|| {
    fill(
        "
    UPDATE farebox.tickets SET state = CASE WHEN doubtful THEN {parked} ELSE {free} END,
        sealed = CASE WHEN doubtful THEN sealed END
    WHERE NOT restored AND hash = $1 AND claim = $2
        AND (state = {claimed} OR (state = {parked} AND NOT doubtful))",
    )
});

/// Parks what a dead instance left claimed.
pub(super) static SWEEP: LazyLock<String> = LazyLock::new(|| {
    fill(
        "
    UPDATE farebox.tickets SET state = {parked}, changed = farebox.now_ms(),
        changed_ledger = farebox.clock_ms()
    WHERE state = {claimed} AND lease_until < farebox.now_ms()",
    )
});

/// Moves the ledger's clock after the server's, but no further than $1, and tells what the ledger
/// knows of itself. It shows that the server takes writes, too: a connection alone doesn't.
pub(super) const MOVE_CLOCK: &str = "
    UPDATE farebox.marks AS m SET value = greatest(m.value, least(farebox.now_ms(), $1))
    WHERE m.name = 'clock'
    RETURNING m.value,
        (SELECT value FROM farebox.marks WHERE name = 'era'),
        (SELECT value FROM farebox.marks WHERE name = 'released'),
        (SELECT value FROM farebox.marks WHERE name = 'watermark')";

/// At a start the clock may jump after the server's by what is left of its jumps; gives how far it
/// may be moved. Else a few starts under a wrong clock would go as far as they like.
pub(super) const TAKE_JUMP: &str = "
    WITH before AS (SELECT farebox.clock_ms() AS clock),
    wanted AS (SELECT greatest(0, farebox.now_ms() - clock) AS jump FROM before),
    taken AS (
        UPDATE farebox.marks AS m SET value = m.value - least(m.value, wanted.jump) FROM wanted
        WHERE m.name = 'jump-left')
    SELECT before.clock + least(wanted.jump,
        (SELECT value FROM farebox.marks WHERE name = 'jump-left'))
    FROM before, wanted";

/// Time that was served ($2 milliseconds) gives back what a start has taken, up to $1.
pub(super) const REFILL_JUMP: &str =
    "UPDATE farebox.marks SET value = least($1, value + $2) WHERE name = 'jump-left'";

/// Which table of which server it is; the timeline is another one after the server was put back to
/// an earlier time, or a standby took over.
pub(super) const WHICH: &str = "
    SELECT 'farebox.tickets'::regclass::oid::bigint,
        ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint,
        (SELECT system_identifier FROM pg_control_system())";

/// One small step of forgetting answers that are older than $1 milliseconds.
pub(super) static PRUNE_ANSWERS: LazyLock<String> = LazyLock::new(|| {
    fill(
        "
    DELETE FROM farebox.answers WHERE hash IN (
        SELECT hash FROM farebox.answers WHERE stored_at < farebox.clock_ms() - $1
        LIMIT {prune_step})",
    )
});

/// One small step of forgetting tickets whose time ended $1 seconds ago and that weren't changed
/// for $2 milliseconds. It leaves the mark, and touches one row as long as there may be more.
pub(super) static PRUNE_TICKETS: LazyLock<String> = LazyLock::new(|| {
    fill(
        "
    WITH gone AS (
        DELETE FROM farebox.tickets WHERE hash IN (
            SELECT hash FROM farebox.tickets WHERE state IN ({delivered}, {revoked})
                AND valid_until < farebox.clock_ms() / 1000 - $1
                AND changed_ledger < farebox.clock_ms() - $2
            LIMIT {prune_step} FOR UPDATE SKIP LOCKED)
        RETURNING valid_until, service, state, changed, price_msat),
    folded AS (
        INSERT INTO farebox.days (day, service, redeemed, redeemed_msat)
        SELECT changed / {day_ms}, service, count(*), sum(price_msat)::bigint
        FROM gone WHERE state = {delivered} GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (day, service) DO UPDATE SET
            redeemed = days.redeemed + excluded.redeemed,
            redeemed_msat = days.redeemed_msat + excluded.redeemed_msat)
    UPDATE farebox.marks SET value = greatest(value, (SELECT max(valid_until) FROM gone))
    WHERE name = 'watermark' AND EXISTS (SELECT FROM gone)",
    )
});

/// The columns of a row, for `list` and `show`.
pub(super) const ROW: &str = "
    SELECT hash, service, request, rebound, key, minted, valid_until, price_msat, state, claim,
        attempts, doubtful, place, tried, tried_ledger, restored, changed, changed_ledger
    FROM farebox.tickets";

/// Ends the being parked, or refused, of a ticket by the try $3; $2 is the state that it gets.
pub(super) static RESOLVE: LazyLock<String> = LazyLock::new(|| {
    fill(
        "
    UPDATE farebox.tickets
    SET state = $2::smallint, attempts = 0, doubtful = false, restored = false, sealed = NULL,
        changed = farebox.now_ms(), changed_ledger = farebox.clock_ms()
    WHERE hash = $1 AND claim = $3
        AND (state = {parked} OR state = {refused} AND $2::smallint = {free})",
    )
});

/// Takes a ticket back. One that was never handed in is remembered until $2.
pub(super) static REVOKE: LazyLock<String> = LazyLock::new(|| {
    fill(
        "
    INSERT INTO farebox.tickets
        (hash, service, request, minted, valid_until, price_msat, state, claim, attempts, doubtful,
         tried, tried_ledger, restored, changed, changed_ledger, owner, lease_until)
    VALUES ($1, '', '', 0, $2, 0, {revoked}, '', 0, false, farebox.now_ms(), farebox.clock_ms(),
        false, farebox.now_ms(), farebox.clock_ms(), '', 0)
    ON CONFLICT (hash) DO UPDATE SET state = {revoked}, restored = false, sealed = NULL,
        changed = excluded.changed, changed_ledger = excluded.changed_ledger",
    )
});

/// All tickets that were taken back.
pub(super) static REVOKED: LazyLock<String> =
    LazyLock::new(|| fill("SELECT hash FROM farebox.tickets WHERE state = {revoked}"));

/// After the ledger was put back: what was parked then may have been freed since, and tried again
/// at another place: neither its key nor the try before the copy tells what became of it.
pub(super) static FORGET_PARKED: LazyLock<String> = LazyLock::new(|| {
    fill("UPDATE farebox.tickets SET place = NULL, doubtful = true WHERE state = {parked}")
});

/// After the ledger was put back: what was free then may have been served since, and whoever held a
/// claim is gone.
pub(super) static PARK_RESTORED: LazyLock<String> = LazyLock::new(|| {
    fill(
        "
    UPDATE farebox.tickets SET state = {parked}, changed = farebox.now_ms(),
        changed_ledger = farebox.clock_ms(), doubtful = true,
        restored = restored OR state <> {claimed}, place = NULL
    WHERE state IN ({free}, {claimed}, {refused})",
    )
});

/// Frees what a restore parked, of tickets minted before $1, and notes that those that come in
/// later are taken too.
pub(super) static RELEASE_RESTORED: LazyLock<String> = LazyLock::new(|| {
    fill(
        "
    WITH noted AS (
        UPDATE farebox.marks SET value = greatest(value, $1) WHERE name = 'released')
    UPDATE farebox.tickets
    SET state = {free}, attempts = 0, doubtful = false, restored = false, sealed = NULL,
        changed = farebox.now_ms(), changed_ledger = farebox.clock_ms()
    WHERE state = {parked} AND restored AND minted < $1",
    )
});

/// What a ticket was handed in for.
pub(super) const SEALED: &str = "SELECT sealed FROM farebox.tickets WHERE hash = $1";

/// One small step of forgetting what tickets were for that are parked since $1 milliseconds.
pub(super) static FORGET_ORDERS: LazyLock<String> = LazyLock::new(|| {
    fill(
        "
    UPDATE farebox.tickets SET sealed = NULL WHERE hash IN (
        SELECT hash FROM farebox.tickets WHERE state = {parked} AND sealed IS NOT NULL
            AND changed_ledger < farebox.clock_ms() - $1
        LIMIT {prune_step} FOR UPDATE SKIP LOCKED)",
    )
});

/// How many tickets there are, and how many are parked.
pub(super) static COUNT: LazyLock<String> = LazyLock::new(|| {
    fill("SELECT count(*), count(*) FILTER (WHERE state = {parked}) FROM farebox.tickets")
});

/// Notes that the secret $1 is needed until $2.
pub(super) const NOTE_SECRET: &str = "
    INSERT INTO farebox.secrets VALUES ($1, $2)
    ON CONFLICT (fingerprint) DO UPDATE SET
        needed_until = greatest(farebox.secrets.needed_until, excluded.needed_until)";

/// The secrets that are needed at $1: those that mint, and those that signed a ticket that doesn't
/// end by itself.
pub(super) static SECRETS_IN_USE: LazyLock<String> = LazyLock::new(|| {
    fill(
        "
    SELECT fingerprint FROM farebox.secrets WHERE needed_until > $1
    UNION SELECT key FROM farebox.tickets
        WHERE state IN ({claimed}, {parked}, {refused}) AND key IS NOT NULL
    UNION SELECT key FROM farebox.tickets WHERE state = {free} AND key IS NOT NULL",
    )
});

/// What is asked so often that each connection has it prepared.
pub(super) struct Prepared {
    pub(super) claim: Statement,
    pub(super) settle: Statement,
    pub(super) withdraw: Statement,
}

impl Prepared {
    pub(super) async fn on(client: &Client) -> Result<Self, Error> {
        const BYTES: Type = Type::BYTEA;
        const NUMBER: Type = Type::INT8;
        let claim_types = [
            BYTES,
            Type::TEXT,
            BYTES,
            Type::INT4,
            NUMBER,
            NUMBER,
            NUMBER,
            BYTES,
            BYTES,
            NUMBER,
            NUMBER,
            BYTES,
            NUMBER,
            NUMBER,
            BYTES,
            BYTES,
            NUMBER,
            NUMBER,
            Type::BYTEA_ARRAY,
            NUMBER,
            NUMBER,
            Type::TEXT_ARRAY,
            Type::INT8_ARRAY,
            Type::TEXT,
            BYTES,
            NUMBER,
        ];
        let settle_types = [
            BYTES,
            BYTES,
            Type::INT4,
            Type::INT4,
            Type::TEXT,
            BYTES,
            BYTES,
            NUMBER,
            BYTES,
            Type::BYTEA_ARRAY,
            Type::TEXT_ARRAY,
        ];
        Ok(Self {
            claim: client.prepare_typed(&CLAIM, &claim_types).await?,
            settle: client.prepare_typed(&SETTLE, &settle_types).await?,
            withdraw: client.prepare_typed(&WITHDRAW, &[BYTES, BYTES]).await?,
        })
    }
}
