//! Settings of the private server: durable, modest on a small machine, good for one busy log.

use std::path::Path;

use super::data_dir::DataDir;

const MIB: u64 = 1 << 20;

/// Full pages in the WAL are compressed by what costs little: `on` would be pglz, with which read models are rebuilt at two
/// thirds of the rate. A server that was built without lz4 leaves them as they are.
pub const CHEAP_COMPRESSION: &str = "wal_compression=lz4";

/// As `name=value`, given on the server's command line at each start, so that a newer version changes them by itself.
pub fn settings(place: &DataDir, socket_folder: &Path, memory: u64) -> Vec<String> {
    // Most of the memory is better left to the file cache, which holds the log's newest pages anyway.
    let shared_buffers = (memory / 16).clamp(64 * MIB, 1024 * MIB) / MIB;
    let maintenance = (memory / 64).clamp(32 * MIB, 256 * MIB) / MIB;
    let work = (memory / 1024).clamp(4 * MIB, 32 * MIB) / MIB;
    let fixed = [
        // What was answered is on disk.
        "fsync=on",
        "synchronous_commit=on",
        "full_page_writes=on",
        // Reached by its socket only.
        "listen_addresses=",
        "port=5432",
        "unix_socket_permissions=0700",
        "max_connections=100",
        // A long interval between checkpoints means fewer full pages in the WAL; 2 GiB bounds disk and recovery time.
        "wal_buffers=16MB",
        "checkpoint_timeout=15min",
        "checkpoint_completion_target=0.9",
        "max_wal_size=2GB",
        "min_wal_size=256MB",
        // The head rows change with every commit: they are cleaned early and often.
        "autovacuum_naptime=10s",
        "autovacuum_vacuum_cost_delay=1ms",
        // Statements are short and many; planning for JIT costs more than it gives. Disks are SSDs.
        "jit=off",
        "random_page_cost=1.1",
        "effective_io_concurrency=64",
        "timezone=UTC",
        "log_timezone=UTC",
        "lc_messages=C",
        // A week of logs, a file a day, each begun anew.
        "logging_collector=on",
        "log_filename=postgresql-%a.log",
        "log_rotation_age=1d",
        "log_rotation_size=0",
        "log_truncate_on_rotation=on",
        "log_checkpoints=off",
        "log_autovacuum_min_duration=-1",
        "log_line_prefix=%m [%p] %a ",
    ];
    let mut settings: Vec<String> = fixed.map(String::from).into();
    settings.extend([
        format!("unix_socket_directories={}", quoted(socket_folder)),
        format!("log_directory={}", place.logs().display()),
        format!("shared_buffers={shared_buffers}MB"),
        format!("effective_cache_size={}MB", (memory / 2).max(128 * MIB) / MIB),
        format!("maintenance_work_mem={maintenance}MB"),
        format!("work_mem={work}MB"),
    ]);
    settings
}

/// The setting is a list, separated by commas: a path that holds one must be quoted.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('"', "\"\""))
}

/// Bytes of memory of this machine; 1 GiB where that cannot be told.
pub fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.map_or(1024 * MIB, |kib| kib * 1024)
}
