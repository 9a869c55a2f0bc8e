//! The chain of hashes. Each event of a room is bound to all before it in that room:
//!
//! ```text
//! chain(0) = 32 zero bytes
//! chain(n) = sha256(chain(n-1) ‖ fields of event n)
//! hash(n)  = sha256(chain(n) ‖ position ‖ recorded time)      the stored `hash`
//! ```
//!
//! Fields in the order of [`link`]; a text or bytes field is its length (u32, big-endian) and itself, an absent field is the
//! length `u32::MAX`, numbers are big-endian. Times are microseconds since the Unix epoch (i64), but for the
//! recorded time, which is as PostgreSQL sends it: microseconds since 2000. A batch is chained before its
//! place in the log is known, so position and recorded time join only in `hash`, which the append computes.

use sha2::{Digest, Sha256};

use crate::events::envelope::{Envelope, Hash};
use crate::events::time::Timestamp;
use crate::ids::{Actor, CommandId, Position, RoomKey, RoomVersion, SessionId};

/// 2000-01-01, in microseconds since the Unix epoch.
const YEAR_2000_MICROS: i64 = 946_684_800_000_000;

/// The chain of a room without events.
pub const START: Hash = [0; 32];

/// What of an event the chain holds.
pub struct ChainLink<'a> {
    pub key: &'a RoomKey,
    pub room_version: RoomVersion,
    pub event_type: &'a str,
    pub type_version: u16,
    pub happened_at: Timestamp,
    pub actor: &'a Actor,
    pub session: Option<SessionId>,
    pub command_id: CommandId,
    pub causation_id: Option<uuid::Uuid>,
    pub correlation_id: Option<uuid::Uuid>,
    pub traceparent: Option<&'a str>,
    pub data: &'a str,
    pub sealed: Option<&'a [u8]>,
}

fn bytes(hasher: &mut Sha256, field: Option<&[u8]>) {
    // Fields are bounded far below 4 GiB by the greatest event.
    let length = field.map_or(u32::MAX, |field| field.len() as u32);
    hasher.update(length.to_be_bytes());
    if let Some(field) = field {
        hasher.update(field);
    }
}

/// As it is written, without writing it.
fn actor(hasher: &mut Sha256, actor: &Actor) {
    let (kind, name) = actor.parts();
    hasher.update(((kind.len() + name.len()) as u32).to_be_bytes());
    hasher.update(kind);
    hasher.update(name);
}

/// The chain after one more event.
pub fn link(before: &Hash, event: &ChainLink<'_>) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(before);
    bytes(&mut hasher, Some(event.key.tenant.as_str().as_bytes()));
    hasher.update(event.key.room.uuid().as_bytes());
    hasher.update(event.room_version.to_be_bytes());
    bytes(&mut hasher, Some(event.event_type.as_bytes()));
    hasher.update(event.type_version.to_be_bytes());
    hasher.update(event.happened_at.unix_micros().to_be_bytes());
    actor(&mut hasher, event.actor);
    bytes(&mut hasher, event.session.map(SessionId::uuid).as_ref().map(|id| id.as_bytes().as_slice()));
    hasher.update(event.command_id.uuid().as_bytes());
    bytes(&mut hasher, event.causation_id.as_ref().map(|id| id.as_bytes().as_slice()));
    bytes(&mut hasher, event.correlation_id.as_ref().map(|id| id.as_bytes().as_slice()));
    bytes(&mut hasher, event.traceparent.map(str::as_bytes));
    bytes(&mut hasher, Some(event.data.as_bytes()));
    bytes(&mut hasher, event.sealed);
    hasher.finalize().into()
}

/// The chain after an event that lies in the log.
pub fn link_envelope(before: &Hash, event: &Envelope) -> Hash {
    let key = RoomKey { tenant: event.tenant.clone(), room: event.room };
    link(
        before,
        &ChainLink {
            key: &key,
            room_version: event.room_version,
            event_type: &event.event_type,
            type_version: event.type_version,
            happened_at: event.happened_at(),
            actor: &event.actor,
            session: event.session,
            command_id: event.command_id,
            causation_id: event.causation_id,
            correlation_id: event.correlation_id,
            traceparent: event.traceparent.as_deref(),
            data: event.data.get(),
            sealed: event.sealed.as_ref().map(|sealed| &*sealed.0),
        },
    )
}

/// The stored hash of an event.
pub fn seal(chain: &Hash, position: Position, recorded_at: Timestamp) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(chain);
    hasher.update(position.to_be_bytes());
    hasher.update((recorded_at.unix_micros() - YEAR_2000_MICROS).to_be_bytes());
    hasher.finalize().into()
}
