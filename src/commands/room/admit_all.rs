//! `admit-all`: staff lets in everybody who waits.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::admit::admission;
use super::join::full;
use super::rights::staff;
use super::state::Room;
use crate::commands::command::{Command, Example};
use crate::commands::context::{Context, Decision};
use crate::commands::refusal::{Refusal, RefusalCode};

#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdmitAll {}

impl Command for AdmitAll {
    const NAME: &'static str = "admit-all";
    const SUMMARY: &'static str = "Let everybody in from the lobby";
    const DESCRIPTION: &'static str = "For staff, and for servers with `room_admin`. In the order in which they asked, as many as the \
        room has places for; refused where it has none. Nobody waits, nothing is written.";
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::StaffOnly,
        RefusalCode::RoomFull,
    ];

    fn examples() -> Vec<Example> {
        vec![Example::new("Everybody", json!({}))]
    }

    fn decide(&self, room: &Room, context: &Context<'_>) -> Result<Decision, Refusal> {
        let open = room.open()?;
        staff(room, context)?;
        let (waiting, places) = (open.people.waiting(), open.places());
        if places == 0 && !waiting.is_empty() {
            return Err(full(open));
        }
        let admitted = waiting.into_iter().take(places);
        Ok(Decision::Facts(admitted.flat_map(|(identity, waiter)| admission(identity, waiter)).collect()))
    }
}
