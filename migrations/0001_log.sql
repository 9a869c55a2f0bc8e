-- The log: what happened, once, in one order, for good. Why it is as it is: docs/decisions/0001-the-log.md.
--
-- In short. Positions come from one head row, updated under its lock in the append's own transaction, so that their order is
-- the order of commits and has no gaps; a sequence would give neither. A unique constraint on a partitioned table must hold
-- the partition key, so (room, version) is kept unique by room_heads, moved by compare-and-set under the same lock. All
-- writing goes through convoke.append(); no role may insert into the log, and triggers forbid changing it.

CREATE SCHEMA convoke;

-- Roles belong to the server, not to the database: another Convoke database may have made them already.
DO $$
BEGIN
    BEGIN
        CREATE ROLE convoke_system NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
    BEGIN
        CREATE ROLE convoke_tenant NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
    EXECUTE format('GRANT convoke_system TO %I', current_user);
    EXECUTE format('GRANT convoke_tenant TO %I', current_user);
END
$$;

COMMENT ON ROLE convoke_system IS 'Convoke: projections, tails and appends; sees all tenants';
COMMENT ON ROLE convoke_tenant IS 'Convoke: answers to callers; sees the tenant in the setting convoke.tenant only';

GRANT USAGE ON SCHEMA convoke TO convoke_system, convoke_tenant;

-- The tenant of the present transaction; NULL, which equals nothing, where none is set.
CREATE FUNCTION convoke.current_tenant() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('convoke.tenant', true), '') COLLATE "C";

-- ---------------------------------------------------------------------------------------------------------------- the log

-- Columns are ordered by alignment: no padding in a row that is written a hundred million times.
CREATE TABLE convoke.log (
    position bigint NOT NULL,
    room_version bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    occurred_at timestamptz,
    room uuid NOT NULL,
    command_id uuid NOT NULL,
    session uuid,
    causation_id uuid,
    correlation_id uuid,
    type_version smallint NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    actor text COLLATE "C" NOT NULL,
    traceparent text COLLATE "C",
    data json NOT NULL,
    sealed bytea,
    hash bytea NOT NULL
) PARTITION BY RANGE (recorded_at);

COMMENT ON COLUMN convoke.log.position IS 'Place in the whole log: from 1, gapless, in commit order';
COMMENT ON COLUMN convoke.log.room_version IS 'Place in the room: from 1, gapless';
COMMENT ON COLUMN convoke.log.recorded_at IS 'When the log took it; never decreases as the position grows';
COMMENT ON COLUMN convoke.log.occurred_at IS 'When it happened, where that is not when it was recorded';
COMMENT ON COLUMN convoke.log.session IS 'The actor''s stay in the room, when the actor was in it';
COMMENT ON COLUMN convoke.log.data IS 'What happened, nothing personal; json keeps the exact text that was hashed';
COMMENT ON COLUMN convoke.log.sealed IS 'Personal fields, encrypted under the person''s key';
COMMENT ON COLUMN convoke.log.hash IS 'sha256(chain, position, recorded_at); chain runs over the room''s events';

CREATE FUNCTION convoke.refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log is append-only: % on %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;

-- Row triggers are cloned to every partition; make_partition() adds the one for TRUNCATE, which is not.
CREATE TRIGGER log_is_append_only BEFORE UPDATE OR DELETE ON convoke.log
    FOR EACH ROW EXECUTE FUNCTION convoke.refuse_change();
CREATE TRIGGER log_is_not_truncated BEFORE TRUNCATE ON convoke.log
    FOR EACH STATEMENT EXECUTE FUNCTION convoke.refuse_change();

ALTER TABLE convoke.log ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_reads_all ON convoke.log FOR SELECT TO convoke_system USING (true);
CREATE POLICY tenant_reads_own ON convoke.log FOR SELECT TO convoke_tenant USING (tenant = convoke.current_tenant());
GRANT SELECT ON convoke.log TO convoke_system, convoke_tenant;

-- Which partition holds which times and, once it holds any, which positions. A cursor that is only a number finds its
-- partition here.
CREATE TABLE convoke.log_partitions (
    name text COLLATE "C" PRIMARY KEY,
    from_time timestamptz NOT NULL UNIQUE,
    to_time timestamptz NOT NULL,
    first_position bigint,
    CHECK (from_time < to_time)
);
GRANT SELECT ON convoke.log_partitions TO convoke_system, convoke_tenant;

