//! `rename`: somebody gets another display name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::join::MAX_DISPLAY_NAME_CHARS;
use super::rights::{Rank, oneself_or_below, rank};
use super::state::Room;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Caller, Decision, DecisionContext, NewEvent};
use crate::commands::fault::FieldFaults;
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::{ParticipantRenamed, Role};
use crate::events::sealed::{NewPersonal, PersonalFields};
use crate::ids::Identity;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// Who is renamed; absent: the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// The name to show, 1 to 256 characters. Personal: sealed in the log.
    #[schemars(length(min = 1, max = 256))]
    pub display_name: String,
}

impl CommandSpec for Rename {
    const NAME: &'static str = "rename";
    const SUMMARY: &'static str = "Change a display name";
    const DESCRIPTION: &'static str = "One's own, where the setting `self_rename` is on or one is staff; that of somebody of a lower \
        role, for staff; anybody's, for servers with `room_admin`. Names are sealed, so that no rule can see whether one is \
        new: each call writes an event.";
    const EVENTS: &'static [&'static str] = &["room.participant-renamed"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::IdentityRequired,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::NotPresent,
        RefusalCode::StaffOnly,
        RefusalCode::RankTooLow,
        RefusalCode::SelfRenameOff,
    ];

    fn examples() -> Vec<Example> {
        vec![
            Example::new("Oneself", json!({ "display_name": "Ann" })),
            Example::new("Somebody else", json!({ "identity": "user-17", "display_name": "Bob" })),
        ]
    }

    fn validate(&self, faults: &mut FieldFaults) {
        faults.line("display_name", &self.display_name, MAX_DISPLAY_NAME_CHARS);
    }

    fn subject<'a>(&'a self, caller: &'a Caller) -> Option<&'a Identity> {
        self.identity.as_ref().or(caller.identity())
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let identity = oneself_or_below(room, self.identity.as_ref(), context)?.clone();
        let open = room.open()?;
        let staff = rank(Some(open), context) >= Some(Rank::Of(Role::Moderator));
        if !open.config.settings.self_rename && !staff {
            return Err(Refusal::new(RefusalCode::SelfRenameOff, "people cannot rename themselves in this room"));
        }
        let fields = PersonalFields { display_name: Some(self.display_name.clone()), ..PersonalFields::default() };
        let personal = Some(NewPersonal { subject: identity.clone(), fields });
        Ok(Decision::Events(vec![NewEvent { event: ParticipantRenamed { identity }.into(), personal }]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    fn renamed(who: &str) -> RoomEvent {
        ParticipantRenamed { identity: id(who) }.into()
    }

    #[test]
    fn one_renames_oneself_and_the_name_is_personal() {
        let room = given().joined("ann", Role::Viewer);
        let outcome = room.when(person("ann"), "rename", json!({ "display_name": "Ann" }));
        let personal = outcome.events()[0].personal.clone().unwrap();
        assert_eq!((personal.subject, personal.fields.display_name.as_deref()), (id("ann"), Some("Ann")));
        outcome.then([renamed("ann")]);
    }

    #[test]
    fn the_newest_name_is_the_one_shown() {
        let room = given().when(person("ann"), "join", json!({ "display_name": "A" })).and();
        let room = room.when(person("ann"), "rename", json!({ "display_name": "B" })).and();
        let ann = &room.room.participants()[0];
        assert_eq!(ann.name.as_ref().map(|part| part.room_version), Some(3));
        assert_eq!(ann.metadata.as_ref().map(|part| part.room_version), Some(2));
    }

    #[test]
    fn where_people_cannot_rename_themselves_staff_still_can() {
        let room =
            given_with(json!({ "self_rename": false })).joined("ann", Role::Moderator).joined("bob", Role::Speaker);
        room.when(person("bob"), "rename", json!({ "display_name": "B" })).refused(RefusalCode::SelfRenameOff);
        room.when(person("ann"), "rename", json!({ "display_name": "A" })).then([renamed("ann")]);
        room.when(person("ann"), "rename", json!({ "identity": "bob", "display_name": "B" })).then([renamed("bob")]);
    }

    #[test]
    fn staff_renames_people_of_a_lower_role_and_a_server_anybody() {
        let room = given().joined("ann", Role::Host).joined("bob", Role::Moderator).joined("cid", Role::Speaker);
        let body = |who: &str| json!({ "identity": who, "display_name": "X" });
        room.when(person("bob"), "rename", body("cid")).then([renamed("cid")]);
        room.when(person("bob"), "rename", body("ann")).refused(RefusalCode::RankTooLow);
        room.when(person("cid"), "rename", body("ann")).refused(RefusalCode::StaffOnly);
        room.when(server(), "rename", body("ann")).then([renamed("ann")]);
    }

    #[test]
    fn who_is_not_present_has_no_name_here() {
        let room = given().joined("ann", Role::Host).waiting("bob", Role::Viewer);
        room.when(person("bob"), "rename", json!({ "display_name": "B" })).refused(RefusalCode::NotPresent);
        let body = json!({ "identity": "bob", "display_name": "B" });
        room.when(person("ann"), "rename", body).refused(RefusalCode::NotPresent);
    }

    #[test]
    fn grants_are_asked_for() {
        let room = given().joined("ann", Role::Host);
        let body = json!({ "display_name": "A" });
        room.when(granted("ann", Grants::default()), "rename", body.clone()).refused(RefusalCode::NotGranted);
        room.when(server(), "rename", body).refused(RefusalCode::IdentityRequired);
    }

    #[test]
    fn a_name_is_one_line_of_at_most_256_characters() {
        for name in [String::new(), "x".repeat(257), "a\\nb".into(), " a".into()] {
            let faults = faults("rename", &format!(r#"{{"display_name":"{name}"}}"#));
            assert_eq!(faults[0].field, "display_name");
        }
    }

    #[test]
    fn a_room_that_is_not_open_is_refused() {
        let body = || json!({ "identity": "ann", "display_name": "A" });
        nothing().when(server(), "rename", body()).refused(RefusalCode::RoomNotFound);
        scheduled().when(server(), "rename", body()).refused(RefusalCode::RoomNotOpen);
        let over = given().event(RoomEnded { reason: EndReason::Requested });
        over.when(server(), "rename", body()).refused(RefusalCode::RoomEnded);
    }
}
