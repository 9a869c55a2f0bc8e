//! An event as callers see it: the shape of every list, line and stream of events.

use std::borrow::Cow;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::published::Superseded;
use crate::events::envelope::{Envelope, digits};
use crate::events::room::{RoomEvent, shapes};
use crate::events::sealed::PersonalFields;
use crate::events::time::Timestamp;
use crate::ids::{Actor, CommandId, Position, RoomId, RoomVersion, SessionId};
use crate::security::sealing::{OpeningKeys, SealedPlace};

/// An event, in the newest version of its shape.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Event", transform = shapes::any_event)]
pub struct EventView<'a> {
    /// Place in the whole log: from 1, gapless, in commit order.
    #[schemars(range(min = 1))]
    pub position: Position,
    /// The room it happened in; the nil UUID where it is of the tenant itself (`person.erased`).
    pub room: RoomId,
    /// Place in the room, or among the events of the tenant itself: from 1, gapless. A reader may see jumps, where an event was not meant for it.
    #[schemars(range(min = 1))]
    pub room_version: RoomVersion,
    /// Name of the event, `room.hand-raised`. Never changes its meaning.
    #[serde(rename = "type")]
    pub event_type: Cow<'a, str>,
    /// Version of the shape of `data`, from 1.
    #[schemars(range(min = 1))]
    pub type_version: u16,
    /// When the log took it. Never decreases as the position grows.
    pub recorded_at: Timestamp,
    /// When it happened, where that is not when it was recorded (history moved in).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<Timestamp>,
    /// Who did it: `user:IDENTITY`, `key:KEY` or `system:PART`.
    #[serde(serialize_with = "displayed")]
    #[schemars(with = "String")]
    pub actor: &'a Actor,
    /// The actor's stay in the room, when the actor was in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The command that led to it; events of one command share it.
    pub command_id: CommandId,
    /// What made the caller send the command (`Convoke-Causation-Id`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
    /// What the command is part of, across services (`Convoke-Correlation-Id`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<Uuid>,
    /// W3C trace context of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<&'a str>,
    /// What happened; its shape goes with `type` and `version`.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub data: Cow<'a, RawValue>,
    /// What the event says of a person, where there is anything and it may be seen.
    #[serde(flatten)]
    pub personal: PersonalView,
    /// SHA-256 that binds the event to all before it in its room, in hexadecimal.
    #[serde(serialize_with = "hexadecimal")]
    #[schemars(with = "String", regex(pattern = "^[0-9a-f]{64}$"))]
    pub hash: &'a [u8; 32],
}

/// The personal fields of an event, or why they are not there.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct PersonalView {
    /// The fields, in the clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub personal: Option<PersonalFields>,
    /// There were some, and the person has been erased since.
    #[serde(skip_serializing_if = "is_false")]
    #[schemars(default)]
    pub erased: bool,
    /// There are some, which the token does not allow to see. Of somebody in the lobby everything is withheld that tells who it is:
    /// `data` and `actor` too.
    #[serde(skip_serializing_if = "is_false")]
    #[schemars(default)]
    pub withheld: bool,
    /// The text was edited later: only holders of `room_admin` see it still.
    #[serde(skip_serializing_if = "is_false")]
    #[schemars(default)]
    pub edited: bool,
    /// The message was deleted later: only holders of `room_admin` see its text still.
    #[serde(skip_serializing_if = "is_false")]
    #[schemars(default)]
    pub deleted: bool,
}

impl PersonalView {
    /// What is sealed in an event, opened with `keys`; `None`: the reader may not see it. What is sealed under a key that could
    /// not be loaded is withheld.
    pub fn of(envelope: &Envelope, keys: Option<&OpeningKeys>) -> Self {
        let Some(sealed) = &envelope.sealed else { return Self::default() };
        let Some(keys) = keys.filter(|keys| keys.can_tell(sealed)) else {
            return Self { withheld: true, ..Self::default() };
        };
        let place = SealedPlace { tenant: &envelope.tenant, room: envelope.room, room_version: envelope.room_version };
        let personal = keys.open(&place, sealed);
        Self { erased: personal.is_none(), personal, ..Self::default() }
    }
}

impl PersonalView {
    /// Marked as a text that holds no longer.
    pub fn marked(self, superseded: Option<Superseded>) -> Self {
        let edited = superseded == Some(Superseded::Edited);
        Self { edited, deleted: superseded == Some(Superseded::Deleted), ..self }
    }
}

/// Who did something that is told without who.
static SOMEBODY: LazyLock<Actor> = LazyLock::new(|| Actor::System("lobby".into()));

impl<'a> EventView<'a> {
    /// The event without anything that tells whom it is about.
    pub fn without_who(envelope: &'a Envelope) -> Self {
        let data = Cow::Owned(RawValue::from_string("{}".to_owned()).expect("an empty object is JSON"));
        Self {
            actor: &SOMEBODY,
            session: None,
            causation_id: None,
            correlation_id: None,
            traceparent: None,
            data,
            ..Self::new(envelope, PersonalView { withheld: true, ..PersonalView::default() })
        }
    }

