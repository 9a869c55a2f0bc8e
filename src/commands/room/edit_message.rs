//! `edit-message`: an author changes what they wrote.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::chat::{may_write, readable, validate_message, validate_text};
use super::rights::acts_for;
use super::state::{MessageStatus, Room};
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Caller, Decision, DecisionContext, Lookup, NewEvent};
use crate::commands::fault::FieldFaults;
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::MessageEdited;
use crate::events::sealed::{NewPersonal, PersonalFields};
use crate::ids::{Identity, RoomVersion};
use crate::json::whole_number::whole;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EditMessage {
    /// Whose message it is, where a server asks for somebody; absent: the caller's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Room version of its `room.message-sent`.
    #[schemars(range(min = 1))]
    #[serde(deserialize_with = "whole")]
    pub message: RoomVersion,
    /// The new text, 1 byte to 8 KiB of UTF-8. Personal: sealed in the log.
    #[schemars(length(min = 1, max = 8192))]
    pub text: String,
}

impl CommandSpec for EditMessage {
    const NAME: &'static str = "edit-message";
    const SUMMARY: &'static str = "Edit a message";
    const DESCRIPTION: &'static str = "For its author, who has to be present and by the settings could write to the same people now. \
        Texts are sealed, so that no rule can see whether one is new: each call writes an event.";
    const EVENTS: &'static [&'static str] = &["room.message-edited"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::IdentityRequired,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::NotPresent,
        RefusalCode::MessageNotFound,
        RefusalCode::NotTheAuthor,
        RefusalCode::MessageDeleted,
        RefusalCode::MessageTooOld,
        RefusalCode::ChatOff,
        RefusalCode::DirectMessagesOff,
    ];

    fn examples() -> Vec<Example> {
        vec![Example::new("One's own", json!({ "message": 12, "text": "Hello, all!" }))]
    }

    fn validate(&self, faults: &mut FieldFaults) {
        validate_message("message", self.message, faults);
        validate_text(&self.text, faults);
    }

    fn lookup(&self) -> Lookup {
        Lookup::Message(self.message)
    }

    fn subject<'a>(&'a self, caller: &'a Caller) -> Option<&'a Identity> {
        self.identity.as_ref().or(caller.identity())
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let author = acts_for(self.identity.as_ref(), context)?;
        let open = room.open()?;
        let person = open.present(author)?;
        let message = readable(self.message, author, person.role, context)?;
        if message.author != *author {
            let detail = format!("the message is of {}", message.author.quoted());
            return Err(Refusal::new(RefusalCode::NotTheAuthor, detail));
        }
        match open.deleted_messages.status(self.message) {
            MessageStatus::There => {}
            MessageStatus::Deleted => {
                return Err(Refusal::new(RefusalCode::MessageDeleted, "the message has been deleted"));
            }
            MessageStatus::Unknown => {
                let detail = "the message is older than the deleted messages that the room knows";
                return Err(Refusal::new(RefusalCode::MessageTooOld, detail));
            }
        }
        may_write(open, person, &message.to)?;
        let edited = MessageEdited { message: self.message, author: author.clone(), to: message.to.clone() };
        let fields = PersonalFields { text: Some(self.text.clone()), ..PersonalFields::default() };
        let personal = Some(NewPersonal { subject: author.clone(), fields });
        Ok(Decision::Events(vec![NewEvent { event: edited.into(), personal }]))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::commands::refusal::RefusalCode;
    use crate::commands::room::state::KEPT;
    use crate::commands::room::testing::*;
    use crate::events::room::{Audience, MessageDeleted, MessageEdited, Role, SettingsChanged};

    fn edit(message: u64) -> Value {
        json!({ "message": message, "text": "Hello, all!" })
    }

    /// Ann's message stands at version 5.
    fn room(to: Audience) -> Given {
        let room = given().joined("ann", Role::Speaker).joined("bob", Role::Viewer).joined("mod", Role::Moderator);
        room.message("ann", to)
    }

    fn changed(room: Given, settings: Value) -> Given {
        room.event(SettingsChanged { changed: serde_json::from_value(settings).unwrap() })
    }

    #[test]
    fn an_author_edits_for_those_whom_the_message_was_for() {
        let edited = MessageEdited { message: 5, author: id("ann"), to: Audience::Staff };
        let outcome = room(Audience::Staff).when(person("ann"), "edit-message", edit(5));
        let personal = outcome.events()[0].personal.clone().unwrap();
        assert_eq!((personal.subject, personal.fields.text.as_deref()), (id("ann"), Some("Hello, all!")));
        outcome.then([edited.clone().into()]);
        let body = json!({ "message": 5, "text": "Hello", "identity": "ann" });
        room(Audience::Staff).when(server(), "edit-message", body).then([edited.into()]);
    }

    #[test]
    fn nobody_else_edits_not_even_staff() {
        room(Audience::Everyone).when(person("bob"), "edit-message", edit(5)).refused(RefusalCode::NotTheAuthor);
        room(Audience::Everyone).when(person("mod"), "edit-message", edit(5)).refused(RefusalCode::NotTheAuthor);
        room(Audience::Staff).when(person("mod"), "edit-message", edit(5)).refused(RefusalCode::NotTheAuthor);
        room(Audience::Everyone).when(server(), "edit-message", edit(5)).refused(RefusalCode::IdentityRequired);
        let body = json!({ "message": 5, "text": "Hello", "identity": "ann" });
        room(Audience::Everyone).when(person("mod"), "edit-message", body).refused(RefusalCode::NotGranted);
    }

    #[test]
    fn a_message_that_one_may_not_read_is_not_there() {
        room(Audience::Staff).when(person("bob"), "edit-message", edit(5)).refused(RefusalCode::MessageNotFound);
        let named = Audience::Identities([id("bob")].into());
        room(named).when(person("mod"), "edit-message", edit(5)).refused(RefusalCode::MessageNotFound);
        let nothing_there = given().joined("ann", Role::Speaker);
        nothing_there.when(person("ann"), "edit-message", edit(5)).refused(RefusalCode::MessageNotFound);
    }

    #[test]
    fn deleted_stays_deleted() {
        let room = room(Audience::Everyone).event(MessageDeleted { message: 5, by_staff: false });
        room.when(person("ann"), "edit-message", edit(5)).refused(RefusalCode::MessageDeleted);
        assert_eq!(room.when(person("ann"), "edit-message", edit(6)).events().len(), 1);
    }

    #[test]
    fn what_may_have_been_deleted_long_ago_is_not_edited() {
        let versions = 5..=KEPT as u64 + 6;
        let room = versions
            .fold(room(Audience::Everyone), |room, message| room.event(MessageDeleted { message, by_staff: true }));
        room.when(person("ann"), "edit-message", edit(5)).refused(RefusalCode::MessageTooOld);
        room.when(person("ann"), "edit-message", edit(6)).refused(RefusalCode::MessageTooOld);
        room.when(person("ann"), "edit-message", edit(7)).refused(RefusalCode::MessageDeleted);
    }

    #[test]
    fn editing_is_no_way_around_the_settings() {
        let room = |to: Audience, settings: Value| changed(room(to), settings);
        let edit = |room: Given| room.when(person("ann"), "edit-message", edit(5));
        edit(room(Audience::Everyone, json!({ "chat": "off" }))).refused(RefusalCode::ChatOff);
        edit(room(Audience::Everyone, json!({ "chat": "staff" }))).refused(RefusalCode::ChatOff);
        assert_eq!(edit(room(Audience::Staff, json!({ "chat": "staff" }))).events().len(), 1);
        let named = Audience::Identities([id("bob")].into());
        edit(room(named, json!({ "direct_messages": false }))).refused(RefusalCode::DirectMessagesOff);
    }

    #[test]
    fn only_who_is_present_in_an_open_room_edits() {
        let edit = |room: Given| room.message("eve", Audience::Everyone).when(person("eve"), "edit-message", edit(5));
        edit(room(Audience::Everyone)).refused(RefusalCode::NotPresent);
        edit(nothing()).refused(RefusalCode::RoomNotFound);
        edit(scheduled()).refused(RefusalCode::RoomNotOpen);
        edit(ended()).refused(RefusalCode::RoomEnded);
    }

    #[test]
    fn a_body_names_the_message_and_its_new_text() {
        let field = |body: Value| faults("edit-message", &body.to_string())[0].field.clone();
        assert_eq!(field(json!({ "text": "Hello" })), "message");
        assert_eq!(field(json!({ "message": 5 })), "text");
        assert_eq!(field(json!({ "message": 0, "text": "Hello" })), "message");
        assert_eq!(field(json!({ "message": 5, "text": "x".repeat(8193) })), "text");
    }
}
