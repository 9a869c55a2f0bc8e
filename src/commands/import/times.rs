//! Partitions for the times at which imported events occurred.

use crate::commands::execute::PendingCommands;
use crate::config::PartitionUnit;
use crate::events::log::{EventLog, LogError};
use crate::events::time::Timestamp;

pub struct KnownPartitions {
    unit: PartitionUnit,
    /// Partitions that are known to be there; the one last asked for at the end.
    known: Vec<(Timestamp, Timestamp)>,
}

impl KnownPartitions {
    pub fn new(unit: PartitionUnit) -> Self {
        Self { unit, known: Vec::new() }
    }

    /// Makes what is missing for a batch that follows what was recorded `last`.
    pub async fn cover(
        &mut self,
        log: &EventLog,
        last: Option<Timestamp>,
        batch: &[PendingCommands<u64>],
    ) -> Result<(), LogError> {
        for at in batch.iter().filter_map(|submission| submission.requests[0].occurred_at) {
            let at = last.map_or(at, |last| at.max(last));
            if !self.known.iter().rev().any(|(from, to)| (*from..*to).contains(&at)) {
                self.known.push(log.partition_for(self.unit, at).await?);
            }
        }
        Ok(())
    }
}
