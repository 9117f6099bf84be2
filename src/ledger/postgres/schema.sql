CREATE SCHEMA IF NOT EXISTS farebox;

CREATE OR REPLACE FUNCTION farebox.now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS
    $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;

CREATE TABLE farebox.tickets (
    hash        bytea PRIMARY KEY,       -- payment hash, 32 bytes
    service     text NOT NULL,
    request     bytea NOT NULL,          -- keyed digest of the request that it was bought for, 32 bytes
    valid_until bigint NOT NULL,         -- Unix seconds, as minted
    price_msat  bigint NOT NULL,
    state       smallint NOT NULL,       -- 1 claimed, 2 free, 3 delivered, 4 parked, 5 revoked
    claim       bytea NOT NULL,          -- id of the latest try, 16 bytes
    attempts    bigint NOT NULL,         -- tries that certainly did nothing
    doubtful    boolean NOT NULL,        -- some try may have been served
    changed     bigint NOT NULL,         -- Unix milliseconds, by this server's clock, as all times here
    owner       bytea NOT NULL,          -- the process that made the latest try
    lease_until bigint NOT NULL          -- after this a claim without an end is parked
);
CREATE INDEX tickets_by_age ON farebox.tickets (valid_until) WHERE state IN (3, 5);
CREATE INDEX tickets_few ON farebox.tickets (state) WHERE state IN (1, 4, 5);

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
    needed_until bigint NOT NULL         -- Unix seconds: until then tickets of it are worth something
);

CREATE TABLE farebox.marks (name text PRIMARY KEY, value bigint NOT NULL);
INSERT INTO farebox.marks VALUES ('layout', 1), ('watermark', 0);
