-- What keeps the log going over years: outcomes past their life are dropped by the bucket, and an operator can begin a new
-- epoch. The program's role may neither write the head nor truncate: it calls these.

-- Sets how long outcomes under idempotency keys are kept, where that is not so already. Outcomes are judged by their own
-- time, so a change moves buckets about and loses nothing.
CREATE FUNCTION convoke.set_outcome_ttl(p_ttl_s integer) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = convoke, pg_temp
BEGIN ATOMIC
    UPDATE convoke.log_head SET outcome_ttl_s = p_ttl_s WHERE id = 1 AND outcome_ttl_s <> p_ttl_s;
END;

-- Empties the bucket whose turn comes next; true where there was something in it. Its rows are older than any outcome lives,
-- unless the time to live was changed: then it is left until they are. Appends are locked out for the moment of the TRUNCATE
-- only, and the caller's lock_timeout bounds how long they queue behind it.
CREATE FUNCTION convoke.clean_outcomes() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = convoke, pg_temp AS $$
DECLARE
    v_ttl_s integer := (SELECT outcome_ttl_s FROM log_head WHERE id = 1);
    v_current smallint := outcome_bucket(clock_timestamp(), v_ttl_s);
    v_next smallint := (v_current + 1) % 4;
    v_name text := 'outcomes_' || v_next;
    v_found boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I)', v_name) INTO v_found;
    IF NOT v_found THEN
        RETURN false;
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I WHERE stored_at > $1)', v_name)
        INTO v_found USING clock_timestamp() - make_interval(secs => v_ttl_s);
    IF v_found THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', v_name);
    -- Nothing is written to a bucket before its turn: what was seen above still holds if the turn has not come.
    IF outcome_bucket(clock_timestamp(), v_ttl_s) <> v_current THEN
        RETURN false;
    END IF;
    EXECUTE format('TRUNCATE TABLE %I', v_name);
    RETURN true;
END
$$;

-- Begins a new epoch: from now on every cursor given out before is refused. For use after a restore or a failover that lost
-- events, when the same positions come to hold other events.
CREATE FUNCTION convoke.fence() RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = convoke, pg_temp
BEGIN ATOMIC
    UPDATE convoke.log_head SET epoch = gen_random_uuid() WHERE id = 1 RETURNING epoch;
END;

REVOKE ALL ON FUNCTION convoke.set_outcome_ttl(integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION convoke.clean_outcomes() FROM PUBLIC;
REVOKE ALL ON FUNCTION convoke.fence() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION convoke.set_outcome_ttl(integer) TO convoke_system;
GRANT EXECUTE ON FUNCTION convoke.clean_outcomes() TO convoke_system;
GRANT EXECUTE ON FUNCTION convoke.fence() TO convoke_system;
