//! An event as a record of the topic: CloudEvents 1.0.2, binary mode of its Kafka binding.
//!
//! The key is the room. The value is the event's `data`, byte for byte as in the log. Everything else is in headers, each an
//! attribute of CloudEvents under `ce_`; [`HEADERS`] documents them, also for the AsyncAPI description. The id is the event's
//! hash: an event keeps its id, also when a topic is filled again, and no other event has it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rdkafka::message::{Header, Headers, OwnedHeaders};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::events::envelope::{Envelope, Hash, digits};
use crate::events::room::RoomEvent;
use crate::events::schemas;
use crate::events::sealed::{PersonalFields, Sealed};
use crate::events::time::Timestamp;
use crate::ids::{CommandId, Position, RoomId, RoomVersion, SessionId, TenantId};

/// A header of a record.
pub struct HeaderSpec {
    pub name: &'static str,
    /// On every record.
    pub always: bool,
    pub about: &'static str,
    pub example: &'static str,
}

const fn always(name: &'static str, about: &'static str, example: &'static str) -> HeaderSpec {
    HeaderSpec { name, always: true, about, example }
}

const fn sometimes(name: &'static str, about: &'static str, example: &'static str) -> HeaderSpec {
    HeaderSpec { name, always: false, about, example }
}

const ROOM: &str = "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11";

/// All headers there are. Attributes of CloudEvents first, then our extensions to them.
pub const HEADERS: &[HeaderSpec] = &[
    always("content-type", "Of the value", "application/json"),
    always("ce_specversion", "Of CloudEvents", "1.0"),
    always(
        "ce_id",
        "The event's hash, hexadecimal: SHA-256 that binds it to all before it in its room. The same event has the same id for ever",
        "8c1f0a5e0e5b7b8f6f2f1f0c9d3b4a5968778695a4b3c2d1e0f1a2b3c4d5e6f7",
    ),
    always("ce_source", "Whose room it is", "/tenants/acme"),
    always("ce_type", "Name of the event. Never changes its meaning", "room.hand-raised"),
    always(
        "ce_subject",
        "The room it happened in; the nil UUID where it is of the tenant itself (`person.erased`). Also the record's key",
        ROOM,
    ),
    always("ce_time", "When it happened, RFC 3339", "2026-03-01T09:30:00.000000Z"),
    always(
        "ce_dataschema",
        "The JSON Schema of the value, by its `$id`; ends in the version of the event's shape",
        "urn:convoke:event:room.hand-raised:v1",
    ),
    always(
        "ce_sequence",
        "Place in the whole log, in 20 digits, so that it sorts as text: from 1, gapless, in commit order",
        "00000000000000001234",
    ),
    always("ce_position", "The same, as a number: what cursors and `Convoke-Position` say", "1234"),
    always("ce_roomversion", "Place in the room of this source: from 1, gapless. What `ETag` says", "12"),
    always(
        "ce_epoch",
        "Which history of the log it was sent in; another begins after a restore that lost events",
        "3f2a91c0-6a3e-4d52-9d0a-0d4c8f1a2b3c",
    ),
    always("ce_actor", "Who did it: `user:IDENTITY`, `key:KEY` or `system:PART`", "user:alice"),
    always("ce_commandid", "The command that led to it; events of one command share it", ROOM),
    sometimes("ce_session", "The actor's stay in the room, when the actor was in it", ROOM),
    sometimes(
        "ce_recordedtime",
        "When the log took it, where that is not when it happened (history moved in)",
        "2026-03-01T09:30:00.000000Z",
    ),
    sometimes("ce_causationid", "What made the caller send the command (`Convoke-Causation-Id`)", ROOM),
    sometimes("ce_correlationid", "What the command is part of, across services (`Convoke-Correlation-Id`)", ROOM),
    sometimes(
        "ce_traceparent",
        "W3C trace context of the request",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ),
    sometimes(
        "ce_personal",
        "Where the event says something personal: `sealed` (in `ce_sealed`), `omitted`, `clear` (in the value, as `personal`) or \
         `erased`",
        "sealed",
    ),
    sometimes("ce_sealed", "The personal fields, encrypted under the person's key, base64", "AQ…"),
];

const SOURCE: &str = "/tenants/";

