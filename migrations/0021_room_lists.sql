-- Lists of rooms: every filter, and every combination of them, reads a bounded part of an index.
--
-- Before, `status=ended` beside many open rooms walked all of them: of two indexes in the order of creation, with and without the
-- status, a planner that has seen one status only takes the smaller one. Now the status comes before the time in every index, and a
-- list of rooms in any status is merged from the three. Two filters of which each is true of many rooms (two labels, a label and a
-- name) were walked until a page was full, however long that took; now the one that fewer rooms match is walked, and a page ends
-- after so many rooms. Any number of labels may be combined, so that an index for each combination cannot be had.

DROP INDEX convoke.rm_rooms_list;
DROP INDEX convoke.rm_rooms_by_name;
DROP INDEX convoke.rm_room_labels_list;
-- The cache is warmed with open ones of the newest rooms, by their ids.
DROP INDEX convoke.rm_rooms_open;
-- Rooms of a name: many that ended, and one at most that has not.
CREATE INDEX rm_rooms_of_name ON convoke.rm_rooms (tenant, name, (status = 'ended'), created_at, room) WHERE name IS NOT NULL;

-- Raised hands: a list of rooms shows them of each, and looked at everybody in the rooms for them.
CREATE INDEX rm_participants_hands ON convoke.rm_participants (room, hand, tenant, identity) WHERE hand IS NOT NULL;

-- The stays of a person: an identity is as well another tenant's.
DROP INDEX convoke.rm_sessions_by_identity;
CREATE INDEX rm_sessions_of_identity ON convoke.rm_sessions (tenant, identity, session, room);

-- Fresh tables of folds under way get the indexes of the live ones; those that are gone go from them too.
DO $$
DECLARE
    v_suffix text;
BEGIN
    FOR v_suffix IN SELECT suffix FROM convoke.projection_rebuilds WHERE name IN ('rooms', 'sessions') LOOP
        EXECUTE format('DROP INDEX IF EXISTS convoke.%I, convoke.%I, convoke.%I, convoke.%I, convoke.%I',
            'rm_rooms_list' || v_suffix, 'rm_rooms_by_name' || v_suffix, 'rm_room_labels_list' || v_suffix,
            'rm_rooms_open' || v_suffix, 'rm_sessions_by_identity' || v_suffix);
    END LOOP;
END
$$;

-- Rooms of a tenant, the newest first, of which all that is given holds: at most `p_limit`, each a row with `is_room`. Where there
-- may be more, a last row without it says behind which room to go on: the last one that was given, or the last one that was looked
-- at where `p_scan` were. p_labels and p_values: pairs of label and value, each label once. The caller's role decides what is seen.
--
-- Its statements are planned once a connection, for walks of indexes whatever the tables hold at that time: each asks for an order that
-- one index only has, and nothing is sorted.
CREATE FUNCTION convoke.find_rooms(
    p_tenant text,
    p_name text,
    p_status text,
    p_labels text[],
    p_values text[],
    -- Both exclusive.
    p_created_after timestamptz,
    p_created_before timestamptz,
    -- The last row of the page before.
    p_from_created timestamptz,
    p_from_room uuid,
    p_limit integer,
    p_scan integer
) RETURNS TABLE (is_room boolean, at_created timestamptz, at_room uuid)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = convoke, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_hashjoin = off SET enable_mergejoin = off
SET jit = off AS $$
DECLARE
    -- Filters that more rooms match than this are alike, and of many filters some are looked at.
    c_counted CONSTANT integer := 500;
    c_compared CONSTANT integer := 8;
    v_statuses text[] := CASE WHEN p_status IS NULL THEN ARRAY['open', 'scheduled', 'ended'] ELSE ARRAY[p_status] END;
    v_filters integer := cardinality(p_labels) + (p_name IS NOT NULL)::integer;
    v_scan integer := CASE WHEN v_filters > 1 THEN greatest(p_scan, p_limit + 1) ELSE p_limit + 1 END;
    -- One bound, exclusive: of two, a walk may begin at the one that is further off.
    v_to_created timestamptz := least(p_created_before, p_from_created);
    v_to_room uuid := CASE WHEN p_created_before <= p_from_created THEN '00000000-0000-0000-0000-000000000000' ELSE p_from_room END;
    v_status text;
    v_label text;
    v_value text;
    v_next record;
    -- The newest room of a filter, and the oldest of those: no room before it has all of them.
    v_head_created timestamptz;
    v_head_room uuid;
    v_top_created timestamptz := 'infinity';
    v_top_room uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
    -- The filter that is walked: the number of a label; 0: the name; NULL: there is no filter.
    v_walked integer;
    v_least integer;
    v_count integer;
    v_cursor refcursor;
    v_last_created timestamptz;
    v_last_room uuid;
    v_looked integer := 0;
    v_found integer := 0;
