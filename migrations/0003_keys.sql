-- Keys. What is personal in the log is encrypted under a key of the person; deleting the row of that key erases the person
-- in the log, its snapshots, read models, archives and copies at once, without rewriting any of them. Keys are wrapped by a
-- master key that is never in the database, so that a copy of the database alone opens nothing. Why: docs/security.md.
--
-- Only convoke_system may see these tables: answers to callers (convoke_tenant) need no keys, the program opens what they
-- are to see.

-- Which master keys wrap something here. The proof is a known text sealed under the key: another key under the same id is
-- noticed at start-up, not when the first name cannot be read.
CREATE TABLE convoke.master_keys (
    first_used_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    id text COLLATE "C" PRIMARY KEY,
    proof bytea NOT NULL
);

-- One key for each person of a tenant, made when something of theirs is first sealed. Erased and seen again, a person gets a
-- new key with a new id: what was sealed before stays erased. No foreign key to master_keys: its lock on the one row in use
-- would be taken by every insert.
CREATE TABLE convoke.person_keys (
    -- UUIDv7: new keys lie together in the index.
    key_id uuid PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    identity text COLLATE "C" NOT NULL,
    master text COLLATE "C" NOT NULL,
    wrapped bytea NOT NULL CHECK (octet_length(wrapped) = 72),
    UNIQUE (tenant, identity)
);
COMMENT ON COLUMN convoke.person_keys.wrapped IS 'nonce, key and tag of XChaCha20-Poly1305 under the master key, bound to tenant and key_id';

-- Secrets of HS256 that a tenant's own servers sign tokens with; others come from configuration and are not here.
CREATE TABLE convoke.signing_keys (
    created_at timestamptz NOT NULL,
    kid text COLLATE "C" PRIMARY KEY CHECK (kid ~ '^[A-Za-z0-9._-]{1,64}$'),
    tenant text COLLATE "C" NOT NULL,
    master text COLLATE "C" NOT NULL,
    wrapped bytea NOT NULL CHECK (octet_length(wrapped) = 72)
);
COMMENT ON COLUMN convoke.signing_keys.wrapped IS 'as in person_keys, bound to kid and tenant';

-- Keys that sign no more, wherever they come from: this table, the configuration or a JWKS. For good: a kid never comes back.
CREATE TABLE convoke.revoked_keys (
    revoked_at timestamptz NOT NULL,
    kid text COLLATE "C" PRIMARY KEY
);

ALTER TABLE convoke.master_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE convoke.person_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE convoke.signing_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE convoke.revoked_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_only ON convoke.master_keys TO convoke_system USING (true) WITH CHECK (true);
CREATE POLICY system_only ON convoke.person_keys TO convoke_system USING (true) WITH CHECK (true);
CREATE POLICY system_only ON convoke.signing_keys TO convoke_system USING (true) WITH CHECK (true);
CREATE POLICY system_only ON convoke.revoked_keys TO convoke_system USING (true) WITH CHECK (true);

-- A key is never changed but wrapped anew; a revocation is never taken back.
GRANT SELECT, INSERT, DELETE ON convoke.master_keys TO convoke_system;
GRANT SELECT, INSERT, DELETE, UPDATE (master, wrapped) ON convoke.person_keys TO convoke_system;
GRANT SELECT, INSERT, UPDATE (master, wrapped) ON convoke.signing_keys TO convoke_system;
GRANT SELECT, INSERT ON convoke.revoked_keys TO convoke_system;

-- The keys of persons, each made from what is offered where there is none yet. `number` counts the persons from 1; one whose
-- key was deleted in this very moment is left out and asked for again.
--
-- Two statements, because the second must see what another process committed while the first waited for it: a snapshot is
-- older than the lock it waited for. Rows go in sorted, so that two batches with the same persons cannot wait for each other.
--
-- The commit is not waited for: what is sealed under a new key is appended in a later transaction, whose flush of the
-- write-ahead log includes this one. Call it in a transaction of its own.
CREATE FUNCTION convoke.ensure_person_keys(
    p_tenants text[],
    p_identities text[],
    p_key_ids uuid[],
    p_wrapped bytea[],
    p_master text
) RETURNS TABLE (number bigint, key_id uuid, master text, wrapped bytea)
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO convoke.person_keys AS k (key_id, tenant, identity, master, wrapped)
    SELECT n.key_id, n.tenant, n.identity, p_master, n.wrapped
    FROM unnest(p_tenants, p_identities, p_key_ids, p_wrapped) AS n (tenant, identity, key_id, wrapped)
    ORDER BY n.tenant COLLATE "C", n.identity COLLATE "C"
    ON CONFLICT ON CONSTRAINT person_keys_tenant_identity_key DO NOTHING;
    IF FOUND THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    RETURN QUERY
    SELECT n.number, k.key_id, k.master, k.wrapped
    FROM unnest(p_tenants, p_identities) WITH ORDINALITY AS n (tenant, identity, number)
    JOIN convoke.person_keys k ON k.tenant = n.tenant AND k.identity = n.identity;
END
$$;
REVOKE ALL ON FUNCTION convoke.ensure_person_keys(text[], text[], uuid[], bytea[], text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION convoke.ensure_person_keys(text[], text[], uuid[], bytea[], text) TO convoke_system;
