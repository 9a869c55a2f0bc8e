//! Each event as a sentence.

use super::name_table::{NameTable, new_name};
use super::sentence::{Sentence, SentencePart};
use crate::events::envelope::Envelope;
use crate::events::room::{
    Audience, DenyReason, EndReason, HostTransferred, IdentityBanned, LeaveReason, MessageSent, OpenReason,
    ParticipantDenied, ParticipantLeft, RoomCreated, RoomEvent, SettingsChanged, TrackMuted, TrackPublished,
    TrackSource, TrackUnpublished, UnpublishReason,
};
use crate::ids::{Actor, Identity};

/// The sentence for an event in the lobby, for those who are not to know whom it is about.
pub fn without_who(envelope: &Envelope) -> Sentence {
    let waits = &*envelope.event_type == "room.participant-waiting";
    Sentence::default().text(if waits { "Somebody waits to be let in" } else { "Somebody waits no longer" })
}

impl NameTable {
    /// The sentence for an event. They come in the order of their versions.
    pub fn describe(&mut self, envelope: &Envelope) -> Sentence {
        let Ok(event) = envelope.event() else {
            // A newer program wrote it. Nothing is left out for its shape.
            let name = envelope.event_type.to_string();
            return Sentence::default().text("Something happened that this server has no words for: ").text(name);
        };
        self.enter(envelope, &event);
        let sentence = self.sentence(envelope, &event);
        self.leave(envelope, &event);
        sentence
    }

    fn sentence(&self, envelope: &Envelope, event: &RoomEvent) -> Sentence {
        let did = |what: &'static str| Sentence::default().with(self.actor(&envelope.actor)).text(what);
        let one = |identity: &Identity, what: &'static str| self.one(identity).text(what);
        let to = |what: &'static str, identity: &Identity| did(what).with(self.person(identity));
        match event {
            RoomEvent::RoomCreated(created) => created_room(did(" created the room"), created),
            RoomEvent::SettingsChanged(changed) => did(" changed settings").text(settings(changed)),
            RoomEvent::RoomOpened(opened) => match opened.reason {
                OpenReason::Requested => did(" opened the room"),
                OpenReason::Due => Sentence::default().text("The room opened at its time"),
            },
            RoomEvent::RoomEnded(ended) => match ended.reason {
                EndReason::Requested => did(" ended the room"),
                EndReason::Empty => Sentence::default().text("The room ended, for nobody was there"),
                EndReason::TooLong => {
                    Sentence::default().text("The room ended, having been open for as long as it may")
                }
                EndReason::Cancelled => did(" called the room off"),
            },
            RoomEvent::RoomLocked(_) => did(" locked the room"),
            RoomEvent::RoomUnlocked(_) => did(" unlocked the room"),
            RoomEvent::ParticipantWaiting(waiting) => {
                one(&waiting.identity, " waits to be let in as ").text(waiting.role.as_str())
            }
            RoomEvent::ParticipantAdmitted(admitted) => to(" let in ", &admitted.identity),
            RoomEvent::ParticipantDenied(denied) => self.denied(&envelope.actor, denied),
            RoomEvent::ParticipantJoined(joined) => one(&joined.identity, " joined as ").text(joined.role.as_str()),
            RoomEvent::ParticipantLeft(left) => self.left(&envelope.actor, left),
            RoomEvent::ParticipantRenamed(renamed) => one(&renamed.identity, " is now called ")
                .with(SentencePart::Person(renamed.identity.clone(), new_name(envelope))),
            RoomEvent::ParticipantMetadataSet(set) => to(" set the metadata of ", &set.identity),
            RoomEvent::RoleChanged(changed) => {
                to(" made ", &changed.identity).text(format!(" {}", changed.to.as_str()))
            }
            RoomEvent::HostTransferred(transferred) => self.transferred(transferred),
            RoomEvent::IdentityBanned(banned) => to(" banned ", &banned.identity).text(until(banned)),
            RoomEvent::IdentityUnbanned(unbanned) => to(" lifted the ban of ", &unbanned.identity),
            RoomEvent::HandRaised(hand) => one(&hand.identity, " raised a hand"),
            RoomEvent::HandLowered(hand) if envelope.actor.identity() == Some(&hand.identity) => {
                one(&hand.identity, " lowered the hand")
            }
            RoomEvent::HandLowered(hand) => to(" lowered the hand of ", &hand.identity),
            RoomEvent::SpotlightSet(spotlight) => to(" put into the spotlight ", &spotlight.identity),
            RoomEvent::SpotlightCleared(_) => did(" cleared the spotlight"),
            RoomEvent::TrackPublished(track) => self.published(track),
            RoomEvent::TrackUnpublished(track) => self.unpublished(track),
            RoomEvent::TrackMuted(track) => self.muted(&envelope.actor, track),
            RoomEvent::TrackUnmuted(track) => match self.track(&track.track) {
                Some((owner, source)) => one(owner, " unmuted the ").text(device(*source)),
                None => did(" unmuted a track"),
            },
            RoomEvent::UnmuteAllowed(allowed) => to(" allowed unmuting to ", &allowed.identity),
            RoomEvent::RecordingStarted(_) => did(" started a recording"),
            RoomEvent::RecordingStopped(_) => did(" stopped the recording"),
            RoomEvent::RecordingFailed(failed) => {
                Sentence::default().text("The recording failed: ").text(failed.reason.clone())
            }
            RoomEvent::MessageSent(message) => self.message(envelope, message),
            RoomEvent::MessageEdited(edited) => one(&edited.author, " changed message ")
                .text(format!("{} to: ", edited.message))
                .with(SentencePart::Quotation(new_name(envelope))),
            RoomEvent::MessageDeleted(deleted) => did(" deleted message ").text(deleted.message.to_string()),
            // In no room, and so in no timeline.
            RoomEvent::PersonErased(erased) => to(" erased ", &erased.identity),
        }
    }