/// How the personal part of one event goes to the topic.
#[derive(Clone, Debug, PartialEq)]
pub enum PersonalPart {
    /// As the log has it; also where there is none.
    Sealed,
    Omitted,
    /// Opened; `None`: the person has been erased.
    Clear(Option<PersonalFields>),
}

/// A record to be sent.
#[derive(Debug)]
pub struct TopicRecord {
    pub position: Position,
    pub key: String,
    pub headers: OwnedHeaders,
    pub value: Arc<RawValue>,
}

impl TopicRecord {
    pub fn of(event: &Envelope, epoch: &str, personal: &PersonalPart) -> Self {
        let room = event.room.uuid().to_string();
        let mut headers = Some(OwnedHeaders::new_with_capacity(HEADERS.len()));
        let mut put = |key: &str, value: &str| {
            headers = headers.take().map(|headers| headers.insert(Header { key, value: Some(value) }));
        };
        put("content-type", "application/json");
        put("ce_specversion", "1.0");
        put("ce_id", &hexadecimal(&event.hash));
        put("ce_source", &format!("{SOURCE}{}", event.tenant.as_str()));
        put("ce_type", &event.event_type);
        put("ce_subject", &room);
        put("ce_time", &event.happened_at().to_string());
        put("ce_dataschema", &schemas::id(&event.event_type, event.type_version));
        put("ce_sequence", &format!("{:020}", event.position));
        put("ce_position", &event.position.to_string());
        put("ce_roomversion", &event.room_version.to_string());
        put("ce_epoch", epoch);
        put("ce_actor", &event.actor.to_string());
        put("ce_commandid", &event.command_id.uuid().to_string());
        if let Some(session) = event.session {
            put("ce_session", &session.uuid().to_string());
        }
        if event.occurred_at.is_some() {
            put("ce_recordedtime", &event.recorded_at.to_string());
        }
        if let Some(id) = event.causation_id {
            put("ce_causationid", &id.to_string());
        }
        if let Some(id) = event.correlation_id {
            put("ce_correlationid", &id.to_string());
        }
        if let Some(traceparent) = &event.traceparent {
            put("ce_traceparent", traceparent);
        }
        let mut value = event.data.clone();
        if let Some(sealed) = &event.sealed {
            put("ce_personal", personal.as_str());
            match personal {
                PersonalPart::Sealed => put("ce_sealed", &BASE64.encode(&sealed.0)),
                PersonalPart::Clear(Some(fields)) => value = with_personal(&value, fields),
                PersonalPart::Omitted | PersonalPart::Clear(None) => {}
            }
        }
        let headers = headers.expect("each that is taken is put back");
        Self { position: event.position, key: room, headers, value }
    }
}

impl PersonalPart {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Omitted => "omitted",
            Self::Clear(Some(_)) => "clear",
            Self::Clear(None) => "erased",
        }
    }
}

/// `data` with one more member.
fn with_personal(data: &RawValue, fields: &PersonalFields) -> Arc<RawValue> {
    let fields = serde_json::to_string(fields).expect("personal fields are JSON");
    let data = data.get().trim();
    let members = data.strip_prefix('{').and_then(|data| data.strip_suffix('}')).unwrap_or_default().trim();
    let comma = if members.is_empty() { "" } else { "," };
    let text = format!("{{{members}{comma}\"personal\":{fields}}}");
    RawValue::from_string(text).expect("an object with a member more is an object").into()
}

fn hexadecimal(hash: &Hash) -> String {
    digits(hash).into_iter().map(char::from).collect()
}

fn from_hexadecimal(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(hash)
}

/// What a record says of its place, without its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordMark {
    pub position: Position,
    pub epoch: Uuid,
    pub hash: Hash,
}

/// A record as it was read.
#[derive(Clone, Debug)]
pub struct ReadRecord {
    pub epoch: Uuid,
    pub event: Envelope,
    /// The topic does not have the personal part that the log has.
    pub incomplete: bool,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadRecord {
    #[error("it has no {0}")]
    Lacks(&'static str),
    #[error("its {header} is {value:?}")]
    Bad { header: &'static str, value: String },
    #[error("its value is no JSON")]
    Value,
}

/// Headers by the names of [`HEADERS`], found in one pass.
struct RecordHeaders<'a>([Option<&'a str>; HEADERS.len()]);

impl<'a> RecordHeaders<'a> {
    fn of(headers: Option<&'a impl Headers>) -> Self {
        let mut found = [None; HEADERS.len()];
        for header in headers.into_iter().flat_map(Headers::iter) {
            if let Some(at) = HEADERS.iter().position(|about| about.name == header.key) {
                found[at] = header.value.and_then(|value| std::str::from_utf8(value).ok());
            }
        }
        Self(found)
    }

