//! Everything in Redis under the program's names, of whatever kind.

use std::time::Duration;

use anyhow::Context as _;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Value};
use tokio_util::sync::CancellationToken;

use super::search::{PlaceSearch, TextSearch};
use crate::cli::progress::WorkProgress;

/// What the program writes begins so.
const NAMES: &str = "convoke:*";
/// Keys looked at in one step of a `SCAN`.
const STEP: usize = 500;
const PATIENCE: Duration = Duration::from_secs(30);

/// `false`: told to stop.
pub async fn search(url: &str, search: &mut TextSearch, stop: &CancellationToken) -> anyhow::Result<bool> {
    let mut connection = connect(url).await.context("REDIS_URL")?;
    let mut hunt = search.enter("Redis", "keys");
    let mut progress = WorkProgress::new("Redis", "keys", None);
    let mut cursor = 0u64;
    loop {
        let mut scan = Cmd::new();
        scan.arg("SCAN").arg(cursor).arg("MATCH").arg(NAMES).arg("COUNT").arg(STEP);
        let (next, names): (u64, Vec<Vec<u8>>) = scan.query_async(&mut connection).await?;
        for name in names {
            look(&mut connection, &mut hunt, &name).await?;
            progress.advance(1);
        }
        if stop.is_cancelled() {
            return Ok(false);
        }
        if next == 0 {
            break;
        }
        cursor = next;
    }
    progress.finish();
    Ok(true)
}

async fn connect(url: &str) -> redis::RedisResult<MultiplexedConnection> {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
    Client::open(url)?.get_multiplexed_async_connection_with_config(&config).await
}

/// The name and what lies under it. A key that has gone meanwhile holds nothing.
async fn look(connection: &mut MultiplexedConnection, hunt: &mut PlaceSearch<'_>, name: &[u8]) -> anyhow::Result<()> {
    hunt.count();
    let shown = format!("key {}", hunt.shown(name));
    hunt.look(name, || format!("{shown}, its name"));
    let kind: String = ask(connection, &["TYPE"], name, &[]).await?;
    let value: Value = match kind.as_str() {
        "string" => ask(connection, &["GET"], name, &[]).await?,
        "list" => ask(connection, &["LRANGE"], name, &["0", "-1"]).await?,
        "set" => ask(connection, &["SMEMBERS"], name, &[]).await?,
        "zset" => ask(connection, &["ZRANGE"], name, &["0", "-1"]).await?,
        "hash" => ask(connection, &["HGETALL"], name, &[]).await?,
        "stream" => ask(connection, &["XRANGE"], name, &["-", "+"]).await?,
        "none" => return Ok(()),
        other => anyhow::bail!("{shown} is of a kind that is not known here: {other}"),
    };
    within(&value, &mut |bytes| hunt.look(bytes, || shown.clone()));
    Ok(())
}

async fn ask<T: FromRedisValue>(
    connection: &mut MultiplexedConnection,
    command: &[&str],
    name: &[u8],
    rest: &[&str],
) -> redis::RedisResult<T> {
    let mut asked = Cmd::new();
    asked.arg(command).arg(name).arg(rest);
    asked.query_async(connection).await
}

/// Every text in an answer.
fn within(value: &Value, look: &mut impl FnMut(&[u8])) {
    match value {
        Value::BulkString(bytes) => look(bytes),
        Value::SimpleString(text) => look(text.as_bytes()),
        Value::Array(values) | Value::Set(values) => values.iter().for_each(|value| within(value, look)),
        Value::Map(pairs) => pairs.iter().for_each(|(key, value)| {
            within(key, look);
            within(value, look);
        }),
        _ => {}
    }
}
