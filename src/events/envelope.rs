//! What the log keeps around an event. Every field is documented here, and nowhere else: the schemas, the API and the
//! topic take their words from these.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::value::RawValue;
use uuid::Uuid;

use super::room::{DecodeError, RoomEvent};
use super::sealed::Sealed;
use super::time::Timestamp;
use crate::ids::{Actor, CommandId, Position, RoomId, RoomVersion, SessionId, TenantId};

/// 32 bytes of SHA-256.
pub type Hash = [u8; 32];

/// A hash as it is shown: hexadecimal, in small letters.
pub fn digits(hash: &Hash) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(hash.iter()) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

/// An event as it lies in the log.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Place in the whole log: from 1, gapless, in commit order.
    pub position: Position,
    /// Whose room it is.
    pub tenant: TenantId,
    /// The room it happened in; [`RoomId::TENANT`] where it is of the tenant itself.
    pub room: RoomId,
    /// Place in the room: from 1, gapless.
    pub room_version: RoomVersion,
    /// Name of the event, `room.hand-raised`. Never changes its meaning.
    pub event_type: Cow<'static, str>,
    /// Version of the shape of `data`, from 1. As written; readers get the newest through [`Envelope::event`].
    pub type_version: u16,
    /// When the log took it. Never decreases as the position grows.
    pub recorded_at: Timestamp,
    /// When it happened, where that is not when it was recorded (history moved in).
    pub occurred_at: Option<Timestamp>,
    /// Who did it.
    pub actor: Actor,
    /// The actor's stay in the room, when the actor was in it.
    pub session: Option<SessionId>,
    /// The command that led to it; events of one command share it.
    pub command_id: CommandId,
    /// What made the caller send the command: the caller's id of an event or a command (`Convoke-Causation-Id`).
    pub causation_id: Option<Uuid>,
    /// What the command is part of, across services (`Convoke-Correlation-Id`).
    pub correlation_id: Option<Uuid>,
    /// W3C trace context of the request.
    pub traceparent: Option<Arc<str>>,
    /// What happened, without anything personal; the exact text that was hashed.
    pub data: Arc<RawValue>,
    /// The personal fields, encrypted under the person's key.
    pub sealed: Option<Sealed>,
    /// Binds this event to all before it in its room, and to its position and recorded time; see [`super::log::chain`].
    pub hash: Hash,
}

impl Envelope {
    /// When it happened: the occurred time, or else the recorded time.
    pub fn happened_at(&self) -> Timestamp {
        self.occurred_at.unwrap_or(self.recorded_at)
    }

    /// The event in its newest shape, brought up from the version it was written in.
    pub fn event(&self) -> Result<RoomEvent, UnreadableEvent> {
        RoomEvent::decode(&self.event_type, self.type_version, self.data.get()).map_err(|reason| UnreadableEvent {
            position: self.position,
            event_type: self.event_type.clone(),
            type_version: self.type_version,
            reason,
        })
    }
}

/// An event in the log that this program cannot read: written by a newer program, or damaged.
#[derive(Debug, thiserror::Error)]
#[error("event {event_type} v{type_version} at position {position} cannot be read: {reason}")]
pub struct UnreadableEvent {
    pub position: Position,
    pub event_type: Cow<'static, str>,
    pub type_version: u16,
    pub reason: DecodeError,
}
