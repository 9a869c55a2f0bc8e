//! `change-role`: somebody may do more, or less.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rights::{Rank, staff};
use super::state::{OpenState, PresentPerson, Room};
use super::succession::{first_of_staff, tracks_lost};
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext, NewEvent};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::{Role, RoleChanged};
use crate::ids::Identity;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeRole {
    /// Somebody present.
    pub identity: Identity,
    pub role: Role,
}

impl CommandSpec for ChangeRole {
    const NAME: &'static str = "change-role";
    const SUMMARY: &'static str = "Change somebody's role";
    const DESCRIPTION: &'static str = "A host gives any role to people below host, `host` included: a room may have several. A \
        moderator moves people below moderator between the roles below moderator. Staff may step down. A server with \
        `room_admin` gives anybody any role. Nobody takes the last host from a room.\n\n\
        Tracks that the new role may not publish end in the same append. Who is made moderator in a room without a host \
        becomes host.";
    const EVENTS: &'static [&'static str] = &["room.role-changed", "room.host-transferred", "room.track-unpublished"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::StaffOnly,
        RefusalCode::RankTooLow,
        RefusalCode::NotPresent,
        RefusalCode::LastHost,
    ];

    fn examples() -> Vec<Example> {
        vec![
            Example::new("Let a viewer speak", json!({ "identity": "user-17", "role": "speaker" })),
            Example::new("A second host", json!({ "identity": "user-17", "role": "host" })),
        ]
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let open = room.open()?;
        let rank = staff(room, context)?;
        let person = open.present(&self.identity)?;
        if person.role == self.role {
            return Ok(Decision::nothing());
        }
        self.may(rank, person, context)?;
        if open.people.is_only_host(&self.identity) {
            return Err(Refusal::new(RefusalCode::LastHost, format!("{} is the only host", self.identity.quoted())));
        }
        Ok(Decision::Events(self.events(open, person)))
    }
}

impl ChangeRole {
    fn may(&self, rank: Rank, person: &PresentPerson, context: &DecisionContext<'_>) -> Result<(), Refusal> {
        let steps_down = context.caller.identity() == Some(&self.identity) && self.role < person.role;
        if steps_down {
            return Ok(());
        }
        rank.over(person.role, &self.identity)?;
        let gives = match rank {
            Rank::Server | Rank::Of(Role::Host) => true,
            Rank::Of(own) => self.role < own,
        };
        if gives {
            return Ok(());
        }
        let detail = format!("a moderator cannot make anybody {}", self.role.as_str());
        Err(Refusal::new(RefusalCode::RankTooLow, detail))
    }

