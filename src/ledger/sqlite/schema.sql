-- Tickets in the order in which they came, so that those under way lie together on a few pages, and
-- a batch of them writes few; only their hashes are scattered. Answers lie in the order of their
-- tickets. Names in braces are the numbers of states, see sql.rs.
CREATE TABLE tickets (
    id          INTEGER PRIMARY KEY,
    hash        BLOB NOT NULL UNIQUE,  -- payment hash, 32 bytes
    service     TEXT NOT NULL,
    request     BLOB NOT NULL,     -- keyed digest of the request that it was bought for, or of that
                                   -- which took its place
    rebound     INTEGER,           -- set once another took its place: segments priced, 0 for none
    key         BLOB,              -- fingerprint of the secret that signed it
    minted      INTEGER NOT NULL,  -- Unix milliseconds, by its own word
    valid_until INTEGER NOT NULL,  -- Unix seconds, as minted
    price_msat  INTEGER NOT NULL,
    state       INTEGER NOT NULL,  -- see State
    claim       BLOB NOT NULL,     -- id of the latest try, 16 bytes
    attempts    INTEGER NOT NULL,  -- tries that certainly did nothing
    doubtful    INTEGER NOT NULL,  -- 1 if some try may have been served
    place       BLOB,              -- where the last try was sent to, a keyed hash
    tried       INTEGER NOT NULL,  -- Unix milliseconds: the first try that may have been served
    tried_ledger   INTEGER NOT NULL,  -- the same by the ledger's clock
    restored    INTEGER NOT NULL,  -- 1 if it is parked since the ledger was put back from a copy
    changed     INTEGER NOT NULL,  -- Unix milliseconds
    changed_ledger INTEGER NOT NULL,  -- the same by the ledger's clock
    sealed      BLOB               -- what was asked for, until it is known what became of it
);
-- OR, since SQLite makes a table of a list, at each INSERT and UPDATE.
CREATE INDEX tickets_by_age ON tickets (valid_until)
    WHERE (state = {delivered} OR state = {revoked});
-- SQLite uses a partial index only where its very condition stands in the query.
CREATE INDEX tickets_few ON tickets (state)
    WHERE (state = {claimed} OR state = {parked} OR state = {revoked} OR state = {refused});
-- Their secrets can't be left out, however old they are.
CREATE INDEX tickets_free ON tickets (key) WHERE state = {free};
CREATE TABLE answers (
    ticket    INTEGER PRIMARY KEY, -- its id
    status    INTEGER NOT NULL,
    headers   TEXT NOT NULL,       -- JSON: [[name, value], ..]
    body      BLOB,                -- NULL: too long to keep or cut short
    stored_at INTEGER NOT NULL     -- Unix milliseconds by the ledger's clock
);
-- What is kept of text messages, for as long as it counts; see messages.rs. Times are Unix
-- milliseconds by the ledger's clock where nothing else is said.
CREATE TABLE messages (
    ticket   BLOB PRIMARY KEY,     -- payment hash, 32 bytes
    number   BLOB NOT NULL,        -- keyed hash of service and number, 16 bytes
    service  TEXT NOT NULL,
    country  TEXT NOT NULL,        -- the country's prefix
    claimed  INTEGER NOT NULL,     -- by the latest try
    until    INTEGER NOT NULL,     -- forgotten then
    name     BLOB UNIQUE,          -- by which its backend's reports name it, 16 bytes
    state    INTEGER NOT NULL,     -- see DeliveryState
    reported INTEGER NOT NULL      -- when that was reported, by the wall clock
) WITHOUT ROWID;
CREATE INDEX messages_by_number ON messages (number, claimed);
CREATE INDEX messages_by_end ON messages (until);
CREATE TABLE day_counts (
    scope    TEXT NOT NULL,        -- a service, or a service and a prefix
    day      INTEGER NOT NULL,     -- Unix seconds / day
    messages INTEGER NOT NULL,
    PRIMARY KEY (scope, day)
) WITHOUT ROWID;
CREATE TABLE refused_numbers (
    number      BLOB NOT NULL,     -- as in messages
    by_operator INTEGER NOT NULL,  -- 1 if the operator said so
    until       INTEGER NOT NULL,  -- nothing is sold to it till then
    PRIMARY KEY (number, by_operator)
) WITHOUT ROWID;
CREATE INDEX refused_numbers_by_end ON refused_numbers (until);
CREATE TABLE secrets (
    fingerprint  BLOB PRIMARY KEY, -- of a master secret that has minted
    needed_until INTEGER NOT NULL  -- Unix seconds: until then tickets of it are worth something
) WITHOUT ROWID;
-- Numbers by name: watermark (Unix seconds), id and era (random), released (Unix milliseconds),
-- clock (Unix milliseconds), jump-left (milliseconds), copied (1 in a copy that was not put back
-- yet), and how far a node's payments were read.
CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO marks VALUES ('watermark', 0);
CREATE TABLE challenges (
    hash        BLOB PRIMARY KEY,  -- payment hash, 32 bytes
    service     TEXT NOT NULL,
    price_msat  INTEGER NOT NULL,
    minted      INTEGER NOT NULL,  -- Unix seconds, as the further times; 0 until it is counted
    expires     INTEGER NOT NULL,
    valid_until INTEGER NOT NULL,
    state       INTEGER NOT NULL,  -- see ChallengeState
    paid_msat   INTEGER NOT NULL,
    paid_at     INTEGER NOT NULL,
    served      INTEGER NOT NULL   -- 1 once its ticket was delivered
) WITHOUT ROWID;
CREATE INDEX challenges_open ON challenges (expires) WHERE state = {open};
CREATE INDEX challenges_closed ON challenges (expires) WHERE state = {closed};
CREATE INDEX challenges_paid ON challenges (valid_until) WHERE state = {paid};
CREATE INDEX challenges_unredeemed ON challenges (service) WHERE state = {paid} AND served = 0;
CREATE TABLE offers (
    service  TEXT NOT NULL,
    is_pass  INTEGER NOT NULL,
    address  TEXT NOT NULL,            -- method and path at which it was sold
    until    INTEGER NOT NULL,         -- Unix seconds: till when the last ticket is worth something
    PRIMARY KEY (service, is_pass, address)
) WITHOUT ROWID;
CREATE TABLE days (
    day             INTEGER NOT NULL,  -- Unix seconds / day
    service         TEXT NOT NULL,
    minted          INTEGER NOT NULL DEFAULT 0,
    minted_msat     INTEGER NOT NULL DEFAULT 0,
    paid            INTEGER NOT NULL DEFAULT 0,
    paid_msat       INTEGER NOT NULL DEFAULT 0,
    redeemed        INTEGER NOT NULL DEFAULT 0,  -- of tickets whose rows are gone
    redeemed_msat   INTEGER NOT NULL DEFAULT 0,
    unredeemed      INTEGER NOT NULL DEFAULT 0,  -- of challenges whose rows are gone
    unredeemed_msat INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (day, service)
) WITHOUT ROWID;
