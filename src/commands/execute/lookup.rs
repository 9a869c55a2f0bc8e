//! Looks up data that a rule needs besides the room, before the command enters the queue. The data may be outdated at the
//! decision: the append checks names and keys again.

use std::collections::HashMap;

use super::request::CommandRequest;
use crate::commands::context::{ExternalData, Lookup, SentMessage};
use crate::events::log::append::StoredOutcome;
use crate::events::log::{EventLog, LogError};
use crate::events::time::Timestamp;
use crate::ids::{Position, RoomId, RoomKey, RoomVersion, TenantId};

/// Another room that may answer in the wanted one's place, and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct NameHolder {
    pub room: RoomId,
    pub version: RoomVersion,
    pub position: Position,
    pub recorded_at: Timestamp,
}

/// What was looked up for one command.
#[derive(Clone, Debug, Default)]
pub struct LookupResult {
    pub external: ExternalData,
    pub holder: Option<NameHolder>,
}

pub async fn look_up(log: &EventLog, requests: &[CommandRequest]) -> Result<Vec<LookupResult>, LogError> {
    let mut results = Vec::with_capacity(requests.len());
    for request in requests {
        results.push(match request.command.lookup() {
            Lookup::Nothing => LookupResult::default(),
            Lookup::NameHolder(name) => name_holder(log, request, &name).await?,
            Lookup::Message(version) => message(log, &request.key(), version).await?,
        });
    }
    Ok(results)
}

async fn name_holder(log: &EventLog, request: &CommandRequest, name: &str) -> Result<LookupResult, LogError> {
    let Some((room, head)) = log.room_named_and_head(&request.caller.tenant, name).await? else {
        return Ok(LookupResult::default());
    };
    let holder =
        NameHolder { room, version: head.version, position: head.last_position, recorded_at: head.last_recorded_at };
    Ok(LookupResult {
        external: ExternalData { name_holder: Some(room), ..ExternalData::default() },
        holder: Some(holder),
    })
}

async fn message(log: &EventLog, key: &RoomKey, version: RoomVersion) -> Result<LookupResult, LogError> {
    let Some(before) = version.checked_sub(1) else {
        return Ok(LookupResult::default());
    };
    let found = log.read_room(key, before, None, 1).await?;
    let event = found.first().map(|envelope| envelope.event()).transpose()?;
    Ok(LookupResult {
        external: ExternalData { message: event.as_ref().and_then(SentMessage::of), ..ExternalData::default() },
        holder: None,
    })
}

/// The outcome under the key of each request, where it has a key and the key an outcome.
pub async fn stored_outcomes(
    log: &EventLog,
    requests: &[CommandRequest],
) -> Result<Vec<Option<StoredOutcome>>, LogError> {
    let key = |request: &'_ CommandRequest| request.idempotency.as_ref().map(|given| given.key.clone());
    let keys: Vec<(&TenantId, String)> =
        requests.iter().filter_map(|request| Some((&request.caller.tenant, key(request)?))).collect();
    if keys.is_empty() {
        return Ok(vec![None; requests.len()]);
    }
    let asked: Vec<(&TenantId, &str)> = keys.iter().map(|(tenant, key)| (*tenant, key.as_str())).collect();
    let found = log.outcomes(&asked).await?;
    let mut found: HashMap<_, _> = found.into_iter().map(|(tenant, key, stored)| ((tenant, key), stored)).collect();
    Ok(requests.iter().map(|request| found.remove(&(request.caller.tenant.clone(), key(request)?))).collect())
}
