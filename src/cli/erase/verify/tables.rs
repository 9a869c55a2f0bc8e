//! Every table of the schema `convoke`, row by row: all columns that can hold text or bytes.

use anyhow::Context as _;
use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, PgPool, Row as _, ValueRef as _};
use tokio_util::sync::CancellationToken;

use super::search::TextSearch;
use crate::cli::progress::WorkProgress;
use crate::ids::{Identity, TenantId};

pub const UNIT: &str = "rows";

/// Rows between two looks at the progress and at whether to stop.
const STEP: u64 = 1_000;

/// A table and the statement that reads it: the place of the row, then its columns. Bytes come as they are, all else as text.
struct SearchedTable {
    name: String,
    columns: Vec<String>,
    statement: String,
    /// As PostgreSQL guesses.
    rows: u64,
}

/// Partitions are tables of their own. Numbers, times, flags and UUIDs hold no text; an enumeration only its own words.
const TABLES: &str = "
SELECT
    c.relname::text AS name,
    greatest(c.reltuples, 0)::bigint AS rows,
    array_agg(a.attname::text ORDER BY a.attnum) AS columns,
    format(
        'SELECT ctid::text, %s FROM ONLY convoke.%I',
        string_agg(
            format(CASE WHEN a.atttypid = 'bytea'::regtype THEN '%I' ELSE '%I::text' END, a.attname), ', '
            ORDER BY a.attnum),
        c.relname) AS statement
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relnamespace = 'convoke'::regnamespace
    AND c.relkind IN ('r', 'm')
    AND t.typcategory NOT IN ('N', 'B', 'D', 'T', 'E')
    AND t.oid <> 'uuid'::regtype
GROUP BY c.oid, c.relname, c.reltuples
ORDER BY c.relname";

/// `owner`: who may read every table, without a limit of time. `false`: told to stop.
pub async fn search(owner: &PgPool, search: &mut TextSearch, stop: &CancellationToken) -> anyhow::Result<bool> {
    let tables = tables(owner).await.context("the tables of the schema convoke cannot be listed")?;
    let mut progress = WorkProgress::new("tables", "rows", Some(tables.iter().map(|table| table.rows).sum()));
    for table in &tables {
        if !rows(owner, table, search, &mut progress, stop).await.with_context(|| table.name.clone())? {
            return Ok(false);
        }
    }
    progress.finish();
    Ok(true)
}

/// Whether anything that is sealed of the person can be opened.
pub async fn has_key(owner: &PgPool, tenant: &TenantId, identity: &Identity) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM convoke.person_keys WHERE tenant = $1 AND identity = $2)")
        .bind(tenant.as_str())
        .bind(identity.as_str())
        .fetch_one(owner)
        .await
}

async fn tables(owner: &PgPool) -> sqlx::Result<Vec<SearchedTable>> {
    let rows = sqlx::query(TABLES).fetch_all(owner).await?;
    let table = |row: &sqlx::postgres::PgRow| {
        Ok(SearchedTable {
            name: row.try_get("name")?,
            columns: row.try_get("columns")?,
            statement: row.try_get("statement")?,
            rows: u64::try_from(row.try_get::<i64, _>("rows")?).unwrap_or(0),
        })
    };
    rows.iter().map(table).collect()
}

/// Rows come while they are searched; no more of them are held than the connection's buffers do.
async fn rows(
    owner: &PgPool,
    table: &SearchedTable,
    search: &mut TextSearch,
    progress: &mut WorkProgress,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    let mut hunt = search.enter(format!("table {}", table.name), UNIT);
    let mut rows = sqlx::query(AssertSqlSafe(table.statement.as_str())).fetch(owner);
    while let Some(row) = rows.try_next().await? {
        hunt.count();
        for (index, column) in table.columns.iter().enumerate() {
            let value = row.try_get_raw(index + 1)?;
            if value.is_null() {
                continue;
            }
            let bytes = value.as_bytes().map_err(|error| anyhow::anyhow!("{column}: {error}"))?;
            hunt.look(bytes, || {
                let row = row.try_get::<String, _>(0).unwrap_or_else(|_| "?".into());
                format!("row {row}, column {column}")
            });
        }
        if hunt.place.searched.is_multiple_of(STEP) {
            progress.advance(STEP);
            if stop.is_cancelled() {
                return Ok(false);
            }
        }
    }
    progress.advance(hunt.place.searched % STEP);
    Ok(true)
}
