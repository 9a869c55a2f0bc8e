//! `create-room`: a room comes to be, open or scheduled.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::settings_bounds;
use super::state::Room;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext, Lookup, NewEvent};
use crate::commands::fault::FieldFaults;
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::{RoomCreated, Settings, SettingsPatch};
use crate::events::time::Timestamp;
use crate::ids::RoomId;
use crate::json::is_default;
use crate::json::object::object;

/// Characters of a room's name.
const MAX_NAME_CHARS: usize = 128;

/// How old the caller's own id for a room may be, and how far ahead: read models keep rooms together by the month that the id
/// says, so that ids of all times would make months without number.
const OLDEST_ID_S: u64 = 31 * 86_400;
const EARLIEST_ID_S: u64 = 86_400;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CreateRoom {
    /// The caller's own id for the room, made in the last 31 days; absent: the server makes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<RoomId>,
    /// Unique among the tenant's rooms that have not ended; 1 to 128 characters, not a UUID.
    #[schemars(length(min = 1, max = 128))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When the room opens; absent or past: it is open at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<Timestamp>,
    /// What happens when the name or the id is taken.
    #[serde(skip_serializing_if = "is_default")]
    pub if_exists: IfExists,
    /// Settings that differ from the defaults.
    #[serde(deserialize_with = "object", skip_serializing_if = "is_default")]
    pub settings: SettingsPatch,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IfExists {
    #[default]
    Refuse,
    /// The room that is there answers.
    Return,
}

impl CommandSpec for CreateRoom {
    const NAME: &'static str = "create-room";
    const CREATES: bool = true;
    const SUMMARY: &'static str = "Create a room";
    const DESCRIPTION: &'static str = "Needs the grant `room_create`. The room is open at once, or scheduled when `opens_at` is \
        in the future. Of two callers who create the same name at once, one creates the room and the other is refused with \
        `room-name-taken`, which points to it; with `\"if_exists\": \"return\"` the room that is there answers instead.";
    const EVENTS: &'static [&'static str] = &["room.created"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::RoomNameTaken,
        RefusalCode::RoomIdTaken,
        RefusalCode::RoomIdMismatch,
        RefusalCode::RoomIdOutOfTime,
        RefusalCode::RoomEnded,
    ];

    fn examples() -> Vec<Example> {
        vec![
            Example::new("A room that is open at once", json!({})),
            Example::new(
                "The room of this name, created if it is not there",
                json!({ "name": "standup", "if_exists": "return" }),
            ),
            Example::new(
                "A class tomorrow, with a lobby",
                json!({
                    "name": "algebra-7b",
                    "opens_at": "2030-09-02T08:00:00Z",
                    "settings": { "lobby": "everyone", "max_participants": 30, "labels": { "school": "north" } },
                }),
            ),
        ]
    }

    fn validate(&self, faults: &mut FieldFaults) {
        if let Some(name) = &self.name {
            faults.line("name", name, MAX_NAME_CHARS);
            // A token may be for one room "by id or by name": no name may look like another room's id.
            if Uuid::try_parse(name).is_ok() {
                faults.add("name", "reads as a UUID; the caller's own id goes into `id`");
            }
        }
        settings_bounds::validate(&self.settings, "settings.", faults);
    }

    fn lookup(&self) -> Lookup {
        self.name.clone().map_or(Lookup::Nothing, Lookup::NameHolder)
    }

    fn wanted_room(&self) -> Option<RoomId> {
        self.id
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        if !context.caller.grants.room_create {
            return Err(Refusal::not_granted("room_create"));
        }
        if self.id.is_some_and(|id| id != context.room) {
            let detail = format!("the command went to the room {}", context.room);
            return Err(Refusal::new(RefusalCode::RoomIdMismatch, detail));
        }
        if *room != Room::Absent {
            return self.taken(RefusalCode::RoomIdTaken, "a room with this id exists", room, context.room);
        }
        if let Some(holder) = context.external.name_holder {
            return self.taken(RefusalCode::RoomNameTaken, "another room has this name", room, holder);
        }
        if !context.history {
            made_lately(context)?;
        }
        let mut settings = Settings::default();
        settings.apply(&self.settings);
        let opens_at = self.opens_at.filter(|at| *at > context.now);
        Ok(Decision::Events(vec![NewEvent::from(RoomCreated { name: self.name.clone(), opens_at, settings })]))
    }
}

