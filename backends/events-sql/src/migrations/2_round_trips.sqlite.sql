-- Nothing: what saves round trips are functions of PostgreSQL.
SELECT 1;
