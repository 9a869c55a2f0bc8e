//! `mute-participant`: staff mutes one person.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::media::{audible_kinds, is_audible_kinds, muted_by_staff};
use super::rights::staff;
use super::state::Room;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::TrackKind;
use crate::ids::Identity;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MuteParticipant {
    /// Somebody of a lower role.
    pub identity: Identity,
    /// What is muted; absent: all that is heard.
    #[serde(default = "audible_kinds", skip_serializing_if = "is_audible_kinds")]
    pub kinds: BTreeSet<TrackKind>,
}

impl CommandSpec for MuteParticipant {
    const NAME: &'static str = "mute-participant";
    const SUMMARY: &'static str = "Mute somebody";
    const DESCRIPTION: &'static str = "For staff over a lower role (oneself: mute-track), and servers with `room_admin`. One event for \
        each of the person's tracks of these kinds; the person cannot unmute them, nor publish others of the same sources \
        unmuted, until staff sends allow-unmute or they leave. Where there is nothing to mute, nothing is written, and \
        nothing keeps the person from publishing later.";
    const EVENTS: &'static [&'static str] = &["room.track-muted"];
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
            Example::new("All that is heard", json!({ "identity": "user-17" })),
            Example::new("Picture too", json!({ "identity": "user-17", "kinds": ["audio", "video"] })),
        ]
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let open = room.open()?;
        let rank = staff(room, context)?;
        rank.over(open.present(&self.identity)?.role, &self.identity)?;
        Ok(Decision::Events(muted_by_staff(open, &self.identity, &self.kinds)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::commands::refusal::RefusalCode;
    use crate::commands::room::testing::*;
    use crate::events::room::{LeaveReason, Role, RoomEvent, TrackMuted, TrackSource};

    fn muted(name: &str) -> RoomEvent {
        TrackMuted { track: track(name), by_staff: true }.into()
    }

    fn room() -> Given {
        let room = given().joined("ann", Role::Speaker).joined("mod", Role::Moderator).joined("hal", Role::Host);
        room.track("s1", "ann", TrackSource::Microphone)
            .track("s2", "ann", TrackSource::Camera)
            .track("s3", "ann", TrackSource::ScreenAudio)
            .track("s4", "hal", TrackSource::Microphone)
    }

    #[test]
    fn staff_mutes_what_is_heard_of_somebody() {
        let body = json!({ "identity": "ann" });
        room().when(server(), "mute-participant", body.clone()).then([muted("s1"), muted("s3")]);
        let room = room().when(person("mod"), "mute-participant", body.clone()).then([muted("s1"), muted("s3")]);
        room.when(person("hal"), "mute-participant", body).then_nothing();
    }

    #[test]
    fn staff_mutes_the_kinds_that_it_names() {
        let mute = |kinds| room().when(person("mod"), "mute-participant", json!({ "identity": "ann", "kinds": kinds }));
        mute(json!(["video"])).then([muted("s2")]);
        mute(json!(["video", "audio"])).then([muted("s1"), muted("s2"), muted("s3")]);
        mute(json!([])).then_nothing();
    }

    #[test]
    fn what_its_owner_muted_is_muted_by_staff_all_the_same() {
        let room = room().event(TrackMuted { track: track("s1"), by_staff: false });
        let room = room.when(person("mod"), "mute-participant", json!({ "identity": "ann" }));
        let room = room.then([muted("s1"), muted("s3")]);
        let body = json!({ "track": track("s1") });
        room.when(person("ann"), "unmute-track", body).refused(RefusalCode::MutedByStaff);
    }

    #[test]
    fn nothing_to_mute_is_no_event() {
        let room = room().joined("vic", Role::Viewer);
        room.when(person("mod"), "mute-participant", json!({ "identity": "vic" })).then_nothing();
    }

    #[test]
    fn who_leaves_and_comes_again_is_not_muted() {
        let room = room().event(muted("s1")).event(left("ann", LeaveReason::Left)).joined("ann", Role::Speaker);
        let room = room.when(person("ann"), "publish-track", json!({ "source": "microphone" })).and();
        assert!(!room.open().tracks.of(&id("ann")).next().unwrap().1.muted);
    }

    #[test]
    fn staff_mutes_those_below_it() {
        let mute = |who: &str, whom: &str| room().when(person(who), "mute-participant", json!({ "identity": whom }));
        mute("mod", "hal").refused(RefusalCode::RankTooLow);
        mute("hal", "hal").refused(RefusalCode::RankTooLow);
        mute("ann", "hal").refused(RefusalCode::StaffOnly);
        mute("eve", "ann").refused(RefusalCode::StaffOnly);
        mute("mod", "eve").refused(RefusalCode::NotPresent);
        room().when(server(), "mute-participant", json!({ "identity": "hal" })).then([muted("s4")]);
    }

    #[test]
    fn people_are_muted_in_an_open_room_only() {
        let body = json!({ "identity": "ann" });
        nothing().when(server(), "mute-participant", body.clone()).refused(RefusalCode::RoomNotFound);
        scheduled().when(server(), "mute-participant", body.clone()).refused(RefusalCode::RoomNotOpen);
        ended().when(server(), "mute-participant", body).refused(RefusalCode::RoomEnded);
    }
}
