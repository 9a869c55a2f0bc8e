-- Read models: folds of the log, kept by src/projections, disposable. docs/read-models.md says what is in them and how they
-- are rebuilt.
--
-- In short. The rows of a model and its checkpoint change in one transaction. Columns hold what binary COPY gives back byte
-- for byte (json, not jsonb), since a digest is taken over those bytes. Personal fields stay sealed, so that an erasure
-- changes no row. Each query of the API is a range of one index. Where an index begins with the
-- room, what is of fixed width comes before the tenant: it is compared without looking for where it begins. Unique indexes are
-- named <table>_key: while a table is loaded, they are made as soon as rows have to be found, the others at the end.

-- How far each model has come.
CREATE TABLE convoke.projections (
    position bigint NOT NULL DEFAULT 0,
    -- Of the event at that position: reading on prunes the partitions before it.
    recorded_at timestamptz NOT NULL DEFAULT '-infinity',
    updated_at timestamptz NOT NULL DEFAULT now(),
    stopped_at timestamptz,
    failed_position bigint,
    -- Which history of the log it was folded from.
    epoch uuid NOT NULL,
    -- Who may write; a worker that was replaced finds another value here and writes nothing.
    worker uuid,
    -- Which shape of rows the tables hold; counts up in the program when the shape or the fold changes.
    shape integer NOT NULL,
    -- Counts the swaps: rows that a worker holds in memory are those of one generation.
    generation integer NOT NULL DEFAULT 0,
    name text COLLATE "C" PRIMARY KEY,
    status text COLLATE "C" NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'stopped')),
    -- Why it stopped, for an operator.
    error text,
    -- Over all rows; see src/projections/rows/digest.rs.
    digest bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex')
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);

-- Fresh folds under way. A rebuild replaces the live tables in the end, a verification does not.
CREATE TABLE convoke.projection_rebuilds (
    position bigint NOT NULL DEFAULT 0,
    recorded_at timestamptz NOT NULL DEFAULT '-infinity',
    started_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- Where the live model was when its rows were scanned, and what they added up to.
    compared_position bigint,
    epoch uuid NOT NULL,
    worker uuid,
    shape integer NOT NULL,
    -- Ends the names of its tables.
    suffix text COLLATE "C" NOT NULL,
    -- Rows that later events may touch lie apart, in tables of the suffix and 'h', until there are too many of them.
    holding boolean NOT NULL DEFAULT true,
    purpose text COLLATE "C" NOT NULL CHECK (purpose IN ('rebuild', 'verify')),
    name text COLLATE "C" NOT NULL,
    digest bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    -- Of the live rows, of the live checkpoint, and of this fold, all at compared_position.
    live_rows bytea,
    live_digest bytea,
    own_digest bytea,
    PRIMARY KEY (name, purpose)
);
GRANT SELECT, INSERT, UPDATE ON convoke.projections TO convoke_system;
GRANT SELECT, INSERT, UPDATE, DELETE ON convoke.projection_rebuilds TO convoke_system;

-- ------------------------------------------------------------------------------------------------------------------ rooms

