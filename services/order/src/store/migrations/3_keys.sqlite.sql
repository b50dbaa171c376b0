-- Orders are kept as events since; this gives them their numbers, once for a caller and key. The rows
-- of before stay in the table orders, which nothing reads any more.
CREATE TABLE order_keys (
    id INTEGER PRIMARY KEY AUTOINCREMENT CHECK (id BETWEEN 1 AND 2147483647),
    caller TEXT NOT NULL,
    idempotency_key TEXT NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    key_expires_at INTEGER NOT NULL -- seconds since 1970
) STRICT;

CREATE UNIQUE INDEX order_keys_key ON order_keys (caller, idempotency_key);
CREATE INDEX order_keys_expires_at ON order_keys (key_expires_at);
