-- Numbers an event; begins with one that nobody uses (see the horizon in regatta-database).
CREATE SEQUENCE regatta_events_position MINVALUE 0 START 0;
SELECT nextval('regatta_events_position');

CREATE TABLE regatta_events (
    position BIGINT PRIMARY KEY,
    stream TEXT COLLATE "C" NOT NULL,
    category TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    id UUID NOT NULL,
    type TEXT NOT NULL,
    revision INT NOT NULL,
    -- JSON and not JSONB: the text is kept as it was written, to the last digit.
    data JSON NOT NULL,
    metadata JSON NOT NULL,
    subject TEXT,
    sealed BYTEA,
    recorded_at TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX regatta_events_stream_version ON regatta_events (stream, version);
CREATE UNIQUE INDEX regatta_events_id ON regatta_events (id);
CREATE INDEX regatta_events_subject ON regatta_events (subject) WHERE subject IS NOT NULL;

CREATE TABLE regatta_subjects (
    subject TEXT PRIMARY KEY,
    key BYTEA, -- none once the subject is erased
    erased_at BIGINT
);

CREATE TABLE regatta_snapshots (
    stream TEXT COLLATE "C" PRIMARY KEY,
    version BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    state TEXT NOT NULL
);

CREATE TABLE regatta_checkpoints (
    name TEXT PRIMARY KEY,
    position BIGINT NOT NULL
);

CREATE TABLE regatta_outbox (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event TEXT NOT NULL,
    refused TEXT -- why no bus takes it
);
CREATE TABLE regatta_outbox_turn (
    id INT PRIMARY KEY CHECK (id = 1),
    relay TEXT NOT NULL,
    until BIGINT NOT NULL
);
INSERT INTO regatta_outbox_turn VALUES (1, '', 0);

CREATE TABLE regatta_inbox (
    consumer TEXT NOT NULL,
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (consumer, source, id)
);
CREATE INDEX regatta_inbox_seen_at ON regatta_inbox (seen_at);

CREATE TABLE regatta_projections (
    name TEXT NOT NULL,
    generation BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    stage TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (name, generation)
);

-- Appends to one stream in one round trip. `expected` is -1 for any version and -2 for any but 0.
-- A writer who loses the race after the check runs into a unique index, and all of it is undone.
CREATE FUNCTION regatta_append_1(
    p_stream TEXT, p_category TEXT, p_expected BIGINT,
    p_ids UUID[], p_types TEXT[], p_revisions INT[], p_data TEXT[], p_metadata TEXT[],
    p_subjects TEXT[], p_sealed BYTEA[], p_outbox TEXT[],
    OUT outcome TEXT, OUT last_version BIGINT, OUT last_position BIGINT
) LANGUAGE plpgsql AS $$
DECLARE
    held BIGINT;
    held_at TIMESTAMPTZ;
BEGIN
    IF EXISTS (SELECT FROM regatta_events WHERE id = ANY (p_ids)) THEN
        outcome := 'seen';
        RETURN;
    END IF;
    SELECT version, recorded_at INTO held, held_at
        FROM regatta_events WHERE stream = p_stream ORDER BY version DESC LIMIT 1;
    held := coalesce(held, 0);
    IF (p_expected >= 0 AND p_expected <> held) OR (p_expected = -2 AND held = 0) THEN
        outcome := 'conflict';
        last_version := held;
        RETURN;
    END IF;
    -- The horizon of regatta-database: 0x5245 in the upper 16 bits is this log's tag.
    PERFORM pg_advisory_xact_lock_shared((21061::BIGINT << 48) | last_value)
        FROM regatta_events_position;
    INSERT INTO regatta_events
        SELECT nextval('regatta_events_position'), p_stream, p_category, held + event.number,
            event.id, event.type, event.revision, event.data::JSON, event.metadata::JSON,
            event.subject, event.sealed, greatest(clock_timestamp(), held_at)
        FROM unnest(p_ids, p_types, p_revisions, p_data, p_metadata, p_subjects, p_sealed)
            WITH ORDINALITY AS event (id, type, revision, data, metadata, subject, sealed, number);
    INSERT INTO regatta_outbox (event) SELECT event FROM unnest(p_outbox) AS event;
    outcome := 'done';
    last_version := held + cardinality(p_ids);
    -- Positions of this transaction's rows only, so no other one's is taken for it.
    last_position := currval('regatta_events_position');
END $$;
