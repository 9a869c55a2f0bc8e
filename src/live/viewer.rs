//! Which events of a room somebody may read, and what of them. [`RoomEvent::audience`] says for whom an event is.
//!
//! - A message is for those it was sent to, its author, and holders of `room_admin`. Whoever it is not for does not get the
//!   event at all, and sees room versions jump over it.
//! - Who waits in the lobby, was denied or asks again is for staff and for themselves to know. Others learn that somebody did,
//!   without who.
//! - An event that this program does not know, or cannot read, is for holders of `room_admin` alone.
//!
//! A message to staff may be read by who is staff now: somebody who becomes a moderator reads what moderators wrote, and no
//! longer when they are none. A role is the person's, whatever devices they joined with. A stream follows its reader's own stays
//! and role through the events that it passes on. It is over for a person whose last stay ends; one whose token lists rooms too
//! goes on as any holder of `room_list`.

use std::collections::{BTreeSet, HashMap};

use crate::events::envelope::Envelope;
use crate::events::room::{Audience, EventAudience, LeaveReason, ParticipantLeft, RoomEvent};
use crate::ids::{Identity, RoomId, RoomVersion, SessionId};

/// Who looks at a room's events, as far as it matters to what they see.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// `None`: a server, or a person's token that speaks for nobody.
    pub identity: Option<Identity>,
    /// Holds `room_admin`: sees everything.
    pub admin: bool,
    /// Is host or moderator in the room.
    pub staff: bool,
    /// The reader's stays in the room.
    pub stays: BTreeSet<SessionId>,
    /// The version of the room at which `staff` and `stays` were so; events after it are followed.
    pub as_of: RoomVersion,
    /// Was in the room, and left it or was removed: may see no more.
    pub gone: bool,
    /// Holds `room_list`: who leaves the room sees what everybody may see.
    pub lists: bool,
    /// The version at which a reader who `lists` left the room: what came later is not opened for them.
    pub left_at: Option<RoomVersion>,
}

/// What a reader gets of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    Shown,
    /// Shown without anything that tells whom it is about.
    WithoutWho,
    Hidden,
    /// A message was deleted; whether it was for this reader is with the event that sent it, at this room version.
    AsMessage(RoomVersion),
}

impl Viewer {
    /// Sees everything.
    pub fn admin() -> Self {
        Self { admin: true, staff: true, ..Self::outsider() }
    }

    /// Sees what everybody may see.
    pub fn outsider() -> Self {
        Self {
            identity: None,
            admin: false,
            staff: false,
            stays: BTreeSet::new(),
            as_of: RoomVersion::MAX,
            gone: false,
            lists: false,
            left_at: None,
        }
    }

    /// Somebody in the room, or who was in it.
    pub fn person(identity: Identity, staff: bool, as_of: RoomVersion, lists: bool) -> Self {
        Self { identity: Some(identity), staff, as_of, lists, ..Self::outsider() }
    }

    /// The same, with the stays that the person has.
    pub fn with_stays(self, stays: impl IntoIterator<Item = SessionId>) -> Self {
        Self { stays: stays.into_iter().collect(), ..self }
    }

    /// Whether personal fields of an event are opened for a reader who may see any.
    pub fn opens(&self, version: RoomVersion) -> bool {
        self.left_at.is_none_or(|left| version <= left)
    }

    /// What of the event this reader gets. Events come in the order of their versions.
    pub fn sees(&mut self, envelope: &Envelope) -> Visibility {
        if self.admin {
            return Visibility::Shown;
        }
        self.sees_event(envelope, envelope.event().ok().as_ref())
    }

    /// The same of an event that is decoded; `None`: it cannot be.
    pub fn sees_event(&mut self, envelope: &Envelope, event: Option<&RoomEvent>) -> Visibility {
        if self.admin {
            return Visibility::Shown;
        }
        let Some(event) = event else { return Visibility::Hidden };
        self.follow(envelope.room_version, event);
        match event.audience() {
            EventAudience::Everyone => Visibility::Shown,
            EventAudience::Lobby(who) if self.staff || self.identity.as_ref() == Some(who) => Visibility::Shown,
            EventAudience::Lobby(_) => Visibility::WithoutWho,
            EventAudience::Message { author, to } => self.audience(author, to),
            EventAudience::OfMessage(message) => Visibility::AsMessage(message),
        }
    }