    fn get(&self, name: &'static str) -> Option<&'a str> {
        let at = HEADERS.iter().position(|about| about.name == name)?;
        self.0[at]
    }

    fn must(&self, name: &'static str) -> Result<&'a str, BadRecord> {
        self.get(name).ok_or(BadRecord::Lacks(name))
    }

    /// What a header says, read by `read`.
    fn parsed<T>(&self, name: &'static str, read: impl FnOnce(&'a str) -> Option<T>) -> Result<T, BadRecord> {
        let text = self.must(name)?;
        read(text).ok_or_else(|| BadRecord::Bad { header: name, value: text.to_owned() })
    }

    fn maybe<T>(&self, name: &'static str, read: impl FnOnce(&'a str) -> Option<T>) -> Result<Option<T>, BadRecord> {
        match self.get(name) {
            None => Ok(None),
            Some(_) => self.parsed(name, read).map(Some),
        }
    }
}

fn uuid(text: &str) -> Option<Uuid> {
    text.parse().ok()
}

fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// Where the record stands in the log.
pub fn mark(headers: Option<&impl Headers>) -> Result<RecordMark, BadRecord> {
    let found = RecordHeaders::of(headers);
    Ok(RecordMark {
        position: found.parsed("ce_position", |text| text.parse().ok())?,
        epoch: found.parsed("ce_epoch", uuid)?,
        hash: found.parsed("ce_id", from_hexadecimal)?,
    })
}

/// Which tenant's room the record is of, and its version there.
pub fn place(headers: Option<&impl Headers>) -> Result<(&str, Uuid, RoomVersion), BadRecord> {
    let found = RecordHeaders::of(headers);
    Ok((
        found.parsed("ce_source", |text| text.strip_prefix(SOURCE))?,
        found.parsed("ce_subject", uuid)?,
        found.parsed("ce_roomversion", |text| text.parse().ok())?,
    ))
}

/// The event in a record.
pub fn read(headers: Option<&impl Headers>, value: Option<&[u8]>) -> Result<ReadRecord, BadRecord> {
    let found = RecordHeaders::of(headers);
    let happened_at = found.parsed("ce_time", time)?;
    let recorded_at = found.maybe("ce_recordedtime", time)?;
    let event_type = found.must("ce_type")?;
    let personal = found.get("ce_personal");
    let text = value.and_then(|value| std::str::from_utf8(value).ok()).ok_or(BadRecord::Value)?;
    let event = Envelope {
        position: found.parsed("ce_position", |text| text.parse().ok())?,
        tenant: found.parsed("ce_source", |text| TenantId::new(text.strip_prefix(SOURCE)?).ok())?,
        room: RoomId::from_uuid(found.parsed("ce_subject", uuid)?),
        room_version: found.parsed("ce_roomversion", |text| text.parse().ok())?,
        event_type: RoomEvent::static_name(event_type).map_or_else(|| event_type.to_owned().into(), Into::into),
        type_version: found.parsed("ce_dataschema", |text| text.rsplit_once(":v")?.1.parse().ok())?,
        recorded_at: recorded_at.unwrap_or(happened_at),
        occurred_at: recorded_at.is_some().then_some(happened_at),
        actor: found.parsed("ce_actor", |text| text.parse().ok())?,
        session: found.maybe("ce_session", uuid)?.map(SessionId::from_uuid),
        command_id: CommandId::from_uuid(found.parsed("ce_commandid", uuid)?),
        causation_id: found.maybe("ce_causationid", uuid)?,
        correlation_id: found.maybe("ce_correlationid", uuid)?,
        traceparent: found.get("ce_traceparent").map(Arc::from),
        data: RawValue::from_string(text.to_owned()).map_err(|_| BadRecord::Value)?.into(),
        sealed: found.maybe("ce_sealed", |text| BASE64.decode(text).ok())?.map(|bytes| Sealed(bytes.into())),
        hash: found.parsed("ce_id", from_hexadecimal)?,
    };
    let incomplete = personal.is_some_and(|how| how != "sealed");
    Ok(ReadRecord { epoch: found.parsed("ce_epoch", uuid)?, event, incomplete })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Envelope {
        let id = Uuid::from_u128(0x01936d2e_7c1a_7b3e_8a44_0f0a4f5d2c11);
        Envelope {
            position: 1234,
            tenant: TenantId::new("acme").unwrap(),
            room: RoomId::from_uuid(id),
            room_version: 12,
            event_type: "room.message-sent".into(),
            type_version: 1,
            recorded_at: Timestamp::from_unix_micros(1_700_000_000_000_001).unwrap(),
            occurred_at: None,
            actor: "user:alice".parse().unwrap(),
            session: None,
            command_id: CommandId::from_uuid(id),
            causation_id: None,
            correlation_id: None,
            traceparent: None,
            data: RawValue::from_string(r#"{"author":"alice","to":{"identities":["bob"]}}"#.into()).unwrap().into(),
            sealed: Some(Sealed(vec![1, 2, 250].into())),
            hash: [0xab; 32],
        }
    }

    fn full() -> Envelope {
        let id = Uuid::from_u128(7);
        Envelope {
            occurred_at: Timestamp::from_unix_micros(1_300_000_000_000_000),
            session: Some(SessionId::from_uuid(id)),
            causation_id: Some(id),
            correlation_id: Some(id),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
            ..event()
        }
    }

    const EPOCH: Uuid = Uuid::from_u128(99);

    fn back(record: &TopicRecord) -> ReadRecord {
        read(Some(&record.headers), Some(record.value.get().as_bytes())).unwrap()
    }

    #[test]
    fn an_event_is_read_back_as_it_was_written() {
        for event in [event(), full(), Envelope { sealed: None, ..event() }] {
            let record = TopicRecord::of(&event, &EPOCH.to_string(), &PersonalPart::Sealed);
            let read = back(&record);
            assert_eq!(format!("{:?}", read.event), format!("{event:?}"));
            assert_eq!((read.epoch, read.incomplete), (EPOCH, false));
            let mark = mark(Some(&record.headers)).unwrap();
            assert_eq!(mark, RecordMark { position: 1234, epoch: EPOCH, hash: event.hash });
        }
    }

    #[test]
    fn every_header_that_is_always_there_is_there_and_all_are_described() {
        for event in [event(), full()] {
            let record = TopicRecord::of(&event, &EPOCH.to_string(), &PersonalPart::Sealed);
            let names: Vec<&str> = record.headers.iter().map(|header| header.key).collect();
            for about in HEADERS.iter().filter(|about| about.always) {
                assert!(names.contains(&about.name), "{} is missing", about.name);
            }
            assert!(names.iter().all(|name| HEADERS.iter().any(|about| about.name == *name)), "{names:?}");
        }
    }

    #[test]
    fn personal_fields_are_left_out_or_shown_and_the_reader_is_told() {
        let fields = PersonalFields { text: Some("hello".into()), ..Default::default() };
        for (part, how, value) in [
            (PersonalPart::Omitted, "omitted", None),
            (PersonalPart::Clear(None), "erased", None),
            (PersonalPart::Clear(Some(fields)), "clear", Some("hello")),
        ] {
            let record = TopicRecord::of(&event(), &EPOCH.to_string(), &part);
            let read = back(&record);
            assert!(read.incomplete && read.event.sealed.is_none(), "{how}");
            let said = record.headers.iter().find(|header| header.key == "ce_personal").unwrap();
            assert_eq!(said.value, Some(how.as_bytes()));
            let data: serde_json::Value = serde_json::from_str(record.value.get()).unwrap();
            assert_eq!((data["personal"]["text"].as_str(), &data["to"]["identities"][0]), (value, &"bob".into()));
        }
    }

    #[test]
    fn a_record_of_somebody_else_is_told_apart() {
        let none: Option<&OwnedHeaders> = None;
        assert_eq!(mark(none).unwrap_err(), BadRecord::Lacks("ce_position"));
        let headers = OwnedHeaders::new().insert(Header { key: "ce_position", value: Some("first") });
        let fault = BadRecord::Bad { header: "ce_position", value: "first".into() };
        assert_eq!(mark(Some(&headers)).unwrap_err(), fault);
    }
}
