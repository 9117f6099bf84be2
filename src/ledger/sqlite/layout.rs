//! The tables, and how older ones become these.

use rusqlite::Connection;
use tracing::info;

use super::accounts;

/// Number of the layout below, in `PRAGMA user_version`.
pub(super) const LAYOUT: i64 = 3;

/// Tickets in the order in which they came, so that those under way lie together on a few pages,
/// and a batch of them writes few; only their hashes are scattered. Answers lie in the order of
/// their tickets.
const TICKETS: &str = "
    CREATE TABLE tickets (
        id          INTEGER PRIMARY KEY,
        hash        BLOB NOT NULL UNIQUE,  -- payment hash, 32 bytes
        service     TEXT NOT NULL,
        request     BLOB NOT NULL,     -- keyed digest of the request that it was bought for
        valid_until INTEGER NOT NULL,  -- Unix seconds, as minted
        price_msat  INTEGER NOT NULL,
        state       INTEGER NOT NULL,  -- 1 claimed, 2 free, 3 delivered, 4 parked, 5 revoked
        claim       BLOB NOT NULL,     -- id of the latest try, 16 bytes
        attempts    INTEGER NOT NULL,  -- tries that certainly did nothing
        doubtful    INTEGER NOT NULL,  -- 1 if some try may have been served
        changed     INTEGER NOT NULL   -- Unix milliseconds
    );
    -- OR, since SQLite makes a table of a list, at each INSERT and UPDATE.
    CREATE INDEX tickets_by_age ON tickets (valid_until) WHERE (state = 3 OR state = 5);
    -- SQLite uses a partial index only where its very condition stands in the query.
    CREATE INDEX tickets_few ON tickets (state) WHERE (state = 1 OR state = 4 OR state = 5);
    CREATE TABLE answers (
        ticket    INTEGER PRIMARY KEY, -- its id
        status    INTEGER NOT NULL,
        headers   TEXT NOT NULL,       -- JSON: [[name, value], ..]
        body      BLOB,                -- NULL: too long to keep or cut short
        stored_at INTEGER NOT NULL     -- Unix milliseconds
    );
";

const MARKS: &str = "
    CREATE TABLE secrets (
        fingerprint  BLOB PRIMARY KEY, -- of a master secret that has minted
        needed_until INTEGER NOT NULL  -- Unix seconds: until then tickets of it are worth something
    ) WITHOUT ROWID;
    CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO marks VALUES ('watermark', 0);
";

/// Up to layout 2 tickets and answers had no numbers and lay in the order of their hashes.
const ASIDE: &str = "
    ALTER TABLE tickets RENAME TO tickets_2;
    ALTER TABLE answers RENAME TO answers_2;
    DROP INDEX tickets_by_age;
    DROP INDEX tickets_few;
    DROP INDEX answers_by_age;
";

const OVER: &str = "
    INSERT INTO tickets (hash, service, request, valid_until, price_msat, state, claim, attempts,
        doubtful, changed)
        SELECT hash, service, request, valid_until, price_msat, state, claim, attempts, doubtful,
            changed FROM tickets_2 ORDER BY changed;
    INSERT INTO answers SELECT id, status, headers, body, stored_at FROM answers_2 JOIN tickets
        USING (hash) ORDER BY id;
    DROP TABLE tickets_2;
    DROP TABLE answers_2;
";

/// Makes the tables, or brings those of an older layout to this one, all at once or not at all.
/// `Err` with a number: of a newer layout.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<Result<(), i64>> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let steps: &[&str] = match found {
        0 => &[TICKETS, MARKS, accounts::TABLES],
        1 => &[accounts::TABLES, ASIDE, TICKETS, OVER],
        2 => &[ASIDE, TICKETS, OVER],
        LAYOUT => return Ok(Ok(())),
        newer => return Ok(Err(newer)),
    };
    if found != 0 {
        info!(
            from = found,
            to = LAYOUT,
            "the ledger is being rewritten; this takes some ten seconds for each million of tickets"
        );
    }
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; {} PRAGMA user_version = {LAYOUT}; COMMIT;",
        steps.concat()
    ))?;
    Ok(Ok(()))
}
