//! What follows when people go or change their role: stays end, somebody takes over as host, tracks that a role may not
//! publish end.
//!
//! A room with staff in it has a host: when the last host goes, the longest-present moderator takes over in the same append;
//! with no moderator there, nobody does, and the next moderator to come is host.

use super::state::{Open, Stay};
use crate::commands::context::Fact;
use crate::events::room::{HostTransferred, LeaveReason, ParticipantLeft, Role, TrackUnpublished, UnpublishReason};
use crate::events::time::Timestamp;
use crate::ids::Identity;

/// One stay ends.
pub fn stay_ends(identity: &Identity, stay: &Stay, reason: LeaveReason, now: Timestamp) -> Fact {
    let seconds = now.seconds_since(stay.joined_at);
    ParticipantLeft { identity: identity.clone(), session: stay.session, reason, seconds }.into()
}

/// All stays of somebody present end, and somebody takes over if a host has to.
pub fn departure(open: &Open, identity: &Identity, reason: LeaveReason, now: Timestamp) -> Vec<Fact> {
    let Some(person) = open.people.get(identity) else { return Vec::new() };
    let mut facts: Vec<Fact> = person.sessions.iter().map(|stay| stay_ends(identity, stay, reason, now)).collect();
    facts.extend(takeover(open, identity));
    facts
}

/// Who takes over when `leaver`, still present in `open`, is gone.
fn takeover(open: &Open, leaver: &Identity) -> Vec<Fact> {
    if !open.people.is_only_host(leaver) {
        return Vec::new();
    }
    let Some(heir) = open.people.moderators().next() else { return Vec::new() };
    let mut facts = vec![HostTransferred { from: Some(leaver.clone()), to: heir.clone() }.into()];
    facts.extend(tracks_lost(open, heir, Role::Host));
    facts
}

/// Somebody who becomes moderator (joins as one, or is made one) is host at once where there is no other. `None` where
/// there is.
pub fn first_of_staff(open: &Open, identity: &Identity, role: Role) -> Option<Fact> {
    let vacant = open.people.hosts().len() == 0;
    (vacant && role == Role::Moderator).then(|| HostTransferred { from: None, to: identity.clone() }.into())
}

/// The tracks of somebody present that may not be published in `role`, ended.
pub fn tracks_lost(open: &Open, identity: &Identity, role: Role) -> Vec<Fact> {
    let rights = &open.charter.settings.publish;
    let lost = open.tracks.of(identity).filter(|(_, track)| !rights.of(track.source.publish_kind()).contains(&role));
    lost.map(|(track, _)| TrackUnpublished { track, reason: UnpublishReason::RoleChanged }.into()).collect()
}
