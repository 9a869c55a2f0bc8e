//! The private PostgreSQL of a server without a `DATABASE_URL`: made, kept, guarded, survived.

use crate::harness::Run;

#[tokio::test]
async fn a_server_starts_with_nothing_configured_and_finds_its_data_again() {
    let run = Run::new();
    let mut server = run.clone().serve().await;
    assert_eq!(server.get("/health/ready").await.status(), 200);
    let pool = private_pool(&run).await;
    sqlx::query("CREATE TABLE kept (id int)").execute(&pool).await.unwrap();
    pool.close().await;
    assert!(server.terminate().await.success(), "{}", server.log());

    let mut server = run.clone().serve().await;
    assert_eq!(server.get("/health/ready").await.status(), 200);
    let pool = private_pool(&run).await;
    sqlx::query("SELECT id FROM kept").fetch_optional(&pool).await.unwrap();
    pool.close().await;
    assert!(server.terminate().await.success(), "{}", server.log());
}

/// Behind the server's back, by the socket of its private PostgreSQL.
async fn private_pool(run: &Run) -> sqlx::PgPool {
    let options = convoke::database::embedded::join(&run.folder.join(".convoke")).await.unwrap();
    sqlx::postgres::PgPoolOptions::new().connect_with(options).await.unwrap()
}
