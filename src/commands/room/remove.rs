//! `remove`: staff sends somebody out.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::ban::{MAX_BAN_S, banned};
use super::rights::staff;
use super::state::Room;
use super::succession::departure;
use crate::commands::command::{Command, Example};
use crate::commands::context::{Context, Decision};
use crate::commands::fault::Faults;
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::ids::Identity;
use crate::events::room::LeaveReason;

#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// Who has to go.
    pub identity: Identity,
    /// Keeps the person out this long, in seconds, at most ten years; absent: they may come back at once.
    #[schemars(range(min = 1, max = 315_360_000))]
    pub ban_s: Option<u32>,
}

impl Command for Remove {
    const NAME: &'static str = "remove";
    const SUMMARY: &'static str = "Send somebody out of the room";
    const DESCRIPTION: &'static str = "For staff over people of a lower role, and for servers with `room_admin`. All of the person's \
        stays end, reason `removed`. Somebody in the lobby is turned away with `deny`.";
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::StaffOnly,
        RefusalCode::RankTooLow,
        RefusalCode::NotPresent,
        RefusalCode::TooManyBans,
    ];

    fn examples() -> Vec<Example> {
        vec![
            Example::new("Out, for now", json!({ "identity": "user-17" })),
            Example::new("Out for an hour", json!({ "identity": "user-17", "ban_s": 3600 })),
        ]
    }

    fn validate(&self, faults: &mut Faults) {
        if let Some(seconds) = self.ban_s {
            faults.range("ban_s", seconds.into(), 1, MAX_BAN_S.into());
        }
    }

    fn decide(&self, room: &Room, context: &Context<'_>) -> Result<Decision, Refusal> {
        let open = room.open()?;
        let rank = staff(room, context)?;
        let person = open.present(&self.identity)?;
        rank.over(person.role, &self.identity)?;
        let mut facts = departure(open, &self.identity, LeaveReason::Removed, context.now);
        if self.ban_s.is_some() {
            facts.push(banned(&open.charter, &self.identity, self.ban_s, context.now)?);
        }
        Ok(Decision::Facts(facts))
    }
}
