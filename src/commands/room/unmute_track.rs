//! `unmute-track`: somebody is heard (or seen) again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::media::{may_publish, own_track};
use super::state::Room;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::TrackUnmuted;
use crate::ids::TrackId;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnmuteTrack {
    /// The caller's own.
    pub track: TrackId,
}

impl CommandSpec for UnmuteTrack {
    const NAME: &'static str = "unmute-track";
    const SUMMARY: &'static str = "Unmute a track of one's own";
    const DESCRIPTION: &'static str = "For the track's owner, with the grant `room_join`, or a server with `room_admin`. What staff \
        muted stays muted until staff sends allow-unmute, for servers too. So does what the setting `publish`, changed since, \
        no longer lets the owner's role publish. A track that is not muted stays so: nothing is written.";
    const EVENTS: &'static [&'static str] = &["room.track-unmuted"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::TrackNotFound,
        RefusalCode::NotOwnTrack,
        RefusalCode::MutedByStaff,
        RefusalCode::PublishNotAllowed,
    ];

    fn examples() -> Vec<Example> {
        vec![Example::new("One's own", json!({ "track": "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11" }))]
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let (open, track) = own_track(room, self.track, context)?;
        if !track.muted {
            return Ok(Decision::nothing());
        }
        if track.muted_by_staff {
            return Err(Refusal::new(RefusalCode::MutedByStaff, "staff muted the track"));
        }
        may_publish(open, open.present(&track.identity)?, track.source)?;
        Ok(Decision::Events(vec![TrackUnmuted { track: self.track }.into()]))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::commands::refusal::RefusalCode;
    use crate::commands::room::testing::*;
    use crate::events::room::{Role, SettingsChanged, TrackMuted, TrackSource, TrackUnmuted, UnmuteAllowed};

    fn muted(by_staff: bool) -> Given {
        let room = given().joined("ann", Role::Speaker).joined("hal", Role::Host);
        room.track("mic", "ann", TrackSource::Microphone).event(TrackMuted { track: track("mic"), by_staff })
    }

    #[test]
    fn its_owner_unmutes_a_track() {
        let body = json!({ "track": track("mic") });
        let unmuted = TrackUnmuted { track: track("mic") };
        muted(false).when(server(), "unmute-track", body.clone()).then([unmuted.clone().into()]);
        let room = muted(false).when(person("ann"), "unmute-track", body.clone()).then([unmuted.into()]);
        room.when(person("ann"), "unmute-track", body).then_nothing();
    }

    #[test]
    fn what_staff_muted_waits_for_staff() {
        let body = json!({ "track": track("mic") });
        muted(true).when(person("ann"), "unmute-track", body.clone()).refused(RefusalCode::MutedByStaff);
        muted(true).when(server(), "unmute-track", body.clone()).refused(RefusalCode::MutedByStaff);
        let room = muted(true).event(UnmuteAllowed { identity: id("ann") });
        assert!(room.open().tracks.get(track("mic")).unwrap().muted, "allowed is not unmuted");
        room.when(person("ann"), "unmute-track", body).then([TrackUnmuted { track: track("mic") }.into()]);
    }

    #[test]
    fn nobody_unmutes_what_their_role_may_no_longer_publish() {
        let publish = json!({ "publish": { "audio": ["host"], "video": [], "screen": [] } });
        let room = muted(false).event(SettingsChanged { changed: serde_json::from_value(publish).unwrap() });
        let body = json!({ "track": track("mic") });
        room.when(person("ann"), "unmute-track", body).refused(RefusalCode::PublishNotAllowed);
    }

    #[test]
    fn nobody_else_does_not_even_a_host() {
        let body = json!({ "track": track("mic") });
        muted(false).when(person("hal"), "unmute-track", body.clone()).refused(RefusalCode::NotOwnTrack);
        muted(false).when(granted("ann", Default::default()), "unmute-track", body).refused(RefusalCode::NotGranted);
        let other = json!({ "track": track("other") });
        muted(false).when(person("ann"), "unmute-track", other).refused(RefusalCode::TrackNotFound);
    }

    #[test]
    fn a_track_is_unmuted_in_an_open_room_only() {
        let body = json!({ "track": track("mic") });
        nothing().when(server(), "unmute-track", body.clone()).refused(RefusalCode::RoomNotFound);
        scheduled().when(server(), "unmute-track", body.clone()).refused(RefusalCode::RoomNotOpen);
        ended().when(server(), "unmute-track", body).refused(RefusalCode::RoomEnded);
    }
}
