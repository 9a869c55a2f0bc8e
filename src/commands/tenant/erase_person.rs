//! `erase-person`: deletes the key of a person, so that their personal fields read as erased.
//!
//! The event and the deletion of the key are one transaction: a trigger of the log's table deletes the key when the event is
//! inserted (migration 0014).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::commands::room::state::Room;
use crate::events::tenant::PersonErased;
use crate::ids::Identity;
use crate::json::quoted;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErasePerson {
    /// Who is to be forgotten
    pub identity: Identity,
}

impl CommandSpec for ErasePerson {
    const NAME: &'static str = "erase-person";
    const SUMMARY: &'static str = "Erase a person, for good";
    const DESCRIPTION: &'static str = "Needs the grant `room_admin`, in a token that is for all rooms of the tenant. The key that \
        the person's names, messages and metadata are encrypted under is destroyed: in every room, in everything that was \
        written before, they read as erased. What happened stays, and so does the identity. Who is seen again afterwards gets a \
        new key: what was before stays erased. Where nothing personal is kept of the person it is so already. In a list with \
        `\"atomic\": true`, what the list itself says of the person is erased with the rest.";
    const EVENTS: &'static [&'static str] = &["person.erased"];
    const REFUSALS: &'static [RefusalCode] = &[RefusalCode::NotGranted];

    fn examples() -> Vec<Example> {
        vec![Example::new("Forget alice", json!({ "identity": "alice" }))]
    }

    fn erases(&self) -> Option<&Identity> {
        Some(&self.identity)
    }

    fn decide(&self, _: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let grants = &context.caller.grants;
        if !grants.room_admin {
            return Err(Refusal::not_granted("room_admin"));
        }
        if let Some(only) = &grants.room {
            let detail = format!("the token is for the room {} only; a person is erased in all rooms", quoted(only));
            return Err(Refusal::new(RefusalCode::NotGranted, detail));
        }
        if context.external.person_key.is_none() {
            return Ok(Decision::nothing());
        }
        let identity = self.identity.clone();
        Ok(Decision::Events(vec![PersonErased { identity }.into()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::room::testing::*;
    use crate::ids::RoomId;

    fn alice() -> serde_json::Value {
        json!({ "identity": "alice" })
    }

    #[test]
    fn a_person_of_whom_something_personal_is_kept_is_erased() {
        let erased = PersonErased { identity: id("alice") };
        nothing().with_key().of_tenant(server(), "erase-person", alice()).then([erased.into()]);
    }

    #[test]
    fn who_has_no_key_is_erased_already() {
        nothing().of_tenant(server(), "erase-person", alice()).then_nothing();
    }

    #[test]
    fn a_person_with_room_admin_may_and_erases_themselves_too() {
        let admin = granted("alice", Grants { room_admin: true, ..Grants::default() });
        let erased = PersonErased { identity: id("alice") };
        nothing().with_key().of_tenant(admin, "erase-person", alice()).then([erased.into()]);
    }

    #[test]
    fn neither_a_host_nor_the_person_nor_a_recorder_may() {
        let all_but_admin = Grants { room_admin: false, ..Grants::everything() };
        for caller in [person("hanna"), person("alice"), granted("alice", all_but_admin), recorder()] {
            nothing().with_key().of_tenant(caller, "erase-person", alice()).refused(RefusalCode::NotGranted);
        }
    }

    #[test]
    fn an_administrator_of_one_room_may_not_whatever_the_room_is_called() {
        for room in ["standup".to_owned(), room_id().to_string(), RoomId::TENANT.to_string()] {
            let caller = granted_key(Grants { room: Some(room), ..Grants::everything() });
            nothing().with_key().of_tenant(caller, "erase-person", alice()).refused(RefusalCode::NotGranted);
        }
    }

    #[test]
    fn what_is_erased_leaves_the_state_of_a_room_as_it_is() {
        let given = given().joined("alice", Role::Host);
        let before = given.room.clone();
        assert_eq!(given.event(PersonErased { identity: id("alice") }).room, before);
    }

    #[test]
    fn it_is_no_command_to_a_room() {
        let body = alice().to_string();
        let unknown = crate::commands::room::RoomCommand::parse("erase-person", body.as_bytes());
        assert!(matches!(unknown, Err(crate::commands::fault::CommandFault::Unknown(_))), "{unknown:?}");
    }

    #[test]
    fn an_identity_that_is_none_is_told() {
        for body in ["{}", r#"{"identity":""}"#, r#"{"identity":7}"#, r#"{"identity":"a","room":"b"}"#] {
            let fault = crate::commands::room::RoomCommand::parse_of_tenant("erase-person", body.as_bytes());
            assert!(matches!(fault, Err(crate::commands::fault::CommandFault::Fields(_))), "{body}: {fault:?}");
        }
    }
}
