-- The append keeps names of rooms unit by unit.
--
-- A batch may hold the end of a room that another process has ended already, decided on an old state, and behind it in the order of
-- names, or before it, another unit that takes the name. The end is left out, since the room's version does not fit; the name's
-- last change was then one that is not written, and the name that was taken was not kept: two rooms could come to have it. What
-- a unit that is left out does to names counts for nothing now. And a name that is taken twice fails the append instead of
-- being passed over in silence.

CREATE OR REPLACE FUNCTION convoke.append(
    -- When the batch was decided. Recorded as it is, unless the log's time is later or the database's clock much earlier.
    p_now timestamptz,
    -- Rooms: unit, key, version decided on, version and chain after, number (from 1) of the room's last event in the batch.
    r_unit integer[],
    r_tenant text[],
    r_room uuid[],
    r_expected bigint[],
    r_version bigint[],
    r_chain bytea[],
    r_last integer[],
    -- Events, in order: number of the room they belong to, and the envelope.
    e_room integer[],
    e_version bigint[],
    e_recorded timestamptz[],
    e_occurred timestamptz[],
    e_command uuid[],
    e_session uuid[],
    e_causation uuid[],
    e_correlation uuid[],
    e_traceparent text[],
    e_type text[],
    e_type_version smallint[],
    e_actor text[],
    e_data text[],
    e_sealed bytea[],
    e_chain bytea[],
    -- Names taken and let go, in order. At most one unit takes a name, unless the batch is one whole.
    n_room integer[],
    n_name text[],
    n_claim boolean[],
    -- Outcomes under idempotency keys, each key once: the room of the batch, the room that is spoken of, and either the
    -- number of the command's last event or, where nothing was written, the position and time it is true at.
    o_room integer[],
    o_key text[],
    o_fingerprint bytea[],
    o_status smallint[],
    o_body text[],
    o_about uuid[],
    o_event integer[],
    o_position bigint[],
    o_recorded timestamptz[],
    -- How far the source of the batch has come, if it has one.
    i_name text,
    i_done bigint,
    i_detail text
) RETURNS SETOF convoke.append_answer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = convoke, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    v_head log_head;
    v_clock timestamptz;
    v_recorded timestamptz;
    v_last timestamptz;
    v_answers append_answer[];
    v_more append_answer[];
    v_left_out integer[] := '{}';
    v_position bigint[];
    v_written bigint := cardinality(e_room);
    v_bucket smallint;
    v_alive timestamptz;
    v_expired boolean;
