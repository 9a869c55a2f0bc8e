//! What follows when people go or change their role: stays end, somebody takes over as host, tracks that a role may not
//! publish end.
//!
//! A room with staff in it has a host: when the last host goes, the longest-present moderator takes over in the same append;
//! with no moderator there, nobody does, and the next moderator to come is host.

use super::state::{OpenState, RoomSession};
use crate::commands::context::NewEvent;
use crate::events::room::{HostTransferred, LeaveReason, ParticipantLeft, Role, TrackUnpublished, UnpublishReason};
use crate::events::time::Timestamp;
use crate::ids::Identity;

/// One stay ends.
pub fn session_ends(identity: &Identity, stay: &RoomSession, reason: LeaveReason, now: Timestamp) -> NewEvent {
    let seconds = now.seconds_since(stay.joined_at);
    ParticipantLeft { identity: identity.clone(), session: stay.session, reason, seconds }.into()
}

/// All stays of somebody present end, and somebody takes over if a host has to.
pub fn departure(open: &OpenState, identity: &Identity, reason: LeaveReason, now: Timestamp) -> Vec<NewEvent> {
    let Some(person) = open.people.get(identity) else { return Vec::new() };
    let mut events: Vec<NewEvent> =
        person.sessions.iter().map(|stay| session_ends(identity, stay, reason, now)).collect();
    events.extend(takeover(open, identity));
    events
}

/// Who takes over when `leaver`, still present in `open`, is gone.
fn takeover(open: &OpenState, leaver: &Identity) -> Vec<NewEvent> {
    if !open.people.is_only_host(leaver) {
        return Vec::new();
    }
    let Some(heir) = open.people.moderators().next() else { return Vec::new() };
    let mut events = vec![HostTransferred { from: Some(leaver.clone()), to: heir.clone() }.into()];
    events.extend(tracks_lost(open, heir, Role::Host));
    events
}

/// Somebody who becomes moderator (joins as one, or is made one) is host at once where there is no other. `None` where
/// there is.
pub fn first_of_staff(open: &OpenState, identity: &Identity, role: Role) -> Option<NewEvent> {
    let vacant = open.people.hosts().len() == 0;
    (vacant && role == Role::Moderator).then(|| HostTransferred { from: None, to: identity.clone() }.into())
}

/// The tracks of somebody present that may not be published in `role`, ended.
pub fn tracks_lost(open: &OpenState, identity: &Identity, role: Role) -> Vec<NewEvent> {
    let rights = &open.config.settings.publish;
    let lost = open.tracks.of(identity).filter(|(_, track)| !rights.of(track.source.publish_kind()).contains(&role));
    lost.map(|(track, _)| TrackUnpublished { track, reason: UnpublishReason::RoleChanged }.into()).collect()
}