CREATE TABLE convoke.rm_rooms (
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    opens_at timestamptz,
    opened_at timestamptz,
    ended_at timestamptz,
    -- Since when an open room has nobody in it.
    empty_since timestamptz,
    -- When time alone opens or ends the room.
    due_at timestamptz,
    participant_count bigint NOT NULL,
    waiting_count bigint NOT NULL,
    recording_started_at timestamptz,
    room uuid NOT NULL,
    recording uuid,
    locked boolean NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    name text COLLATE "C",
    end_reason text COLLATE "C",
    spotlight text COLLATE "C",
    settings json NOT NULL
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX rm_rooms_key ON convoke.rm_rooms (room, tenant);
CREATE INDEX rm_rooms_list ON convoke.rm_rooms (tenant, created_at, room);
CREATE INDEX rm_rooms_by_status ON convoke.rm_rooms (tenant, status, created_at, room);
CREATE INDEX rm_rooms_by_name ON convoke.rm_rooms (tenant, name, created_at, room) WHERE name IS NOT NULL;
CREATE INDEX rm_rooms_due ON convoke.rm_rooms (due_at) WHERE due_at IS NOT NULL;

-- One row for each label of a room, with what lists filter and sort by.
CREATE TABLE convoke.rm_room_labels (
    created_at timestamptz NOT NULL,
    room uuid NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    label text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX rm_room_labels_key ON convoke.rm_room_labels (room, tenant, label);
CREATE INDEX rm_room_labels_list ON convoke.rm_room_labels (tenant, label, value, created_at, room);
CREATE INDEX rm_room_labels_by_status ON convoke.rm_room_labels (tenant, label, value, status, created_at, room);

-- Who is present: one row a person, whatever the size of the room.
CREATE TABLE convoke.rm_participants (
    present_since timestamptz NOT NULL,
    -- Room version at which the hand went up: the order of hands.
    hand bigint,
    joined_personal_at bigint,
    renamed_at bigint,
    metadata_set_at bigint,
    room uuid NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    identity text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL,
    sessions json NOT NULL,
    tracks json NOT NULL,
    -- Sealed parts, each with the room version it was written at, above.
    joined_personal bytea,
    renamed bytea,
    metadata_set bytea
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX rm_participants_key ON convoke.rm_participants (room, tenant, identity);

-- Who waits in the lobby, and who was let in and is about to join.
CREATE TABLE convoke.rm_waiting (
    since bigint NOT NULL,
    waiting_since timestamptz NOT NULL,
    personal_at bigint,
    room uuid NOT NULL,
    session uuid NOT NULL,
    admitted boolean NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    identity text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL,
    personal bytea
);
CREATE UNIQUE INDEX rm_waiting_key ON convoke.rm_waiting (room, tenant, identity);
CREATE INDEX rm_waiting_list ON convoke.rm_waiting (room, tenant, since);

-- Whose a track is: events speak of tracks by id.
CREATE TABLE convoke.rm_tracks (
    room uuid NOT NULL,
    track uuid NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    identity text COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX rm_tracks_key ON convoke.rm_tracks (room, track, tenant);

-- --------------------------------------------------------------------------------------------------------------- sessions

-- Every stay that ever was. Session ids are UUIDv7 of the requests to join: their order is the order of asking.
CREATE TABLE convoke.rm_sessions (
    joined_at timestamptz NOT NULL,
    left_at timestamptz,
    seconds bigint,
    room uuid NOT NULL,
    session uuid NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    identity text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL,
    reason text COLLATE "C"
) WITH (fillfactor = 75);
CREATE UNIQUE INDEX rm_sessions_key ON convoke.rm_sessions (room, session, tenant);
CREATE INDEX rm_sessions_by_identity ON convoke.rm_sessions (identity, session, room, tenant);

-- --------------------------------------------------------------------------------------------------------------- messages

-- A message is named by the room version of the event that sent it. A deleted one keeps its row without its text.
CREATE TABLE convoke.rm_messages (
    version bigint NOT NULL,
    sent_at timestamptz NOT NULL,
    reply_to bigint,
    edited_at timestamptz,
    deleted_at timestamptz,
    text_at bigint,
    room uuid NOT NULL,
    deleted_by_staff boolean NOT NULL,
    -- 0 everyone, 1 staff, 2 the named.
    audience smallint NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    author text COLLATE "C" NOT NULL,
    -- The named people, where the audience is 2.
    named json,
    text bytea
) WITH (fillfactor = 95);
-- By audience first: a reader's page is one range for each audience that the reader belongs to.
CREATE UNIQUE INDEX rm_messages_key ON convoke.rm_messages (room, audience, version, tenant);

-- Who may read a message that is not for everyone, besides staff what is for staff: its author and the named.
CREATE TABLE convoke.rm_message_readers (
    version bigint NOT NULL,
    room uuid NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    reader text COLLATE "C" NOT NULL,
    audience smallint NOT NULL
);
CREATE UNIQUE INDEX rm_message_readers_key ON convoke.rm_message_readers (room, tenant, reader, version);

-- -------------------------------------------------------------------------------------------------- tables made and swapped

-- A tenant sees its own rows; the system all.
CREATE FUNCTION convoke.rm_protect(p_table text) RETURNS void
LANGUAGE plpgsql SET search_path = convoke, pg_temp AS $$
BEGIN
    EXECUTE format('ALTER TABLE convoke.%I ENABLE ROW LEVEL SECURITY', p_table);
    EXECUTE format('CREATE POLICY system_all ON convoke.%I TO convoke_system USING (true) WITH CHECK (true)', p_table);
    EXECUTE format('CREATE POLICY tenant_reads_own ON convoke.%I FOR SELECT TO convoke_tenant '
        'USING (tenant = convoke.current_tenant())', p_table);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON convoke.%I TO convoke_system', p_table);
    EXECUTE format('GRANT SELECT ON convoke.%I TO convoke_tenant', p_table);
END
$$;

SELECT convoke.rm_protect(t) FROM unnest(ARRAY['rm_rooms', 'rm_room_labels', 'rm_participants', 'rm_waiting', 'rm_tracks',
    'rm_sessions', 'rm_messages', 'rm_message_readers']) AS t;

-- Only tables of read models are touched by what follows, and only under names that a rebuild gives.
CREATE FUNCTION convoke.rm_check(p_tables text[], p_suffix text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = convoke, pg_temp AS $$
BEGIN
    IF p_suffix !~ '^__[rv][0-9]{1,9}$' OR EXISTS (SELECT 1 FROM unnest(p_tables) AS t
        WHERE t !~ '^rm_[a-z_]{1,40}$' OR t ~ '__' OR to_regclass('convoke.' || t) IS NULL) THEN
        RAISE EXCEPTION 'not tables of a read model: % %', p_tables, p_suffix USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;

-- Empty tables of the same shape, without indexes, seen by the system only; row-level security, under which COPY does not
-- write, comes with the swap. Each has another beside it for rows that are written anew with each transaction.
CREATE FUNCTION convoke.rm_create(p_tables text[], p_suffix text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = convoke, pg_temp AS $$
DECLARE
    v_table text;
    v_options text[];
BEGIN
    PERFORM rm_check(p_tables, p_suffix);
    FOREACH v_table IN ARRAY p_tables LOOP
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)',
            v_table || p_suffix, v_table);
        SELECT reloptions INTO v_options FROM pg_class WHERE oid = to_regclass('convoke.' || v_table);
        IF v_options IS NOT NULL THEN
            EXECUTE format('ALTER TABLE %I SET (%s)', v_table || p_suffix, array_to_string(v_options, ', '));
        END IF;
        EXECUTE format('CREATE TABLE %I (LIKE %I)', v_table || p_suffix || 'h', v_table);
        -- A vacuum would stand in the way of the swap.
        EXECUTE format('ALTER TABLE %I SET (autovacuum_enabled = off)', v_table || p_suffix);
        EXECUTE format('ALTER TABLE %I SET (autovacuum_enabled = off)', v_table || p_suffix || 'h');
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO convoke_system', v_table || p_suffix);
        EXECUTE format('GRANT SELECT, INSERT, TRUNCATE ON %I TO convoke_system', v_table || p_suffix || 'h');
    END LOOP;
END
$$;

-- The indexes that the live table has and the fresh one has not: the unique one, or the others.
CREATE FUNCTION convoke.rm_index(p_table text, p_suffix text, p_key boolean) RETURNS void
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
        EXECUTE regexp_replace(v_index.definition, ' INDEX \S+ ON \S+ ',
            format(' INDEX %I ON convoke.%I ', v_index.name || p_suffix, p_table || p_suffix));
    END LOOP;
END
$$;

-- The unique indexes, as soon as rows have to be found.
CREATE FUNCTION convoke.rm_keys(p_tables text[], p_suffix text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = convoke, pg_temp AS $$
DECLARE
    v_table text;
BEGIN
    PERFORM rm_check(p_tables, p_suffix);
    FOREACH v_table IN ARRAY p_tables LOOP
        PERFORM rm_index(v_table, p_suffix, true);
    END LOOP;
END
$$;

-- Makes the loaded tables fit to be read: the indexes, and roughly what the planner has to know; the rest is autovacuum's.
CREATE FUNCTION convoke.rm_finish(p_tables text[], p_suffix text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = convoke, pg_temp AS $$
DECLARE
    v_table text;
BEGIN
    PERFORM rm_check(p_tables, p_suffix);
    PERFORM set_config('default_statistics_target', '10', true);
    FOREACH v_table IN ARRAY p_tables LOOP
        PERFORM rm_index(v_table, p_suffix, true);
        PERFORM rm_index(v_table, p_suffix, false);
        EXECUTE format('ANALYZE %I', v_table || p_suffix);
    END LOOP;
END
$$;

-- The fresh tables take the names of the live ones, which take theirs and are dropped later: a query that was planned for
-- the old ones finds them until it is planned anew.
CREATE FUNCTION convoke.rm_swap(p_tables text[], p_suffix text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = convoke, pg_temp AS $$
DECLARE
    v_table text;
    v_index text;
    v_plain text;
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
        EXECUTE format('ALTER TABLE %I RESET (autovacuum_enabled)', v_table);
        PERFORM rm_protect(v_table);
    END LOOP;
END
$$;

CREATE FUNCTION convoke.rm_drop(p_tables text[], p_suffix text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = convoke, pg_temp AS $$
DECLARE
    v_table text;
BEGIN
    PERFORM rm_check(p_tables, p_suffix);
    FOREACH v_table IN ARRAY p_tables LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I, %I', v_table || p_suffix, v_table || p_suffix || 'h');
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION convoke.rm_protect(text), convoke.rm_index(text, text, boolean), convoke.rm_create(text[], text),
    convoke.rm_keys(text[], text), convoke.rm_finish(text[], text), convoke.rm_swap(text[], text),
    convoke.rm_drop(text[], text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION convoke.rm_create(text[], text), convoke.rm_keys(text[], text), convoke.rm_finish(text[], text),
    convoke.rm_swap(text[], text), convoke.rm_drop(text[], text) TO convoke_system;
