-- Nothing: what claims in one round trip is a function of PostgreSQL.
SELECT 1;
