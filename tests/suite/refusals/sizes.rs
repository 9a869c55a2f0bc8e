//! How much there is of everything: rows and bytes of every table, entries of Redis and their bytes.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::Service;
use crate::harness::{Redis, eventually};

/// Rows, or entries, and bytes, by name.
pub type Sizes = BTreeMap<String, (i64, i64)>;

/// Of every table, with its indexes and what it keeps outside its rows; not the maps that a vacuum makes.
async fn of_tables(service: &Service) -> Sizes {
    let tables: Vec<(String, i64)> = sqlx::query_as(
        "SELECT c.relname::text,
            (SELECT coalesce(sum(pg_relation_size(r.oid)), 0)::bigint
             FROM pg_class r
             WHERE r.oid IN (c.oid, c.reltoastrelid)
                OR r.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid IN (c.oid, c.reltoastrelid)))
         FROM pg_class c
         WHERE c.relnamespace = 'convoke'::regnamespace AND c.relkind = 'r'",
    )
    .fetch_all(&service.db.owner)
    .await
    .unwrap();
    assert!(tables.len() > 50, "{}", tables.len());
    let mut sizes = Sizes::new();
    for (table, bytes) in tables {
        let count = format!("SELECT count(*) FROM convoke.{table}");
        let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&service.db.owner).await.unwrap();
        sizes.insert(table, (rows, bytes));
    }
    sizes
}

async fn of_redis(redis: &Redis) -> (i64, i64) {
    let keys = redis.keys().await;
    let mut bytes = 0;
    for key in &keys {
        let mut command = redis::cmd("MEMORY");
        command.arg("USAGE").arg(key);
        bytes += redis.ask::<Option<i64>>(command).await.unwrap_or(0);
    }
    (i64::try_from(keys.len()).unwrap(), bytes)
}

async fn now(service: &Service, redis: &Redis) -> Sizes {
    let mut sizes = of_tables(service).await;
    sizes.insert("Redis".into(), of_redis(redis).await);
    sizes
}

/// Once everything that was accepted is folded into the read models, and nothing changes any more.
pub async fn at_rest(service: &Service, redis: &Redis) -> Sizes {
    const PATIENCE: Duration = Duration::from_secs(120);
    eventually("every read model has all there is", PATIENCE, async || {
        let behind =
            "SELECT count(*) FROM convoke.projections WHERE position < (SELECT position FROM convoke.log_head)";
        let behind: i64 = sqlx::query_scalar(behind).fetch_one(&service.db.owner).await.unwrap();
        (behind == 0).then_some(())
    })
    .await;
    let mut last = Sizes::new();
    eventually("nothing changes any more", PATIENCE, async || {
        let sizes = now(service, redis).await;
        let rests = sizes == last;
        last = sizes.clone();
        rests.then_some(sizes)
    })
    .await
}

/// What there is more of.
pub fn grown(before: &Sizes, after: &Sizes) -> Vec<String> {
    let more = |name: &String| {
        let (was, is) = (before.get(name).copied().unwrap_or_default(), after[name]);
        (is.0 > was.0 || is.1 > was.1).then(|| format!("{name}: {was:?} rows and bytes, then {is:?}"))
    };
    after.keys().filter_map(more).collect()
}