    fn one(&self, identity: &Identity) -> Sentence {
        Sentence::default().with(self.person(identity))
    }

    fn denied(&self, actor: &Actor, denied: &ParticipantDenied) -> Sentence {
        let one = self.one(&denied.identity);
        match denied.reason {
            DenyReason::Denied => {
                Sentence::default().with(self.actor(actor)).text(" did not let in ").with(self.person(&denied.identity))
            }
            DenyReason::Withdrawn => one.text(" waits no longer"),
            DenyReason::Replaced => one.text(" asked once more to be let in"),
            DenyReason::Banned => one.text(" waits no longer, being banned"),
            DenyReason::RoomEnded => one.text(" waited until the room ended"),
        }
    }

    fn left(&self, actor: &Actor, left: &ParticipantLeft) -> Sentence {
        let one = self.one(&left.identity);
        let stayed = format!(" after {}", duration(left.seconds));
        match left.reason {
            LeaveReason::Left => one.text(" left").text(stayed),
            LeaveReason::Replaced => one.text(" joined from elsewhere and left here").text(stayed),
            LeaveReason::Removed => {
                let did = Sentence::default().with(self.actor(actor)).text(" removed ");
                did.with(self.person(&left.identity)).text(stayed)
            }
            LeaveReason::Banned => one.text(" had to leave, being banned,").text(stayed),
            LeaveReason::ConnectionLost => one.text(" lost the connection").text(stayed),
            LeaveReason::RoomEnded => one.text(" left with the end of the room").text(stayed),
        }
    }

    fn transferred(&self, transferred: &HostTransferred) -> Sentence {
        let became = self.one(&transferred.to).text(" became host");
        match &transferred.from {
            Some(from) => became.text(" in place of ").with(self.person(from)),
            None => became,
        }
    }

    fn published(&self, track: &TrackPublished) -> Sentence {
        let one = self.one(&track.identity);
        let began = match track.source {
            TrackSource::Microphone => one.text(" turned the microphone on"),
            TrackSource::Camera => one.text(" turned the camera on"),
            TrackSource::Screen => one.text(" began to share the screen"),
            TrackSource::ScreenAudio => one.text(" began to share the sound of the screen"),
        };
        if track.muted { began.text(", muted") } else { began }
    }

    fn unpublished(&self, track: &TrackUnpublished) -> Sentence {
        let ended = match self.track(&track.track) {
            None => Sentence::default().text("A track ended"),
            Some((owner, source)) => self.one(owner).text(match source {
                TrackSource::Microphone => " turned the microphone off",
                TrackSource::Camera => " turned the camera off",
                TrackSource::Screen => " stopped sharing the screen",
                TrackSource::ScreenAudio => " stopped sharing the sound of the screen",
            }),
        };
        match track.reason {
            UnpublishReason::Unpublished => ended,
            UnpublishReason::Replaced => ended.text(", as another took its place"),
            UnpublishReason::RoleChanged => ended.text(", as the new role does not allow it"),
        }
    }

    fn muted(&self, actor: &Actor, track: &TrackMuted) -> Sentence {
        let did = Sentence::default().with(self.actor(actor));
        match self.track(&track.track) {
            None => did.text(" muted a track"),
            Some((owner, source)) if !track.by_staff => self.one(owner).text(" muted the ").text(device(*source)),
            Some((owner, source)) => {
                did.text(" muted the ").text(device(*source)).text(" of ").with(self.person(owner))
            }
        }
    }

    fn message(&self, envelope: &Envelope, message: &MessageSent) -> Sentence {
        let mut wrote = self.one(&message.author).text(" wrote");
        match &message.to {
            Audience::Everyone => {}
            Audience::Staff => wrote = wrote.text(" to staff"),
            Audience::Identities(named) => {
                for (number, identity) in named.iter().enumerate() {
                    wrote = wrote.text(if number == 0 { " to " } else { ", " }).with(self.person(identity));
                }
            }
        }
        if let Some(answered) = message.reply_to {
            wrote = wrote.text(format!(" in answer to message {answered}"));
        }
        wrote.text(": ").with(SentencePart::Quotation(new_name(envelope)))
    }
}

fn created_room(did: Sentence, created: &RoomCreated) -> Sentence {
    let named = match &created.name {
        Some(name) => did.text(format!(" \u{201c}{name}\u{201d}")),
        None => did,
    };
    match created.opens_at {
        Some(opens_at) => named.text(format!(", to open at {}", opens_at.utc().format("%F %T"))),
        None => named,
    }
}

/// The names of those that changed.
fn settings(changed: &SettingsChanged) -> String {
    let names = match serde_json::to_value(&changed.changed) {
        Ok(serde_json::Value::Object(fields)) => fields.keys().cloned().collect::<Vec<_>>().join(", "),
        _ => String::new(),
    };
    if names.is_empty() { names } else { format!(": {names}") }
}

fn until(banned: &IdentityBanned) -> String {
    banned.until.map(|until| format!(" until {}", until.utc().format("%F %T"))).unwrap_or_default()
}

fn device(source: TrackSource) -> &'static str {
    match source {
        TrackSource::Microphone => "microphone",
        TrackSource::Camera => "camera",
        TrackSource::Screen => "shared screen",
        TrackSource::ScreenAudio => "sound of the screen",
    }
}

/// The two largest units.
fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_its_two_largest_units() {
        let told = [0, 59, 60, 3_599, 3_600, 90_000].map(duration);
        assert_eq!(told, ["0 s", "59 s", "1 min 0 s", "59 min 59 s", "1 h 0 min", "1 d 1 h"]);
    }
}
