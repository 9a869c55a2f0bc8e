//! A line of an import: a command and its metadata. `docs/import.md` documents the format.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::blocks::{LONGEST_LINE, RawLine};
use super::source::BYTE_ORDER_MARK;
use super::tally::NamedCommand;
use crate::commands::context::Caller;
use crate::commands::execute::{CommandRequest, Idempotency};
use crate::commands::fault::CommandFault;
use crate::commands::fingerprint;
use crate::commands::room::RoomCommand;
use crate::events::envelope::Hash;
use crate::events::time::{Clock, Timestamp};
use crate::ids::{Actor, CommandId, RoomId, TenantId};
use crate::json::{self, BadJson, CheckedJson, FieldFault};
use crate::security::grants::Grants;

/// Reasons for which a line is refused before any rule is asked. Those of rules are [`crate::commands::refusal::RefusalCode`].
pub const LINE_TOO_LONG: &str = "line-too-long";
pub const INVALID_JSON: &str = "invalid-json";
pub const INVALID_FIELDS: &str = "invalid-fields";
pub const UNKNOWN_COMMAND: &str = "unknown-command";
pub const OCCURRED_IN_FUTURE: &str = "occurred-in-future";
pub const OCCURRED_BEFORE_1970: &str = "occurred-before-1970";

/// Who did it, where a line does not say.
const DEFAULT_ACTOR: &str = "key:import";
/// Characters of a room's key, an actor's key and an idempotency key.
const MAX_ROOM_KEY: usize = 128;
const MAX_ACTOR_KEY: usize = 128;
const MAX_IDEMPOTENCY_KEY: usize = 255;
/// Callers that are kept; when there are more, they are made anew.
const CALLERS: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LineFields<'a> {
    occurred_at: Timestamp,
    #[serde(borrow, default)]
    tenant: Option<Cow<'a, str>>,
    #[serde(borrow)]
    room: Cow<'a, str>,
    #[serde(borrow, default)]
    actor: Option<Cow<'a, str>>,
    #[serde(borrow)]
    command: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    command_id: Option<CommandId>,
    #[serde(borrow, default)]
    idempotency_key: Option<Cow<'a, str>>,
    #[serde(default)]
    causation_id: Option<Uuid>,
    #[serde(default)]
    correlation_id: Option<Uuid>,
}

/// What a line is.
#[derive(Debug)]
pub enum ImportLine {
    /// One, as a writer takes it.
    Command {
        requests: Arc<[CommandRequest]>,
        /// The line gives the command its id.
        named: bool,
    },
    /// Nothing but white space.
    Blank,
    Refused(LineFault),
}

impl ImportLine {
    pub fn command(&self) -> NamedCommand {
        match self {
            Self::Command { requests, .. } => Some(Cow::Borrowed(requests[0].command.name())),
            Self::Refused(fault) => fault.command.clone().map(Cow::Owned),
            Self::Blank => None,
        }
    }
}

/// Why a line is no command.
#[derive(Debug, PartialEq, Eq)]
pub struct LineFault {
    pub reason: &'static str,
    pub detail: String,
    /// That the line names, where it is one that there is.
    pub command: Option<String>,
}

fn fault(reason: &'static str, detail: impl Into<String>) -> LineFault {
    LineFault { reason, detail: detail.into(), command: None }
}

fn field(name: &str, detail: impl std::fmt::Display) -> LineFault {
    fault(INVALID_FIELDS, format!("{name}: {detail}"))
}

/// Reads lines of one import.
#[derive(Clone)]
pub struct LineReader {
    /// Of lines that name none.
    tenant: Option<TenantId>,
    /// The name of the import, hashed: lines get ids by it.
    seed: Hash,
    clock: Clock,
    recorded_as_occurred: bool,
    callers: HashMap<String, Arc<Caller>>,
    /// The key of a caller, as it is put together.
    wanted: String,
}

impl LineReader {
    pub fn new(name: &str, tenant: Option<TenantId>, clock: Clock) -> Self {
        let seed = Sha256::new().chain_update("convoke import 1").chain_update(name).finalize().into();
        let (callers, wanted) = (HashMap::new(), String::new());
        Self { tenant, seed, clock, recorded_as_occurred: false, callers, wanted }
    }

    /// Of lines whose events are to be recorded at the times at which they occurred.
    pub fn recording_as_occurred(self, recorded_as_occurred: bool) -> Self {
        Self { recorded_as_occurred, ..self }
    }

