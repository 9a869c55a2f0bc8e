//! Encodes new events for the log: JSON data, and sealed personal fields.

use serde_json::value::RawValue;

use super::keys::BatchKeys;
use super::pending_erasures::PendingErasures;
use super::request::CommandRequest;
use crate::commands::context::NewEvent;
use crate::events::log::append::EventData;
use crate::events::sealed::Sealed;
use crate::ids::{Identity, RoomVersion, TenantId};
use crate::security::sealing::SealedPlace;

/// Personal parts cannot be sealed in this batch: somebody is erased by it, or the key of this person was not looked up.
pub struct CannotSeal(pub Option<(TenantId, Identity)>);

/// The new events, which follow `version` of the room. They get their sessions when the room has taken them in. What is
/// personal of somebody `erased` in this batch waits for the next, in which they have another key.
pub fn encode(
    version: RoomVersion,
    request: &CommandRequest,
    new_events: &[NewEvent],
    keys: &mut BatchKeys,
    erased: &PendingErasures,
) -> Result<Vec<EventData>, CannotSeal> {
    let mut events = Vec::with_capacity(new_events.len());
    for (version, new) in (version + 1..).zip(new_events) {
        let sealed = seal(version, request, new, keys, erased)?;
        let json = new.event.to_json().expect("events are of strings, numbers and JSON that was parsed");
        let data = RawValue::from_string(json).expect("what serde_json wrote is JSON");
        events.push(EventData {
            event_type: new.event.name(),
            type_version: new.event.version(),
            occurred_at: request.occurred_at,
            actor: request.caller.actor.clone(),
            session: None,
            command_id: request.command_id,
            causation_id: request.causation_id,
            correlation_id: request.correlation_id,
            traceparent: request.traceparent.clone(),
            data: data.into(),
            sealed,
        });
    }
    Ok(events)
}

fn seal(
    version: RoomVersion,
    request: &CommandRequest,
    new: &NewEvent,
    keys: &mut BatchKeys,
    erased: &PendingErasures,
) -> Result<Option<Sealed>, CannotSeal> {
    let Some(personal) = new.personal.as_ref().filter(|personal| !personal.fields.is_empty()) else {
        return Ok(None);
    };
    if erased.before_now(&request.caller.tenant, &personal.subject) {
        return Err(CannotSeal(None));
    }
    let place = SealedPlace { tenant: &request.caller.tenant, room: request.room, room_version: version };
    match keys.seal(&place, personal) {
        Ok(sealed) => Ok(Some(sealed)),
        Err(missing) => Err(CannotSeal(Some((missing.tenant, missing.subject)))),
    }
}
