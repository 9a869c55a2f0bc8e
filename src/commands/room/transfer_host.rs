//! `transfer-host`: a host hands the room over.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rights::{Rank, staff};
use super::state::{OpenState, Room};
use super::succession::tracks_lost;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext, NewEvent};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::{HostTransferred, Role};
use crate::ids::Identity;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferHost {
    /// Who becomes host; somebody present.
    pub identity: Identity,
}

impl CommandSpec for TransferHost {
    const NAME: &'static str = "transfer-host";
    const SUMMARY: &'static str = "Transfer the host role";
    const DESCRIPTION: &'static str = "For hosts, who become moderators by it, and for servers with `room_admin`: these take it from \
        the longest-present host, and change nothing where the person is host already. To oneself changes nothing. Tracks \
        that a new role may not publish end in the same append.";
    const EVENTS: &'static [&'static str] = &["room.host-transferred", "room.track-unpublished"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::StaffOnly,
        RefusalCode::RankTooLow,
        RefusalCode::NotPresent,
    ];

    fn examples() -> Vec<Example> {
        vec![Example::new("To somebody present", json!({ "identity": "user-17" }))]
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let open = room.open()?;
        let rank = staff(room, context)?;
        if rank < Rank::Of(Role::Host) {
            return Err(Refusal::new(RefusalCode::RankTooLow, "only a host can hand the room over"));
        }
        let person = open.present(&self.identity)?;
        let own = context.caller.identity().filter(|own| is_host(open, own));
        if own == Some(&self.identity) || (own.is_none() && person.role == Role::Host) {
            return Ok(Decision::nothing());
        }
        let from = own.or_else(|| open.people.hosts().next());
        let mut events: Vec<NewEvent> = vec![HostTransferred { from: from.cloned(), to: self.identity.clone() }.into()];
        if let Some(from) = from {
            events.extend(tracks_lost(open, from, Role::Moderator));
        }
        events.extend(tracks_lost(open, &self.identity, Role::Host));
        Ok(Decision::Events(events))
    }
}

fn is_host(open: &OpenState, identity: &Identity) -> bool {
    open.people.get(identity).is_some_and(|person| person.role == Role::Host)
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    fn to(who: &str) -> serde_json::Value {
        json!({ "identity": who })
    }

    #[test]
    fn a_host_hands_over_and_is_moderator() {
        let room = given().joined("ann", Role::Host).joined("bob", Role::Viewer);
        let room = room.when(person("ann"), "transfer-host", to("bob")).then([host_transferred(Some("ann"), "bob")]);
        let roles: Vec<_> = room.room.participants().iter().map(|person| person.view.role).collect();
        assert_eq!(roles, [Role::Moderator, Role::Host]);
    }

    #[test]
    fn a_server_takes_it_from_the_longest_present_host_if_any() {
        let room = given().joined("bob", Role::Viewer);
        room.when(server(), "transfer-host", to("bob")).then([host_transferred(None, "bob")]);
        let room = room.joined("zoe", Role::Host).joined("ann", Role::Host);
        room.when(server(), "transfer-host", to("bob")).then([host_transferred(Some("zoe"), "bob")]);
        room.when(server(), "transfer-host", to("ann")).then_nothing();
    }

    #[test]
    fn to_oneself_changes_nothing_and_to_another_host_makes_the_caller_moderator() {
        let room = given().joined("ann", Role::Host).joined("bob", Role::Host);
        room.when(person("ann"), "transfer-host", to("ann")).then_nothing();
        room.when(person("ann"), "transfer-host", to("bob")).then([host_transferred(Some("ann"), "bob")]);
    }

    #[test]
    fn tracks_that_a_moderator_may_not_publish_end_with_the_transfer() {
        let rights = json!({ "publish": { "audio": ["host"], "video": ["host"], "screen": ["host"] } });
        let track = crate::ids::TrackId::from_uuid(numbered("track"));
        let published = TrackPublished {
            track,
            identity: id("ann"),
            session: session("ann"),
            kind: TrackKind::Video,
            source: TrackSource::Screen,
            codec: None,
            width: None,
            height: None,
            muted: false,
        };
        let room = given_with(rights).joined("ann", Role::Host).joined("bob", Role::Viewer).event(published);
        let lost = TrackUnpublished { track, reason: UnpublishReason::RoleChanged };
        room.when(person("ann"), "transfer-host", to("bob")).then([host_transferred(Some("ann"), "bob"), lost.into()]);
    }

    #[test]
    fn only_hosts_and_servers_hand_over_to_somebody_present() {
        let room = given().joined("ann", Role::Host).joined("bob", Role::Moderator).joined("cid", Role::Viewer);
        room.when(person("bob"), "transfer-host", to("bob")).refused(RefusalCode::RankTooLow);
        room.when(person("cid"), "transfer-host", to("cid")).refused(RefusalCode::StaffOnly);
        room.when(person("ann"), "transfer-host", to("eve")).refused(RefusalCode::NotPresent);
    }

    #[test]
    fn a_room_that_is_not_open_is_refused() {
        let body = || json!({ "identity": "ann" });
        nothing().when(server(), "transfer-host", body()).refused(RefusalCode::RoomNotFound);
        scheduled().when(server(), "transfer-host", body()).refused(RefusalCode::RoomNotOpen);
        let over = given().event(RoomEnded { reason: EndReason::Requested });
        over.when(server(), "transfer-host", body()).refused(RefusalCode::RoomEnded);
    }
}
