//! A load on another event store: `convoke-peers STORE URL AT_ONCE POOL WARM_UP_SECONDS SECONDS`. Prints what came of it as JSON.
//!
//! The load is that of the commands benchmark: so many callers, each with eight rooms (streams) of its own, each with one append of one event
//! on its way at a time. Each append says which version of the stream it follows, as an event-sourced program does.

mod load;
mod message_db;
mod postgres_es;
mod umadb;

use std::time::Duration;

use load::{Failure, Load};

const USAGE: &str = "convoke-peers postgres-es|message-db|message-db-by-stream|umadb URL AT_ONCE POOL WARM_UP_SECONDS SECONDS";

/// One thread, as the client of the commands benchmark: a client is to take as little as it can of what it measures.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [store, url, at_once, pool, warm_up, measure] = &arguments[..] else { return Err(USAGE.into()) };
    let load = Load {
        at_once: at_once.parse()?,
        warm_up: Duration::from_secs(warm_up.parse()?),
        measure: Duration::from_secs(measure.parse()?),
    };
    let pool = pool.parse()?;
    let report = match store.as_str() {
        "postgres-es" => load.run(postgres_es::Store::connect(url, pool).await?).await?,
        "message-db" => load.run(message_db::Store::connect(url, pool, "-").await?).await?,
        // A category is what stands before the first dash; these have none, and so each stream is a category of its own.
        "message-db-by-stream" => load.run(message_db::Store::connect(url, pool, "").await?).await?,
        "umadb" => load.run(umadb::Store::connect(url, pool).await?).await?,
        _ => return Err(USAGE.into()),
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
