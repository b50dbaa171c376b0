CREATE TABLE orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT CHECK (id BETWEEN 1 AND 2147483647),
    caller TEXT NOT NULL,
    user_id INTEGER NOT NULL,
    hundredths INTEGER NOT NULL CHECK (hundredths > 0),
    status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'created', 'declined')),
    -- Why it was declined.
    reason TEXT,
    -- Set when it is paid.
    payment_id INTEGER,
    payment_key TEXT NOT NULL UNIQUE,
    -- Null when the key has expired; unix seconds.
    idempotency_key TEXT CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    key_expires_at INTEGER,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

CREATE UNIQUE INDEX orders_key ON orders (caller, idempotency_key);
CREATE INDEX orders_key_expires_at ON orders (key_expires_at) WHERE key_expires_at IS NOT NULL;
