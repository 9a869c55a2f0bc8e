//! `delete-message`: a message is taken back, by its author or by staff.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::chat::{no_message, readable, validate_message};
use super::rights::acts_for;
use super::state::{MessageStatus, OpenState, Room};
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext, Lookup};
use crate::commands::fault::FieldFaults;
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::MessageDeleted;
use crate::ids::{Identity, RoomVersion};
use crate::json::whole_number::whole;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteMessage {
    /// Who deletes, where a server asks for somebody; absent: the caller, be it a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Room version of its `room.message-sent`.
    #[schemars(range(min = 1))]
    #[serde(deserialize_with = "whole")]
    pub message: RoomVersion,
}

impl CommandSpec for DeleteMessage {
    const NAME: &'static str = "delete-message";
    const SUMMARY: &'static str = "Delete a message";
    const DESCRIPTION: &'static str = "For its author while present, staff who may read it, and servers with `room_admin`; whatever the \
        setting `chat`. Nothing is written for a deleted message. The room does not remember deletions of messages that were \
        sent before its 1,024 newest deleted ones: then the event may be written twice, and readers use the first one.";
    const EVENTS: &'static [&'static str] = &["room.message-deleted"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::IdentityRequired,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::NotPresent,
        RefusalCode::MessageNotFound,
        RefusalCode::NotTheAuthor,
    ];

    fn examples() -> Vec<Example> {
        vec![Example::new("One's own, or any for staff", json!({ "message": 12 }))]
    }

    fn validate(&self, faults: &mut FieldFaults) {
        validate_message("message", self.message, faults);
    }

    fn lookup(&self) -> Lookup {
        Lookup::Message(self.message)
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let server = context.caller.grants.room_admin;
        let nobody = server && self.identity.is_none() && context.caller.identity().is_none();
        let person = if nobody { None } else { Some(acts_for(self.identity.as_ref(), context)?) };
        let open = room.open()?;
        let by_staff = match person {
            Some(person) if !server => self.by_staff(open, person, context)?,
            person => {
                let message = context.external.message.as_ref().ok_or_else(|| no_message(self.message))?;
                person != Some(&message.author)
            }
        };
        match open.deleted_messages.status(self.message) {
            MessageStatus::Deleted => Ok(Decision::nothing()),
            MessageStatus::There | MessageStatus::Unknown => {
                Ok(Decision::Events(vec![MessageDeleted { message: self.message, by_staff }.into()]))
            }
        }
    }
}

impl DeleteMessage {
    /// Whether somebody present, who is no server, deletes it as staff rather than as its author.
    fn by_staff(&self, open: &OpenState, identity: &Identity, context: &DecisionContext<'_>) -> Result<bool, Refusal> {
        let person = open.present(identity)?;
        let message = readable(self.message, identity, person.role, context)?;
        if message.author == *identity {
            Ok(false)
        } else if person.role.is_staff() {
            Ok(true)
        } else {
            Err(Refusal::new(RefusalCode::NotTheAuthor, format!("the message is of {}", message.author.quoted())))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::commands::refusal::RefusalCode;
    use crate::commands::room::state::KEPT;
    use crate::commands::room::testing::*;
    use crate::events::room::{Audience, MessageDeleted, Role, RoomEvent};

    fn delete(message: u64) -> Value {
        json!({ "message": message })
    }

    fn deleted(by_staff: bool) -> RoomEvent {
        MessageDeleted { message: 5, by_staff }.into()
    }

    /// Ann's message stands at version 5.
    fn room(to: Audience) -> Given {
        let room = given_with(json!({ "chat": "off" })).joined("ann", Role::Speaker).joined("bob", Role::Viewer);
        room.joined("mod", Role::Moderator).message("ann", to)
    }

    #[test]
    fn an_author_deletes_their_message() {
        room(Audience::Staff).when(person("ann"), "delete-message", delete(5)).then([deleted(false)]);
        let body = json!({ "message": 5, "identity": "ann" });
        room(Audience::Staff).when(server(), "delete-message", body).then([deleted(false)]);
        let staff = room(Audience::Everyone).message("mod", Audience::Everyone);
        staff.when(person("mod"), "delete-message", delete(5)).then([deleted(false)]);
    }

    #[test]
    fn staff_and_servers_delete_the_messages_of_others() {
        room(Audience::Everyone).when(person("mod"), "delete-message", delete(5)).then([deleted(true)]);
        room(Audience::Staff).when(person("mod"), "delete-message", delete(5)).then([deleted(true)]);
        let named = Audience::Identities([id("bob")].into());
        room(named).when(server(), "delete-message", delete(5)).then([deleted(true)]);
    }

    #[test]
    fn others_do_not() {
        room(Audience::Everyone).when(person("bob"), "delete-message", delete(5)).refused(RefusalCode::NotTheAuthor);
        let named = Audience::Identities([id("bob")].into());
        room(named).when(person("bob"), "delete-message", delete(5)).refused(RefusalCode::NotTheAuthor);
        room(Audience::Everyone).when(person("eve"), "delete-message", delete(5)).refused(RefusalCode::NotPresent);
        let key = granted_key(Default::default());
        room(Audience::Everyone).when(key, "delete-message", delete(5)).refused(RefusalCode::IdentityRequired);
        let body = json!({ "message": 5, "identity": "ann" });
        room(Audience::Everyone).when(person("mod"), "delete-message", body).refused(RefusalCode::NotGranted);
    }

    #[test]
    fn a_message_that_one_may_not_read_is_not_there() {
        room(Audience::Staff).when(person("bob"), "delete-message", delete(5)).refused(RefusalCode::MessageNotFound);
        let named = Audience::Identities([id("bob")].into());
        room(named).when(person("mod"), "delete-message", delete(5)).refused(RefusalCode::MessageNotFound);
        given().when(server(), "delete-message", delete(5)).refused(RefusalCode::MessageNotFound);
    }

    #[test]
    fn deleted_stays_deleted_by_whom_it_was() {
        let room = room(Audience::Everyone).event(deleted(false));
        room.when(person("ann"), "delete-message", delete(5)).then_nothing();
        room.when(person("mod"), "delete-message", delete(5)).then_nothing();
    }

    #[test]
    fn what_may_have_been_deleted_long_ago_is_deleted_once_more_and_forgotten_again() {
        let versions = 5..=KEPT as u64 + 6;
        let room = versions
            .fold(room(Audience::Everyone), |room, message| room.event(MessageDeleted { message, by_staff: true }));
        let before = room.open().deleted_messages.clone();
        let room = room.when(person("ann"), "delete-message", delete(5)).then([deleted(false)]);
        assert_eq!(room.open().deleted_messages, before);
    }

    #[test]
    fn a_message_is_deleted_in_an_open_room_only() {
        nothing().when(server(), "delete-message", delete(5)).refused(RefusalCode::RoomNotFound);
        scheduled().when(server(), "delete-message", delete(5)).refused(RefusalCode::RoomNotOpen);
        ended().when(server(), "delete-message", delete(5)).refused(RefusalCode::RoomEnded);
    }

    #[test]
    fn a_body_names_the_message() {
        assert_eq!(faults("delete-message", "{}")[0].field, "message");
        assert_eq!(faults("delete-message", r#"{"message": 0}"#)[0].field, "message");
        assert_eq!(faults("delete-message", r#"{"message": 9223372036854775808}"#)[0].field, "message");
    }
}