    fn audience(&self, author: &Identity, to: &Audience) -> Visibility {
        let shown = match to {
            Audience::Everyone => true,
            Audience::Staff => self.staff || self.identity.as_ref() == Some(author),
            Audience::Identities(named) => {
                self.identity.as_ref().is_some_and(|reader| reader == author || named.contains(reader))
            }
        };
        if shown { Visibility::Shown } else { Visibility::Hidden }
    }

    /// Keeps `staff` and `stays` true to what the events say.
    fn follow(&mut self, version: RoomVersion, event: &RoomEvent) {
        let Some(me) = &self.identity else { return };
        if version <= self.as_of {
            return;
        }
        match event {
            RoomEvent::ParticipantJoined(joined) if joined.identity == *me => {
                // Another device joins as the person who is there.
                if self.stays.is_empty() {
                    self.staff = joined.role.is_staff();
                }
                self.stays.insert(joined.session);
            }
            RoomEvent::RoleChanged(changed) if changed.identity == *me => self.staff = changed.to.is_staff(),
            // The host before stays on as a moderator.
            RoomEvent::HostTransferred(transferred) if transferred.to == *me => self.staff = true,
            RoomEvent::ParticipantLeft(left) if left.identity == *me => self.left(version, left),
            _ => {}
        }
    }

    fn left(&mut self, version: RoomVersion, left: &ParticipantLeft) {
        self.stays.remove(&left.session);
        if !self.stays.is_empty() {
            return;
        }
        self.staff = false;
        // Who is replaced joins again at once, and all leave a room that ends: they may read how it did.
        if matches!(left.reason, LeaveReason::Replaced | LeaveReason::RoomEnded) {
            return;
        }
        if self.lists {
            self.left_at = Some(version);
            self.identity = None;
        } else {
            self.gone = true;
        }
    }
}

/// Remembers of which messages the reader saw the sending, so that most deletions need no look at the log.
#[derive(Debug, Default)]
pub struct SeenMessages(HashMap<(RoomId, RoomVersion), Visibility>);

/// Beyond it all is forgotten and looked up again.
const REMEMBERED: usize = 8192;

impl SeenMessages {
    /// Before a page: what is known then stays known until the next.
    pub fn make_room(&mut self) {
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
    }

    pub fn remember(&mut self, room: RoomId, message: RoomVersion, sight: Visibility) {
        self.0.insert((room, message), sight);
    }

