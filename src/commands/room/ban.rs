//! `ban`: staff keeps somebody out, present or not.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::rights::staff;
use super::state::{Charter, MAX_BANS, Room};
use super::succession::departure;
use crate::commands::command::{Command, Example};
use crate::commands::context::{Context, Decision, Fact};
use crate::commands::fault::Faults;
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::ids::Identity;
use crate::events::room::{DenyReason, IdentityBanned, LeaveReason, ParticipantDenied};
use crate::events::time::Timestamp;

/// Ten years.
pub(super) const MAX_BAN_S: u32 = 315_360_000;

#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ban {
    /// Who is kept out; need not be there.
    pub identity: Identity,
    /// How long, in seconds, at most ten years; absent: for as long as the room is.
    #[schemars(range(min = 1, max = 315_360_000))]
    pub ban_s: Option<u32>,
}

impl Command for Ban {
    const NAME: &'static str = "ban";
    const SUMMARY: &'static str = "Keep somebody out";
    const DESCRIPTION: &'static str = "For staff over people of a lower role or not present, and for servers with `room_admin`; also \
        while the room is scheduled. Somebody present leaves, reason `banned`; somebody in the lobby is denied. A new ban \
        replaces the old one; to ban without end who is banned without end changes nothing.";
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomEnded,
        RefusalCode::StaffOnly,
        RefusalCode::RankTooLow,
        RefusalCode::TooManyBans,
    ];

    fn examples() -> Vec<Example> {
        vec![
            Example::new("For good", json!({ "identity": "user-17" })),
            Example::new("For a day", json!({ "identity": "user-17", "ban_s": 86400 })),
        ]
    }

    fn validate(&self, faults: &mut Faults) {
        if let Some(seconds) = self.ban_s {
            faults.range("ban_s", seconds.into(), 1, MAX_BAN_S.into());
        }
    }

    fn decide(&self, room: &Room, context: &Context<'_>) -> Result<Decision, Refusal> {
        let charter = room.unended()?;
        let rank = staff(room, context)?;
        let mut facts = Vec::new();
        if let Room::Open(open) = room {
            if let Some(person) = open.people.get(&self.identity) {
                rank.over(person.role, &self.identity)?;
                facts = departure(open, &self.identity, LeaveReason::Banned, context.now);
            } else if let Some(waiter) = open.people.waiter(&self.identity) {
                let (identity, session) = (self.identity.clone(), waiter.session);
                facts.push(ParticipantDenied { identity, session, reason: DenyReason::Banned }.into());
            }
        }
        let forever = self.ban_s.is_none() && charter.bans.get(&self.identity) == Some(&None);
        if !forever {
            facts.push(banned(charter, &self.identity, self.ban_s, context.now)?);
        }
        Ok(Decision::Facts(facts))
    }
}

/// The ban itself, from now for `ban_s` seconds or without end.
pub(super) fn banned(
    charter: &Charter,
    identity: &Identity,
    ban_s: Option<u32>,
    now: Timestamp,
) -> Result<Fact, Refusal> {
    if !charter.bans.contains_key(identity) && charter.bans_are_full(now) {
        return Err(Refusal::new(RefusalCode::TooManyBans, format!("the room has {MAX_BANS} bans in force")));
    }
    let until = ban_s.map(|seconds| now.plus_seconds(seconds.into()));
    Ok(IdentityBanned { identity: identity.clone(), until }.into())
}
