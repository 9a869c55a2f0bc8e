//! `publish-track`: somebody begins to send sound or picture.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::media::may_publish;
use super::rights::acts_for;
use super::state::{OpenState, PresentPerson, Room};
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext, NewEvent};
use crate::commands::fault::FieldFaults;
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::{
    OneScreen, TrackKind, TrackMuted, TrackPublished, TrackSource, TrackUnpublished, UnpublishReason,
};
use crate::ids::{Identity, SessionId, TrackId};
use crate::json::is_default;
use crate::json::whole_number::whole_or_null;

/// Tracks of one person at once.
const MAX_TRACKS: usize = 32;
/// Pixels of a side.
const MAX_SIDE: u32 = 16_384;
/// Characters of a codec's name.
const MAX_CODEC_CHARS: usize = 32;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishTrack {
    /// Who publishes, where a server asks for somebody; absent: the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// The stay that the track ends with; absent: the person's newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    pub source: TrackSource,
    /// As in SDP: `opus`, `VP8`, `AV1`; at most 32 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub codec: Option<String>,
    /// Pixels, 1 to 16,384; of a camera or screen only.
    #[serde(default, deserialize_with = "whole_or_null", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16_384))]
    pub width: Option<u32>,
    /// Pixels, 1 to 16,384; of a camera or screen only.
    #[serde(default, deserialize_with = "whole_or_null", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16_384))]
    pub height: Option<u32>,
    /// It begins muted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub muted: bool,
}

impl CommandSpec for PublishTrack {
    const NAME: &'static str = "publish-track";
    const SUMMARY: &'static str = "Publish a track";
    const DESCRIPTION: &'static str = "Needs the grant `room_join`, or `room_admin` to publish for somebody else; the setting \
        `publish` says which roles may publish what. The id of the track is the id of the command, and the track ends with \
        the session that published it.\n\n\
        If the setting `one_screen` is `refuse`, a second screen is refused; if it is `replace`, the present screen and \
        its sound end. A microphone begins muted if `mute_on_entry` is on. A source that staff muted begins muted by \
        staff, until allow-unmute.";
    const EVENTS: &'static [&'static str] = &["room.track-unpublished", "room.track-published", "room.track-muted"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::IdentityRequired,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::NotPresent,
        RefusalCode::PublishNotAllowed,
        RefusalCode::TooManyTracks,
        RefusalCode::ScreenTaken,
    ];

    fn examples() -> Vec<Example> {
        vec![
            Example::new("A microphone", json!({ "source": "microphone", "codec": "opus" })),
            Example::new("A camera", json!({ "source": "camera", "codec": "VP8", "width": 1280, "height": 720 })),
            Example::new(
                "A screen, from one of several devices",
                json!({
                    "source": "screen", "session": "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11",
                }),
            ),
        ]
    }

    fn validate(&self, faults: &mut FieldFaults) {
        if let Some(codec) = &self.codec {
            faults.line("codec", codec, MAX_CODEC_CHARS);
        }
        for (field, side) in [("width", self.width), ("height", self.height)] {
            let Some(side) = side else { continue };
            if self.source.kind() == TrackKind::Audio {
                faults.add(field, format!("a {} has no picture", self.source.as_str()));
            } else {
                faults.range(field, side.into(), 1, MAX_SIDE.into());
            }
        }
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let identity = acts_for(self.identity.as_ref(), context)?;
        let open = room.open()?;
        let person = open.present(identity)?;
        let session = self.session(identity, person)?;
        may_publish(open, person, self.source)?;
        if open.tracks.count_of(identity) >= MAX_TRACKS {
            let detail = format!("{} has published {MAX_TRACKS} tracks", identity.quoted());
            return Err(Refusal::new(RefusalCode::TooManyTracks, detail));
        }
        let mut events = self.replaced(open, session)?;
        events.extend(self.published(open, identity, session, context));
        Ok(Decision::Events(events))
    }
}

impl PublishTrack {
    fn session(&self, identity: &Identity, person: &PresentPerson) -> Result<SessionId, Refusal> {
        let mut stays = person.sessions.iter().map(|stay| stay.session);
        let session = match self.session {
            Some(wanted) => stays.find(|session| *session == wanted),
            None => stays.next_back(),
        };
        session.ok_or_else(|| {
            Refusal::new(
                RefusalCode::NotPresent,
                format!("{} is in the room, but not with this session", identity.quoted()),
            )
        })
    }

    /// The screens that make way for this one, with the sound that other stays share along with theirs.
    fn replaced(&self, open: &OpenState, session: SessionId) -> Result<Vec<NewEvent>, Refusal> {
        let screens = || open.tracks.screens().filter_map(|id| open.tracks.get(id).map(|track| (id, track)));
        let others = || screens().filter(|(_, screen)| screen.session != session);
        let taken = |(_, screen): (TrackId, &super::state::Track)| {
            Err(Refusal::new(RefusalCode::ScreenTaken, format!("{} shares a screen", screen.identity.quoted())))
        };
        match (open.config.settings.one_screen, self.source) {
            (OneScreen::Refuse, TrackSource::Screen) => screens().next().map_or(Ok(Vec::new()), taken),
            (OneScreen::Refuse, TrackSource::ScreenAudio) => others().next().map_or(Ok(Vec::new()), taken),
            (OneScreen::Replace, TrackSource::Screen) => {
                let sound = others().flat_map(|(_, screen)| {
                    let tracks = open.tracks.of(&screen.identity).map(move |(id, track)| (id, track, screen.session));
                    tracks.filter(|(_, track, session)| {
                        track.source == TrackSource::ScreenAudio && track.session == *session
                    })
                });
                let ended = screens().map(|(id, _)| id).chain(sound.map(|(id, ..)| id));
                let ended: std::collections::BTreeSet<TrackId> = ended.collect();
                let reason = UnpublishReason::Replaced;
                Ok(ended.into_iter().map(|track| TrackUnpublished { track, reason }.into()).collect())
            }
            (OneScreen::Off | OneScreen::Refuse | OneScreen::Replace, _) => Ok(Vec::new()),
        }
    }

    fn published(
        &self,
        open: &OpenState,
        identity: &Identity,
        session: SessionId,
        context: &DecisionContext<'_>,
    ) -> Vec<NewEvent> {
        let track = TrackId::from_uuid(context.command_id.uuid());
        let held = open.tracks.is_held(identity, self.source);
        let on_entry = open.config.settings.mute_on_entry && self.source == TrackSource::Microphone;
        let published = TrackPublished {
            track,
            identity: identity.clone(),
            session,
            kind: self.source.kind(),
            source: self.source,
            codec: self.codec.clone(),
            width: self.width,
            height: self.height,
            muted: self.muted || on_entry || held,
        };
        // Said by an event of its own, so that no reader has to know what staff muted.
        let held = held.then(|| TrackMuted { track, by_staff: true }.into());
        std::iter::once(published.into()).chain(held).collect()
    }
}

#[cfg(test)]
mod tests;