    pub fn recall(&self, room: RoomId, message: RoomVersion) -> Option<Visibility> {
        self.0.get(&(room, message)).copied()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::live::event_view::tests::envelope;

    fn event(version: RoomVersion, name: &'static str, data: &Value) -> Envelope {
        Envelope { room_version: version, ..envelope(name, 1, &data.to_string()) }
    }

    fn message(to: &Value) -> Envelope {
        event(12, "room.message-sent", &json!({"author": "alice", "to": to}))
    }

    fn person(name: &str, staff: bool) -> Viewer {
        Viewer::person(Identity::new(name).unwrap(), staff, 20, false)
    }

    #[test]
    fn a_message_is_for_those_it_was_sent_to_and_its_author() {
        let direct = message(&json!({"identities": ["bob"]}));
        assert_eq!(person("alice", false).sees(&direct), Visibility::Shown);
        assert_eq!(person("bob", false).sees(&direct), Visibility::Shown);
        assert_eq!(person("carol", true).sees(&direct), Visibility::Hidden);
        assert_eq!(Viewer::outsider().sees(&direct), Visibility::Hidden);
        assert_eq!(Viewer::admin().sees(&direct), Visibility::Shown);
    }

    #[test]
    fn a_message_to_staff_is_for_staff() {
        let staff = message(&json!("staff"));
        assert_eq!(person("bob", true).sees(&staff), Visibility::Shown);
        assert_eq!(person("bob", false).sees(&staff), Visibility::Hidden);
        assert_eq!(person("alice", false).sees(&staff), Visibility::Shown);
        assert_eq!(Viewer::outsider().sees(&message(&json!("everyone"))), Visibility::Shown);
    }

    #[test]
    fn an_edit_is_for_whom_its_message_was_and_a_deletion_asks_for_it() {
        let edit =
            event(13, "room.message-edited", &json!({"message": 12, "author": "alice", "to": {"identities": ["bob"]}}));
        assert_eq!(person("carol", true).sees(&edit), Visibility::Hidden);
        let deletion = event(14, "room.message-deleted", &json!({"message": 12}));
        assert_eq!(person("carol", true).sees(&deletion), Visibility::AsMessage(12));
    }

    #[test]
    fn the_readers_own_role_is_followed_from_where_it_was_known() {
        let mut bob = person("bob", false);
        let promotion = |version| {
            event(version, "room.role-changed", &json!({"identity": "bob", "from": "speaker", "to": "moderator"}))
        };
        bob.sees(&promotion(20));
        assert!(!bob.staff, "what was known already counted it");
        bob.sees(&event(21, "room.role-changed", &json!({"identity": "eve", "from": "speaker", "to": "moderator"})));
        assert!(!bob.staff);
        bob.sees(&promotion(22));
        assert!(bob.staff);
        let session = "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11";
        bob.sees(&event(
            23,
            "room.participant-left",
            &json!({"identity": "bob", "session": session, "reason": "left", "seconds": 3}),
        ));
        assert!(!bob.staff);
        bob.sees(&event(24, "room.host-transferred", &json!({"to": "bob"})));
        assert!(bob.staff);
        bob.sees(&event(
            25,
            "room.participant-joined",
            &json!({"identity": "bob", "session": session, "role": "viewer"}),
        ));
        assert!(!bob.staff);
    }

    #[test]
    fn who_leaves_sees_no_more_and_who_lists_rooms_sees_what_everybody_may() {
        let session = "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11";
        let left = |reason: &str| {
            let data = json!({"identity": "bob", "session": session, "reason": reason, "seconds": 3});
            event(21, "room.participant-left", &data)
        };
        let direct = event(22, "room.message-sent", &json!({"author": "alice", "to": {"identities": ["bob"]}}));
        for reason in ["left", "removed", "banned", "connection-lost"] {
            let mut bob = person("bob", true);
            bob.sees(&left(reason));
            assert!(bob.gone, "{reason}");
            let mut lister = Viewer { lists: true, ..person("bob", true) };
            assert_eq!(lister.sees(&direct), Visibility::Shown);
            lister.sees(&left(reason));
            assert!(!lister.gone && lister.opens(21) && !lister.opens(22), "{reason}");
            assert_eq!(lister.sees(&direct), Visibility::Hidden, "{reason}");
            assert_eq!(lister.sees(&message(&json!("staff"))), Visibility::Hidden);
            assert_eq!(lister.sees(&message(&json!("everyone"))), Visibility::Shown);
        }
        for reason in ["replaced", "room-ended"] {
            let mut bob = person("bob", true);
            bob.sees(&left(reason));
            assert!(!bob.gone && bob.opens(22), "{reason}");
        }
    }

    #[test]
    fn a_message_that_cannot_be_read_is_shown_to_nobody_but_administrators() {
        let unreadable = event(12, "room.message-sent", &json!({"author": "alice", "to": "the-moon"}));
        assert_eq!(person("alice", true).sees(&unreadable), Visibility::Hidden);
        assert_eq!(Viewer::admin().sees(&unreadable), Visibility::Shown);
    }

    #[test]
    fn messages_are_remembered_by_room() {
        let mut messages = SeenMessages::default();
        let room = envelope("room.opened", 1, "{}").room;
        messages.remember(room, 3, Visibility::Hidden);
        assert_eq!(messages.recall(room, 3), Some(Visibility::Hidden));
        assert_eq!(messages.recall(room, 4), None);
    }
}
