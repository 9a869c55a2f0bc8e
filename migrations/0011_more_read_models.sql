-- More read models: what goes on in a room hour by hour, what a tenant uses day by day, and an index by which the stays of a
-- person in a room are found together (attendance is a query over rm_sessions: every stay is there already).
--
-- How the columns below make exact counts of events that come in any order of their times is said in
-- src/projections/{concurrency,activity,usage}. As in 0005, columns of fixed width come first in the rows, and in an index
-- that begins with the room, the tenant comes last.

CREATE INDEX rm_sessions_of_person ON convoke.rm_sessions (room, identity, session, tenant);

-- ----------------------------------------------------------------------------------------------------------- activity

-- What is known of a room as a whole.
CREATE TABLE convoke.rm_activity_rooms (
    latest timestamptz NOT NULL,
    room uuid NOT NULL,
    ended boolean NOT NULL,
    tenant text COLLATE "C" NOT NULL
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX rm_activity_rooms_key ON convoke.rm_activity_rooms (room, tenant);

-- Who is there, since when, and the screens that they share.
CREATE TABLE convoke.rm_activity_stays (
    joined_at timestamptz NOT NULL,
    room uuid NOT NULL,
    session uuid NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    screens json NOT NULL
);
CREATE UNIQUE INDEX rm_activity_stays_key ON convoke.rm_activity_stays (room, session, tenant);

-- In which stay a screen is shared: its end names the track only.
CREATE TABLE convoke.rm_activity_screens (
    room uuid NOT NULL,
    track uuid NOT NULL,
    session uuid NOT NULL,
    tenant text COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX rm_activity_screens_key ON convoke.rm_activity_screens (room, track, tenant);

-- Comings and goings, minute by minute: eight bytes each.
CREATE TABLE convoke.rm_activity_minutes (
    minute timestamptz NOT NULL,
    room uuid NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    steps bytea NOT NULL
) WITH (fillfactor = 90);
CREATE UNIQUE INDEX rm_activity_minutes_key ON convoke.rm_activity_minutes (room, minute, tenant);

CREATE TABLE convoke.rm_activity_hours (
    hour timestamptz NOT NULL,
    joins bigint NOT NULL,
    messages bigint NOT NULL,
    net bigint NOT NULL,
    peak bigint NOT NULL,
    screens_net bigint NOT NULL,
    room uuid NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    -- Beginnings and ends of shares: eight bytes each.
    screens bytea NOT NULL,
    -- What each minute of rm_activity_minutes comes to: ten bytes each.
    minutes bytea NOT NULL
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX rm_activity_hours_key ON convoke.rm_activity_hours (room, hour, tenant);

-- -------------------------------------------------------------------------------------------------------------- usage

CREATE TABLE convoke.rm_usage_tenants (
    latest timestamptz NOT NULL,
    tenant text COLLATE "C" NOT NULL
) WITH (fillfactor = 10);
CREATE UNIQUE INDEX rm_usage_tenants_key ON convoke.rm_usage_tenants (tenant);

-- Who is there, since when.
CREATE TABLE convoke.rm_usage_stays (
    joined_at timestamptz NOT NULL,
    room uuid NOT NULL,
    session uuid NOT NULL,
    tenant text COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX rm_usage_stays_key ON convoke.rm_usage_stays (room, session, tenant);

-- Comings and goings in all rooms of a tenant, by five minutes: eight bytes each.
CREATE TABLE convoke.rm_usage_slices (
    slice timestamptz NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    steps bytea NOT NULL
) WITH (fillfactor = 90);
CREATE UNIQUE INDEX rm_usage_slices_key ON convoke.rm_usage_slices (tenant, slice);

CREATE TABLE convoke.rm_usage_days (
    day timestamptz NOT NULL,
    joins bigint NOT NULL,
    net bigint NOT NULL,
    peak bigint NOT NULL,
    area_us bigint NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    -- What each slice of rm_usage_slices comes to: ten bytes each.
    slices bytea NOT NULL
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX rm_usage_days_key ON convoke.rm_usage_days (tenant, day);

SELECT convoke.rm_protect(t) FROM unnest(ARRAY['rm_activity_rooms', 'rm_activity_stays', 'rm_activity_screens',
    'rm_activity_minutes', 'rm_activity_hours', 'rm_usage_tenants', 'rm_usage_stays', 'rm_usage_slices', 'rm_usage_days']) AS t;
