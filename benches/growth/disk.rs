//! Whether the disk would hold what is to be filled.

use std::path::Path;

use crate::ground::Failure;

/// Of an event at most: the log and its indexes (430), the read models that a rebuild makes of it (120, twice while live rows
/// are there), its archives (130).
const BYTES_AN_EVENT: u64 = 800;
/// Of a server by itself, with the WAL that it may keep.
const BYTES_A_SERVER: u64 = 4 << 30;
/// Left for others.
const SPARE: u64 = 4 << 30;

/// An error says what is missing.
pub fn check(sizes: &[u64], folder: &Path) -> Result<(), Failure> {
    let disk = rustix::fs::statvfs(folder)?;
    let free = disk.f_bavail * disk.f_frsize;
    let needed = sizes.iter().map(|events| events * BYTES_AN_EVENT + BYTES_A_SERVER).sum::<u64>() + SPARE;
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    if needed <= free {
        eprintln!("{:.0} GiB of disk are needed at most, {:.0} are free", gib(needed), gib(free));
        return Ok(());
    }
    Err(format!(
        "{} events need {:.0} GiB of disk ({BYTES_AN_EVENT} bytes an event and {} GiB for each size), and {} has {:.0} GiB \
         free: make room, or ask for fewer with EVENTS=…",
        sizes.iter().map(u64::to_string).collect::<Vec<_>>().join(" and "),
        gib(needed),
        BYTES_A_SERVER >> 30,
        folder.display(),
        gib(free),
    )
    .into())
}
