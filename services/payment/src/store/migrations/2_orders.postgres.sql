-- Payments are kept as events since; this gives them their numbers, once for an order. The rows of
-- before stay in the table payments, which nothing reads any more.
CREATE TABLE payment_orders (
    id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id INTEGER NOT NULL UNIQUE
);
