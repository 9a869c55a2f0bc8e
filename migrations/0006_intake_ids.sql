-- Ids that the lines of an import give to commands. What a command creates (a stay, a track, a recording) takes the command's
-- id as its own, for ever: a second use in the same room would make two things of one name, and no read model could tell which
-- of two stays ended. The API makes its ids itself; here an id is claimed before its line is decided, by one line of one
-- import, so that the same line taken up again after a kill finds its own claim.

CREATE TABLE convoke.intake_ids (
    line bigint NOT NULL,
    room uuid NOT NULL,
    id uuid NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    -- Of the import.
    name text COLLATE "C" NOT NULL,
    PRIMARY KEY (room, id, tenant)
);
GRANT SELECT, INSERT, DELETE ON convoke.intake_ids TO convoke_system;
