//! What the commands on tracks share: whose a track is, who may publish, what staff mutes.

use std::collections::BTreeSet;

use super::rights::Rank;
use super::state::{Open, Person, Room, Track};
use crate::commands::context::{Context, Fact};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::{TrackKind, TrackMuted, TrackSource};
use crate::ids::{Identity, TrackId};

/// The track, if it is the caller's. A server with `room_admin` acts for its owner.
pub fn own_track<'r>(room: &'r Room, id: TrackId, context: &Context<'_>) -> Result<(&'r Open, &'r Track), Refusal> {
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
pub fn may_publish(open: &Open, person: &Person, source: TrackSource) -> Result<(), Refusal> {
    if open.charter.settings.publish.of(source.publish_kind()).contains(&person.role) {
        return Ok(());
    }
    let (role, source) = (person.role.as_str(), source.as_str());
    Err(Refusal::new(RefusalCode::PublishNotAllowed, format!("a {role} may not publish a {source} in this room")))
}

/// What staff mutes where it does not say: all that is heard.
pub fn heard() -> BTreeSet<TrackKind> {
    BTreeSet::from([TrackKind::Audio])
}

/// For `#[serde(skip_serializing_if)]`: what [`heard`] gives need not be written.
pub fn is_heard(kinds: &BTreeSet<TrackKind>) -> bool {
    *kinds == heard()
}

/// The person's tracks of these kinds, muted by staff. One that its owner muted is muted once more, since now its owner
/// cannot unmute it; one that staff muted already is left as it is.
pub fn muted_by_staff(open: &Open, identity: &Identity, kinds: &BTreeSet<TrackKind>) -> Vec<Fact> {
    let tracks = open.tracks.of(identity);
    let to_mute = tracks.filter(|(_, track)| kinds.contains(&track.kind) && !track.muted_by_staff);
    to_mute.map(|(track, _)| TrackMuted { track, by_staff: true }.into()).collect()
}

/// Whether the caller's rank is above the person's.
pub fn is_over(rank: Rank, person: &Person) -> bool {
    rank > Rank::Of(person.role)
}