-- One row, one lock, one order. Nothing in the append path locks anything before it. Low fillfactor: its updates stay on
-- their page (HOT) and are pruned as they go.
CREATE TABLE convoke.log_head (
    id smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    position bigint NOT NULL DEFAULT 0,
    recorded_at timestamptz NOT NULL DEFAULT '-infinity',
    -- Upper end of the newest partition in use: an append that records at or past it crosses a boundary.
    partition_to timestamptz NOT NULL DEFAULT '-infinity',
    epoch uuid NOT NULL DEFAULT gen_random_uuid(),
    -- A process whose clock runs ahead of the database's by more than this is not believed.
    max_clock_lead interval NOT NULL DEFAULT '2 seconds',
    -- How long the outcome under an idempotency key is kept; half of it is the width of a bucket of convoke.outcomes.
    outcome_ttl_s integer NOT NULL DEFAULT 172800 CHECK (outcome_ttl_s >= 2)
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);
INSERT INTO convoke.log_head DEFAULT VALUES;
GRANT SELECT ON convoke.log_head TO convoke_system, convoke_tenant;

-- Where each room stands. (room, version) is unique over all partitions because this row moves by compare-and-set.
CREATE TABLE convoke.room_heads (
    version bigint NOT NULL,
    last_position bigint NOT NULL,
    first_recorded_at timestamptz NOT NULL,
    last_recorded_at timestamptz NOT NULL,
    room uuid NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    -- The running hash over all the room's events.
    chain bytea NOT NULL,
    PRIMARY KEY (tenant, room)
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000);
ALTER TABLE convoke.room_heads ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_reads_all ON convoke.room_heads FOR SELECT TO convoke_system USING (true);
CREATE POLICY tenant_reads_own ON convoke.room_heads FOR SELECT TO convoke_tenant USING (tenant = convoke.current_tenant());
GRANT SELECT ON convoke.room_heads TO convoke_system, convoke_tenant;

-- Names of rooms that have not ended.
CREATE TABLE convoke.room_names (
    room uuid NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, name)
);
GRANT SELECT ON convoke.room_names TO convoke_system;

-- What was answered under an idempotency key, kept with the events it speaks of. Four buckets by time, each as wide as half
-- the keys' life: the one that comes next holds only what is past its life and is truncated before its turn, so that
-- cleaning leaves no bloat. The body is kept without position and time, which the append gives.
CREATE TABLE convoke.outcomes (
    position bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    stored_at timestamptz NOT NULL,
    room uuid NOT NULL,
    status smallint NOT NULL,
    bucket smallint NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (tenant, key, bucket)
) PARTITION BY LIST (bucket);
CREATE TABLE convoke.outcomes_0 PARTITION OF convoke.outcomes FOR VALUES IN (0);
CREATE TABLE convoke.outcomes_1 PARTITION OF convoke.outcomes FOR VALUES IN (1);
CREATE TABLE convoke.outcomes_2 PARTITION OF convoke.outcomes FOR VALUES IN (2);
CREATE TABLE convoke.outcomes_3 PARTITION OF convoke.outcomes FOR VALUES IN (3);
GRANT SELECT ON convoke.outcomes TO convoke_system;

-- How far something that is fed into the log has come, moved in the append's own transaction: an import goes on where it
-- was, without doubling.
CREATE TABLE convoke.intake_progress (
    name text COLLATE "C" PRIMARY KEY,
    done bigint NOT NULL,
    detail json NOT NULL,
    updated_at timestamptz NOT NULL
);
GRANT SELECT ON convoke.intake_progress TO convoke_system;

-- States of rooms, so that a long room opens as fast as a short one. Disposable: any row may be deleted at any time.
CREATE TABLE convoke.room_snapshots (
    version bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    position bigint NOT NULL,
    room uuid NOT NULL,
    shape integer NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    chain bytea NOT NULL,
    -- JSON, zstd. Personal fields in it are sealed.
    state bytea NOT NULL,
    PRIMARY KEY (tenant, room, shape, version)
);
ALTER TABLE convoke.room_snapshots ALTER COLUMN state SET STORAGE EXTERNAL;
GRANT SELECT, INSERT, DELETE ON convoke.room_snapshots TO convoke_system;
