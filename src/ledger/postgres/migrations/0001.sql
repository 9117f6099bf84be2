-- Names in braces are the numbers of states, see sql.rs.
CREATE SCHEMA IF NOT EXISTS farebox;

CREATE OR REPLACE FUNCTION farebox.now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS
    $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;

-- Numbers by name: layout, watermark (Unix seconds), id and era (random), released (Unix
-- milliseconds), clock (Unix milliseconds), jump-left (milliseconds), oid, timeline and system
-- (which table of which server it was when the ledger began its life), and how far a node's
-- payments were read.
CREATE TABLE farebox.marks (name text PRIMARY KEY, value bigint NOT NULL);

-- The ledger's own clock, which never goes back.
CREATE OR REPLACE FUNCTION farebox.clock_ms() RETURNS bigint LANGUAGE sql STABLE AS
    $$ SELECT value FROM farebox.marks WHERE name = 'clock' $$;

CREATE TABLE farebox.tickets (
    hash        bytea PRIMARY KEY,       -- payment hash, 32 bytes
    service     text NOT NULL,
    request     bytea NOT NULL,          -- keyed digest of the request that it was bought for
    key         bytea,                   -- fingerprint of the secret that signed it
    minted      bigint NOT NULL,         -- Unix milliseconds, by its own word
    valid_until bigint NOT NULL,         -- Unix seconds, as minted
    price_msat  bigint NOT NULL,
    state       smallint NOT NULL,       -- see State
    claim       bytea NOT NULL,          -- id of the latest try, 16 bytes
    attempts    bigint NOT NULL,         -- tries that certainly did nothing
    doubtful    boolean NOT NULL,        -- some try may have been served
    place       bytea,                   -- where the last try was sent to, a keyed hash
    tried       bigint NOT NULL,         -- the first try that may have been served
    tried_ledger   bigint NOT NULL,      -- the same by the ledger's clock
    restored    boolean NOT NULL,        -- parked since the ledger was put back from a copy
    changed     bigint NOT NULL,         -- Unix milliseconds, by this server's clock, as all here
    changed_ledger bigint NOT NULL,      -- the same by the ledger's clock
    sealed      bytea,                   -- what was asked for, until it is known what became of it
    owner       bytea NOT NULL,          -- the process that made the latest try
    lease_until bigint NOT NULL          -- after this a claim without an end is parked
);
CREATE INDEX tickets_by_age ON farebox.tickets (valid_until)
    WHERE state IN ({delivered}, {revoked});
CREATE INDEX tickets_few ON farebox.tickets (state)
    WHERE state IN ({claimed}, {parked}, {revoked});
-- Their secrets can't be left out, however old they are.
CREATE INDEX tickets_free ON farebox.tickets (key) WHERE state = {free};

CREATE TABLE farebox.answers (
    hash      bytea PRIMARY KEY,
    status    integer NOT NULL,
    headers   text NOT NULL,             -- JSON: [[name, value], ..]
    body      bytea,                     -- NULL: too long to keep or cut short
    stored_at bigint NOT NULL
);
CREATE INDEX answers_by_age ON farebox.answers (stored_at);

CREATE TABLE farebox.secrets (
    fingerprint  bytea PRIMARY KEY,      -- of a master secret that has minted
    needed_until bigint NOT NULL         -- Unix seconds: the end of the last ticket of it
);

CREATE TABLE farebox.challenges (
    hash        bytea PRIMARY KEY,       -- payment hash, 32 bytes
    service     text NOT NULL,
    price_msat  bigint NOT NULL,
    minted      bigint NOT NULL,         -- Unix seconds, as all times here; 0: not counted yet
    expires     bigint NOT NULL,
    valid_until bigint NOT NULL,
    state       smallint NOT NULL,       -- see ChallengeState
    paid_msat   bigint NOT NULL,
    paid_at     bigint NOT NULL,
    served      boolean NOT NULL         -- once its ticket was delivered
);
CREATE INDEX challenges_open ON farebox.challenges (expires) WHERE state = {open};
CREATE INDEX challenges_closed ON farebox.challenges (expires) WHERE state = {closed};
CREATE INDEX challenges_paid ON farebox.challenges (valid_until) WHERE state = {paid};
CREATE INDEX challenges_unredeemed ON farebox.challenges (service)
    WHERE state = {paid} AND NOT served;

CREATE TABLE farebox.offers (
    service  text NOT NULL,
    is_pass  boolean NOT NULL,
    address  text NOT NULL,              -- method and path at which it was sold
    until    bigint NOT NULL,            -- Unix seconds: the end of the last ticket of it
    PRIMARY KEY (service, is_pass, address)
);

CREATE TABLE farebox.days (
    day             bigint NOT NULL,     -- Unix seconds / day
    service         text NOT NULL,
    minted          bigint NOT NULL DEFAULT 0,
    minted_msat     bigint NOT NULL DEFAULT 0,
    paid            bigint NOT NULL DEFAULT 0,
    paid_msat       bigint NOT NULL DEFAULT 0,
    redeemed        bigint NOT NULL DEFAULT 0,  -- of tickets whose rows are gone
    redeemed_msat   bigint NOT NULL DEFAULT 0,
    unredeemed      bigint NOT NULL DEFAULT 0,  -- of challenges whose rows are gone
    unredeemed_msat bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (day, service)
);