    /// Shows `data` in its newest shape. What this program cannot read (a newer one wrote it) is shown as it was written:
    /// an event is never left out for its shape.
    pub fn new(envelope: &'a Envelope, personal: PersonalView) -> Self {
        let (type_version, data) = newest(envelope).unwrap_or((envelope.type_version, Cow::Borrowed(&*envelope.data)));
        Self {
            position: envelope.position,
            room: envelope.room,
            room_version: envelope.room_version,
            event_type: Cow::Borrowed(&*envelope.event_type),
            type_version,
            recorded_at: envelope.recorded_at,
            occurred_at: envelope.occurred_at,
            actor: &envelope.actor,
            session: envelope.session,
            command_id: envelope.command_id,
            causation_id: envelope.causation_id,
            correlation_id: envelope.correlation_id,
            traceparent: envelope.traceparent.as_deref(),
            data,
            personal,
            hash: &envelope.hash,
        }
    }
}

/// The data brought up, where it is of an older version.
fn newest(envelope: &Envelope) -> Option<(u16, Cow<'_, RawValue>)> {
    if RoomEvent::newest_version(&envelope.event_type)? == envelope.type_version {
        return None;
    }
    let event = envelope.event().ok()?;
    let data = RawValue::from_string(event.to_json().ok()?).ok()?;
    Some((event.version(), Cow::Owned(data)))
}

fn displayed<S: Serializer>(actor: &&Actor, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(actor)
}

fn hexadecimal<S: Serializer>(hash: &&[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(std::str::from_utf8(&digits(hash)).expect("hexadecimal digits are ASCII"))
}

fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::ids::TenantId;

    pub(crate) fn envelope(event_type: &'static str, type_version: u16, data: &str) -> Envelope {
        let id = Uuid::from_u128(0x01936d2e_7c1a_7b3e_8a44_0f0a4f5d2c11);
        Envelope {
            position: 1234,
            tenant: TenantId::new("acme").unwrap(),
            room: RoomId::from_uuid(id),
            room_version: 12,
            event_type: event_type.into(),
            type_version,
            recorded_at: Timestamp::from_unix_micros(1_700_000_000_000_001).unwrap(),
            occurred_at: None,
            actor: "user:alice".parse().unwrap(),
            session: None,
            command_id: CommandId::from_uuid(id),
            causation_id: None,
            correlation_id: None,
            traceparent: None,
            data: Arc::from(RawValue::from_string(data.into()).unwrap()),
            sealed: None,
            hash: [0xab; 32],
        }
    }

    fn shown(envelope: &Envelope, personal: PersonalView) -> serde_json::Value {
        serde_json::to_value(EventView::new(envelope, personal)).unwrap()
    }

    #[test]
    fn an_event_shows_its_envelope_and_leaves_out_what_is_absent() {
        let envelope = envelope("room.hand-raised", 1, "{\"identity\":\"alice\"}");
        assert_eq!(
            shown(&envelope, PersonalView::default()),
            json!({
                "position": 1234,
                "room": "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11",
                "room_version": 12,
                "type": "room.hand-raised",
                "type_version": 1,
                "recorded_at": "2023-11-14T22:13:20.000001Z",
                "actor": "user:alice",
                "command_id": "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11",
                "data": {"identity": "alice"},
                "hash": "ab".repeat(32),
            })
        );
    }

    #[test]
    fn an_old_shape_is_shown_in_the_newest() {
        let data = json!({
            "track": "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11", "session": "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11",
            "identity": "alice", "kind": "video", "source": "camera", "resolution": "1280x720",
        });
        let shown = shown(&envelope("room.track-published", 1, &data.to_string()), PersonalView::default());
        assert_eq!(shown["type_version"], 2);
        assert_eq!((&shown["data"]["width"], &shown["data"]["resolution"]), (&json!(1280), &json!(null)));
    }

    #[test]
    fn what_a_newer_program_wrote_is_shown_as_it_was_written() {
        for (name, version) in [("room.levitated", 1), ("room.hand-raised", 99)] {
            let shown = shown(&envelope(name, version, "{\"height\":3}"), PersonalView::default());
            assert_eq!((&shown["type"], &shown["type_version"]), (&json!(name), &json!(version)));
            assert_eq!(shown["data"], json!({"height": 3}));
        }
    }

    #[test]
    fn personal_fields_are_shown_or_said_to_be_gone() {
        let envelope = envelope("room.participant-renamed", 1, "{\"identity\":\"alice\"}");
        let fields = PersonalFields { display_name: Some("Alice".into()), ..Default::default() };
        let open = shown(&envelope, PersonalView { personal: Some(fields), ..Default::default() });
        assert_eq!(open["personal"], json!({"display_name": "Alice"}));
        assert_eq!(open.get("erased"), None);
        let erased = shown(&envelope, PersonalView { erased: true, ..Default::default() });
        assert_eq!((erased.get("personal"), erased.get("erased")), (None, Some(&json!(true))));
    }
}
