-- Appends to one stream in one round trip, with the same costs however many events there are.
--
-- `p_expected` is -1 for any version and -2 for any but 0. Types, revisions and metadata may be one for
-- all; subjects, sealed and outbox may be none. Answers version and position of the last event; the
-- version alone when it is not as expected; nothing when one of the ids is there, for which it looks
-- when it may be so or `p_look` asks for it. Who takes an id unseen, or loses the race after the check,
-- runs into a unique index, and all of it is undone.
--
-- Statements of a function are planned once a connection, often while the table is small: a plan that
-- reads all of it would stay while it grows. Hence `enable_seqscan`.
CREATE FUNCTION regatta_append_2(
    p_stream TEXT, p_category TEXT, p_expected BIGINT,
    p_ids UUID[], p_types TEXT[], p_revisions INT[], p_data TEXT[], p_metadata TEXT[],
    p_subjects TEXT[], p_sealed BYTEA[], p_outbox TEXT[], p_look BOOLEAN
) RETURNS BIGINT[] LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    held BIGINT;
    held_at TIMESTAMPTZ;
    is_held BOOLEAN;
    locked TEXT;
BEGIN
    SELECT version, recorded_at INTO held, held_at
        FROM regatta_events WHERE stream = p_stream ORDER BY version DESC LIMIT 1;
    held := coalesce(held, 0);
    is_held := CASE p_expected WHEN -1 THEN TRUE WHEN -2 THEN held > 0 ELSE held = p_expected END;
    -- An append that was made before seldom expects the version that the stream has now.
    IF NOT is_held OR p_expected < 0 OR p_look THEN
        IF EXISTS (SELECT FROM regatta_events WHERE id = ANY (p_ids)) THEN
            RETURN ARRAY[]::BIGINT[];
        END IF;
        IF NOT is_held THEN
            RETURN ARRAY[held];
        END IF;
    END IF;
    -- The horizon of regatta-database: 0x5245 in the upper 16 bits is this log's tag. The number is
    -- read before the lock is taken, and the next one after it.
    locked := pg_advisory_xact_lock_shared(
        (21061::BIGINT << 48) | pg_sequence_last_value('regatta_events_position'));
    held_at := greatest(clock_timestamp(), held_at);
    IF cardinality(p_ids) = 1 THEN
        INSERT INTO regatta_events VALUES (
            nextval('regatta_events_position'), p_stream, p_category, held + 1, p_ids[1], p_types[1],
            p_revisions[1], p_data[1]::JSON, p_metadata[1]::JSON, p_subjects[1], p_sealed[1], held_at);
    ELSE
        INSERT INTO regatta_events
            SELECT nextval('regatta_events_position'), p_stream, p_category, held + event.number,
                event.id, coalesce(event.type, p_types[1]),
                coalesce(event.revision, p_revisions[1]), event.data::JSON,
                coalesce(event.metadata, p_metadata[1])::JSON, event.subject, event.sealed, held_at
            FROM unnest(p_ids, p_types, p_revisions, p_data, p_metadata, p_subjects, p_sealed)
                WITH ORDINALITY
                AS event (id, type, revision, data, metadata, subject, sealed, number);
    END IF;
    IF p_outbox IS NOT NULL THEN
        INSERT INTO regatta_outbox (event) SELECT event FROM unnest(p_outbox) AS event;
    END IF;
    -- Positions of this transaction's rows only, so no other one's is taken for it.
    RETURN ARRAY[held + cardinality(p_ids), currval('regatta_events_position')];
END $$;
