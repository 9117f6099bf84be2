-- Names in braces are the numbers of states, see sql.rs.
CREATE SCHEMA IF NOT EXISTS farebox;

CREATE OR REPLACE FUNCTION farebox.now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS
    $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;

CREATE TABLE farebox.tickets (
    hash        bytea PRIMARY KEY,       -- payment hash, 32 bytes
    service     text NOT NULL,
    request     bytea NOT NULL,          -- keyed digest of the request that it was bought for
    valid_until bigint NOT NULL,         -- Unix seconds, as minted
    price_msat  bigint NOT NULL,
    state       smallint NOT NULL,       -- see State
    claim       bytea NOT NULL,          -- id of the latest try, 16 bytes
    attempts    bigint NOT NULL,         -- tries that certainly did nothing
    doubtful    boolean NOT NULL,        -- some try may have been served
    changed     bigint NOT NULL,         -- Unix milliseconds, by this server's clock, as all here
    owner       bytea NOT NULL,          -- the process that made the latest try
    lease_until bigint NOT NULL          -- after this a claim without an end is parked
);
CREATE INDEX tickets_by_age ON farebox.tickets (valid_until)
    WHERE state IN ({delivered}, {revoked});
CREATE INDEX tickets_few ON farebox.tickets (state)
    WHERE state IN ({claimed}, {parked}, {revoked});

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

CREATE TABLE farebox.marks (name text PRIMARY KEY, value bigint NOT NULL);
INSERT INTO farebox.marks VALUES ('watermark', 0);

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
