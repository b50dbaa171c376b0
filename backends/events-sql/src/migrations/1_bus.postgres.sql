-- Numbers an event; begins with one that nobody uses (see the horizon in regatta-database).
CREATE SEQUENCE regatta_bus_position MINVALUE 0 START 0;
SELECT nextval('regatta_bus_position');

CREATE TABLE regatta_bus_log (
    position BIGINT PRIMARY KEY,
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    partition_key TEXT,
    recorded_at BIGINT NOT NULL, -- microseconds since 1970
    event TEXT NOT NULL
);
CREATE UNIQUE INDEX regatta_bus_log_source_id ON regatta_bus_log (source, id);
CREATE INDEX regatta_bus_log_recorded_at ON regatta_bus_log (recorded_at);

CREATE TABLE regatta_bus_groups (
    name TEXT PRIMARY KEY,
    position BIGINT NOT NULL -- everything up to here is settled or open
);

CREATE TABLE regatta_bus_open (
    consumer TEXT NOT NULL,
    position BIGINT NOT NULL,
    partition_key TEXT,
    deliveries BIGINT NOT NULL DEFAULT 0,
    claim TEXT, -- who has it; none while it waits
    until BIGINT NOT NULL DEFAULT 0, -- the end of the pause or the lease
    failures TEXT NOT NULL DEFAULT '[]',
    PRIMARY KEY (consumer, position)
);
CREATE INDEX regatta_bus_open_key ON regatta_bus_open (consumer, partition_key, position);

CREATE TABLE regatta_bus_dead (
    consumer TEXT NOT NULL,
    position BIGINT NOT NULL,
    reason TEXT NOT NULL,
    failures TEXT NOT NULL,
    died_at BIGINT NOT NULL,
    PRIMARY KEY (consumer, position)
);

-- Publishes in one round trip; what is in the log already stays as it is.
CREATE FUNCTION regatta_bus_publish_1(
    p_sources TEXT[], p_ids TEXT[], p_types TEXT[], p_keys TEXT[], p_events TEXT[]
) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    -- The horizon of regatta-database: 0x5242 in the upper 16 bits is this log's tag.
    PERFORM pg_advisory_xact_lock_shared((21058::BIGINT << 48) | last_value)
        FROM regatta_bus_position;
    INSERT INTO regatta_bus_log
        SELECT nextval('regatta_bus_position'), new.source, new.id, new.type, new.key,
            (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT, new.event
        FROM unnest(p_sources, p_ids, p_types, p_keys, p_events)
            AS new (source, id, type, key, event)
        ON CONFLICT (source, id) DO NOTHING;
END $$;
