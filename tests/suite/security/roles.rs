//! What the roles of the database may do, over all tables and functions there are: one that is added later is held to it too.

use sqlx::PgPool;

use crate::harness::TestDb;

/// Tables without anything of a tenant that answers to callers may look at.
const OPEN_TO_ALL_TENANTS: &[&str] = &["log_archives", "log_head", "log_partitions", "projections"];

async fn names(pool: &PgPool, statement: &'static str) -> Vec<String> {
    sqlx::query_scalar(statement).fetch_all(pool).await.unwrap()
}

#[tokio::test]
async fn what_answers_to_callers_can_read_shows_one_tenant_only() {
    let db = TestDb::new().await;
    let open = names(
        &db.owner,
        "SELECT c.relname::text
         FROM pg_class c
         WHERE c.relnamespace = 'convoke'::regnamespace
             AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
             AND has_any_column_privilege('convoke_tenant', c.oid, 'SELECT')
             AND NOT (c.relrowsecurity AND EXISTS (
                 SELECT FROM pg_policy p
                 WHERE p.polrelid = c.oid
                     AND 'convoke_tenant'::regrole = ANY (p.polroles)
                     AND pg_get_expr(p.polqual, p.polrelid) = '(tenant = convoke.current_tenant())'))
         ORDER BY 1",
    )
    .await;
    assert_eq!(open, OPEN_TO_ALL_TENANTS);
    let closed = names(&db.owner, "SELECT polname::text FROM pg_policy WHERE 0 = ANY (polroles)").await;
    assert!(closed.is_empty(), "a policy for everybody is one for the tenants too: {closed:?}");
}

#[tokio::test]
async fn answers_to_callers_write_nothing_and_the_program_writes_no_log() {
    let db = TestDb::new().await;
    let written = names(
        &db.owner,
        "SELECT c.relname::text
         FROM pg_class c
         WHERE c.relnamespace = 'convoke'::regnamespace
             AND c.relkind IN ('r', 'p')
             AND (has_table_privilege('convoke_tenant', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
                 OR has_any_column_privilege('convoke_tenant', c.oid, 'INSERT, UPDATE, REFERENCES'))",
    )
    .await;
    assert!(written.is_empty(), "{written:?}");
    let history = names(
        &db.owner,
        "SELECT c.relname::text
         FROM pg_class c
         WHERE c.relnamespace = 'convoke'::regnamespace
             AND c.relkind IN ('r', 'p')
             AND (c.relname LIKE 'log%' OR c.relname IN ('room_heads', 'room_names', 'outcomes', 'intake_progress'))
             AND (has_table_privilege('convoke_system', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
                 OR has_any_column_privilege('convoke_system', c.oid, 'INSERT, UPDATE, REFERENCES'))",
    )
    .await;
    assert!(history.is_empty(), "{history:?}");
    let makers = names(
        &db.owner,
        "SELECT r.rolname::text
         FROM pg_roles r
         WHERE r.rolname IN ('convoke_system', 'convoke_tenant')
             AND (has_schema_privilege(r.oid, 'convoke', 'CREATE') OR r.rolsuper OR r.rolbypassrls OR r.rolcreaterole)",
    )
    .await;
    assert!(makers.is_empty(), "{makers:?}");
}

#[tokio::test]
async fn what_runs_with_the_owners_rights_has_a_fixed_search_path_and_is_the_programs_alone() {
    let db = TestDb::new().await;
    let loose = names(
        &db.owner,
        "SELECT p.oid::regprocedure::text
         FROM pg_proc p
         WHERE p.pronamespace = 'convoke'::regnamespace
             AND p.prosecdef
             AND (NOT coalesce('search_path=convoke, pg_temp' = ANY (p.proconfig), false)
                 OR has_function_privilege('convoke_tenant', p.oid, 'EXECUTE')
                 OR EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0))",
    )
    .await;
    assert!(loose.is_empty(), "{loose:?}");
}

#[tokio::test]
async fn without_a_tenant_nothing_of_any_tenant_is_there() {
    let db = TestDb::new().await;
    sqlx::query(
        "INSERT INTO convoke.room_heads
             (version, last_position, first_recorded_at, last_recorded_at, room, tenant, chain)
         VALUES (1, 1, now(), now(), gen_random_uuid(), 'acme', '')",
    )
    .execute(&db.owner)
    .await
    .unwrap();
    for (tenant, seen) in [(None, 0), (Some(""), 0), (Some("other"), 0), (Some("acm%"), 0), (Some("acme"), 1)] {
        let mut transaction = db.system.begin().await.unwrap();
        sqlx::query("SET LOCAL ROLE convoke_tenant").execute(&mut *transaction).await.unwrap();
        if let Some(tenant) = tenant {
            sqlx::query("SELECT set_config('convoke.tenant', $1, true)")
                .bind(tenant)
                .execute(&mut *transaction)
                .await
                .unwrap();
        }
        let rows: i64 =
            sqlx::query_scalar("SELECT count(*) FROM convoke.room_heads").fetch_one(&mut *transaction).await.unwrap();
        assert_eq!(rows, seen, "{tenant:?}");
        transaction.rollback().await.unwrap();
    }
}