BEGIN
    SELECT * INTO v_head FROM log_head WHERE id = 1 FOR UPDATE;
    v_clock := clock_timestamp();
    v_recorded := greatest(CASE WHEN p_now <= v_clock + v_head.max_clock_lead THEN p_now ELSE v_clock END, v_head.recorded_at);
    -- Times that come with the events are the writer's to order; the log's own order is not.
    IF cardinality(e_recorded) > 0 AND EXISTS (
        SELECT 1 FROM (SELECT unnest(e_recorded) AS recorded, generate_subscripts(e_recorded, 1) AS number) AS e
        WHERE e.recorded < coalesce(e_recorded[e.number - 1], v_head.recorded_at)) THEN
        RAISE EXCEPTION 'recorded times must not go back' USING ERRCODE = 'invalid_parameter_value';
    END IF;

    -- What cannot be written.
    SELECT array_agg(ROW('version', r.unit, r.number, NULL, NULL, NULL, coalesce(h.version, 0), NULL, NULL, NULL, NULL)::append_answer)
    INTO v_answers
    FROM (
        SELECT unnest(r_unit) AS unit, unnest(r_tenant) AS tenant, unnest(r_room) AS room, unnest(r_expected) AS expected,
            generate_subscripts(r_unit, 1) AS number
    ) AS r
    LEFT JOIN room_heads h ON h.tenant = r.tenant AND h.room = r.room
    WHERE coalesce(h.version, 0) <> r.expected;
    IF cardinality(n_room) > 0 THEN
        SELECT array_agg(ROW('name', r_unit[n.room], n.room, NULL, NULL, x.room, NULL, n.name, NULL, NULL, NULL)::append_answer)
        INTO v_more
        -- The first change of a name by a unit meets what is there; those after it meet one another.
        FROM (
            SELECT DISTINCT ON (r_tenant[c.room], c.name, c.unit) c.room, c.name, c.claim
            FROM (
                SELECT room, name, claim, number, CASE WHEN i_name IS NULL THEN r_unit[room] END AS unit
                FROM (
                    SELECT unnest(n_room) AS room, unnest(n_name) AS name, unnest(n_claim) AS claim,
                        generate_subscripts(n_room, 1) AS number
                ) AS given
            ) AS c
            ORDER BY r_tenant[c.room], c.name, c.unit, c.number
        ) AS n
        JOIN room_names x ON x.tenant = r_tenant[n.room] AND x.name = n.name
        WHERE n.claim AND x.room <> r_room[n.room];
        v_answers := v_answers || v_more;
    END IF;
    IF cardinality(o_room) > 0 THEN
        v_alive := v_clock - make_interval(secs => v_head.outcome_ttl_s);
        -- The bucket that is written at this time is never the one that is truncated: see log_head.outcome_ttl_s.
        v_bucket := outcome_bucket(v_clock, v_head.outcome_ttl_s);
        SELECT array_agg(ROW('key', r_unit[o.room], o.room, x.position, x.recorded_at, x.room, NULL, o.key, x.status,
                x.fingerprint, x.body)::append_answer) FILTER (WHERE x.stored_at > v_alive),
            bool_or(x.stored_at <= v_alive)
        INTO v_more, v_expired
        FROM (SELECT unnest(o_room) AS room, unnest(o_key) AS key) AS o
        JOIN outcomes x ON x.tenant = r_tenant[o.room] AND x.key = o.key;
        v_answers := v_answers || v_more;
    END IF;

    IF v_answers IS NULL THEN
        v_position := ARRAY(SELECT generate_series(v_head.position + 1, v_head.position + v_written));
    ELSE
        v_left_out := ARRAY(SELECT DISTINCT a.unit FROM unnest(v_answers) AS a);
        v_written := (SELECT count(*) FROM unnest(e_room) AS e (room) WHERE r_unit[e.room] <> ALL (v_left_out));
        -- The number of an event that is left out is that of the event before it; it is not used.
        v_position := ARRAY(
            SELECT v_head.position + count(*) FILTER (WHERE r_unit[e.room] <> ALL (v_left_out)) OVER (ORDER BY e.number)
            FROM (SELECT unnest(e_room) AS room, generate_subscripts(e_room, 1) AS number) AS e
            ORDER BY e.number);
    END IF;

    IF v_written > 0 THEN
        INSERT INTO log (position, room_version, recorded_at, occurred_at, room, command_id, session, causation_id,
            correlation_id, type_version, tenant, event_type, actor, traceparent, data, sealed, hash)
        SELECT e.position, e.version, t.recorded_at, nullif(coalesce(e.occurred, p_now), t.recorded_at), r_room[e.room],
            e.command, e.session, e.causation, e.correlation, e.type_version, r_tenant[e.room], e.type, e.actor,
            e.traceparent, e.data::json, e.sealed,
            sha256(e.chain || int8send(e.position) || timestamptz_send(t.recorded_at))
        FROM (
            SELECT unnest(v_position) AS position, unnest(e_room) AS room, unnest(e_version) AS version,
                unnest(e_recorded) AS recorded, unnest(e_occurred) AS occurred, unnest(e_command) AS command,
                unnest(e_session) AS session, unnest(e_causation) AS causation, unnest(e_correlation) AS correlation,
                unnest(e_traceparent) AS traceparent, unnest(e_type) AS type, unnest(e_type_version) AS type_version,
                unnest(e_actor) AS actor, unnest(e_data) AS data, unnest(e_sealed) AS sealed, unnest(e_chain) AS chain
        ) AS e
        CROSS JOIN LATERAL (SELECT coalesce(e.recorded, v_recorded)) AS t (recorded_at)
        WHERE r_unit[e.room] <> ALL (v_left_out);

        v_last := coalesce(e_recorded[cardinality(e_room)], v_recorded);

        UPDATE room_heads h
        SET version = r.version,
            last_position = v_position[r.last],
            last_recorded_at = coalesce(e_recorded[r.last], v_recorded),
            chain = r.chain
        FROM (
            SELECT unnest(r_unit) AS unit, unnest(r_tenant) AS tenant, unnest(r_room) AS room,
                unnest(r_expected) AS expected, unnest(r_version) AS version, unnest(r_chain) AS chain,
                unnest(r_last) AS last
        ) AS r
        WHERE h.tenant = r.tenant AND h.room = r.room AND r.expected > 0 AND r.version > r.expected
            AND r.unit <> ALL (v_left_out);
        IF 0 = ANY (r_expected) THEN
            INSERT INTO room_heads (version, last_position, first_recorded_at, last_recorded_at, room, tenant, chain)
            SELECT r.version, v_position[r.last],
                -- Of the first event. The events of a room need not lie side by side.
                CASE WHEN cardinality(e_recorded) = 0 THEN v_recorded ELSE e_recorded[array_position(e_room, r.number)] END,
                coalesce(e_recorded[r.last], v_recorded), r.room, r.tenant, r.chain
            FROM (
                SELECT unnest(r_unit) AS unit, unnest(r_tenant) AS tenant, unnest(r_room) AS room,
                    unnest(r_expected) AS expected, unnest(r_version) AS version, unnest(r_chain) AS chain,
                    unnest(r_last) AS last, generate_subscripts(r_unit, 1) AS number
            ) AS r
            WHERE r.expected = 0 AND r.version > 0 AND r.unit <> ALL (v_left_out);
        END IF;

        UPDATE log_head SET position = v_head.position + v_written, recorded_at = v_last WHERE id = 1;
        IF v_last >= v_head.partition_to THEN
            PERFORM enter_partition(v_head.position, v_head.recorded_at, v_last);
        END IF;
        PERFORM pg_notify('convoke_log', (v_head.position + v_written)::text);
    ELSE
        v_last := v_head.recorded_at;
    END IF;

    IF cardinality(n_room) > 0 THEN
        DELETE FROM room_names x
        USING (SELECT unnest(n_room) AS room, unnest(n_name) AS name, unnest(n_claim) AS claim) AS n
        WHERE NOT n.claim AND x.tenant = r_tenant[n.room] AND x.name = n.name AND x.room = r_room[n.room]
            AND r_unit[n.room] <> ALL (v_left_out);
        -- The last change of a name that is written is what stays. That a name is free was looked at above: if it is not, the
        -- whole append fails rather than leave a room whose name another one holds.
        INSERT INTO room_names (room, tenant, name)
        SELECT r_room[n.room], r_tenant[n.room], n.name
        FROM (
            SELECT DISTINCT ON (r_tenant[c.room], c.name) c.room, c.name, c.claim
            FROM (
                SELECT unnest(n_room) AS room, unnest(n_name) AS name, unnest(n_claim) AS claim,
                    generate_subscripts(n_room, 1) AS number
            ) AS c
            WHERE r_unit[c.room] <> ALL (v_left_out)
            ORDER BY r_tenant[c.room], c.name, c.number DESC
        ) AS n
        LEFT JOIN room_names x ON x.tenant = r_tenant[n.room] AND x.name = n.name AND x.room = r_room[n.room]
        WHERE n.claim AND x.room IS NULL;
    END IF;

    IF cardinality(o_room) > 0 THEN
        IF v_expired THEN
            -- A key whose outcome is past its life may still lie in this bucket.
            DELETE FROM outcomes x
            USING (SELECT unnest(o_room) AS room, unnest(o_key) AS key) AS o
            WHERE x.tenant = r_tenant[o.room] AND x.key = o.key AND x.bucket = v_bucket AND x.stored_at <= v_alive
                AND r_unit[o.room] <> ALL (v_left_out);
        END IF;
        INSERT INTO outcomes (position, recorded_at, stored_at, room, status, bucket, tenant, key, fingerprint, body)
        SELECT coalesce(v_position[o.event], o.position),
            CASE WHEN o.event IS NULL THEN o.recorded
                ELSE coalesce(e_recorded[o.event], v_recorded) END,
            v_clock, o.about, o.status, v_bucket, r_tenant[o.room], o.key, o.fingerprint, o.body
        FROM (
            SELECT unnest(o_room) AS room, unnest(o_key) AS key, unnest(o_fingerprint) AS fingerprint,
                unnest(o_status) AS status, unnest(o_body) AS body, unnest(o_about) AS about, unnest(o_event) AS event,
                unnest(o_position) AS position, unnest(o_recorded) AS recorded
        ) AS o
        WHERE r_unit[o.room] <> ALL (v_left_out);
    END IF;

    IF i_name IS NOT NULL THEN
        INSERT INTO intake_progress (name, done, detail, updated_at)
        VALUES (i_name, i_done, i_detail::json, v_clock)
        ON CONFLICT (name) DO UPDATE
        SET done = excluded.done, detail = excluded.detail, updated_at = excluded.updated_at;
    END IF;

    RETURN NEXT ROW('head', 0, 0, v_head.position, v_recorded, NULL, NULL, NULL, NULL, NULL, NULL)::append_answer;
    IF v_answers IS NOT NULL THEN
        RETURN QUERY SELECT * FROM unnest(v_answers);
    END IF;
END
$$;
