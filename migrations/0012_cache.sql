-- What a cache keeps is dated by the checkpoint of the read model that it was read from, in the same picture of the database: a
-- tenant's queries have to see how far the model is, which history of the log it was folded from, and which of its tables it is.

GRANT SELECT (name, position, epoch, generation) ON convoke.projections TO convoke_tenant;

-- Rooms that are open, the newest first, whosever they are: those that are worth having at hand.
CREATE INDEX rm_rooms_open ON convoke.rm_rooms (created_at, room) WHERE status = 'open';
