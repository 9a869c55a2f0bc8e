//! What the commands on tracks share: whose a track is, who may publish, what staff mutes.

use std::collections::BTreeSet;

use super::rights::Rank;
use super::state::{OpenState, PresentPerson, Room, Track};
use crate::commands::context::{DecisionContext, NewEvent};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::{TrackKind, TrackMuted, TrackSource};
use crate::ids::{Identity, TrackId};

/// The track, if it is the caller's. A server with `room_admin` acts for its owner.
pub fn own_track<'r>(
    room: &'r Room,
    id: TrackId,
    context: &DecisionContext<'_>,
) -> Result<(&'r OpenState, &'r Track), Refusal> {
    let open = room.open()?;
    let grants = &context.caller.grants;
    if !grants.room_join && !grants.room_admin {
        return Err(Refusal::not_granted("room_join"));
    }
    let missing = || Refusal::new(RefusalCode::TrackNotFound, format!("no track {id} is published here"));
    let track = open.tracks.get(id).ok_or_else(missing)?;
    if grants.room_admin || context.caller.identity() == Some(&track.identity) {
        Ok((open, track))
    } else {
        Err(Refusal::new(RefusalCode::NotOwnTrack, format!("the track is published by {}", track.identity.quoted())))
    }
}

/// Refused where the setting `publish` does not let the person's role publish this.
pub fn may_publish(open: &OpenState, person: &PresentPerson, source: TrackSource) -> Result<(), Refusal> {
    if open.config.settings.publish.of(source.publish_kind()).contains(&person.role) {
        return Ok(());
    }
    let (role, source) = (person.role.as_str(), source.as_str());
    Err(Refusal::new(RefusalCode::PublishNotAllowed, format!("a {role} may not publish a {source} in this room")))
}

/// What staff mutes where it does not say: all that is heard.
pub fn audible_kinds() -> BTreeSet<TrackKind> {
    BTreeSet::from([TrackKind::Audio])
}

/// For `#[serde(skip_serializing_if)]`: what [`audible_kinds`] gives need not be written.
pub fn is_audible_kinds(kinds: &BTreeSet<TrackKind>) -> bool {
    *kinds == audible_kinds()
}

/// The person's tracks of these kinds, muted by staff. One that its owner muted is muted once more, since now its owner
/// cannot unmute it; one that staff muted already is left as it is.
pub fn muted_by_staff(open: &OpenState, identity: &Identity, kinds: &BTreeSet<TrackKind>) -> Vec<NewEvent> {
    let tracks = open.tracks.of(identity);
    let to_mute = tracks.filter(|(_, track)| kinds.contains(&track.kind) && !track.muted_by_staff);
    to_mute.map(|(track, _)| TrackMuted { track, by_staff: true }.into()).collect()
}

/// Whether the caller's rank is above the person's.
pub fn is_over(rank: Rank, person: &PresentPerson) -> bool {
    rank > Rank::Of(person.role)
}