    fn events(&self, open: &OpenState, person: &PresentPerson) -> Vec<NewEvent> {
        let identity: Identity = self.identity.clone();
        let mut events = vec![RoleChanged { identity, from: person.role, to: self.role }.into()];
        let host = first_of_staff(open, &self.identity, self.role);
        let role = if host.is_some() { Role::Host } else { self.role };
        events.extend(host);
        events.extend(tracks_lost(open, &self.identity, role));
        events
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    fn changed(who: &str, from: Role, to: Role) -> RoomEvent {
        RoleChanged { identity: id(who), from, to }.into()
    }

    fn to(who: &str, role: Role) -> serde_json::Value {
        json!({ "identity": who, "role": role })
    }

    #[test]
    fn a_host_gives_any_role_to_people_below() {
        let room = given().joined("ann", Role::Host).joined("bob", Role::Viewer);
        room.when(person("ann"), "change-role", to("bob", Role::Speaker))
            .then([changed("bob", Role::Viewer, Role::Speaker)])
            .when(person("ann"), "change-role", to("bob", Role::Host))
            .then([changed("bob", Role::Speaker, Role::Host)])
            .when(person("ann"), "change-role", to("bob", Role::Viewer))
            .refused(RefusalCode::RankTooLow);
    }

    #[test]
    fn a_moderator_moves_people_below_between_the_roles_below() {
        let room = given().joined("zoe", Role::Host).joined("ann", Role::Moderator).joined("bob", Role::Viewer);
        let room = room.joined("cid", Role::Moderator);
        room.when(person("ann"), "change-role", to("bob", Role::Speaker)).then([changed(
            "bob",
            Role::Viewer,
            Role::Speaker,
        )]);
        for (who, role) in [("bob", Role::Moderator), ("bob", Role::Host), ("cid", Role::Viewer), ("ann", Role::Host)] {
            room.when(person("ann"), "change-role", to(who, role)).refused(RefusalCode::RankTooLow);
        }
    }

    #[test]
    fn staff_steps_down_but_the_last_host_stays() {
        let room = given().joined("zoe", Role::Host).joined("ann", Role::Moderator);
        room.when(person("ann"), "change-role", to("ann", Role::Viewer)).then([changed(
            "ann",
            Role::Moderator,
            Role::Viewer,
        )]);
        room.when(person("zoe"), "change-role", to("zoe", Role::Moderator)).refused(RefusalCode::LastHost);
        room.when(server(), "change-role", to("zoe", Role::Viewer)).refused(RefusalCode::LastHost);
        let two = room.joined("mia", Role::Host);
        two.when(person("zoe"), "change-role", to("zoe", Role::Moderator)).then([changed(
            "zoe",
            Role::Host,
            Role::Moderator,
        )]);
    }

    #[test]
    fn who_is_made_moderator_in_a_room_without_a_host_becomes_host() {
        let room = given().joined("bob", Role::Viewer);
        let room = room
            .when(server(), "change-role", to("bob", Role::Moderator))
            .then([changed("bob", Role::Viewer, Role::Moderator), host_transferred(None, "bob")]);
        assert_eq!(room.room.participants()[0].view.role, Role::Host);
    }

    #[test]
    fn tracks_that_the_new_role_may_not_publish_end() {
        let track = crate::ids::TrackId::from_uuid(numbered("track"));
        let published = TrackPublished {
            track,
            identity: id("bob"),
            session: session("bob"),
            kind: TrackKind::Audio,
            source: TrackSource::Microphone,
            codec: None,
            width: None,
            height: None,
            muted: false,
        };
        let room = given().joined("ann", Role::Host).joined("bob", Role::Speaker).event(published);
        let room = room.when(person("ann"), "change-role", to("bob", Role::Viewer)).then([
            changed("bob", Role::Speaker, Role::Viewer),
            TrackUnpublished { track, reason: UnpublishReason::RoleChanged }.into(),
        ]);
        assert!(room.room.participants()[1].view.tracks.is_empty());
    }

    #[test]
    fn the_role_one_has_changes_nothing() {
        let room = given().joined("ann", Role::Host).joined("bob", Role::Viewer);
        room.when(person("ann"), "change-role", to("bob", Role::Viewer)).then_nothing();
        room.when(person("ann"), "change-role", to("ann", Role::Host)).then_nothing();
    }

    #[test]
    fn who_is_not_staff_or_not_there_is_refused() {
        let room = given().joined("ann", Role::Host).joined("bob", Role::Speaker);
        room.when(person("bob"), "change-role", to("bob", Role::Viewer)).refused(RefusalCode::StaffOnly);
        room.when(person("ann"), "change-role", to("eve", Role::Viewer)).refused(RefusalCode::NotPresent);
    }

    #[test]
    fn a_room_that_is_not_open_is_refused() {
        let body = || json!({ "identity": "ann", "role": "host" });
        nothing().when(server(), "change-role", body()).refused(RefusalCode::RoomNotFound);
        scheduled().when(server(), "change-role", body()).refused(RefusalCode::RoomNotOpen);
        let over = given().event(RoomEnded { reason: EndReason::Requested });
        over.when(server(), "change-role", body()).refused(RefusalCode::RoomEnded);
    }
}
