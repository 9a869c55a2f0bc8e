//! Encodes new events for the log: JSON data, and sealed personal fields.

use serde_json::value::RawValue;

use super::erased::Erased;
use super::keys::BatchKeys;
use super::request::Request;
use crate::commands::context::Fact;
use crate::events::log::append::NewEvent;
use crate::events::sealed::Sealed;
use crate::ids::{Identity, RoomVersion, TenantId};
use crate::security::sealing::Place;

/// Personal parts cannot be sealed in this batch: somebody is erased by it, or the key of this person was not looked up.
pub struct NoKey(pub Option<(TenantId, Identity)>);

/// The facts that follow where the room stands at `version`. They get their sessions when the room has taken them in. What is
/// personal of somebody `erased` in this batch waits for the next, in which they have another key.
pub fn encode(
    version: RoomVersion,
    request: &Request,
    facts: &[Fact],
    keys: &mut BatchKeys,
    erased: &Erased,
) -> Result<Vec<NewEvent>, NoKey> {
    let mut events = Vec::with_capacity(facts.len());
    for (version, fact) in (version + 1..).zip(facts) {
        let sealed = seal(version, request, fact, keys, erased)?;
        let json = fact.event.to_json().expect("events are of strings, numbers and JSON that was parsed");
        let data = RawValue::from_string(json).expect("what serde_json wrote is JSON");
        events.push(NewEvent {
            event_type: fact.event.name(),
            type_version: fact.event.version(),
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
    request: &Request,
    fact: &Fact,
    keys: &mut BatchKeys,
    erased: &Erased,
) -> Result<Option<Sealed>, NoKey> {
    let Some(personal) = fact.personal.as_ref().filter(|personal| !personal.fields.is_empty()) else {
        return Ok(None);
    };
    if erased.before_now(&request.caller.tenant, &personal.subject) {
        return Err(NoKey(None));
    }
    let place = Place { tenant: &request.caller.tenant, room: request.room, room_version: version };
    match keys.seal(&place, personal) {
        Ok(sealed) => Ok(Some(sealed)),
        Err(missing) => Err(NoKey(Some((missing.tenant, missing.subject)))),
    }
}
