CREATE TABLE payments (
    id INTEGER PRIMARY KEY AUTOINCREMENT CHECK (id BETWEEN 1 AND 2147483647),
    payer TEXT NOT NULL,
    idempotency_key TEXT NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    order_id INTEGER NOT NULL,
    hundredths INTEGER NOT NULL CHECK (hundredths > 0),
    -- Why it was declined; null when it was paid.
    declined TEXT,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

CREATE UNIQUE INDEX payments_key ON payments (payer, idempotency_key);
