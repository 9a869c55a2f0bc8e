//! What an executor is asked: a command with its caller, its ids and its idempotency key.

use std::sync::Arc;

use uuid::Uuid;

use crate::commands::context::Caller;
use crate::commands::room::RoomCommand;
use crate::events::envelope::Hash;
use crate::events::time::Timestamp;
use crate::ids::{Actor, CommandId, RoomId, RoomKey, RoomVersion};
use crate::security::grants::Grants;
use crate::security::random;

/// A command and all that is said around it.
#[derive(Clone, Debug)]
pub struct CommandRequest {
    pub caller: Arc<Caller>,
    pub room: RoomId,
    pub command: RoomCommand,
    pub command_id: CommandId,
    pub idempotency: Option<Idempotency>,
    /// Refuse unless the room is at this version (`If-Match`).
    pub expected_version: Option<RoomVersion>,
    pub causation_id: Option<Uuid>,
    pub correlation_id: Option<Uuid>,
    pub traceparent: Option<Arc<str>>,
    /// When it happened, for history moved in.
    pub occurred_at: Option<Timestamp>,
}

impl CommandRequest {
    /// What the program orders by itself, under the name of a part of it: everything is granted, nothing is repeated.
    pub fn by_system(name: &str, key: RoomKey, command: RoomCommand, now: Timestamp) -> Self {
        let actor = Actor::System(name.into());
        Self {
            caller: Arc::new(Caller { tenant: key.tenant, actor, grants: Grants::everything() }),
            room: key.room,
            command,
            command_id: CommandId::from_uuid(random::uuid_v7(now)),
            idempotency: None,
            expected_version: None,
            causation_id: None,
            correlation_id: None,
            traceparent: None,
            occurred_at: None,
        }
    }

    pub fn key(&self) -> RoomKey {
        RoomKey { tenant: self.caller.tenant.clone(), room: self.room }
    }
}

/// The caller's promise that requests under one key are one request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Idempotency {
    /// At most 255 characters.
    pub key: String,
    /// Of the whole request; another one under the same key is refused.
    pub fingerprint: Hash,
}
