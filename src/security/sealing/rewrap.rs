//! Rewraps all keys under a new master key. The log does not change.
//!
//! Each batch is independent, so the work can stop and start at any time, beside running servers. A row that changed since it was
//! read is left alone.

use sqlx::AssertSqlSafe;
use tokio_util::sync::CancellationToken;

use super::master::person_bound;
use super::{KeyError, Sealer};
use crate::ids::TenantId;
use crate::security::signing_keys::signing_bound;

/// Keys wrapped anew in one statement.
const BATCH: i64 = 2_000;

/// Servers that run with the old master key first go on making keys under it; after so many passes the rest is left.
const PASSES: usize = 3;

/// How far it has come, and at its end what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct RewrapProgress {
    /// Keys under other master keys than the newest when it began.
    pub total: u64,
    /// Keys wrapped anew.
    pub done: u64,
    /// Keys that do not unwrap: changed or damaged. They are left as they are.
    pub damaged: u64,
    /// Master keys that wrap nothing any more: they may leave the configuration.
    pub retired: Vec<String>,
    /// It was stopped before its end.
    pub stopped: bool,
}

/// Both tables of wrapped keys are alike, but for the names of their columns.
struct KeyTable {
    name: &'static str,
    key: &'static str,
    bound: fn(&WrappedKeyRow) -> Option<Vec<u8>>,
}

const TABLES: [KeyTable; 2] = [
    KeyTable {
        name: "convoke.person_keys",
        key: "key_id",
        bound: |row| Some(person_bound(&TenantId::new(&row.tenant).ok()?, row.key.parse().ok()?)),
    },
    KeyTable { name: "convoke.signing_keys", key: "kid", bound: |row| Some(signing_bound(&row.key, &row.tenant)) },
];

#[derive(sqlx::FromRow)]
struct WrappedKeyRow {
    key: String,
    tenant: String,
    master: String,
    wrapped: Vec<u8>,
}

impl Sealer {
    /// Wraps every key under the newest master key; `report` hears of the progress after each batch.
    pub async fn rewrap(
        &self,
        stop: &CancellationToken,
        mut report: impl FnMut(&RewrapProgress),
    ) -> Result<RewrapProgress, KeyError> {
        self.check_masters().await?;
        let mut rewrapped = RewrapProgress::default();
        for table in &TABLES {
            rewrapped.total += self.count_old(table).await?;
        }
        report(&rewrapped);
        for table in &TABLES {
            let damaged_elsewhere = rewrapped.damaged;
            for _ in 0..PASSES {
                let before = rewrapped.done;
                // Each pass meets the damaged ones again.
                rewrapped.damaged = damaged_elsewhere;
                self.pass(table, &mut rewrapped, stop, &mut report).await?;
                if rewrapped.stopped {
                    return Ok(rewrapped);
                }
                if rewrapped.done == before {
                    break;
                }
            }
        }
        rewrapped.retired = self.retire().await?;
        Ok(rewrapped)
    }

    async fn count_old(&self, table: &KeyTable) -> Result<u64, KeyError> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *transaction).await?;
        let statement = format!("SELECT count(*) FROM {} WHERE master <> $1", table.name);
        let (count,): (i64,) =
            sqlx::query_as(AssertSqlSafe(statement)).bind(self.masters.newest().0).fetch_one(&mut *transaction).await?;
        transaction.rollback().await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn pass(
        &self,
        table: &KeyTable,
        rewrapped: &mut RewrapProgress,
        stop: &CancellationToken,
        report: &mut impl FnMut(&RewrapProgress),
    ) -> Result<(), KeyError> {
        let mut after = None;
        loop {
            if stop.is_cancelled() {
                rewrapped.stopped = true;
                return Ok(());
            }
            let rows = self.old(table, after.as_deref()).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.key.clone());
            let (done, damaged) = self.wrap_anew(table, &rows).await?;
            rewrapped.done += done;
            rewrapped.damaged += damaged;
            report(rewrapped);
        }
    }

    async fn old(&self, table: &KeyTable, after: Option<&str>) -> Result<Vec<WrappedKeyRow>, KeyError> {
        let KeyTable { name, key, .. } = table;
        let kind = table.key_type();
        let statement = format!(
            "SELECT
                {key}::text AS key,
                tenant,
                master,
                wrapped
             FROM {name}
             WHERE master <> $1
                 AND ($2::text IS NULL OR {key} > $2::{kind})
             ORDER BY {name}.{key}
             LIMIT $3"
        );
        let rows = sqlx::query_as(AssertSqlSafe(statement))
            .bind(self.masters.newest().0)
            .bind(after)
            .bind(BATCH)
            .fetch_all(&self.pool)
            .await?;
        Ok(rows)
    }

    /// How many were wrapped anew, and how many do not unwrap.
    async fn wrap_anew(&self, table: &KeyTable, rows: &[WrappedKeyRow]) -> Result<(u64, u64), KeyError> {
        let (newest, wrapping) = self.masters.newest();
        let (mut keys, mut olds, mut news, mut damaged) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for row in rows {
            let master = self.masters.get(&row.master)?;
            let opened = (table.bound)(row).and_then(|bound| Some((master.open(&row.wrapped, &bound)?, bound)));
            let Some((plain, bound)) = opened else {
                tracing::error!(table = table.name, key = row.key, master = row.master, "unwrapping a key failed");
                damaged += 1;
                continue;
            };
            let mut wrapped = Vec::new();
            wrapping.seal_onto(&mut wrapped, &plain, &bound);
            keys.push(row.key.as_str());
            olds.push(row.wrapped.as_slice());
            news.push(wrapped);
        }
        let KeyTable { name, key, .. } = table;
        let kind = table.key_type();
        let statement = format!(
            "UPDATE {name} AS k
             SET master = $1,
                 wrapped = n.new
             FROM unnest($2::text[], $3::bytea[], $4::bytea[]) AS n (key, old, new)
             WHERE k.{key} = n.key::{kind}
                 AND k.wrapped = n.old"
        );
        let updated = sqlx::query(AssertSqlSafe(statement))
            .bind(newest)
            .bind(keys)
            .bind(olds)
            .bind(news)
            .execute(&self.pool)
            .await?;
        Ok((updated.rows_affected(), damaged))
    }

    /// Takes the master keys that wrap nothing any more off the list of those in use.
    async fn retire(&self) -> Result<Vec<String>, KeyError> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *transaction).await?;
        let retired: Vec<(String,)> = sqlx::query_as(
            "DELETE FROM convoke.master_keys m
             WHERE m.id <> $1
                 AND NOT EXISTS (SELECT FROM convoke.person_keys k WHERE k.master = m.id)
                 AND NOT EXISTS (SELECT FROM convoke.signing_keys k WHERE k.master = m.id)
             RETURNING m.id",
        )
        .bind(self.masters.newest().0)
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(retired.into_iter().map(|(id,)| id).collect())
    }
}

impl KeyTable {
    fn key_type(&self) -> &'static str {
        if self.key == "key_id" { "uuid" } else { "text" }
    }
}
