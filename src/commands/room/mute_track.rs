//! `mute-track`: somebody falls silent (or dark) by their own will.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::media::own_track;
use super::state::Room;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::TrackMuted;
use crate::ids::TrackId;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MuteTrack {
    /// The caller's own.
    pub track: TrackId,
}

impl CommandSpec for MuteTrack {
    const NAME: &'static str = "mute-track";
    const SUMMARY: &'static str = "Mute a track of one's own";
    const DESCRIPTION: &'static str = "For the track's owner, with the grant `room_join`, or a server with `room_admin`. The owner can \
        unmute it at any time; staff mutes with mute-participant. A track that is muted already stays so, by whom it was \
        muted: nothing is written.";
    const EVENTS: &'static [&'static str] = &["room.track-muted"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::TrackNotFound,
        RefusalCode::NotOwnTrack,
    ];

    fn examples() -> Vec<Example> {
        vec![Example::new("One's own", json!({ "track": "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11" }))]
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let (_, track) = own_track(room, self.track, context)?;
        if track.muted {
            return Ok(Decision::nothing());
        }
        Ok(Decision::Events(vec![TrackMuted { track: self.track, by_staff: false }.into()]))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::commands::refusal::RefusalCode;
    use crate::commands::room::testing::*;
    use crate::events::room::{Role, TrackMuted, TrackSource};

    fn room() -> Given {
        let room = given().joined("ann", Role::Speaker).joined("hal", Role::Host);
        room.track("mic", "ann", TrackSource::Microphone)
    }

    #[test]
    fn its_owner_mutes_a_track() {
        let muted = TrackMuted { track: track("mic"), by_staff: false };
        let body = json!({ "track": track("mic") });
        room().when(server(), "mute-track", body.clone()).then([muted.clone().into()]);
        let room = room().when(person("ann"), "mute-track", body.clone()).then([muted.into()]);
        room.when(person("ann"), "mute-track", body).then_nothing();
    }

    #[test]
    fn what_staff_muted_stays_muted_by_staff() {
        let room = room().event(TrackMuted { track: track("mic"), by_staff: true });
        let room = room.when(person("ann"), "mute-track", json!({ "track": track("mic") })).then_nothing();
        assert!(room.open().tracks.get(track("mic")).unwrap().muted_by_staff);
    }

    #[test]
    fn nobody_else_does_not_even_a_host() {
        let body = json!({ "track": track("mic") });
        room().when(person("hal"), "mute-track", body.clone()).refused(RefusalCode::NotOwnTrack);
        room().when(granted("ann", Default::default()), "mute-track", body).refused(RefusalCode::NotGranted);
        let other = json!({ "track": track("other") });
        room().when(person("ann"), "mute-track", other).refused(RefusalCode::TrackNotFound);
    }

    #[test]
    fn a_track_is_muted_in_an_open_room_only() {
        let body = json!({ "track": track("mic") });
        nothing().when(server(), "mute-track", body.clone()).refused(RefusalCode::RoomNotFound);
        scheduled().when(server(), "mute-track", body.clone()).refused(RefusalCode::RoomNotOpen);
        ended().when(server(), "mute-track", body).refused(RefusalCode::RoomEnded);
    }
}
