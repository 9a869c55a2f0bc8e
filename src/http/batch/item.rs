//! One command of a list.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::commands::command::CommandSpec as _;
use crate::commands::context::Caller;
use crate::commands::execute::CommandRequest;
use crate::commands::fault::CommandFault;
use crate::commands::room::{CreateRoom, RoomCommand};
use crate::http::api::Api;
use crate::http::command_request;
use crate::http::problem::{Problem, ProblemCode};
use crate::http::request::headers::CommandHeaders;
use crate::http::request::idempotency::IdempotencyKey;
use crate::ids::{RoomId, RoomVersion};
use crate::json::whole_number::whole_or_null;
use crate::json::{self, CheckedJson, join};

/// What is said around all commands of a request.
pub struct BatchContext {
    pub caller: Arc<Caller>,
    pub headers: CommandHeaders,
    /// Short answers are preferred.
    pub minimal: bool,
}

/// A command to a room, or to the tenant itself.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CommandItem")]
pub struct CommandItem {
    /// The room it goes to; absent for `create-room`, which makes one, and for commands to the tenant.
    room: Option<RoomId>,
    /// Its name: `raise-hand`.
    command: String,
    /// Its body, as when it is sent by itself; absent: `{}`.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    data: Option<Box<RawValue>>,
    /// As `Idempotency-Key`, for this command.
    #[schemars(length(min = 1, max = 255))]
    idempotency_key: Option<String>,
    /// As `If-Match`: refused if the room has another version.
    #[serde(default, deserialize_with = "whole_or_null")]
    expected_version: Option<RoomVersion>,
    /// As `Convoke-Causation-Id`.
    causation_id: Option<Uuid>,
    /// As `Convoke-Correlation-Id`.
    correlation_id: Option<Uuid>,
}

/// A command of a list, ready to be executed.
pub struct BatchItem {
    pub request: CommandRequest,
}

impl BatchItem {
    /// Reads the command at `index`; `place` is where it lies in the body, for the names of fields at fault.
    pub fn read(
        api: &Api,
        context: &BatchContext,
        index: usize,
        text: CheckedJson<'_>,
        place: &str,
    ) -> Result<Self, Problem> {
        let item: CommandItem = read(text, place)?;
        let data = item.data.as_deref().map_or(CheckedJson::EMPTY_OBJECT, CheckedJson::part);
        let target = target(&item, data, place)?;
        let mut headers = context.headers.clone();
        headers.idempotency_key = key(item.idempotency_key, headers.idempotency_key, index, place)?;
        headers.causation_id = item.causation_id.or(headers.causation_id);
        headers.correlation_id = item.correlation_id.or(headers.correlation_id);
        let mut request = command_request::request(api, context.caller.clone(), target, headers);
        request.expected_version = item.expected_version;
        Ok(Self { request })
    }
}

/// The command and where it goes.
fn target(item: &CommandItem, data: CheckedJson<'_>, place: &str) -> Result<(Option<RoomId>, RoomCommand), Problem> {
    let faulty = |fault| Problem::from(fault).within(&join(place, "data"));
    match RoomCommand::parse_of_tenant_checked(&item.command, data) {
        Err(CommandFault::Unknown(_)) => {}
        command => {
            if item.room.is_some() {
                return Err(at_fault(&join(place, "room"), "is not allowed: the command is for the tenant itself"));
            }
            return Ok((Some(RoomId::TENANT), command.map_err(faulty)?));
        }
    }
    let command = RoomCommand::parse_checked(&item.command, data).map_err(faulty)?;
    let room = match (item.room, command.wanted_room()) {
        (None, None) if command.name() != CreateRoom::NAME => {
            let detail = "is missing: only create-room and commands to the tenant work without it";
            return Err(at_fault(&join(place, "room"), detail));
        }
        (room, wanted) => room.or(wanted),
    };
    Ok((room, command))
}

/// The command's own key, or its share of the request's.
fn key(
    own: Option<String>,
    of_request: Option<IdempotencyKey>,
    index: usize,
    place: &str,
) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(own) = own else { return Ok(of_request.map(|key| key.share(index))) };
    match IdempotencyKey::new(own) {
        Some(key) => Ok(Some(key)),
        None => Err(at_fault(&join(place, "idempotency_key"), "has to be 1 to 255 visible ASCII characters or spaces")),
    }
}

/// Reads what lies at `place` in a body that has been looked through.
pub fn read<T: DeserializeOwned>(text: CheckedJson<'_>, place: &str) -> Result<T, Problem> {
    json::read(text).map_err(|fault| at_fault(&join(place, &fault.field), &fault.detail))
}

fn at_fault(field: &str, detail: &str) -> Problem {
    let told = if field.is_empty() { detail.to_owned() } else { format!("{field}: {detail}") };
    Problem::new(ProblemCode::InvalidFields, told).with_error(field, detail)
}