    pub fn read(&mut self, number: u64, raw: RawLine<'_>) -> ImportLine {
        let text = match raw {
            // Files that were laid end to end have their marks in the middle.
            RawLine::Line(text) => text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim_ascii(),
            RawLine::TooLong => {
                return ImportLine::Refused(fault(LINE_TOO_LONG, format!("a line has at most {LONGEST_LINE} bytes")));
            }
        };
        if text.is_empty() {
            return ImportLine::Blank;
        }
        match self.command(number, text) {
            Ok((request, named)) => ImportLine::Command { requests: Arc::from([request]), named },
            Err(fault) => ImportLine::Refused(fault),
        }
    }

    /// And whether the line gives the command its id.
    fn command(&mut self, number: u64, text: &[u8]) -> Result<(CommandRequest, bool), LineFault> {
        let fields: LineFields<'_> = json::read(json::check(text)?)?;
        let occurred_at = fields.occurred_at;
        if occurred_at > self.clock.now() {
            return Err(fault(
                OCCURRED_IN_FUTURE,
                format!("it is to have occurred at {occurred_at}, which is to come"),
            ));
        }
        if self.recorded_as_occurred && occurred_at < Timestamp::EPOCH {
            let detail = format!(
                "it occurred at {occurred_at}, and recorded times begin with 1970: import it without --recorded-as-occurred"
            );
            return Err(fault(OCCURRED_BEFORE_1970, detail));
        }
        let caller = self.caller(fields.tenant.as_deref(), fields.actor.as_deref().unwrap_or(DEFAULT_ACTOR))?;
        let room = room(&caller.tenant, &fields.room)?;
        let body = fields.data.map_or(CheckedJson::EMPTY_OBJECT, CheckedJson::part);
        let command =
            RoomCommand::parse_checked(&fields.command, body).map_err(|fault| refused(&fault, &fields.command))?;
        let idempotency = fields.idempotency_key.as_deref().map(|key| idempotency(key, room, &command));
        let idempotency = idempotency
            .transpose()
            .map_err(|fault| LineFault { command: Some(fields.command.to_string()), ..fault })?;
        let request = CommandRequest {
            caller,
            room,
            command,
            command_id: fields.command_id.unwrap_or_else(|| self.command_id(number, occurred_at)),
            idempotency,
            expected_version: None,
            causation_id: fields.causation_id,
            correlation_id: fields.correlation_id,
            traceparent: None,
            occurred_at: Some(occurred_at),
        };
        Ok((request, fields.command_id.is_some()))
    }

    /// Whoever moves history in may do all: what is judged is what the rooms were at the time.
    fn caller(&mut self, tenant: Option<&str>, actor: &str) -> Result<Arc<Caller>, LineFault> {
        let tenant = match (tenant, &self.tenant) {
            (Some(named), Some(usual)) if named == usual.as_str() => usual.clone(),
            (Some(named), _) => TenantId::new(named).map_err(|bad| field("tenant", bad))?,
            (None, Some(usual)) => usual.clone(),
            (None, None) => return Err(field("tenant", "is missing, and the import was given none")),
        };
        self.wanted.clear();
        self.wanted.extend([tenant.as_str(), " ", actor]);
        if let Some(caller) = self.callers.get(&self.wanted) {
            return Ok(caller.clone());
        }
        let caller = Arc::new(Caller { tenant, actor: read_actor(actor)?, grants: Grants::everything() });
        if self.callers.len() >= CALLERS {
            self.callers.clear();
        }
        self.callers.insert(self.wanted.clone(), caller.clone());
        Ok(caller)
    }

    /// The same at each attempt to import the line, so that what it made is named alike.
    fn command_id(&self, number: u64, occurred_at: Timestamp) -> CommandId {
        let hash: Hash = Sha256::new().chain_update(self.seed).chain_update(number.to_be_bytes()).finalize().into();
        CommandId::from_uuid(uuid_v7(occurred_at.unix_micros() / 1000, &hash))
    }
}

fn uuid_v7(millis: i64, hash: &Hash) -> Uuid {
    let mut random = [0; 10];
    random.copy_from_slice(&hash[..10]);
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(millis).unwrap_or(0), &random).into_uuid()
}

/// The room of an id, or of a key: the same key is the same room of a tenant in every import, for ever. Its id bears no time:
/// whichever event comes first, the room is not younger than its id says.
fn room(tenant: &TenantId, text: &str) -> Result<RoomId, LineFault> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    if !(1..=MAX_ROOM_KEY).contains(&text.chars().count()) {
        return Err(field("room", format!("is a UUID of version 7 or a key of 1 to {MAX_ROOM_KEY} characters")));
    }
    let hasher = Sha256::new().chain_update("convoke room key 1\0").chain_update(tenant.as_str()).chain_update("\0");
    Ok(RoomId::from_uuid(uuid_v7(0, &hasher.chain_update(text).finalize().into())))
}

