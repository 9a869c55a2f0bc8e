//! An event of the log, decoded for read models.

use crate::events::envelope::{Envelope, UnreadableEvent};
use crate::events::room::RoomEvent;
use crate::events::sealed::{Sealed, SealedAt};
use crate::events::time::Timestamp;
use crate::ids::{Position, RoomId, RoomVersion, TenantId};

/// An event of the log, in its newest shape, without what no read model keeps.
#[derive(Clone, Debug)]
pub struct DecodedEvent {
    pub position: Position,
    pub recorded_at: Timestamp,
    /// The occurred time, or else the recorded time.
    pub happened_at: Timestamp,
    pub tenant: TenantId,
    pub room: RoomId,
    pub room_version: RoomVersion,
    pub event: RoomEvent,
    pub sealed: Option<Sealed>,
}

impl DecodedEvent {
    pub fn of(envelope: &Envelope) -> Result<Self, UnreadableEvent> {
        Ok(Self {
            position: envelope.position,
            recorded_at: envelope.recorded_at,
            happened_at: envelope.happened_at(),
            tenant: envelope.tenant.clone(),
            room: envelope.room,
            room_version: envelope.room_version,
            event: envelope.event()?,
            sealed: envelope.sealed.clone(),
        })
    }

    /// The sealed part with the place it is bound to.
    pub fn sealed_at(&self) -> Option<SealedAt> {
        self.sealed.as_ref().map(|sealed| SealedAt { room_version: self.room_version, sealed: sealed.clone() })
    }
}
