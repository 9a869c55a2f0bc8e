//! One command of a list.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::commands::command::Command as _;
use crate::commands::context::Caller;
use crate::commands::execute::Request;
use crate::commands::fault::CommandFault;
use crate::commands::room::{CreateRoom, RoomCommand};
use crate::events::envelope::RoomVersion;
use crate::events::ids::RoomId;
use crate::http::api::Api;
use crate::http::command_request;
use crate::http::commands_of_tenant;
use crate::http::problem::{Problem, ProblemCode};
use crate::http::request::headers::CommandHeaders;
use crate::http::request::idempotency::MAX_KEY;

/// What is said around all commands of a request.
pub struct Around {
    pub caller: Arc<Caller>,
    pub headers: CommandHeaders,
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
    expected_version: Option<RoomVersion>,
    /// As `Convoke-Causation-Id`.
    causation_id: Option<Uuid>,
    /// As `Convoke-Correlation-Id`.
    correlation_id: Option<Uuid>,
}

/// A command of a list, ready to be executed.
pub struct Item {
    pub request: Request,
}

impl Item {
    /// Reads the command at `index`; `place` is where it lies in the body, for the names of fields at fault.
    pub fn read(api: &Api, around: &Around, index: usize, text: &str, place: &str) -> Result<Self, Problem> {
        let item: CommandItem = read(text.as_bytes(), place)?;
        let data = item.data.as_ref().map_or("{}", |data| data.get());
        let (target, path) = target(&item, data.as_bytes(), place)?;
        let mut headers = around.headers.clone();
        headers.idempotency_key = key(item.idempotency_key, headers.idempotency_key, index, place)?;
        headers.causation_id = item.causation_id.or(headers.causation_id);
        headers.correlation_id = item.correlation_id.or(headers.correlation_id);
        let body = (path.as_str(), data.as_bytes());
        let mut request = command_request::request(api, around.caller.clone(), target, headers, body);
        request.expected_version = item.expected_version;
        Ok(Self { request })
    }
}

/// The command and where it goes, with the path at which it would be sent by itself.
fn target(item: &CommandItem, data: &[u8], place: &str) -> Result<((Option<RoomId>, RoomCommand), String), Problem> {
    let faulty = |fault| Problem::from(fault).within(&join(place, "data"));
    match RoomCommand::parse_of_tenant(&item.command, data) {
        Err(CommandFault::Unknown(_)) => {}
        command => {
            if item.room.is_some() {
                return Err(at_fault(&join(place, "room"), "is not taken: the command is to the tenant itself"));
            }
            let path = commands_of_tenant::path(&item.command);
            return Ok(((Some(RoomId::TENANT), command.map_err(faulty)?), path));
        }
    }
    let command = RoomCommand::parse(&item.command, data).map_err(faulty)?;
    let room = match (item.room, command.wanted_room()) {
        (None, None) if command.name() != CreateRoom::NAME => {
            let detail = "is missing: only create-room and commands to the tenant go without";
            return Err(at_fault(&join(place, "room"), detail));
        }
        (room, wanted) => room.or(wanted),
    };
    let path = match item.room {
        Some(room) => format!("/v1/rooms/{room}/commands/{}", item.command),
        None => "/v1/rooms".to_owned(),
    };
    Ok(((room, command), path))
}

/// The command's own key, or its share of the request's.
fn key(own: Option<String>, of_request: Option<String>, index: usize, place: &str) -> Result<Option<String>, Problem> {
    let key = own.or_else(|| of_request.map(|key| format!("{key}#{index}")));
    match &key {
        Some(key) if !(1..=MAX_KEY).contains(&key.len()) || !key.bytes().all(|b| (b' '..=b'~').contains(&b)) => {
            Err(at_fault(&join(place, "idempotency_key"), "has to be 1 to 255 visible ASCII characters or spaces"))
        }
        _ => Ok(key),
    }
}

/// Reads what has been looked through already.
pub fn read<T: DeserializeOwned>(text: &[u8], place: &str) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let detail = error.inner().to_string();
        // A field that is not there has no path: serde names it in backticks.
        let missing = detail.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
        let path = if path == "." { missing.unwrap_or_default() } else { &path };
        let field = if path.is_empty() { place.to_owned() } else { join(place, path) };
        at_fault(&field, &detail)
    })
}

fn join(place: &str, field: &str) -> String {
    if place.is_empty() { field.to_owned() } else { format!("{place}.{field}") }
}

fn at_fault(field: &str, detail: &str) -> Problem {
    Problem::new(ProblemCode::InvalidFields, format!("{field}: {detail}")).with_error(field, detail)
}
