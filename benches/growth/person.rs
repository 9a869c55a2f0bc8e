//! Somebody in a room of the made-up history.

use convoke::events::room::{
    Audience, HandLowered, HandRaised, MessageSent, RoomEvent, TrackKind, TrackMuted, TrackPublished, TrackSource,
    TrackUnmuted,
};
use convoke::ids::{Identity, SessionId, TrackId};

use super::dice::Dice;

pub struct Person {
    pub identity: Identity,
    pub session: SessionId,
    pub since_us: i64,
    microphone: TrackId,
    heard: bool,
    muted: bool,
    hand: bool,
}

impl Person {
    pub fn new(identity: Identity, since_us: i64, dice: &mut Dice) -> Self {
        let session = SessionId::from_uuid(dice.id(since_us));
        let microphone = TrackId::from_uuid(dice.id(since_us));
        Self { identity, session, since_us, microphone, heard: false, muted: false, hand: false }
    }

    pub fn is_heard(&mut self) -> RoomEvent {
        self.heard = true;
        TrackPublished {
            track: self.microphone,
            identity: self.identity.clone(),
            session: self.session,
            kind: TrackKind::Audio,
            source: TrackSource::Microphone,
            codec: Some("opus".into()),
            width: None,
            height: None,
            muted: false,
        }
        .into()
    }

    /// Writes more often than not; else mutes or unmutes, raises or lowers a hand.
    pub fn does_something(&mut self, dice: &mut Dice) -> RoomEvent {
        let identity = self.identity.clone();
        match dice.roll(10) {
            0..=5 => MessageSent { author: identity, to: Audience::Everyone, reply_to: None }.into(),
            6..=7 if self.heard => {
                self.muted = !self.muted;
                let track = self.microphone;
                if self.muted { TrackMuted { track, by_staff: false }.into() } else { TrackUnmuted { track }.into() }
            }
            _ => {
                self.hand = !self.hand;
                if self.hand { HandRaised { identity }.into() } else { HandLowered { identity }.into() }
            }
        }
    }
}
