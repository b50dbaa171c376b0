-- Publishes as the function before it does, with one look at the clock for all of a batch.
CREATE FUNCTION regatta_bus_publish_2(
    p_sources TEXT[], p_ids TEXT[], p_types TEXT[], p_keys TEXT[], p_events TEXT[]
) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    v_now BIGINT := (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT;
BEGIN
    -- The horizon of regatta-database: 0x5242 in the upper 16 bits is this log's tag.
    PERFORM pg_advisory_xact_lock_shared((21058::BIGINT << 48) | last_value)
        FROM regatta_bus_position;
    INSERT INTO regatta_bus_log
        SELECT nextval('regatta_bus_position'), new.source, new.id, new.type, new.key, v_now, new.event
        FROM unnest(p_sources, p_ids, p_types, p_keys, p_events)
            AS new (source, id, type, key, event)
        ON CONFLICT (source, id) DO NOTHING;
END $$;

-- Claims in one round trip: the oldest events of a group that are free to go, else opens the next of
-- the log, page by page, until something is free. Without a row nothing is; a row with the position 0
-- says that so many pages were looked through and there may be more.
CREATE FUNCTION regatta_bus_claim_1(
    p_group TEXT, p_claim TEXT, p_most BIGINT, p_lease BIGINT, p_longest BIGINT, p_types TEXT[],
    p_first BIGINT, p_open BIGINT, p_page BIGINT, p_pages BIGINT
) RETURNS TABLE (
    r_position BIGINT, r_deliveries BIGINT, r_held TEXT, r_failures TEXT, r_event TEXT, r_now BIGINT
) LANGUAGE plpgsql AS $$
DECLARE
    v_after BIGINT;
    v_head BIGINT;
    v_has_room BOOLEAN;
BEGIN
    -- What a crash forgets is opened and claimed again.
    PERFORM set_config('synchronous_commit', 'off', true);
    FOR v_page IN 0..p_pages LOOP
        RETURN QUERY
            WITH clock AS MATERIALIZED (
                SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT AS now
            ), free AS (
                SELECT o.position, o.claim AS held FROM regatta_bus_open o, clock
                WHERE o.consumer = p_group
                    -- A pause or a lease that ends later than any can is one that a clock has left
                    -- behind which was set back: it is over.
                    AND (o.until <= clock.now OR o.until > clock.now + p_longest)
                    AND (o.partition_key IS NULL OR NOT EXISTS (
                        SELECT 1 FROM regatta_bus_open earlier
                        WHERE earlier.consumer = o.consumer
                            AND earlier.partition_key = o.partition_key
                            AND earlier.position < o.position))
                ORDER BY o.position LIMIT p_most FOR UPDATE OF o SKIP LOCKED
            )
            UPDATE regatta_bus_open o
            SET claim = p_claim, until = clock.now + p_lease, deliveries = o.deliveries + 1
            FROM free JOIN regatta_bus_log l ON l.position = free.position, clock
            WHERE o.consumer = p_group AND o.position = free.position
            RETURNING o.position, o.deliveries, free.held, o.failures, l.event, clock.now;
        IF FOUND THEN RETURN; END IF;

        SELECT g.position INTO v_after FROM regatta_bus_groups g WHERE g.name = p_group;
        IF v_after IS NULL OR v_after >= (SELECT last_value FROM regatta_bus_position) THEN
            RETURN;
        END IF;
        -- The horizon of regatta-database; what is up to there is there for the statements below.
        SELECT least(log.last_value, (
            SELECT min(((held.classid::BIGINT << 32) | held.objid::BIGINT) & ((1::BIGINT << 48) - 1))
            FROM pg_locks held
            WHERE held.locktype = 'advisory' AND held.objsubid = 1
                AND held.classid::BIGINT >> 16 = 21058
                AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND log.last_value IS NOT NULL
        )) INTO v_head FROM regatta_bus_position log;
        SELECT count(*) < p_open
                AND count(*) - count(o.partition_key) + count(DISTINCT o.partition_key) < p_first
            INTO v_has_room FROM regatta_bus_open o WHERE o.consumer = p_group;
        IF v_after >= v_head OR NOT v_has_room THEN RETURN; END IF;
        -- It writes only now: who finds nothing holds nobody up.
        SELECT g.position INTO v_after FROM regatta_bus_groups g WHERE g.name = p_group FOR UPDATE;
        IF NOT FOUND THEN RETURN; END IF;
        INSERT INTO regatta_bus_open (consumer, position, partition_key)
            SELECT p_group, page.position, page.partition_key FROM (
                SELECT l.position, l.partition_key, l.type FROM regatta_bus_log l
                WHERE l.position > v_after AND l.position <= v_head
                ORDER BY l.position LIMIT p_page
            ) page
            WHERE cardinality(p_types) = 0 OR EXISTS (
                SELECT 1 FROM unnest(p_types) AS wanted (pattern)
                WHERE page.type = pattern OR (right(pattern, 1) = '*'
                    AND left(page.type, length(pattern) - 1) = left(pattern, -1)))
            ON CONFLICT DO NOTHING;
        UPDATE regatta_bus_groups g
            SET position = greatest(v_after, coalesce((
                SELECT l.position FROM regatta_bus_log l
                WHERE l.position > v_after AND l.position <= v_head
                ORDER BY l.position OFFSET p_page - 1 LIMIT 1), v_head))
            WHERE g.name = p_group;
    END LOOP;
    RETURN QUERY SELECT 0::BIGINT, 0::BIGINT, NULL::TEXT, '[]', '', 0::BIGINT;
END $$;
