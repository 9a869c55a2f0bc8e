//! Brings the database to the schema that this version knows. Migrations are compiled in; an advisory lock lets in one process.

use sqlx::PgPool;
use sqlx::migrate::Migrator;

static MIGRATIONS: Migrator = sqlx::migrate!();

#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error(
        "the database has been brought to a newer schema (migration {0}) than this version of convoke knows; run the newer \
         version"
    )]
    Newer(i64),
    #[error(
        "migration {0} of the database is not the one that this version of convoke knows: it was made by another build; use \
         that one, or another database"
    )]
    Other(i64),
    #[error("PostgreSQL {found} is too old; {least} or newer is needed")]
    TooOld { found: String, least: u32 },
    #[error("the database could not be brought to this version's schema: {0}")]
    Failed(#[from] sqlx::migrate::MigrateError),
    #[error("the database cannot be reached: {0}")]
    Unreachable(#[from] sqlx::Error),
}

/// The numbers of the migrations that were applied; none where the schema was as it should be.
pub async fn run(owner: &PgPool) -> Result<Vec<i64>, MigrateError> {
    refuse_old_server(owner).await?;
    let before = applied(owner).await?;
    MIGRATIONS.run(owner).await.map_err(|error| match error {
        sqlx::migrate::MigrateError::VersionMissing(version) => MigrateError::Newer(version),
        sqlx::migrate::MigrateError::VersionMismatch(version) => MigrateError::Other(version),
        other => MigrateError::Failed(other),
    })?;
    let known = MIGRATIONS.iter().map(|migration| migration.version);
    Ok(known.filter(|version| !before.contains(version)).collect())
}

async fn refuse_old_server(owner: &PgPool) -> Result<(), MigrateError> {
    let least = super::embedded::LEAST_MAJOR;
    let number: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::int").fetch_one(owner).await?;
    if number / 10_000 >= i32::try_from(least).unwrap_or(i32::MAX) {
        return Ok(());
    }
    let found = sqlx::query_scalar("SELECT current_setting('server_version')").fetch_one(owner).await?;
    Err(MigrateError::TooOld { found, least })
}

async fn applied(owner: &PgPool) -> Result<Vec<i64>, MigrateError> {
    let table: Option<String> =
        sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations')::text").fetch_one(owner).await?;
    if table.is_none() {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(owner).await?)
}
