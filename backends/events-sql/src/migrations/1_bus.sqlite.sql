-- Positions are row ids: SQLite has one writer at a time, so they ascend in the order of commits.
-- AUTOINCREMENT, since rows are let go and a number must not come twice.
CREATE TABLE regatta_bus_log (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    partition_key TEXT,
    recorded_at INTEGER NOT NULL, -- microseconds since 1970
    event TEXT NOT NULL
);
CREATE UNIQUE INDEX regatta_bus_log_source_id ON regatta_bus_log (source, id);
CREATE INDEX regatta_bus_log_recorded_at ON regatta_bus_log (recorded_at);

CREATE TABLE regatta_bus_groups (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL -- everything up to here is settled or open
) WITHOUT ROWID;

CREATE TABLE regatta_bus_open (
    consumer TEXT NOT NULL,
    position INTEGER NOT NULL,
    partition_key TEXT,
    deliveries INTEGER NOT NULL DEFAULT 0,
    claim TEXT, -- who has it; none while it waits
    until INTEGER NOT NULL DEFAULT 0, -- the end of the pause or the lease
    failures TEXT NOT NULL DEFAULT '[]',
    PRIMARY KEY (consumer, position)
) WITHOUT ROWID;
CREATE INDEX regatta_bus_open_key ON regatta_bus_open (consumer, partition_key, position);

CREATE TABLE regatta_bus_dead (
    consumer TEXT NOT NULL,
    position INTEGER NOT NULL,
    reason TEXT NOT NULL,
    failures TEXT NOT NULL,
    died_at INTEGER NOT NULL,
    PRIMARY KEY (consumer, position)
) WITHOUT ROWID;
