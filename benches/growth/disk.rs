//! Whether the disk would hold what is to be filled.

use std::path::Path;

use super::LONG;
use crate::fixture::Failure;

/// Of an event at most: the log and its indexes.
const LOG: u64 = 430;
/// Of an event at most: the read models that a rebuild makes of it, and what the sorting of their indexes takes. Archives take
/// less than the partitions that they free.
const MODELS: u64 = 300;
/// Read models are there twice where a log is rebuilt again.
const AGAIN: u64 = 240;
/// Of a server by itself, before a rebuild, and with the WAL that comes with one.
const SERVER: u64 = 1 << 30;
const REBUILT: u64 = 4 << 30;
/// Left for others.
const SPARE: u64 = 2 << 30;

/// What is needed at most. All logs are there at first; then each, the smallest first, is rebuilt and archived, and goes.
fn needed(sizes: &[u64]) -> u64 {
    let stage = |from: usize| {
        let logs = sizes[from..].iter().map(|events| events * LOG + SERVER).sum::<u64>();
        let again = if sizes[from] > LONG { 0 } else { AGAIN };
        logs + sizes[from] * (MODELS + again) + REBUILT
    };
    (0..sizes.len()).map(stage).max().unwrap_or_default() + SPARE
}

/// An error says what is missing.
pub fn check(sizes: &[u64], folder: &Path) -> Result<(), Failure> {
    let disk = rustix::fs::statvfs(folder)?;
    let free = disk.f_bavail * disk.f_frsize;
    let needed = needed(sizes);
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    if needed <= free {
        eprintln!("{:.0} GiB of disk are needed at most, {:.0} are free", gib(needed), gib(free));
        return Ok(());
    }
    Err(format!(
        "{} events need {:.0} GiB of disk, and {} has {:.0} GiB free: make room, or ask for fewer with EVENTS=…",
        sizes.iter().map(u64::to_string).collect::<Vec<_>>().join(" and "),
        gib(needed),
        folder.display(),
        gib(free),
    )
    .into())
}
