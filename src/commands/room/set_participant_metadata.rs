//! `set-participant-metadata`: the caller's own data on a person is replaced.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::join::MAX_PERSON_METADATA_BYTES;
use super::rights::oneself_or_below;
use super::state::Room;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Caller, Decision, DecisionContext, NewEvent};
use crate::commands::fault::FieldFaults;
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::ParticipantMetadataSet;
use crate::events::sealed::{NewPersonal, PersonalFields};
use crate::ids::Identity;
use crate::json::FreeJson;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetParticipantMetadata {
    /// Whose metadata; absent: the caller's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Any JSON, at most 16 KiB as text; replaces all there was. Personal: sealed in the log.
    pub metadata: FreeJson,
}

impl CommandSpec for SetParticipantMetadata {
    const NAME: &'static str = "set-participant-metadata";
    const SUMMARY: &'static str = "Replace a person's metadata";
    const DESCRIPTION: &'static str = "One's own; that of somebody of a lower role, for staff; anybody's, for servers with \
        `room_admin`. Metadata is sealed, so that no rule can see whether it is new: each call writes an event.";
    const EVENTS: &'static [&'static str] = &["room.participant-metadata-set"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::IdentityRequired,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::NotPresent,
        RefusalCode::StaffOnly,
        RefusalCode::RankTooLow,
    ];

    fn examples() -> Vec<Example> {
        vec![
            Example::new("One's own", json!({ "metadata": { "seat": "12A" } })),
            Example::new("Somebody else's", json!({ "identity": "user-17", "metadata": null })),
        ]
    }

    fn validate(&self, faults: &mut FieldFaults) {
        faults.metadata("metadata", &self.metadata, MAX_PERSON_METADATA_BYTES);
    }

    fn subject<'a>(&'a self, caller: &'a Caller) -> Option<&'a Identity> {
        self.identity.as_ref().or(caller.identity())
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let identity = oneself_or_below(room, self.identity.as_ref(), context)?.clone();
        let fields = PersonalFields { metadata: Some(self.metadata.clone()), ..PersonalFields::default() };
        let personal = Some(NewPersonal { subject: identity.clone(), fields });
        Ok(Decision::Events(vec![NewEvent { event: ParticipantMetadataSet { identity }.into(), personal }]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    fn set(who: &str) -> RoomEvent {
        ParticipantMetadataSet { identity: id(who) }.into()
    }

    #[test]
    fn one_sets_ones_own_and_it_is_personal() {
        let room = given().joined("ann", Role::Viewer);
        let outcome = room.when(person("ann"), "set-participant-metadata", json!({ "metadata": { "a": 1.5 } }));
        let personal = outcome.events()[0].personal.clone().unwrap();
        assert_eq!(personal.subject, id("ann"));
        assert_eq!(personal.fields.metadata.unwrap().text(), "{\"a\":1.5}");
        let room = outcome.then([set("ann")]);
        assert_eq!(room.room.participants()[0].metadata.as_ref().map(|part| part.room_version), Some(3));
    }

    #[test]
    fn staff_sets_that_of_people_of_a_lower_role_and_a_server_anybodys() {
        let room = given().joined("ann", Role::Host).joined("bob", Role::Moderator).joined("cid", Role::Speaker);
        let body = |who: &str| json!({ "identity": who, "metadata": null });
        room.when(person("bob"), "set-participant-metadata", body("cid")).then([set("cid")]);
        room.when(person("bob"), "set-participant-metadata", body("ann")).refused(RefusalCode::RankTooLow);
        room.when(person("cid"), "set-participant-metadata", body("ann")).refused(RefusalCode::StaffOnly);
        room.when(person("cid"), "set-participant-metadata", body("cid")).then([set("cid")]);
        room.when(server(), "set-participant-metadata", body("ann")).then([set("ann")]);
        room.when(server(), "set-participant-metadata", body("eve")).refused(RefusalCode::NotPresent);
    }

    #[test]
    fn grants_are_asked_for() {
        let room = given().joined("ann", Role::Host);
        let body = json!({ "metadata": 1 });
        let without = granted("ann", Grants::default());
        room.when(without, "set-participant-metadata", body.clone()).refused(RefusalCode::NotGranted);
        room.when(server(), "set-participant-metadata", body).refused(RefusalCode::IdentityRequired);
    }

    #[test]
    fn metadata_has_bounds_and_has_to_be_there() {
        let large = format!(r#"{{"metadata":"{}"}}"#, "x".repeat(16 * 1024));
        let deep = format!(r#"{{"metadata":{}{}}}"#, "[".repeat(33), "]".repeat(33));
        let deeper = format!(r#"{{"metadata":{}{}}}"#, "[".repeat(200), "]".repeat(200));
        for body in [large.as_str(), deep.as_str(), "{}", r#"{"metadata":"\u0000"}"#] {
            assert_eq!(faults("set-participant-metadata", body)[0].field, "metadata");
        }
        assert!(faults("set-participant-metadata", &deeper)[0].detail.contains("levels"));
    }

    #[test]
    fn a_room_that_is_not_open_is_refused() {
        let body = || json!({ "identity": "ann", "metadata": 1 });
        nothing().when(server(), "set-participant-metadata", body()).refused(RefusalCode::RoomNotFound);
        scheduled().when(server(), "set-participant-metadata", body()).refused(RefusalCode::RoomNotOpen);
        let over = given().event(RoomEnded { reason: EndReason::Requested });
        over.when(server(), "set-participant-metadata", body()).refused(RefusalCode::RoomEnded);
    }
}
