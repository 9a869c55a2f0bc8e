//! `unpublish-track`: somebody stops sending sound or picture.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::media::own_track;
use super::state::Room;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::{TrackUnpublished, UnpublishReason};
use crate::ids::TrackId;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnpublishTrack {
    /// The caller's own.
    pub track: TrackId,
}

impl CommandSpec for UnpublishTrack {
    const NAME: &'static str = "unpublish-track";
    const SUMMARY: &'static str = "Unpublish a track";
    const DESCRIPTION: &'static str = "For the track's owner, with the grant `room_join`, or a server with `room_admin`. The track \
        ends. A track that ended already is not found.";
    const EVENTS: &'static [&'static str] = &["room.track-unpublished"];
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
        own_track(room, self.track, context)?;
        let unpublished = TrackUnpublished { track: self.track, reason: UnpublishReason::Unpublished };
        Ok(Decision::Events(vec![unpublished.into()]))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::commands::refusal::RefusalCode;
    use crate::commands::room::testing::*;
    use crate::events::room::{Role, TrackSource, TrackUnpublished, UnpublishReason};

    fn room() -> Given {
        let room = given().joined("ann", Role::Speaker).joined("hal", Role::Host);
        room.track("mic", "ann", TrackSource::Microphone)
    }

    #[test]
    fn its_owner_ends_a_track() {
        let ended = TrackUnpublished { track: track("mic"), reason: UnpublishReason::Unpublished };
        let body = json!({ "track": track("mic") });
        room().when(server(), "unpublish-track", body.clone()).then([ended.clone().into()]);
        let room = room().when(person("ann"), "unpublish-track", body.clone()).then([ended.into()]);
        assert_eq!(room.open().tracks.iter().len(), 0);
        room.when(person("ann"), "unpublish-track", body).refused(RefusalCode::TrackNotFound);
    }

    #[test]
    fn nobody_else_does_not_even_a_host() {
        let body = json!({ "track": track("mic") });
        room().when(person("hal"), "unpublish-track", body.clone()).refused(RefusalCode::NotOwnTrack);
        room().when(granted("ann", Default::default()), "unpublish-track", body).refused(RefusalCode::NotGranted);
    }

    #[test]
    fn a_track_ends_in_an_open_room_only() {
        let body = json!({ "track": track("mic") });
        nothing().when(server(), "unpublish-track", body.clone()).refused(RefusalCode::RoomNotFound);
        scheduled().when(server(), "unpublish-track", body.clone()).refused(RefusalCode::RoomNotOpen);
        ended().when(server(), "unpublish-track", body).refused(RefusalCode::RoomEnded);
    }

    #[test]
    fn a_body_names_the_track() {
        assert_eq!(faults("unpublish-track", "{}")[0].field, "track");
        assert_eq!(faults("unpublish-track", r#"{"track": "mic"}"#)[0].field, "track");
    }
}
