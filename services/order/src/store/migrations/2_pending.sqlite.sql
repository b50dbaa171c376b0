-- Read page by page by whoever goes on with pending orders; settled ones are no part of it.
CREATE INDEX orders_pending ON orders (id) WHERE status = 'pending';
