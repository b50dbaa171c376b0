CREATE TABLE payments (
    id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payer TEXT NOT NULL,
    idempotency_key VARCHAR(255) NOT NULL,
    order_id INTEGER NOT NULL,
    hundredths BIGINT NOT NULL CHECK (hundredths > 0),
    -- Why it was declined; null when it was paid.
    declined TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX payments_key ON payments (payer, idempotency_key);
