-- The way of the log to Kafka. One process at a time is the relay of a log: it is elected with a lease, whose fence counts up
-- with every change of hands. What it has sent stands in the topic itself, whose committed end is read at each start; the
-- position kept here is for looking, for the archives, and for a topic whose end has run out of its retention. It moves by
-- compare-and-set under the fence.

CREATE TABLE convoke.leases (
    name text COLLATE "C" PRIMARY KEY,
    holder uuid NOT NULL,
    -- Counts the changes of hands: what is done under an older one is refused.
    fence bigint NOT NULL,
    -- By the database's clock, which is the same for all who ask.
    until timestamptz NOT NULL
) WITH (fillfactor = 50);
GRANT SELECT, INSERT, UPDATE ON convoke.leases TO convoke_system;

CREATE TABLE convoke.relays (
    topic text COLLATE "C" PRIMARY KEY,
    -- Everything up to here is in the topic, committed.
    position bigint NOT NULL,
    -- Of the lease under which it was moved last.
    fence bigint NOT NULL,
    -- The log's epoch that the topic goes on in.
    epoch uuid NOT NULL,
    moved_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
GRANT SELECT, INSERT, UPDATE ON convoke.relays TO convoke_system;

-- Which epochs there were, and the last position that each has in common with the one before. A record of an older epoch is
-- part of the log's history if no later epoch began before its position; else its event was lost, and another has its place.
CREATE TABLE convoke.log_epochs (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    epoch uuid NOT NULL UNIQUE,
    began_after bigint NOT NULL,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT ON convoke.log_epochs TO convoke_system;
INSERT INTO convoke.log_epochs (epoch, began_after) SELECT epoch, 0 FROM convoke.log_head;

CREATE OR REPLACE FUNCTION convoke.fence() RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = convoke, pg_temp
BEGIN ATOMIC
    UPDATE convoke.log_head SET epoch = gen_random_uuid() WHERE id = 1;
    INSERT INTO convoke.log_epochs (epoch, began_after) SELECT epoch, position FROM convoke.log_head WHERE id = 1 RETURNING epoch;
END;

-- What the topic holds up to a position is what the present epoch has in common with the ones before: told by the relay when it
-- finds its place in a new epoch.
CREATE FUNCTION convoke.epoch_began_after(p_epoch uuid, p_position bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = convoke, pg_temp
BEGIN ATOMIC
    UPDATE convoke.log_epochs
    SET began_after = p_position
    WHERE epoch = p_epoch AND epoch = (SELECT h.epoch FROM convoke.log_head h) AND began_after <> p_position;
END;
REVOKE ALL ON FUNCTION convoke.epoch_began_after(uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION convoke.epoch_began_after(uuid, bigint) TO convoke_system;
