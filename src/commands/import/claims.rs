//! Ids that lines give to their commands (`command_id`). What a command creates takes its id, so two lines of a room cannot share
//! one. An id is claimed before its line is decided, and released if the line creates nothing.
//!
//! Without a `command_id`, the id derives from the import's name and the number of the line, and is unique.

use std::collections::HashMap;

use crate::events::log::import_support::GivenId;
use crate::events::log::{EventLog, LogError};

/// The reason for which a line is refused whose id is another's.
pub const COMMAND_ID_REUSED: &str = "command-id-reused";

/// What lines of one import have claimed and not yet made use of.
pub(super) struct IdClaims {
    log: EventLog,
    /// Of the import.
    name: String,
    held: HashMap<u64, GivenId>,
    unused: Vec<GivenId>,
}

impl IdClaims {
    pub fn new(log: EventLog, name: &str) -> Self {
        Self { log, name: name.into(), held: HashMap::new(), unused: Vec::new() }
    }

    /// Claims what these lines give. The lines whose id is another's, in order.
    pub async fn take(&mut self, given: Vec<GivenId>) -> Result<Vec<u64>, LogError> {
        if given.is_empty() {
            return Ok(Vec::new());
        }
        let mut taken = self.log.claim_ids(&self.name, &given).await?;
        taken.sort_unstable();
        let own = given.into_iter().filter(|given| taken.binary_search(&given.line).is_err());
        self.held.extend(own.map(|given| (given.line, given)));
        Ok(taken)
    }

    /// The line was decided for good: whether it wrote anything.
    pub fn resolve(&mut self, line: u64, wrote: bool) {
        let claim = self.held.remove(&line);
        self.unused.extend(claim.filter(|_| !wrote));
    }

    /// Gives up what was not made use of.
    pub async fn release(&mut self) -> Result<(), LogError> {
        if !self.unused.is_empty() {
            self.log.release_ids(&self.name, &self.unused).await?;
            self.unused.clear();
        }
        Ok(())
    }
}
