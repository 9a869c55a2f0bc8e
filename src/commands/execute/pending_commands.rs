//! Requests on their way through the queue and a batch, and how they end.

use std::sync::Arc;

use super::error::ExecuteError;
use super::lookup::LookupResult;
use super::request::CommandRequest;
use super::response::CommandOutcome;
use crate::ids::{Identity, RoomKey, TenantId};

/// Requests that are carried out together, and where their answer goes.
pub struct PendingCommands<T> {
    pub requests: Arc<[CommandRequest]>,
    pub lookups: Vec<LookupResult>,
    /// How often it met a conflict.
    pub attempts: u32,
    /// Whose keys it may need, as far as is known.
    pub persons: Vec<(TenantId, Identity)>,
    pub reply_to: T,
}

impl<T> PendingCommands<T> {
    pub fn new(requests: Arc<[CommandRequest]>, lookups: Vec<LookupResult>, attempts: u32, reply_to: T) -> Self {
        let persons = requests
            .iter()
            .filter_map(|request| {
                let subject = request.command.subject(&request.caller)?;
                Some((request.caller.tenant.clone(), subject.clone()))
            })
            .collect();
        Self { requests, lookups, attempts, persons, reply_to }
    }

    /// The rooms, each once.
    pub fn keys(&self) -> Vec<RoomKey> {
        let mut keys = Vec::with_capacity(1);
        for request in self.requests.iter() {
            let key = request.key();
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    /// Whether the room need not be looked for: the command creates it. If it is there after all, the append says so.
    pub fn presumes_absent(&self, key: &RoomKey) -> bool {
        let first = self.requests.iter().find(|request| request.room == key.room);
        self.attempts == 0 && first.is_some_and(|request| request.command.creates())
    }
}

/// How a submission ended.
#[derive(Debug)]
pub enum ExecutionResult {
    Done(Vec<CommandOutcome>),
    /// The request at `index` was not carried out, and so none of them.
    Failed {
        index: usize,
        error: ExecuteError,
    },
    /// What was looked up no longer holds: it is to be looked up and submitted again.
    StaleLookups,
}
