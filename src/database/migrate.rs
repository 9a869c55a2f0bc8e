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
    #[error("the database's schema is {pending} migrations behind this version; run `convoke migrate`")]
    Behind { pending: usize },
    #[error("PostgreSQL {found} is too old; {least} or newer is needed")]
    TooOld { found: String, least: u32 },
    #[error("the database could not be brought to this version's schema: {0}")]
    Failed(#[from] sqlx::migrate::MigrateError),
    #[error("the database refuses what the user of DATABASE_URL asks of it: {0}")]
    Refused(#[source] sqlx::Error),
    #[error("the database cannot be reached: {0}")]
    Unreachable(#[source] sqlx::Error),
}

impl From<sqlx::Error> for MigrateError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(_) => Self::Refused(error),
            error => Self::Unreachable(error),
        }
    }
}

/// Applies what is missing. Returns what was applied, as `number name`; nothing where the schema was as it should be.
pub async fn run(owner: &PgPool) -> Result<Vec<String>, MigrateError> {
    let pending = pending(owner).await?;
    // Also where nothing is pending: it refuses a database that a newer version has been at.
    MIGRATIONS.run(owner).await.map_err(|error| match error {
        sqlx::migrate::MigrateError::VersionMissing(version) => MigrateError::Newer(version),
        sqlx::migrate::MigrateError::VersionMismatch(version) => MigrateError::Other(version),
        other => MigrateError::Failed(other),
    })?;
    Ok(pending)
}

/// What [`run`] would apply.
pub async fn pending(owner: &PgPool) -> Result<Vec<String>, MigrateError> {
    refuse_old_server(owner).await?;
    let applied = applied(owner).await?;
    let missing = MIGRATIONS.iter().filter(|migration| !applied.contains(&migration.version));
    Ok(missing.map(|migration| format!("{:04} {}", migration.version, migration.description)).collect())
}

/// Refuses a database whose schema is older than this version's.
pub async fn check(owner: &PgPool) -> Result<(), MigrateError> {
    let pending = pending(owner).await?;
    if pending.is_empty() { Ok(()) } else { Err(MigrateError::Behind { pending: pending.len() }) }
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
        sqlx::query_scalar("SELECT to_regclass('public._sqlx_migrations')::text").fetch_one(owner).await?;
    if table.is_none() {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_scalar("SELECT version FROM public._sqlx_migrations WHERE success").fetch_all(owner).await?)
}