fn made_lately(context: &DecisionContext<'_>) -> Result<(), Refusal> {
    let made_at = Timestamp::of_uuid7(context.room.uuid());
    let lately = made_at.is_some_and(|made_at| {
        context.now.seconds_since(made_at) <= OLDEST_ID_S && made_at.seconds_since(context.now) < EARLIEST_ID_S
    });
    if lately {
        return Ok(());
    }
    let made_at = made_at.map_or("after the year 9999".to_owned(), |made_at| format!("at {made_at}"));
    let detail = format!("the id {} was made {made_at}, and it is {}", context.room, context.now);
    Err(Refusal::new(RefusalCode::RoomIdOutOfTime, detail))
}

impl CreateRoom {
    fn taken(&self, code: RefusalCode, detail: &str, room: &Room, holder: RoomId) -> Result<Decision, Refusal> {
        match self.if_exists {
            IfExists::Refuse => Err(Refusal::new(code, detail).pointing_to(holder)),
            IfExists::Return => match room {
                Room::Ended(_) => Err(Refusal::new(RefusalCode::RoomEnded, "the room with this id has ended")),
                Room::Absent | Room::Scheduled(_) | Room::Open(_) => Ok(Decision::Existing(holder)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn created(name: Option<&str>, opens_at: Option<Timestamp>, settings: Settings) -> RoomEvent {
        RoomCreated { name: name.map(str::to_owned), opens_at, settings }.into()
    }

    #[test]
    fn a_room_without_a_time_is_open_at_once_with_the_default_settings() {
        let room = nothing().when(server(), "create-room", json!({})).then([created(None, None, Settings::default())]);
        assert!(matches!(room.room, Room::Open(_)));
    }

    #[test]
    fn a_room_with_a_time_to_come_is_scheduled() {
        let opens_at = nothing().now.plus_seconds(60);
        let body = json!({ "name": "standup", "opens_at": opens_at, "settings": { "lobby": "guests" } });
        let settings = Settings { lobby: Lobby::Guests, ..Settings::default() };
        let outcome = nothing().when(server(), "create-room", body);
        let room = outcome.then([created(Some("standup"), Some(opens_at), settings)]);
        assert!(matches!(room.room, Room::Scheduled(_)));
    }

    #[test]
    fn a_time_that_has_passed_opens_the_room_at_once() {
        let body = json!({ "opens_at": nothing().now });
        nothing().when(server(), "create-room", body).then([created(None, None, Settings::default())]);
    }

    #[test]
    fn the_grant_room_create_is_needed() {
        nothing().when(person("ann"), "create-room", json!({})).refused(RefusalCode::NotGranted);
    }

    #[test]
    fn a_token_for_one_room_creates_that_one_only_by_name_or_id() {
        let only =
            |room: &str| granted("ann", Grants { room: Some(room.into()), room_create: true, ..Grants::default() });
        let ours = json!({ "name": "standup" });
        nothing().when(only("retro"), "create-room", ours.clone()).refused(RefusalCode::NotGranted);
        nothing().when(only("standup"), "create-room", json!({})).refused(RefusalCode::NotGranted);
        nothing().when(only("standup"), "create-room", ours.clone()).and();
        nothing().when(only(&room_id().to_string()), "create-room", ours).and();
    }

    #[test]
    fn a_taken_name_is_refused_and_points_to_its_room_or_answers_with_it() {
        let other = "01930000-0000-7000-8000-0000000000bb".parse().unwrap();
        let taken = nothing().name_held_by(other);
        let refusal =
            taken.when(server(), "create-room", json!({ "name": "standup" })).refused(RefusalCode::RoomNameTaken);
        assert_eq!(refusal.room, Some(other));
        let body = json!({ "name": "standup", "if_exists": "return" });
        assert_eq!(taken.when(server(), "create-room", body).result, Ok(Decision::Existing(other)));
    }

    #[test]
    fn a_taken_id_is_refused_or_answered_with_the_room_unless_it_ended() {
        let body = json!({ "id": room_id() });
        let back = json!({ "id": room_id(), "if_exists": "return" });
        let refusal = given().when(server(), "create-room", body.clone()).refused(RefusalCode::RoomIdTaken);
        assert_eq!(refusal.room, Some(room_id()));
        assert_eq!(given().when(server(), "create-room", back.clone()).result, Ok(Decision::Existing(room_id())));
        let over = given().event(RoomEnded { reason: EndReason::Requested });
        over.when(server(), "create-room", body).refused(RefusalCode::RoomIdTaken);
        over.when(server(), "create-room", back).refused(RefusalCode::RoomEnded);
    }

    #[test]
    fn an_id_in_the_body_is_that_of_the_room_the_command_went_to() {
        let body = json!({ "id": "01930000-0000-7000-8000-0000000000bb" });
        nothing().when(server(), "create-room", body).refused(RefusalCode::RoomIdMismatch);
    }

    #[test]
    fn an_id_of_another_time_is_refused_unless_the_room_is_there_or_is_history() {
        const DAY_S: i64 = 86_400;
        let body = json!({ "id": room_id(), "if_exists": "return" });
        for days in [0, 31, -1] {
            let given = nothing().after(days * DAY_S + i64::from(days < 0));
            given.when(server(), "create-room", body.clone()).and();
        }
        for days in [32, 400, -1, -400] {
            let given = nothing().after(days * DAY_S);
            let refusal = given.when(server(), "create-room", body.clone()).refused(RefusalCode::RoomIdOutOfTime);
            assert!(refusal.detail.contains("was made at 2030-01-01T00:00:00"), "{refusal}");
            given.history().when(server(), "create-room", body.clone()).and();
        }
        let there = given().after(400 * DAY_S).when(server(), "create-room", body);
        assert_eq!(there.result, Ok(Decision::Existing(room_id())));
    }

    #[test]
    fn what_is_out_of_bounds_is_told_by_field() {
        let labels: String = (0..33).map(|n| format!(r#""k{n}":"v","#)).collect();
        let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
        for (field, body) in [
            ("name", r#"{"name":""}"#.to_owned()),
            ("name", format!(r#"{{"name":"{}"}}"#, "x".repeat(129))),
            ("name", r#"{"name":"a\nb"}"#.into()),
            ("name", r#"{"name":" a"}"#.into()),
            ("name", r#"{"name":"01930000-0000-7000-8000-0000000000bb"}"#.into()),
            ("id", r#"{"id":"6ba7b810-9dad-11d1-80b4-00c04fd430c8"}"#.into()),
            ("opens_at", r#"{"opens_at":"tomorrow"}"#.into()),
            ("settings.max_participants", r#"{"settings":{"max_participants":0}}"#.into()),
            ("settings.max_participants", r#"{"settings":{"max_participants":100001}}"#.into()),
            ("settings.max_participants", r#"{"settings":{"max_participants":-1}}"#.into()),
            ("settings.lobby", r#"{"settings":{"lobby":"maybe"}}"#.into()),
            ("settings", r#"{"settings":[5]}"#.into()),
            ("settings.publish", r#"{"settings":{"publish":[[],[],[]]}}"#.into()),
            ("settings.lobbi", r#"{"settings":{"lobbi":"off"}}"#.into()),
            ("settings.publish.video", r#"{"settings":{"publish":{"audio":[],"screen":[]}}}"#.into()),
            ("settings.publish.audio[0]", r#"{"settings":{"publish":{"audio":["king"]}}}"#.into()),
            ("settings.departure_timeout_s", r#"{"settings":{"departure_timeout_s":86401}}"#.into()),
            ("settings.labels", format!(r#"{{"settings":{{"labels":{{{}"z":"v"}}}}}}"#, labels)),
            ("settings.labels.team", format!(r#"{{"settings":{{"labels":{{"team":"{}"}}}}}}"#, "x".repeat(64))),
            ("settings.metadata", format!(r#"{{"settings":{{"metadata":"{}"}}}}"#, "x".repeat(64 * 1024))),
            ("settings.metadata", format!(r#"{{"settings":{{"metadata":{deep}}}}}"#)),
        ] {
            let faults = faults("create-room", &body);
            assert_eq!(faults.len(), 1, "{field}: {faults:?}");
            assert_eq!(faults[0].field, field, "{faults:?}");
        }
    }

    #[test]
    fn all_that_is_out_of_bounds_is_told_at_once() {
        let faults = faults("create-room", r#"{"name":"","settings":{"max_participants":0,"empty_timeout_s":0}}"#);
        let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["name", "settings.max_participants", "settings.empty_timeout_s"]);
    }
}
