//! Benchmarks, each beside a peer or a limit measured in the same run. All of them, or those that are named:
//!
//! ```text
//! cargo bench
//! cargo bench -- commands
//! ```
//!
//! But for `growth` (`make bench-growth`) and `settings`, which take long, and `peers` (`make bench-peers`), which needs what others make. They
//! run only when they are named.
//!
//! Prints tables and writes them to `docs/benchmarks.md`; fails when a promise is not kept.

mod behind;
mod cache;
mod commands;
mod fixture;
mod growth;
mod import;
mod live;
mod load;
mod long_room;
mod peers;
mod rebuild;
mod relay;
mod settings;
mod streams;

use std::process::ExitCode;

use fixture::{Failure, Promise};

fn main() -> Result<ExitCode, Failure> {
    // `cargo bench` adds options of its own.
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|named| named == name);
    // For reqwest, which has no provider of cryptography of its own. An error: there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // One thread: the client is to take as little as it can of what it measures.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut promises: Vec<Promise> = Vec::new();
    if wanted("commands") {
        promises.extend(runtime.block_on(commands::run())?);
    }
    if wanted("import") {
        promises.extend(runtime.block_on(import::run())?);
    }
    if wanted("rebuild") {
        promises.extend(runtime.block_on(rebuild::run())?);
    }
    if wanted("relay") {
        promises.extend(runtime.block_on(relay::run())?);
    }
    if wanted("cache") {
        promises.extend(runtime.block_on(cache::run())?);
    }
    if wanted("long-room") {
        promises.extend(runtime.block_on(long_room::run())?);
    }
    if wanted("behind") {
        promises.extend(runtime.block_on(behind::run())?);
    }
    if wanted("streams") {
        promises.extend(runtime.block_on(streams::run())?);
    }
    if wanted("live") {
        promises.extend(runtime.block_on(live::run())?);
    }
    if named.iter().any(|named| named == "growth") {
        promises.extend(runtime.block_on(growth::run())?);
    }
    if named.iter().any(|named| named == "peers") {
        promises.extend(runtime.block_on(peers::run())?);
    }
    if let Some((_, settings)) = named.split_first().filter(|(first, _)| *first == "settings") {
        promises.extend(runtime.block_on(settings::run(settings))?);
    }
    let broken = promises.iter().filter(|promise| !promise.kept()).count();
    println!("{} promises kept, {broken} not", promises.len() - broken);
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
