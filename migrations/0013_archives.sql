-- Archives: old partitions of the log leave the database as Parquet files (src/events/archive, docs/archives.md). This is the
-- catalogue: which partition lies in which files, and what proves them. A row is written before its files are; from `kept_at`
-- on the files are whole, read back and compared, and readers go there; from `dropped_at` on the partition is gone.
--
-- Only the database's owner writes here and detaches partitions: the running program can lose no events.

CREATE TABLE convoke.log_archives (
    first_position bigint NOT NULL,
    last_position bigint NOT NULL CHECK (last_position >= first_position),
    events_size bigint,
    events_footer_at bigint,
    rooms_size bigint,
    rooms_footer_at bigint,
    -- Of the table with its indexes, before it was dropped.
    table_size bigint,
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kept_at timestamptz,
    dropped_at timestamptz CHECK (dropped_at IS NULL OR kept_at IS NOT NULL),
    partition text COLLATE "C" PRIMARY KEY REFERENCES convoke.log_partitions (name),
    events_file text COLLATE "C" NOT NULL UNIQUE,
    rooms_file text COLLATE "C" NOT NULL UNIQUE,
    -- SHA-256 of the footers, and over positions and hashes of the events.
    events_footer bytea,
    rooms_footer bytea,
    digest bytea,
    CHECK (kept_at IS NULL OR num_nulls(events_size, events_footer_at, rooms_size, rooms_footer_at, events_footer,
        rooms_footer, digest) = 0)
);
GRANT SELECT ON convoke.log_archives TO convoke_system;
-- What the functions below look at.
GRANT SELECT (partition, kept_at) ON convoke.log_archives TO convoke_tenant;

-- Whoever reads the log and keeps where it is: nothing that one of them has not passed leaves the database.
CREATE VIEW convoke.log_cursors AS
    SELECT 'read model'::text AS kind, name, position FROM convoke.projections
    UNION ALL
    SELECT 'relay to Kafka', topic, position FROM convoke.relays;
GRANT SELECT ON convoke.log_cursors TO convoke_system;

-- As before, but NULL where the answer lies in an archive.
CREATE OR REPLACE FUNCTION convoke.position_before(p_time timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = convoke, pg_temp AS $$
DECLARE
    v_part log_partitions;
    v_head bigint := (SELECT position FROM log_head);
    v_low bigint;
    v_high bigint;
    v_middle bigint;
    v_at timestamptz;
BEGIN
    SELECT * INTO v_part FROM log_partitions
    WHERE from_time < p_time AND first_position IS NOT NULL
    ORDER BY from_time DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    -- Invariant: what lies at or below v_low was recorded before p_time, what lies above v_high was not.
    v_low := v_part.first_position - 1;
    v_high := coalesce((SELECT min(first_position) - 1 FROM log_partitions WHERE from_time > v_part.from_time), v_head);
    WHILE v_low < v_high LOOP
        v_middle := v_low + (v_high - v_low + 1) / 2;
        SELECT recorded_at INTO v_at FROM log
        WHERE position = v_middle AND recorded_at >= v_part.from_time AND recorded_at < v_part.to_time;
        IF v_at IS NULL THEN
            RETURN NULL;
        ELSIF v_at < p_time THEN
            v_low := v_middle;
        ELSE
            v_high := v_middle - 1;
        END IF;
    END LOOP;
    RETURN v_low;
END
$$;

-- As before, but NULL where the answer lies in an archive.
CREATE OR REPLACE FUNCTION convoke.room_version_at(p_tenant text, p_room uuid, p_time timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = convoke, pg_temp AS $$
DECLARE
    v_head room_heads;
    v_part log_partitions;
    v_low bigint;
    v_high bigint;
    v_middle bigint;
    v_at timestamptz;
BEGIN
    SELECT * INTO v_head FROM room_heads WHERE tenant = p_tenant AND room = p_room;
    IF NOT FOUND OR p_time < v_head.first_recorded_at THEN
        RETURN 0;
    END IF;
    IF p_time >= v_head.last_recorded_at THEN
        RETURN v_head.version;
    END IF;
    -- The newest partition that holds the room's events of that time or before.
    FOR v_part IN
        SELECT * FROM log_partitions
        WHERE from_time <= p_time AND to_time > v_head.first_recorded_at AND first_position IS NOT NULL
        ORDER BY from_time DESC
    LOOP
        EXIT WHEN EXISTS (SELECT 1 FROM log_archives a WHERE a.partition = v_part.name AND a.kept_at IS NOT NULL);
        SELECT min(room_version), max(room_version) INTO v_low, v_high FROM log
        WHERE room = p_room AND tenant = p_tenant
          AND recorded_at >= v_part.from_time AND recorded_at < v_part.to_time;
        CONTINUE WHEN v_low IS NULL;
        v_low := v_low - 1;
        WHILE v_low < v_high LOOP
            v_middle := v_low + (v_high - v_low + 1) / 2;
            SELECT recorded_at INTO v_at FROM log
            WHERE room = p_room AND tenant = p_tenant AND room_version = v_middle
              AND recorded_at >= v_part.from_time AND recorded_at < v_part.to_time;
            IF v_at IS NULL THEN
                RETURN NULL;
            ELSIF v_at <= p_time THEN
                v_low := v_middle;
            ELSE
                v_high := v_middle - 1;
            END IF;
        END LOOP;
        RETURN v_low;
    END LOOP;
    -- The room was there, so what led to it lies in an archive.
    RETURN NULL;
END
$$;
