//! `allow-unmute`: staff releases what it had muted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::media::is_over;
use super::rights::staff;
use super::state::Room;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext, NewEvent};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::UnmuteAllowed;
use crate::ids::Identity;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AllowUnmute {
    /// Somebody of a lower role; absent: everybody of a lower role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
}

impl CommandSpec for AllowUnmute {
    const NAME: &'static str = "allow-unmute";
    const SUMMARY: &'static str = "Let somebody, or everybody, unmute again";
    const DESCRIPTION: &'static str = "For staff over a lower role, and servers with `room_admin`. What staff had muted stays muted, \
        but its owner may unmute it. Where staff holds nothing muted, nothing is written.";
    const EVENTS: &'static [&'static str] = &["room.unmute-allowed"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::StaffOnly,
        RefusalCode::NotPresent,
        RefusalCode::RankTooLow,
    ];

    fn examples() -> Vec<Example> {
        vec![
            Example::new("One person", json!({ "identity": "user-17" })),
            Example::new("Everybody, as after mute-all", json!({})),
        ]
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let open = room.open()?;
        let rank = staff(room, context)?;
        let allowed = |identity: &Identity| -> NewEvent { UnmuteAllowed { identity: identity.clone() }.into() };
        let held = |identity: &Identity| open.tracks.holds_any(identity);
        let Some(identity) = &self.identity else {
            let people = open.people.iter().filter(|(identity, person)| is_over(rank, person) && held(identity));
            return Ok(Decision::Events(people.map(|(identity, _)| allowed(identity)).collect()));
        };
        rank.over(open.present(identity)?.role, identity)?;
        Ok(Decision::Events(held(identity).then(|| allowed(identity)).into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::commands::refusal::RefusalCode;
    use crate::commands::room::testing::*;
    use crate::events::room::{Role, RoomEvent, TrackMuted, TrackSource, UnmuteAllowed};

    fn allowed(who: &str) -> RoomEvent {
        UnmuteAllowed { identity: id(who) }.into()
    }

    fn room() -> Given {
        let room = given().joined("ann", Role::Speaker).joined("bob", Role::Viewer);
        let room = room.joined("mod", Role::Moderator).joined("hal", Role::Host);
        ["ann", "bob", "mod"].into_iter().fold(room, |room, who| {
            let room = room.track(who, who, TrackSource::Microphone);
            room.event(TrackMuted { track: track(who), by_staff: who != "bob" })
        })
    }

    #[test]
    fn staff_releases_somebody_whose_tracks_stay_muted() {
        let body = json!({ "identity": "ann" });
        room().when(server(), "allow-unmute", body.clone()).then([allowed("ann")]);
        let room = room().when(person("mod"), "allow-unmute", body.clone()).then([allowed("ann")]);
        assert!(room.open().tracks.get(track("ann")).unwrap().muted);
        room.when(person("mod"), "allow-unmute", body).then_nothing();
    }

    #[test]
    fn staff_releases_everybody_below_it_whom_staff_had_muted() {
        room().when(person("mod"), "allow-unmute", json!({})).then([allowed("ann")]);
        let room = room().when(person("hal"), "allow-unmute", json!({})).then([allowed("ann"), allowed("mod")]);
        room.when(server(), "allow-unmute", json!({})).then_nothing();
    }

    #[test]
    fn who_muted_themselves_needs_no_release() {
        room().when(person("mod"), "allow-unmute", json!({ "identity": "bob" })).then_nothing();
    }

    #[test]
    fn nobody_releases_themselves_or_those_above() {
        let allow = |who: &str, whom: &str| room().when(person(who), "allow-unmute", json!({ "identity": whom }));
        allow("mod", "mod").refused(RefusalCode::RankTooLow);
        allow("mod", "hal").refused(RefusalCode::RankTooLow);
        allow("ann", "ann").refused(RefusalCode::StaffOnly);
        allow("mod", "eve").refused(RefusalCode::NotPresent);
    }

    #[test]
    fn people_are_released_in_an_open_room_only() {
        nothing().when(server(), "allow-unmute", json!({})).refused(RefusalCode::RoomNotFound);
        scheduled().when(server(), "allow-unmute", json!({})).refused(RefusalCode::RoomNotOpen);
        ended().when(server(), "allow-unmute", json!({})).refused(RefusalCode::RoomEnded);
    }
}
