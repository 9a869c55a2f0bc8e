//! The live part: reads of rooms in use beside reads of nothing, what a second node shows and when, and what reads of rooms that
//! are not in memory do to commands.

mod client;
mod cold;
mod nodes;
mod reads;
mod storm;

use crate::fixture::{Failure, Postgres, Promise, Served, machine, tell};

/// Servers on one log have the same key, wherever their own files lie.
const MASTER_KEY: &str = "bench:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

pub async fn run() -> Result<Vec<Promise>, Failure> {
    let (reads, mut promises) = reads::run().await?;
    let (nodes, of_nodes) = nodes::run().await?;
    let (cold, of_cold) = cold::run().await?;
    promises.extend(of_nodes);
    promises.extend(of_cold);
    let text = format!(
        "## Rooms in use\n\n`cargo bench -- live`: {}. Client, servers, PostgreSQL and Redis share the machine.\n\n{reads}\n{nodes}\n{cold}",
        machine(),
    );
    tell("live", &text, &promises)?;
    Ok(promises)
}

/// One of several servers on a log, with a folder of its own.
async fn node(
    postgres: &Postgres,
    name: &str,
    settings: impl IntoIterator<Item = (&'static str, String)>,
) -> Result<Served, Failure> {
    let folder = postgres.folder.join(name);
    std::fs::create_dir_all(&folder)?;
    let mut all = vec![("CONVOKE_MASTER_KEYS", MASTER_KEY.to_owned())];
    all.extend(settings);
    Served::start_at(&postgres.url(), &folder, &all).await
}