fn read_actor(text: &str) -> Result<Actor, LineFault> {
    let actor: Actor = text.parse().map_err(|bad| field("actor", bad))?;
    let fits = |key: &str| key.chars().count() <= MAX_ACTOR_KEY && !key.chars().any(char::is_control);
    match &actor {
        Actor::Person(_) => Ok(actor),
        Actor::Key(key) if fits(key) => Ok(actor),
        Actor::Key(_) => Err(field(
            "actor",
            format!("a key has at most {MAX_ACTOR_KEY} characters, none of them a control character"),
        )),
        Actor::System(_) => Err(field("actor", "is user:IDENTITY or key:KEY; the system acts by itself")),
    }
}

fn idempotency(key: &str, room: RoomId, command: &RoomCommand) -> Result<Idempotency, LineFault> {
    let fits = (1..=MAX_IDEMPOTENCY_KEY).contains(&key.chars().count()) && !key.chars().any(char::is_control);
    if !fits {
        let detail = format!("has 1 to {MAX_IDEMPOTENCY_KEY} characters, none of them a control character");
        return Err(field("idempotency_key", detail));
    }
    Ok(Idempotency { key: format!("import {key}"), fingerprint: fingerprint::of(Some(room), command) })
}

fn refused(command: &CommandFault, name: &str) -> LineFault {
    let known = Some(name.to_owned());
    match command {
        CommandFault::Unknown(_) => fault(UNKNOWN_COMMAND, command.to_string()),
        CommandFault::NotJson { .. } => LineFault { command: known, ..fault(INVALID_JSON, command.to_string()) },
        CommandFault::Fields(_) => LineFault { command: known, ..fault(INVALID_FIELDS, format!("data: {command}")) },
    }
}

impl From<BadJson> for LineFault {
    fn from(bad: BadJson) -> Self {
        if bad.well_formed {
            FieldFault { field: bad.field, detail: bad.detail }.into()
        } else {
            // Lines have no lines in them: the column says where.
            fault(INVALID_JSON, bad.detail.replace(" at line 1 column ", " at column "))
        }
    }
}

