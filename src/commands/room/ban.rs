//! `ban`: staff keeps somebody out, present or not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rights::staff;
use super::state::{MAX_BANS, Room, RoomConfig};
use super::succession::departure;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext, NewEvent};
use crate::commands::fault::FieldFaults;
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::{DenyReason, IdentityBanned, LeaveReason, ParticipantDenied};
use crate::events::time::Timestamp;
use crate::ids::Identity;
use crate::json::whole_number::whole_or_null;

/// Ten years.
pub(super) const MAX_BAN_S: u32 = 315_360_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ban {
    /// Who is kept out; need not be there.
    pub identity: Identity,
    /// How long, in seconds, at most ten years; absent: for as long as the room is.
    #[schemars(range(min = 1, max = 315_360_000))]
    #[serde(default, deserialize_with = "whole_or_null", skip_serializing_if = "Option::is_none")]
    pub ban_s: Option<u32>,
}

impl CommandSpec for Ban {
    const NAME: &'static str = "ban";
    const SUMMARY: &'static str = "Ban a person";
    const DESCRIPTION: &'static str = "For staff over people of a lower role or not present, and for servers with `room_admin`; also \
        while the room is scheduled. Somebody present leaves, reason `banned`; somebody in the lobby is denied. A new ban \
        replaces the old one; to ban without end who is banned without end changes nothing.";
    const EVENTS: &'static [&'static str] = &[
        "room.participant-left",
        "room.host-transferred",
        "room.track-unpublished",
        "room.participant-denied",
        "room.identity-banned",
    ];
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

    fn validate(&self, faults: &mut FieldFaults) {
        if let Some(seconds) = self.ban_s {
            faults.range("ban_s", seconds.into(), 1, MAX_BAN_S.into());
        }
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let config = room.unended()?;
        let rank = staff(room, context)?;
        let mut events = Vec::new();
        if let Room::Open(open) = room {
            if let Some(person) = open.people.get(&self.identity) {
                rank.over(person.role, &self.identity)?;
                events = departure(open, &self.identity, LeaveReason::Banned, context.now);
            } else if let Some(waiter) = open.people.waiter(&self.identity) {
                let (identity, session) = (self.identity.clone(), waiter.session);
                events.push(ParticipantDenied { identity, session, reason: DenyReason::Banned }.into());
            }
        }
        let forever = self.ban_s.is_none() && config.bans.get(&self.identity) == Some(&None);
        if !forever {
            events.push(banned(config, &self.identity, self.ban_s, context.now)?);
        }
        Ok(Decision::Events(events))
    }
}

/// The ban itself, from now for `ban_s` seconds or without end.
pub(super) fn banned(
    config: &RoomConfig,
    identity: &Identity,
    ban_s: Option<u32>,
    now: Timestamp,
) -> Result<NewEvent, Refusal> {
    if !config.bans.contains_key(identity) && config.bans_are_full(now) {
        return Err(Refusal::new(RefusalCode::TooManyBans, format!("the room has {MAX_BANS} bans in force")));
    }
    let until = ban_s.map(|seconds| now.plus_seconds(seconds.into()));
    Ok(IdentityBanned { identity: identity.clone(), until }.into())
}

#[cfg(test)]
pub(in crate::commands::room) mod tests {
    use super::super::testing::*;
    use super::*;

    fn banned_until(who: &str, until: Option<Timestamp>) -> RoomEvent {
        IdentityBanned { identity: id(who), until }.into()
    }

    /// As many bans as a room may have, each for an hour.
    pub(in crate::commands::room) fn full_of_bans() -> Given {
        let until = Some(given().now.plus_seconds(3600));
        (0..MAX_BANS).fold(given(), |room, n| room.event(banned_until(&format!("banned-{n}"), until)))
    }

    #[test]
    fn somebody_present_leaves_and_stays_out() {
        let room = given().joined("ann", Role::Moderator).joined("bob", Role::Speaker);
        let room = room
            .when(person("ann"), "ban", json!({ "identity": "bob" }))
            .then([left("bob", LeaveReason::Banned), banned_until("bob", None)]);
        room.when(person("bob"), "join", json!({})).refused(RefusalCode::Banned);
    }

    #[test]
    fn somebody_in_the_lobby_is_denied() {
        let room = given().joined("ann", Role::Moderator).waiting("bob", Role::Viewer);
        let denied = ParticipantDenied { identity: id("bob"), session: session("bob"), reason: DenyReason::Banned };
        room.when(person("ann"), "ban", json!({ "identity": "bob" })).then([denied.into(), banned_until("bob", None)]);
    }

    #[test]
    fn somebody_who_never_came_is_kept_out_also_of_a_scheduled_room() {
        let room = scheduled();
        let until = Some(room.now.plus_seconds(7200));
        room.when(server(), "ban", json!({ "identity": "bob", "ban_s": 7200 }))
            .then([banned_until("bob", until)])
            .after(3600)
            .when(person("bob"), "join", json!({}))
            .refused(RefusalCode::Banned);
    }

    #[test]
    fn a_ban_without_end_is_not_repeated_and_another_length_replaces_it() {
        let room = given().event(banned_until("bob", None));
        room.when(server(), "ban", json!({ "identity": "bob" })).then_nothing();
        let until = Some(room.now.plus_seconds(5));
        room.when(server(), "ban", json!({ "identity": "bob", "ban_s": 5 })).then([banned_until("bob", until)]);
    }

    #[test]
    fn equals_and_those_above_are_not_banned() {
        let room = given().joined("ann", Role::Moderator).joined("bob", Role::Moderator).joined("cid", Role::Host);
        room.when(person("ann"), "ban", json!({ "identity": "bob" })).refused(RefusalCode::RankTooLow);
        room.when(person("ann"), "ban", json!({ "identity": "cid" })).refused(RefusalCode::RankTooLow);
        room.when(person("ann"), "ban", json!({ "identity": "ann" })).refused(RefusalCode::RankTooLow);
    }

    #[test]
    fn who_is_not_staff_bans_nobody() {
        let room = given().joined("ann", Role::Speaker);
        room.when(person("ann"), "ban", json!({ "identity": "bob" })).refused(RefusalCode::StaffOnly);
        room.when(person("eve"), "ban", json!({ "identity": "bob" })).refused(RefusalCode::StaffOnly);
    }

    #[test]
    fn bans_in_force_are_bounded_and_those_that_ran_out_make_room() {
        let room = full_of_bans();
        room.when(server(), "ban", json!({ "identity": "bob" })).refused(RefusalCode::TooManyBans);
        room.when(server(), "ban", json!({ "identity": "banned-7" })).then([banned_until("banned-7", None)]);
        let room = room.after(3600).when(server(), "ban", json!({ "identity": "bob" })).and();
        assert_eq!(room.room.config().unwrap().bans.len(), 1);
    }

    #[test]
    fn a_ban_lasts_one_second_to_ten_years() {
        assert_eq!(faults("ban", r#"{"identity":"bob","ban_s":0}"#)[0].field, "ban_s");
        assert_eq!(faults("ban", r#"{"identity":"bob","ban_s":315360001}"#)[0].field, "ban_s");
    }

    #[test]
    fn a_room_that_ended_or_never_was_is_refused() {
        let body = || json!({ "identity": "ann" });
        nothing().when(server(), "ban", body()).refused(RefusalCode::RoomNotFound);
        let over = given().event(RoomEnded { reason: EndReason::Requested });
        over.when(server(), "ban", body()).refused(RefusalCode::RoomEnded);
    }
}
