//! The bounds of an executor.

use crate::config::LogConfig;

/// How much an executor takes at a time, keeps and tries again.
#[derive(Clone, Copy, Debug)]
pub struct ExecutorLimits {
    /// Commands decided and committed together, at most.
    pub batch: usize,
    /// Commands that may wait; more are answered `ExecuteError::Busy`.
    pub queue: usize,
    /// How often a command is decided again after a conflict.
    pub conflict_retries: u32,
    /// Bytes that the states of rooms in memory may take.
    pub room_memory: usize,
    /// Events between snapshots of a room.
    pub snapshot_interval: u64,
}

impl ExecutorLimits {
    pub fn configured(config: &LogConfig) -> Self {
        Self {
            batch: config.append_batch,
            queue: config.append_queue,
            conflict_retries: config.conflict_retries,
            room_memory: config.room_memory,
            snapshot_interval: config.snapshot_interval,
        }
    }
}
