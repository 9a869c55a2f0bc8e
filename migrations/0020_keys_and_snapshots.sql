-- What the log's own tables hold beside the log, and for how long.
--
-- ------------------------------------------------------------------------------------------------------------- keys of persons
--
-- A new key of a person is stored by the statement that appends the first events sealed under it, and only if these are written.
-- Before, keys were made when a command came in: refused commands left keys behind, and a refused command about an erased person
-- gave them a key again.
--
-- Called behind convoke.append() in the same statement, under the lock of the log's head. `p_left_out`: units of which the append
-- wrote nothing. Where a person has another key by now (another process was first), the whole statement fails with VK001; it is
-- decided again with that key. convoke.ensure_person_keys (0003) stays for programs of the version before this one; rows that it
-- inserts at the same time are waited for.
CREATE FUNCTION convoke.insert_person_keys(
    k_unit integer[],
    k_tenant text[],
    k_identity text[],
    k_id uuid[],
    k_master text[],
    k_wrapped bytea[],
    p_left_out integer[]
) RETURNS void
LANGUAGE plpgsql SET search_path = convoke, pg_temp AS $$
DECLARE
    v_wanted integer := (
        SELECT count(DISTINCT n.id) FROM unnest(k_unit, k_id) AS n (unit, id) WHERE n.unit <> ALL (p_left_out));
    v_inserted integer;
BEGIN
    -- A key that several units use comes once for each of them. Rows go in sorted, as other processes insert them.
    INSERT INTO person_keys (key_id, tenant, identity, master, wrapped)
    SELECT DISTINCT ON (n.tenant COLLATE "C", n.identity COLLATE "C") n.id, n.tenant, n.identity, n.master, n.wrapped
    FROM unnest(k_unit, k_tenant, k_identity, k_id, k_master, k_wrapped) AS n (unit, tenant, identity, id, master, wrapped)
    WHERE n.unit <> ALL (p_left_out)
    ORDER BY n.tenant COLLATE "C", n.identity COLLATE "C"
    ON CONFLICT (tenant, identity) DO NOTHING;
    GET DIAGNOSTICS v_inserted = ROW_COUNT;
    IF v_inserted <> v_wanted THEN
        RAISE EXCEPTION 'somebody has another key by now' USING ERRCODE = 'VK001';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION convoke.insert_person_keys(integer[], text[], text[], uuid[], text[], bytea[], integer[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION convoke.insert_person_keys(integer[], text[], text[], uuid[], text[], bytea[], integer[])
    TO convoke_system;

-- ------------------------------------------------------------------------------------------------------------ snapshots of rooms
--
-- A snapshot used to be kept every so many events, whatever it took: a room of 500 people with metadata grew by megabytes for each
-- of its events' kilobytes, for good. The program keeps one now when the room's log has grown by as much as it takes. Of those that
-- are there, the ones that are nearer to the one before go; any snapshot may.
DO $$
DECLARE
    -- What an event takes in the log without its data, as src/commands/execute/load.rs counts it.
    c_event CONSTANT bigint := 320;
    v_next record;
    -- The last one that stays.
    v_tenant text;
    v_room uuid;
    v_shape integer;
    v_version bigint;
    v_bytes bigint;
BEGIN
    FOR v_next IN
        SELECT s.tenant, s.room, s.shape, s.version, octet_length(s.state) AS bytes
        FROM convoke.room_snapshots s
        ORDER BY s.tenant, s.room, s.shape, s.version
    LOOP
        IF v_tenant = v_next.tenant AND v_room = v_next.room AND v_shape = v_next.shape
            AND (v_next.version - v_version) * c_event < v_bytes THEN
            DELETE FROM convoke.room_snapshots s
            WHERE s.tenant = v_tenant AND s.room = v_room AND s.shape = v_shape AND s.version = v_next.version;
        ELSE
            v_tenant := v_next.tenant;
            v_room := v_next.room;
            v_shape := v_next.shape;
            v_version := v_next.version;
            v_bytes := v_next.bytes;
        END IF;
    END LOOP;
END
$$;
