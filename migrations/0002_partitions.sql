-- Partitions of the log, made ahead. Each is made apart and then attached: ATTACH takes a lock that appends do not wait for,
-- CREATE ... PARTITION OF would stop them. Two at a time would deadlock, so an advisory lock lets in one.

CREATE FUNCTION convoke.make_partition(p_from timestamptz, p_to timestamptz) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = convoke, pg_temp AS $$
DECLARE
    v_name text := 'log_' || to_char(p_from AT TIME ZONE 'UTC', 'YYYYMMDD')
        || CASE WHEN date_trunc('day', p_from, 'UTC') = p_from THEN '' ELSE to_char(p_from AT TIME ZONE 'UTC', '"t"HH24MI') END;
BEGIN
    EXECUTE format('CREATE TABLE %I (LIKE log INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)', v_name);
    EXECUTE format('ALTER TABLE %I ADD CHECK (recorded_at >= %L AND recorded_at < %L)', v_name, p_from, p_to);
    EXECUTE format('CREATE UNIQUE INDEX %I ON %I (position)', v_name || '_position', v_name);
    EXECUTE format('CREATE UNIQUE INDEX %I ON %I (room, tenant, room_version)', v_name || '_room', v_name);
    EXECUTE format('CREATE TRIGGER log_is_not_truncated BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', v_name);
    EXECUTE format('ALTER TABLE log ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', v_name, p_from, p_to);
    INSERT INTO log_partitions (name, from_time, to_time) VALUES (v_name, p_from, p_to);
    RETURN v_name;
END
$$;

-- Makes what is missing between two times, in months, weeks or days of UTC; returns the names of those it made. Where the
-- unit was changed, the next partition begins where the last one ends.
CREATE FUNCTION convoke.ensure_partitions(p_unit text, p_from timestamptz, p_until timestamptz) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = convoke, pg_temp AS $$
DECLARE
    v_from timestamptz := date_trunc(p_unit, p_from, 'UTC');
    v_to timestamptz;
    v_covered timestamptz;
    v_next timestamptz;
BEGIN
    IF p_unit NOT IN ('month', 'week', 'day') THEN
        RAISE EXCEPTION 'a partition is a month, a week or a day, not %', p_unit USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('convoke.ensure_partitions'));
    WHILE v_from <= p_until LOOP
        SELECT to_time INTO v_covered FROM log_partitions WHERE from_time <= v_from AND to_time > v_from;
        IF FOUND THEN
            v_from := v_covered;
            CONTINUE;
        END IF;
        v_to := date_trunc(p_unit, v_from, 'UTC');
        -- Steps of months and days are taken on the clock of UTC, whatever the session's time zone.
        v_to := ((v_to AT TIME ZONE 'UTC') + ('1 ' || p_unit)::interval) AT TIME ZONE 'UTC';
        SELECT min(from_time) INTO v_next FROM log_partitions WHERE from_time > v_from AND from_time < v_to;
        v_to := coalesce(v_next, v_to);
        RETURN NEXT make_partition(v_from, v_to);
        v_from := v_to;
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION convoke.make_partition(timestamptz, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION convoke.ensure_partitions(text, timestamptz, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION convoke.ensure_partitions(text, timestamptz, timestamptz) TO convoke_system;

-- The last position recorded before a time (0: none). Recorded time never decreases as the position grows, so a partition
-- is searched by halves over its index on position: no index on time is kept.
CREATE FUNCTION convoke.position_before(p_time timestamptz) RETURNS bigint
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
        IF v_at < p_time THEN
            v_low := v_middle;
        ELSE
            v_high := v_middle - 1;
        END IF;
    END LOOP;
    RETURN v_low;
END
$$;

-- The version a room had at a time, that moment included (0: it was not there yet); the same search in the room's own index.
CREATE FUNCTION convoke.room_version_at(p_tenant text, p_room uuid, p_time timestamptz) RETURNS bigint
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
            IF v_at <= p_time THEN
                v_low := v_middle;
            ELSE
                v_high := v_middle - 1;
            END IF;
        END LOOP;
        RETURN v_low;
    END LOOP;
    RETURN 0;
END
$$;
GRANT EXECUTE ON FUNCTION convoke.position_before(timestamptz) TO convoke_system, convoke_tenant;
GRANT EXECUTE ON FUNCTION convoke.room_version_at(text, uuid, timestamptz) TO convoke_system, convoke_tenant;
