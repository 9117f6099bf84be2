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
    request     bytea NOT NULL,          -- keyed digest of the request that it was bought for, or
                                         -- of that which took its place
    rebound     bigint,                  -- set once another took its place: segments priced, or 0
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
    WHERE state IN ({claimed}, {parked}, {revoked}, {refused});
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

-- What is kept of text messages, for as long as it counts; see messages.rs. Times are Unix
-- milliseconds by the ledger's clock where nothing else is said.
CREATE TABLE farebox.messages (
    ticket   bytea PRIMARY KEY,          -- payment hash, 32 bytes
    number   bytea NOT NULL,             -- keyed hash of service and number, 16 bytes
    service  text NOT NULL,
    country  text NOT NULL,              -- the country's prefix
    claimed  bigint NOT NULL,            -- by the latest try
    until    bigint NOT NULL,            -- forgotten then
    name     bytea UNIQUE,               -- by which its backend's reports name it, 16 bytes
    state    smallint NOT NULL,          -- see DeliveryState
    reported bigint NOT NULL             -- when that was reported, by this server's clock
);
CREATE INDEX messages_by_number ON farebox.messages (number, claimed);
CREATE INDEX messages_by_end ON farebox.messages (until);

CREATE TABLE farebox.day_counts (
    scope    text NOT NULL,              -- a service, or a service and a prefix
    day      bigint NOT NULL,            -- Unix seconds / day
    messages bigint NOT NULL,
    PRIMARY KEY (scope, day)
);

CREATE TABLE farebox.refused_numbers (
    number      bytea NOT NULL,          -- as in messages
    by_operator boolean NOT NULL,        -- whether the operator said so
    until       bigint NOT NULL,         -- nothing is sold to it till then
    PRIMARY KEY (number, by_operator)
);
CREATE INDEX refused_numbers_by_end ON farebox.refused_numbers (until);

-- Whether a ticket's message to this number is among those of today.
CREATE FUNCTION farebox.is_counted_today(of_ticket bytea, numbers bytea[]) RETURNS boolean
    LANGUAGE sql VOLATILE AS $$
    SELECT EXISTS (SELECT FROM farebox.messages AS m
        WHERE m.ticket = of_ticket AND m.number = ANY(numbers)
            AND m.claimed / {day_ms} = farebox.clock_ms() / {day_ms}) $$;

-- Which limit a message has reached (1 that of its number, 2 that of a day), and how long it has to
-- wait; NULL if none. For a ticket, whose own earlier tries don't count, it has the counts to
-- itself until the end of the transaction: each statement in here sees what was committed before.
CREATE FUNCTION farebox.no_room(of_ticket bytea, numbers bytea[], most bigint, within_ms bigint,
    scopes text[], maxima bigint[], OUT kind integer, OUT wait bigint)
    LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    lock_name text;
    now_at bigint;
    latest bigint;
BEGIN
    IF of_ticket IS NOT NULL THEN
        -- In one order, so that no two wait for each other.
        FOR lock_name IN SELECT DISTINCT key FROM (
            SELECT encode(n, 'hex') AS key FROM unnest(numbers) AS n WHERE most IS NOT NULL
            UNION ALL SELECT unnest(scopes)) AS keys ORDER BY 1
        LOOP
            PERFORM pg_advisory_xact_lock(hashtextextended('farebox ' || lock_name, 0));
        END LOOP;
    END IF;
    -- While the ledger's clock is ahead it waits for the server's: so does what it counts.
    now_at := farebox.clock_ms();
    IF most IS NOT NULL THEN
        SELECT m.claimed INTO latest FROM farebox.messages AS m
            WHERE m.number = ANY(numbers) AND m.ticket IS DISTINCT FROM of_ticket
                AND m.claimed > now_at - within_ms
            ORDER BY m.claimed DESC OFFSET most - 1 LIMIT 1;
        IF FOUND THEN
            kind := 1;
            wait := latest + within_ms - least(now_at, farebox.now_ms());
            RETURN;
        END IF;
    END IF;
    IF cardinality(scopes) > 0 AND NOT farebox.is_counted_today(of_ticket, numbers)
        AND EXISTS (SELECT FROM unnest(scopes, maxima) AS asked (scope, most_of_day)
            JOIN farebox.day_counts AS d ON d.scope = asked.scope
                AND d.day = now_at / {day_ms} AND d.messages >= asked.most_of_day)
    THEN
        kind := 2;
        wait := (now_at / {day_ms} + 1) * {day_ms} - least(now_at, farebox.now_ms());
    END IF;
END $$;

-- Counts a message that was claimed. What was reported of an earlier try counts for this one only
-- if it may repeat it.
CREATE FUNCTION farebox.keep_message(of_ticket bytea, of_service text, numbers bytea[],
    scopes text[], of_country text, named bytea, kept_ms bigint, may_repeat boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    now_at bigint := farebox.clock_ms();
BEGIN
    IF NOT farebox.is_counted_today(of_ticket, numbers) THEN
        INSERT INTO farebox.day_counts AS d (scope, day, messages)
            SELECT scope, now_at / {day_ms}, 1 FROM unnest(scopes) AS scope ORDER BY scope
            ON CONFLICT (scope, day) DO UPDATE SET messages = d.messages + 1;
    END IF;
    INSERT INTO farebox.messages AS m
        (ticket, number, service, country, claimed, until, name, state, reported)
        VALUES (of_ticket, numbers[1], of_service, of_country, now_at, now_at + kept_ms, named, 0,
            farebox.now_ms())
        ON CONFLICT (ticket) DO UPDATE SET number = excluded.number, country = excluded.country,
            claimed = excluded.claimed, until = greatest(m.until, excluded.until),
            name = excluded.name,
            state = CASE WHEN may_repeat THEN m.state ELSE 0 END,
            reported = CASE WHEN may_repeat THEN m.reported ELSE excluded.reported END;
END $$;

-- A message was refused for good, and so wasn't sent.
CREATE FUNCTION farebox.take_back_message(of_ticket bytea, numbers bytea[], scopes text[])
    RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF farebox.is_counted_today(of_ticket, numbers) THEN
        -- In the order in which they are counted, so that no two wait for each other.
        PERFORM FROM farebox.day_counts
            WHERE scope = ANY(scopes) AND day = farebox.clock_ms() / {day_ms}
            ORDER BY scope FOR UPDATE;
        UPDATE farebox.day_counts SET messages = greatest(messages - 1, 0)
            WHERE scope = ANY(scopes) AND day = farebox.clock_ms() / {day_ms};
    END IF;
    DELETE FROM farebox.messages WHERE ticket = of_ticket;
    RETURN true;
END $$;

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