BEGIN
    FOR v_filter IN (p_name IS NULL)::integer .. cardinality(p_labels) LOOP
        v_label := p_labels[v_filter];
        v_value := p_values[v_filter];
        v_head_created := NULL;
        FOREACH v_status IN ARRAY v_statuses LOOP
            IF v_filter = 0 THEN
                SELECT r.created_at, r.room INTO v_next FROM rm_rooms r
                WHERE r.tenant = p_tenant AND r.name = p_name AND (r.status = 'ended') = (v_status = 'ended')
                    AND r.status = v_status
                    AND r.created_at > p_created_after AND (r.created_at, r.room) < (v_to_created, v_to_room)
                ORDER BY r.created_at DESC, r.room DESC
                LIMIT 1;
            ELSE
                SELECT l.created_at, l.room INTO v_next FROM rm_room_labels l
                WHERE l.tenant = p_tenant AND l.label = v_label AND l.value = v_value AND l.status = v_status
                    AND l.created_at > p_created_after AND (l.created_at, l.room) < (v_to_created, v_to_room)
                ORDER BY l.created_at DESC, l.room DESC
                LIMIT 1;
            END IF;
            IF FOUND AND (v_head_created IS NULL OR (v_next.created_at, v_next.room) > (v_head_created, v_head_room)) THEN
                v_head_created := v_next.created_at;
                v_head_room := v_next.room;
            END IF;
        END LOOP;
        IF v_head_created IS NULL THEN
            RETURN;
        END IF;
        IF (v_head_created, v_head_room) < (v_top_created, v_top_room) THEN
            v_top_created := v_head_created;
            v_top_room := v_head_room;
        END IF;

        IF v_filters = 1 THEN
            v_walked := v_filter;
        ELSIF v_walked IS NULL OR v_least >= c_counted AND v_filter <= c_compared THEN
            IF v_filter = 0 THEN
                -- One room at most has the name and has not ended.
                SELECT count(*) INTO v_count FROM (
                    SELECT FROM rm_rooms r
                    WHERE r.tenant = p_tenant AND r.name = p_name AND (r.status = 'ended') = true
                    ORDER BY r.created_at DESC, r.room DESC
                    LIMIT c_counted) AS some_rooms;
            ELSE
                SELECT count(*) INTO v_count FROM (
                    SELECT FROM rm_room_labels l
                    WHERE l.tenant = p_tenant AND l.label = v_label AND l.value = v_value
                    ORDER BY l.status DESC, l.created_at DESC, l.room DESC
                    LIMIT c_counted) AS some_rooms;
            END IF;
            IF v_walked IS NULL OR v_count < v_least THEN
                v_least := v_count;
                v_walked := v_filter;
            END IF;
        END IF;
    END LOOP;
    v_label := p_labels[v_walked];
    v_value := p_values[v_walked];

    -- A walk of an index for each status, merged.
    IF v_walked IS NULL THEN
        OPEN v_cursor FOR
            SELECT w.created_at, w.room, true AS fits
            FROM (
                (SELECT r.created_at, r.room FROM rm_rooms r
                WHERE r.tenant = p_tenant AND r.status = v_statuses[1]
                    AND r.created_at > p_created_after AND (r.created_at, r.room) < (v_to_created, v_to_room)
                ORDER BY r.created_at DESC, r.room DESC
                LIMIT v_scan)
                UNION ALL
                (SELECT r.created_at, r.room FROM rm_rooms r
                WHERE r.tenant = p_tenant AND r.status = v_statuses[2]
                    AND r.created_at > p_created_after AND (r.created_at, r.room) < (v_to_created, v_to_room)
                ORDER BY r.created_at DESC, r.room DESC
                LIMIT v_scan)
                UNION ALL
                (SELECT r.created_at, r.room FROM rm_rooms r
                WHERE r.tenant = p_tenant AND r.status = v_statuses[3]
                    AND r.created_at > p_created_after AND (r.created_at, r.room) < (v_to_created, v_to_room)
                ORDER BY r.created_at DESC, r.room DESC
                LIMIT v_scan)
                ORDER BY created_at DESC, room DESC
                LIMIT v_scan
            ) AS w;
    ELSIF v_walked = 0 THEN
        OPEN v_cursor FOR
            SELECT w.created_at, w.room, (
                SELECT count(*) FROM rm_room_labels m
                WHERE m.room = w.room AND m.tenant = p_tenant AND m.label = ANY (p_labels)
                    AND m.value = p_values[array_position(p_labels, m.label)]) = cardinality(p_labels) AS fits
            FROM (
                (SELECT r.created_at, r.room FROM rm_rooms r
                WHERE r.tenant = p_tenant AND r.name = p_name AND (r.status = 'ended') = (v_statuses[1] = 'ended')
                    AND r.status = v_statuses[1]
                    AND r.created_at > p_created_after AND (r.created_at, r.room) <= (v_top_created, v_top_room)
                ORDER BY r.created_at DESC, r.room DESC
                LIMIT v_scan)
                UNION ALL
                (SELECT r.created_at, r.room FROM rm_rooms r
                WHERE r.tenant = p_tenant AND r.name = p_name AND (r.status = 'ended') = (v_statuses[2] = 'ended')
                    AND r.status = v_statuses[2]
                    AND r.created_at > p_created_after AND (r.created_at, r.room) <= (v_top_created, v_top_room)
                ORDER BY r.created_at DESC, r.room DESC
                LIMIT v_scan)
                UNION ALL
                (SELECT r.created_at, r.room FROM rm_rooms r
                WHERE r.tenant = p_tenant AND r.name = p_name AND (r.status = 'ended') = (v_statuses[3] = 'ended')
                    AND r.status = v_statuses[3]
                    AND r.created_at > p_created_after AND (r.created_at, r.room) <= (v_top_created, v_top_room)
                ORDER BY r.created_at DESC, r.room DESC
                LIMIT v_scan)
                ORDER BY created_at DESC, room DESC
                LIMIT v_scan
            ) AS w;
    ELSE
        OPEN v_cursor FOR
            SELECT w.created_at, w.room, v_filters = 1 OR (
                SELECT count(*) FROM rm_room_labels m
                WHERE m.room = w.room AND m.tenant = p_tenant AND m.label = ANY (p_labels)
                    AND m.value = p_values[array_position(p_labels, m.label)]) = cardinality(p_labels)
                AND (p_name IS NULL OR EXISTS (
                SELECT FROM rm_rooms r WHERE r.room = w.room AND r.tenant = p_tenant AND r.name = p_name)) AS fits
            FROM (
                (SELECT l.created_at, l.room FROM rm_room_labels l
                WHERE l.tenant = p_tenant AND l.label = v_label AND l.value = v_value AND l.status = v_statuses[1]
                    AND l.created_at > p_created_after AND (l.created_at, l.room) <= (v_top_created, v_top_room)
                ORDER BY l.created_at DESC, l.room DESC
                LIMIT v_scan)
                UNION ALL
                (SELECT l.created_at, l.room FROM rm_room_labels l
                WHERE l.tenant = p_tenant AND l.label = v_label AND l.value = v_value AND l.status = v_statuses[2]
                    AND l.created_at > p_created_after AND (l.created_at, l.room) <= (v_top_created, v_top_room)
                ORDER BY l.created_at DESC, l.room DESC
                LIMIT v_scan)
                UNION ALL
                (SELECT l.created_at, l.room FROM rm_room_labels l
                WHERE l.tenant = p_tenant AND l.label = v_label AND l.value = v_value AND l.status = v_statuses[3]
                    AND l.created_at > p_created_after AND (l.created_at, l.room) <= (v_top_created, v_top_room)
                ORDER BY l.created_at DESC, l.room DESC
                LIMIT v_scan)
                ORDER BY created_at DESC, room DESC
                LIMIT v_scan
            ) AS w;
    END IF;

    is_room := true;
    LOOP
        FETCH v_cursor INTO v_next;
        EXIT WHEN NOT FOUND;
        IF v_next.fits AND v_found = p_limit THEN
            -- There is one more: to be gone on from the one before it.
            is_room := false;
            RETURN NEXT;
            EXIT;
        END IF;
        v_looked := v_looked + 1;
        v_last_created := v_next.created_at;
        v_last_room := v_next.room;
        IF v_next.fits THEN
            v_found := v_found + 1;
            at_created := v_last_created;
            at_room := v_last_room;
            RETURN NEXT;
        END IF;
    END LOOP;
    CLOSE v_cursor;
    IF is_room AND v_looked = v_scan THEN
        is_room := false;
        at_created := v_last_created;
        at_room := v_last_room;
        RETURN NEXT;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION convoke.find_rooms(text, text, text, text[], text[], timestamptz, timestamptz, timestamptz, uuid, integer,
    integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION convoke.find_rooms(text, text, text, text[], text[], timestamptz, timestamptz, timestamptz, uuid, integer,
    integer) TO convoke_system, convoke_tenant;
