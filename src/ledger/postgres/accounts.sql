-- What layout 2 adds to layout 1.
CREATE TABLE farebox.challenges (
    hash        bytea PRIMARY KEY,       -- payment hash, 32 bytes
    service     text NOT NULL,
    price_msat  bigint NOT NULL,
    minted      bigint NOT NULL,         -- Unix seconds, as the further times; 0 until it is counted
    expires     bigint NOT NULL,
    valid_until bigint NOT NULL,
    state       smallint NOT NULL,       -- 1 open, 2 paid, 3 closed
    paid_msat   bigint NOT NULL,
    paid_at     bigint NOT NULL,
    served      boolean NOT NULL         -- once its ticket was delivered
);
CREATE INDEX challenges_open ON farebox.challenges (expires) WHERE state = 1;
CREATE INDEX challenges_closed ON farebox.challenges (expires) WHERE state = 3;
CREATE INDEX challenges_paid ON farebox.challenges (valid_until) WHERE state = 2;
CREATE INDEX challenges_unredeemed ON farebox.challenges (service) WHERE state = 2 AND NOT served;

CREATE TABLE farebox.days (
    day             bigint NOT NULL,     -- Unix seconds / 86400
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

UPDATE farebox.marks SET value = 2 WHERE name = 'layout';
