//! Facts that a rule needs besides the room, looked up before the command joins the queue. They may be old by the time of the
//! decision: names and keys are looked at once more inside the append.

use super::Request;
use crate::commands::context::{Facts, MessageFacts, Need};
use crate::events::envelope::{Position, RoomVersion};
use crate::events::ids::RoomId;
use crate::events::log::append::StoredOutcome;
use crate::events::log::{EventLog, LogError, RoomKey};
use crate::events::time::Timestamp;

/// Another room that may answer in the wanted one's place, and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Holder {
    pub room: RoomId,
    pub version: RoomVersion,
    pub position: Position,
    pub recorded_at: Timestamp,
}

/// What was looked up for one command.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    pub facts: Facts,
    pub holder: Option<Holder>,
}

pub async fn facts(log: &EventLog, requests: &[Request]) -> Result<Vec<Looked>, LogError> {
    let mut looked = Vec::with_capacity(requests.len());
    for request in requests {
        looked.push(match request.command.needs() {
            Need::Nothing => Looked::default(),
            Need::NameHolder(name) => name_holder(log, request, &name).await?,
            Need::Message(version) => message(log, &request.key(), version).await?,
        });
    }
    Ok(looked)
}

async fn name_holder(log: &EventLog, request: &Request, name: &str) -> Result<Looked, LogError> {
    let Some(room) = log.room_named(&request.caller.tenant, name).await? else {
        return Ok(Looked::default());
    };
    let key = RoomKey { tenant: request.caller.tenant.clone(), room };
    let head = log.room_head(&key).await?;
    let holder = head.map(|head| Holder {
        room,
        version: head.version,
        position: head.last_position,
        recorded_at: head.last_recorded_at,
    });
    Ok(Looked { facts: Facts { name_holder: Some(room), ..Facts::default() }, holder })
}

async fn message(log: &EventLog, key: &RoomKey, version: RoomVersion) -> Result<Looked, LogError> {
    let Some(before) = version.checked_sub(1) else {
        return Ok(Looked::default());
    };
    let found = log.read_room(key, before, None, 1).await?;
    let event = found.first().map(|envelope| envelope.event()).transpose()?;
    Ok(Looked { facts: Facts { message: event.as_ref().and_then(MessageFacts::of), ..Facts::default() }, holder: None })
}

/// The outcome under a request's key, if it has a key and the key an outcome.
pub async fn stored_outcome(log: &EventLog, request: &Request) -> Result<Option<StoredOutcome>, LogError> {
    match &request.idempotency {
        None => Ok(None),
        Some(idempotency) => log.outcome(&request.caller.tenant, &idempotency.key).await,
    }
}