impl From<FieldFault> for LineFault {
    fn from(FieldFault { field: name, detail }: FieldFault) -> Self {
        if name.is_empty() { fault(INVALID_FIELDS, detail) } else { field(&name, detail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader() -> LineReader {
        LineReader::new("test", Some(TenantId::new("acme").unwrap()), Clock::system())
    }

    fn read(text: &str) -> ImportLine {
        reader().read(1, RawLine::Line(text.as_bytes()))
    }

    fn taken(text: &str) -> CommandRequest {
        match read(text) {
            ImportLine::Command { requests, .. } => requests[0].clone(),
            other => panic!("not taken: {other:?}"),
        }
    }

    fn reason(text: &str) -> (&'static str, String) {
        match read(text) {
            ImportLine::Refused(fault) => (fault.reason, fault.detail),
            other => panic!("not refused: {other:?}"),
        }
    }

    fn with(more: &str) -> String {
        format!(r#"{{"occurred_at": "2012-01-01T00:00:00Z", "room": "lobby", "command": "lock-room"{more}}}"#)
    }

    #[test]
    fn a_line_is_a_command_that_somebody_gave_at_a_time() {
        let request = taken(&with(r#", "actor": "user:ann", "tenant": "other""#));
        assert_eq!(request.command.name(), "lock-room");
        assert_eq!(request.caller.actor.to_string(), "user:ann");
        assert_eq!(request.caller.tenant.as_str(), "other");
        assert_eq!(request.occurred_at.unwrap().to_string(), "2012-01-01T00:00:00.000000Z");
        let request = taken(&with(""));
        assert_eq!((request.caller.actor.to_string().as_str(), request.caller.tenant.as_str()), ("key:import", "acme"));
    }

    #[test]
    fn a_key_is_one_room_of_a_tenant_and_an_id_is_that_room() {
        let other_time = r#"{"occurred_at": "2013-01-01T00:00:00Z", "room": "lobby", "command": "lock-room"}"#;
        assert_eq!(taken(&with("")).room, taken(other_time).room);
        assert_ne!(taken(&with("")).room, taken(&with(r#", "tenant": "other""#)).room);
        assert_eq!(taken(&with("")).room.uuid().get_version_num(), 7);
        let id = "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11";
        assert_eq!(taken(&with("").replace("lobby", id)).room.to_string(), id);
    }

    #[test]
    fn a_line_is_named_alike_at_every_attempt_and_no_two_lines_are() {
        let id = |number: u64| match reader().read(number, RawLine::Line(with("").as_bytes())) {
            ImportLine::Command { requests, named: false } => requests[0].command_id.uuid(),
            other => panic!("not taken: {other:?}"),
        };
        assert_eq!(id(1), id(1));
        assert_ne!(id(1), id(2));
        assert_eq!((id(1).get_version_num(), id(1).get_variant()), (7, uuid::Variant::RFC4122));
        let own = r#", "command_id": "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11""#;
        assert_eq!(taken(&with(own)).command_id.to_string(), "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11");
        assert!(matches!(read(&with(own)), ImportLine::Command { named: true, .. }));
    }

    #[test]
    fn white_space_is_no_line() {
        assert!(matches!(read(" \t\r"), ImportLine::Blank));
        taken(&format!(" {}\r", with("")));
    }

    #[test]
    fn what_is_no_command_is_refused_with_its_reason() {
        let long = "x".repeat(129);
        for (expected, text) in [
            (INVALID_JSON, "{".to_owned()),
            (INVALID_JSON, "nonsense".into()),
            (INVALID_JSON, with("}")),
            (INVALID_FIELDS, "[1]".into()),
            (INVALID_FIELDS, "{}".into()),
            (INVALID_FIELDS, with(r#", "sender": "ann""#)),
            (INVALID_FIELDS, with("").replace("2012-01-01T00:00:00Z", "yesterday")),
            (INVALID_FIELDS, with("").replace("lobby", "")),
            (INVALID_FIELDS, with("").replace("lobby", &long)),
            (INVALID_FIELDS, with(r#", "tenant": "Acme""#)),
            (INVALID_FIELDS, with(r#", "actor": "ann""#)),
            (INVALID_FIELDS, with(r#", "actor": "system:deadlines""#)),
            (INVALID_FIELDS, with(r#", "actor": "key:a\u0000b""#)),
            (INVALID_FIELDS, with(r#", "idempotency_key": """#)),
            (INVALID_FIELDS, with(r#", "command_id": "6ba7b810-9dad-11d1-80b4-00c04fd430c8""#)),
            (INVALID_FIELDS, with(r#", "data": {"colour": 1}"#)),
            (INVALID_JSON, with(r#", "data": "a\ud800b""#)),
            (INVALID_FIELDS, with(r#", "room": "other""#)),
            (INVALID_FIELDS, with(r#", "data": {"colour": {"a": 1, "\u0061": 2}}"#)),
            (INVALID_FIELDS, with(&format!(r#", "data": {}{}"#, "[".repeat(90), "]".repeat(90)))),
            (INVALID_FIELDS, with(r#", "data": {"a": 1e999}"#)),
            (UNKNOWN_COMMAND, with("").replace("lock-room", "fly")),
            (OCCURRED_IN_FUTURE, with("").replace("2012", "9012")),
        ] {
            let (found, detail) = reason(&text);
            assert_eq!(found, expected, "{text}: {detail}");
        }
        let bad = reader().read(1, RawLine::Line(b"{\"room\": \"\xff\"}"));
        assert!(matches!(bad, ImportLine::Refused(LineFault { reason: INVALID_JSON, .. })), "{bad:?}");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_line() {
        taken(&format!("\u{feff}{}", with("")));
        assert!(matches!(read("\u{feff}"), ImportLine::Blank));
    }

    #[test]
    fn a_time_before_1970_is_taken_where_it_need_not_be_the_recorded_one() {
        let text = with("").replace("2012", "1899");
        assert_eq!(taken(&text).occurred_at.unwrap().to_string(), "1899-01-01T00:00:00.000000Z");
        let mut recording = reader().recording_as_occurred(true);
        let refused = recording.read(1, RawLine::Line(text.as_bytes()));
        assert!(matches!(refused, ImportLine::Refused(LineFault { reason: OCCURRED_BEFORE_1970, .. })), "{refused:?}");
        let first = with("").replace("2012", "1970");
        assert!(matches!(recording.read(1, RawLine::Line(first.as_bytes())), ImportLine::Command { .. }));
    }

    #[test]
    fn a_line_is_of_a_command_once_its_fields_are_those_of_one() {
        for (command, text) in [
            (Some("lock-room"), with("")),
            (Some("lock-room"), with(r#", "data": {"colour": 1}"#)),
            (Some("lock-room"), with(r#", "idempotency_key": """#)),
            (None, with("").replace("lock-room", "fly")),
            (None, "nonsense".into()),
        ] {
            assert_eq!(read(&text).command().as_deref(), command, "{text}");
        }
    }

    #[test]
    fn a_fault_names_the_field_and_the_remedy() {
        assert_eq!(reason(&with(r#", "data": {"colour": 1}"#)).1, "data: colour: is not a field here; there are none");
        let mut reader = LineReader::new("test", None, Clock::system());
        let ImportLine::Refused(fault) = reader.read(1, RawLine::Line(with("").as_bytes())) else { panic!("taken") };
        assert_eq!(fault.detail, "tenant: is missing, and the import was given none");
    }
}
