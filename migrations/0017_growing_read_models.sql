-- Read models that grow (sessions, messages, activity) lie in partitions of months, by the month in which a room was made: room
-- ids are UUIDv7, so their order is that of their making, and every key begins with the room. A month whose rooms have all ended
-- can be let go of whole. docs/read-models.md says how; src/projections/retention does it.
--
-- Why by the room and not by the row's own time: the unique index that folds find rows by must hold the partition's key, and
-- every query names a room, so that it looks into one partition. Rooms whose ids speak of another time than that of any month
-- there is (a caller's own ids, history moved in) lie in a partition of their own until a month is made for them.

-- Which tables, of which model, and how full their pages are written.
CREATE TABLE convoke.rm_partitioned (
    name text COLLATE "C" PRIMARY KEY,
    model text COLLATE "C" NOT NULL,
    fillfactor integer NOT NULL
);
INSERT INTO convoke.rm_partitioned (name, model, fillfactor) VALUES
    ('rm_sessions', 'sessions', 75),
    ('rm_messages', 'messages', 95),
    ('rm_message_readers', 'messages', 100),
    ('rm_activity_minutes', 'activity', 90),
    ('rm_activity_hours', 'activity', 80),
    ('rm_activity_days', 'activity', 80);

-- The months that have a partition, of all of those tables.
CREATE TABLE convoke.rm_months (
    month timestamptz PRIMARY KEY
);

-- Which months were let go of. What happened in their rooms is not folded any more.
CREATE TABLE convoke.rm_forgotten (
    month timestamptz NOT NULL,
    forgotten_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    from_room uuid NOT NULL,
    -- Exclusive.
    to_room uuid NOT NULL,
    model text COLLATE "C" NOT NULL,
    PRIMARY KEY (model, month)
);
GRANT SELECT ON convoke.rm_partitioned, convoke.rm_months, convoke.rm_forgotten TO convoke_system;

-- The least UUIDv7 of a time.
CREATE FUNCTION convoke.room_id_from(p_at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (lpad(to_hex((extract(epoch FROM p_at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;

-- The month, of UTC, that a room was made in by its id; NULL where the id does not say.
CREATE FUNCTION convoke.room_month(p_room uuid) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN substr(p_room::text, 15, 1) = '7' THEN
    date_trunc('month', to_timestamp((('x' || lpad(left(replace(p_room::text, '-', ''), 12), 16, '0'))::bit(64)::bigint / 1000)::float8), 'UTC')
END;

CREATE FUNCTION convoke.month_after(p_month timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ((p_month AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC';

-- A partition of a table, live or fresh, for a month, with what lay in the partition for all others; NULL: that partition.
-- Whoever calls this for a live table has locked the model's checkpoint: its worker must not meet rows on their way.
CREATE FUNCTION convoke.rm_make_month(p_base text, p_table text, p_month timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = convoke, pg_temp AS $$
DECLARE
    -- A name says nothing: tables change theirs with every swap, and their partitions do not.
    v_name text := format('%s_%s_%s', p_base, coalesce(to_char(p_month AT TIME ZONE 'UTC', 'YYYYMM'), 'others'),
        substr(md5(random()::text), 1, 8));
    v_fill integer := (SELECT fillfactor FROM rm_partitioned WHERE name = p_base);
    v_from uuid := room_id_from(p_month);
    v_to uuid := room_id_from(month_after(p_month));
    v_others regclass;
BEGIN
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE) WITH (fillfactor = %s)',
        v_name, p_table, v_fill);
    IF p_month IS NULL THEN
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I DEFAULT', p_table, v_name);
        RETURN;
    END IF;
    SELECT partdefid INTO v_others FROM pg_partitioned_table WHERE partrelid = to_regclass('convoke.' || p_table) AND partdefid <> 0;
    IF FOUND THEN
        EXECUTE format('WITH moved AS (DELETE FROM %s WHERE room >= $1 AND room < $2 RETURNING *) INSERT INTO %I SELECT * FROM moved',
            v_others, v_name) USING v_from, v_to;
    END IF;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', p_table, v_name, v_from, v_to);
END
$$;

-- Makes the first of the months that are missing, up to a time or of rooms that lie among the others, and returns it; NULL: none
-- is. One at a time, since rows are moved under the checkpoints, which workers wait for; and none while a table is in use for longer
-- than the caller's lock_timeout.
CREATE FUNCTION convoke.rm_ensure_month(p_until timestamptz) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = convoke, pg_temp AS $$
DECLARE
    v_month timestamptz;
    v_table record;
    v_others regclass;
    v_wanted timestamptz[];
    v_found timestamptz[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('convoke.rm_ensure_months'));
    v_wanted := ARRAY(SELECT generate_series(date_trunc('month', now() AT TIME ZONE 'UTC'), p_until AT TIME ZONE 'UTC',
        interval '1 month') AT TIME ZONE 'UTC');
    FOR v_table IN SELECT name FROM rm_partitioned LOOP
        SELECT partdefid INTO v_others FROM pg_partitioned_table WHERE partrelid = to_regclass('convoke.' || v_table.name);
        EXECUTE format('SELECT array_agg(DISTINCT room_month(room)) FROM (SELECT room FROM %s LIMIT 100000) AS t', v_others)
            INTO v_found;
        v_wanted := v_wanted || v_found;
    END LOOP;
    SELECT min(w.month) INTO v_month FROM unnest(v_wanted) AS w (month)
    WHERE w.month BETWEEN '2000-01-01Z' AND p_until AND NOT EXISTS (SELECT 1 FROM rm_months m WHERE m.month = w.month);
    IF v_month IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM FROM projections WHERE name IN (SELECT model FROM rm_partitioned) ORDER BY name FOR UPDATE;
    INSERT INTO rm_months (month) VALUES (v_month);
    -- The live tables, and those of folds under way.
    FOR v_table IN
        SELECT p.name AS base, p.name AS name FROM rm_partitioned p
        UNION ALL
        SELECT p.name, p.name || r.suffix FROM rm_partitioned p JOIN projection_rebuilds r ON r.name = p.model
        ORDER BY 2
    LOOP
        PERFORM rm_make_month(v_table.base, v_table.name, v_month);
    END LOOP;
    RETURN v_month;
END
$$;

-- Lets go of a month of a model, whose checkpoint the caller has locked: its partitions are dropped, what else the model has of
-- its rooms is deleted, and the digest becomes what the caller counted. The model's worker begins anew.
CREATE FUNCTION convoke.rm_forget(p_model text, p_tables text[], p_month timestamptz, p_digest bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = convoke, pg_temp AS $$
DECLARE
    v_from uuid := room_id_from(p_month);
    v_to uuid := room_id_from(month_after(p_month));
    v_table text;
    v_partition regclass;
BEGIN
    PERFORM rm_check(p_tables, '__r0');
    IF EXISTS (SELECT 1 FROM projection_rebuilds WHERE name = p_model) THEN
        RAISE EXCEPTION 'a fold of % is under way', p_model USING ERRCODE = 'object_in_use';
    END IF;
    IF EXISTS (SELECT 1 FROM rm_rooms WHERE room >= v_from AND room < v_to AND status <> 'ended') THEN
        RAISE EXCEPTION 'rooms of % have not ended', p_month USING ERRCODE = 'object_in_use';
    END IF;
    INSERT INTO rm_forgotten (model, month, from_room, to_room) VALUES (p_model, p_month, v_from, v_to);
    FOREACH v_table IN ARRAY p_tables LOOP
        IF NOT EXISTS (SELECT 1 FROM rm_partitioned WHERE name = v_table AND model = p_model) THEN
            EXECUTE format('DELETE FROM %I WHERE room >= $1 AND room < $2', v_table) USING v_from, v_to;
            CONTINUE;
        END IF;
        SELECT inhrelid INTO v_partition
        FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = to_regclass('convoke.' || v_table)
            AND pg_get_expr(c.relpartbound, c.oid) = format('FOR VALUES FROM (%L) TO (%L)', v_from, v_to);
        IF FOUND THEN
            EXECUTE format('DROP TABLE %s', v_partition);
        END IF;
    END LOOP;
    UPDATE projections SET digest = p_digest, generation = generation + 1 WHERE name = p_model;
END
$$;

REVOKE ALL ON FUNCTION convoke.rm_make_month(text, text, timestamptz), convoke.rm_ensure_month(timestamptz),
    convoke.rm_forget(text, text[], timestamptz, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION convoke.rm_ensure_month(timestamptz), convoke.rm_forget(text, text[], timestamptz, bytea) TO convoke_system;

-- ------------------------------------------------------------------------------------------ tables made and swapped, as in 0005

CREATE FUNCTION convoke.rm_leaves(p_table text) RETURNS SETOF regclass
LANGUAGE sql STABLE SET search_path = convoke, pg_temp
BEGIN ATOMIC
    SELECT relid FROM pg_partition_tree(to_regclass('convoke.' || p_table)) WHERE isleaf;
END;

CREATE OR REPLACE FUNCTION convoke.rm_create(p_tables text[], p_suffix text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = convoke, pg_temp AS $$
DECLARE
    v_table text;
    v_fresh text;
    v_model text;
    v_options text[];
    v_month timestamptz;
    v_leaf regclass;
BEGIN
    PERFORM rm_check(p_tables, p_suffix);
    -- No month is made meanwhile.
    PERFORM pg_advisory_xact_lock(hashtext('convoke.rm_ensure_months'));
    FOREACH v_table IN ARRAY p_tables LOOP
        v_fresh := v_table || p_suffix;
        SELECT model INTO v_model FROM rm_partitioned WHERE name = v_table;
        IF FOUND THEN
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY RANGE (room)',
                v_fresh, v_table);
            FOR v_month IN
                SELECT m.month FROM rm_months m
                WHERE NOT EXISTS (SELECT 1 FROM rm_forgotten f WHERE f.model = v_model AND f.month = m.month)
            LOOP
                PERFORM rm_make_month(v_table, v_fresh, v_month);
            END LOOP;
            PERFORM rm_make_month(v_table, v_fresh, NULL);
        ELSE
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)', v_fresh, v_table);
            SELECT reloptions INTO v_options FROM pg_class WHERE oid = to_regclass('convoke.' || v_table);
            IF v_options IS NOT NULL THEN
                EXECUTE format('ALTER TABLE %I SET (%s)', v_fresh, array_to_string(v_options, ', '));
            END IF;
        END IF;
        EXECUTE format('CREATE TABLE %I (LIKE %I)', v_fresh || 'h', v_table);
        -- A vacuum would stand in the way of the swap.
        FOR v_leaf IN SELECT rm_leaves(v_fresh) LOOP
            EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = off)', v_leaf);
        END LOOP;
        EXECUTE format('ALTER TABLE %I SET (autovacuum_enabled = off)', v_fresh || 'h');
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO convoke_system', v_fresh);
        EXECUTE format('GRANT SELECT, INSERT, TRUNCATE ON %I TO convoke_system', v_fresh || 'h');
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION convoke.rm_index(p_table text, p_suffix text, p_key boolean) RETURNS void
LANGUAGE plpgsql SET search_path = convoke, pg_temp AS $$
DECLARE
    v_index record;
BEGIN
    FOR v_index IN
        SELECT c.relname AS name, pg_get_indexdef(c.oid) AS definition
        FROM pg_index i
        JOIN pg_class c ON c.oid = i.indexrelid
        WHERE i.indrelid = to_regclass('convoke.' || p_table)
            AND (c.relname = p_table || '_key') = p_key
            AND to_regclass('convoke.' || quote_ident(c.relname || p_suffix)) IS NULL
    LOOP
        EXECUTE regexp_replace(v_index.definition, ' INDEX \S+ ON (ONLY )?\S+ ',
            format(' INDEX %I ON convoke.%I ', v_index.name || p_suffix, p_table || p_suffix));
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION convoke.rm_swap(p_tables text[], p_suffix text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = convoke, pg_temp AS $$
DECLARE
    v_table text;
    v_index text;
    v_plain text;
    v_leaf regclass;
BEGIN
    PERFORM rm_check(p_tables, p_suffix);
    FOREACH v_table IN ARRAY p_tables LOOP
        EXECUTE format('ALTER TABLE %I RENAME TO %I', v_table, v_table || '__swap');
        EXECUTE format('ALTER TABLE %I RENAME TO %I', v_table || p_suffix, v_table);
        EXECUTE format('ALTER TABLE %I RENAME TO %I', v_table || '__swap', v_table || p_suffix);
        FOR v_index IN SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
            WHERE i.indrelid = to_regclass('convoke.' || v_table)
        LOOP
            v_plain := left(v_index, -length(p_suffix));
            EXECUTE format('ALTER INDEX %I RENAME TO %I', v_plain, v_plain || '__swap');
            EXECUTE format('ALTER INDEX %I RENAME TO %I', v_index, v_plain);
            EXECUTE format('ALTER INDEX %I RENAME TO %I', v_plain || '__swap', v_index);
        END LOOP;
        FOR v_leaf IN SELECT rm_leaves(v_table) LOOP
            EXECUTE format('ALTER TABLE %s RESET (autovacuum_enabled)', v_leaf);
        END LOOP;
        PERFORM rm_protect(v_table);
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION convoke.rm_leaves(text) FROM PUBLIC;

-- ------------------------------------------------------------------------------------------------------- the rows there are

DO $$
DECLARE
    v_table record;
    v_index record;
    v_definitions text[];
    v_definition text;
    v_month timestamptz;
BEGIN
    -- Folds under way are of tables of the old kind: they begin anew.
    FOR v_table IN SELECT r.name AS model, r.suffix, array_agg(p.name) AS tables
        FROM convoke.projection_rebuilds r
        JOIN convoke.rm_partitioned p ON p.model = r.name
        GROUP BY r.name, r.suffix
    LOOP
        PERFORM convoke.rm_drop(v_table.tables, v_table.suffix);
    END LOOP;
    DELETE FROM convoke.projection_rebuilds WHERE name IN (SELECT model FROM convoke.rm_partitioned);

    INSERT INTO convoke.rm_months (month)
    SELECT DISTINCT m.month
    FROM (
        SELECT convoke.room_month(h.room) AS month FROM convoke.room_heads h
        UNION ALL
        SELECT generate_series(date_trunc('month', now() AT TIME ZONE 'UTC'), (now() AT TIME ZONE 'UTC') + interval '2 months',
            interval '1 month') AT TIME ZONE 'UTC'
    ) AS m
    WHERE m.month BETWEEN '2000-01-01Z' AND now() + interval '2 months';

    FOR v_table IN SELECT name FROM convoke.rm_partitioned ORDER BY name LOOP
        v_definitions := '{}';
        FOR v_index IN SELECT pg_get_indexdef(i.indexrelid) AS definition FROM pg_index i
            WHERE i.indrelid = to_regclass('convoke.' || v_table.name)
        LOOP
            v_definitions := v_definitions || v_index.definition;
        END LOOP;
        EXECUTE format('ALTER TABLE convoke.%I RENAME TO %I', v_table.name, v_table.name || '__whole');
        EXECUTE format('CREATE TABLE convoke.%I (LIKE convoke.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY RANGE (room)',
            v_table.name, v_table.name || '__whole');
        FOR v_month IN SELECT month FROM convoke.rm_months LOOP
            PERFORM convoke.rm_make_month(v_table.name, v_table.name, v_month);
        END LOOP;
        PERFORM convoke.rm_make_month(v_table.name, v_table.name, NULL);
        EXECUTE format('INSERT INTO convoke.%I SELECT * FROM convoke.%I', v_table.name, v_table.name || '__whole');
        EXECUTE format('DROP TABLE convoke.%I', v_table.name || '__whole');
        FOREACH v_definition IN ARRAY v_definitions LOOP
            EXECUTE v_definition;
        END LOOP;
        PERFORM convoke.rm_protect(v_table.name);
    END LOOP;
END
$$;
