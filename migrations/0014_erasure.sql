-- Erasing a person. The event person.erased and the end of the person's key are one: whoever inserts the event into the log, by
-- whatever function, deletes the key in the same transaction, and nothing else deletes keys. A trigger and not a line in
-- convoke.append(), so that no later version of that function can have one without the other. Why: docs/decisions/0004-erasure.md.
--
-- The condition is looked at for every row that is inserted, the function called for hardly any. It runs as the owner of the log,
-- which convoke.append() inserts as. Notifications are sent with the commit: processes that hold the key forget it.

CREATE FUNCTION convoke.erase_person() RETURNS trigger
LANGUAGE plpgsql SET search_path = convoke, pg_temp AS $$
DECLARE
    v_identity text := NEW.data ->> 'identity';
BEGIN
    PERFORM pg_notify('convoke_keys',
        json_build_object('tenant', k.tenant, 'identity', k.identity, 'key', k.key_id)::text)
    FROM person_keys k
    WHERE k.tenant = NEW.tenant AND k.identity = v_identity;
    DELETE FROM person_keys k WHERE k.tenant = NEW.tenant AND k.identity = v_identity;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION convoke.erase_person() FROM PUBLIC;

CREATE TRIGGER log_erases_persons AFTER INSERT ON convoke.log
    FOR EACH ROW WHEN (NEW.event_type = 'person.erased') EXECUTE FUNCTION convoke.erase_person();

REVOKE DELETE ON convoke.person_keys FROM convoke_system;
