-- Orders are kept as events since; this gives them their numbers, once for a caller and key. The rows
-- of before stay in the table orders, which nothing reads any more.
CREATE TABLE order_keys (
    id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    caller TEXT NOT NULL,
    idempotency_key VARCHAR(255) NOT NULL,
    key_expires_at BIGINT NOT NULL -- seconds since 1970
);

CREATE UNIQUE INDEX order_keys_key ON order_keys (caller, idempotency_key);
CREATE INDEX order_keys_expires_at ON order_keys (key_expires_at);
