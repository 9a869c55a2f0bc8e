//! `create-room`: a room comes to be, open or scheduled.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::rights::not_granted;
use super::settings_bounds;
use super::state::Room;
use crate::commands::command::{Command, Example};
use crate::commands::context::{Context, Decision, Fact, Need};
use crate::commands::fault::Faults;
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::ids::RoomId;
use crate::events::room::{RoomCreated, Settings, SettingsPatch};
use crate::events::time::Timestamp;

/// Characters of a room's name.
const MAX_NAME_CHARS: usize = 128;

#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CreateRoom {
    /// The caller's own id for the room; absent: the server makes one.
    pub id: Option<RoomId>,
    /// Unique among the tenant's rooms that have not ended; 1 to 128 characters, not a UUID.
    #[schemars(length(min = 1, max = 128))]
    pub name: Option<String>,
    /// When the room opens; absent or past: it is open at once.
    pub opens_at: Option<Timestamp>,
    /// What happens when the name or the id is taken.
    pub if_exists: IfExists,
    /// Settings that differ from the defaults.
    pub settings: SettingsPatch,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IfExists {
    #[default]
    Refuse,
    /// The room that is there answers.
    Return,
}

impl Command for CreateRoom {
    const NAME: &'static str = "create-room";
    const CREATES: bool = true;
    const SUMMARY: &'static str = "Create a room";
    const DESCRIPTION: &'static str = "Needs the grant `room_create`. The room is open at once, or scheduled when `opens_at` is \
        in the future. Of two callers who create the same name at once, one creates the room and the other is refused with \
        `room-name-taken`, which points to it; with `\"if_exists\": \"return\"` the room that is there answers instead.";
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::RoomNameTaken,
        RefusalCode::RoomIdTaken,
        RefusalCode::RoomIdMismatch,
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

    fn validate(&self, faults: &mut Faults) {
        if let Some(name) = &self.name {
            faults.line("name", name, MAX_NAME_CHARS);
            // A token may be for one room "by id or by name": no name may look like another room's id.
            if Uuid::try_parse(name).is_ok() {
                faults.add("name", "reads as a UUID; the caller's own id goes into `id`");
            }
        }
        settings_bounds::validate(&self.settings, "settings.", faults);
    }

    fn needs(&self) -> Need {
        self.name.clone().map_or(Need::Nothing, Need::NameHolder)
    }

    fn wanted_room(&self) -> Option<RoomId> {
        self.id
    }

    fn decide(&self, room: &Room, context: &Context<'_>) -> Result<Decision, Refusal> {
        if !context.caller.grants.room_create {
            return Err(not_granted("room_create"));
        }
        if self.id.is_some_and(|id| id != context.room) {
            let detail = format!("the command went to the room {}", context.room);
            return Err(Refusal::new(RefusalCode::RoomIdMismatch, detail));
        }
        if *room != Room::Absent {
            return self.taken(RefusalCode::RoomIdTaken, "a room with this id is there", room, context.room);
        }
        if let Some(holder) = context.facts.name_holder {
            return self.taken(RefusalCode::RoomNameTaken, "another room has this name", room, holder);
        }
        let mut settings = Settings::default();
        settings.apply(&self.settings);
        let opens_at = self.opens_at.filter(|at| *at > context.now);
        Ok(Decision::Facts(vec![Fact::from(RoomCreated { name: self.name.clone(), opens_at, settings })]))
    }
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
