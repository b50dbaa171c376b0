CREATE TABLE orders (
    id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    caller TEXT NOT NULL,
    user_id INTEGER NOT NULL,
    hundredths BIGINT NOT NULL CHECK (hundredths > 0),
    status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'created', 'declined')),
    -- Why it was declined.
    reason TEXT,
    -- Set when it is paid.
    payment_id INTEGER,
    payment_key TEXT NOT NULL UNIQUE,
    -- Null when the key has expired; unix seconds.
    idempotency_key VARCHAR(255),
    key_expires_at BIGINT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX orders_key ON orders (caller, idempotency_key);
CREATE INDEX orders_key_expires_at ON orders (key_expires_at) WHERE key_expires_at IS NOT NULL;
