-- A room's activity by the day: one row for its hours, but for the busy ones. A row for each hour in which somebody came or wrote
-- made most rows of a quiet room nearly empty, and a rebuild write a row for every event.
--
-- How it is counted, and when an hour is busy, is said in src/projections/activity. The model begins anew with its new rows, from
-- the first event: by itself, or sooner by `convoke projection rebuild activity`.

CREATE TABLE convoke.rm_activity_days (
    day timestamptz NOT NULL,
    net bigint NOT NULL,
    screens_net bigint NOT NULL,
    room uuid NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    -- Each hour in which anything happened: its counts, and its comings and goings unless it is busy.
    hours bytea NOT NULL
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX rm_activity_days_key ON convoke.rm_activity_days (room, day, tenant);
SELECT convoke.rm_protect('rm_activity_days');

-- Of busy hours only. The columns that the day has now stay for programs that still ask for them.
ALTER TABLE convoke.rm_activity_hours
    ALTER joins DROP NOT NULL, ALTER joins SET DEFAULT 0,
    ALTER messages DROP NOT NULL, ALTER messages SET DEFAULT 0,
    ALTER net DROP NOT NULL, ALTER net SET DEFAULT 0,
    ALTER peak DROP NOT NULL, ALTER peak SET DEFAULT 0,
    ALTER screens_net DROP NOT NULL, ALTER screens_net SET DEFAULT 0;

TRUNCATE convoke.rm_activity_rooms, convoke.rm_activity_stays, convoke.rm_activity_screens, convoke.rm_activity_minutes,
    convoke.rm_activity_hours;
UPDATE convoke.projections
SET position = 0,
    recorded_at = '-infinity',
    shape = 2,
    generation = generation + 1,
    digest = decode(repeat('00', 32), 'hex'),
    status = 'running',
    error = NULL,
    failed_position = NULL,
    stopped_at = NULL
WHERE name = 'activity';
