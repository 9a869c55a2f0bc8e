//! `send-message`: somebody says something in writing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::chat::{may_write, readable, validate_message, validate_text};
use super::rights::acts_for;
use super::state::{OpenState, Room};
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Caller, Decision, DecisionContext, Lookup, NewEvent};
use crate::commands::fault::FieldFaults;
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::{Audience, MessageSent};
use crate::events::sealed::{NewPersonal, PersonalFields};
use crate::ids::{Identity, RoomVersion};
use crate::json::is_default;
use crate::json::whole_number::whole_or_null;

/// People that one message may name.
const MAX_RECIPIENTS: usize = 100;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendMessage {
    /// Whose message it is, where a server asks for somebody; absent: the caller's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// 1 byte to 8 KiB of UTF-8. Personal: sealed in the log.
    #[schemars(length(min = 1, max = 8192))]
    pub text: String,
    /// Whom it is for; absent: everyone. Named people: 1 to 100, all present.
    #[serde(default, skip_serializing_if = "is_default")]
    pub to: Audience,
    /// The message it answers, by the room version of its `room.message-sent`.
    #[serde(default, deserialize_with = "whole_or_null", skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<RoomVersion>,
}

impl CommandSpec for SendMessage {
    const NAME: &'static str = "send-message";
    const SUMMARY: &'static str = "Send a message";
    const DESCRIPTION: &'static str = "Needs the grant `room_join`, or `room_admin` to send for somebody else; its author has to be \
        present. With the setting `chat` `staff`, people who are not staff may write to staff only; with `off` nobody may \
        write. With `direct_messages` off nobody may write to named people. The room version of its event identifies the \
        message. Every call sends a message: use an idempotency key for retries.";
    const EVENTS: &'static [&'static str] = &["room.message-sent"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::IdentityRequired,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::NotPresent,
        RefusalCode::ChatOff,
        RefusalCode::DirectMessagesOff,
        RefusalCode::RecipientNotPresent,
        RefusalCode::MessageNotFound,
    ];

    fn examples() -> Vec<Example> {
        vec![
            Example::new("To everyone", json!({ "text": "Hello!" })),
            Example::new("To hosts and moderators", json!({ "text": "May I present next?", "to": "staff" })),
            Example::new(
                "To one person, as an answer",
                json!({ "text": "Yes", "to": { "identities": ["user-17"] }, "reply_to": 12 }),
            ),
        ]
    }

    fn validate(&self, faults: &mut FieldFaults) {
        validate_text(&self.text, faults);
        if let Audience::Identities(named) = &self.to {
            faults.range("to.identities", named.len() as u64, 1, MAX_RECIPIENTS as u64);
        }
        if let Some(message) = self.reply_to {
            validate_message("reply_to", message, faults);
        }
    }

    fn lookup(&self) -> Lookup {
        self.reply_to.map_or(Lookup::Nothing, Lookup::Message)
    }

    fn subject<'a>(&'a self, caller: &'a Caller) -> Option<&'a Identity> {
        self.identity.as_ref().or(caller.identity())
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let author = acts_for(self.identity.as_ref(), context)?;
        let open = room.open()?;
        let person = open.present(author)?;
        may_write(open, person, &self.to)?;
        self.recipients_are_present(open)?;
        if let Some(message) = self.reply_to {
            readable(message, author, person.role, context)?;
        }
        let sent = MessageSent { author: author.clone(), to: self.to.clone(), reply_to: self.reply_to };
        let fields = PersonalFields { text: Some(self.text.clone()), ..PersonalFields::default() };
        let personal = Some(NewPersonal { subject: author.clone(), fields });
        Ok(Decision::Events(vec![NewEvent { event: sent.into(), personal }]))
    }
}

impl SendMessage {
    fn recipients_are_present(&self, open: &OpenState) -> Result<(), Refusal> {
        let Audience::Identities(named) = &self.to else { return Ok(()) };
        match named.iter().find(|identity| open.people.get(identity).is_none()) {
            None => Ok(()),
            Some(absent) => {
                Err(Refusal::new(RefusalCode::RecipientNotPresent, format!("{} is not in the room", absent.quoted())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::commands::refusal::RefusalCode;
    use crate::commands::room::testing::*;
    use crate::events::room::{Audience, MessageSent, Role};

    fn room_with(settings: Value) -> Given {
        let room = given_with(settings).joined("ann", Role::Speaker).joined("bob", Role::Viewer);
        room.joined("mod", Role::Moderator)
    }

    fn named(names: &[&str]) -> Audience {
        Audience::Identities(names.iter().map(|name| id(name)).collect())
    }

    #[test]
    fn a_message_is_for_everyone_unless_it_says_other() {
        let sent = |author: &str, to: Audience| MessageSent { author: id(author), to, reply_to: None }.into();
        let room = room_with(json!({}));
        let send = |body: Value| room.when(person("bob"), "send-message", body);
        send(json!({ "text": "Hello" })).then([sent("bob", Audience::Everyone)]);
        send(json!({ "text": "Hello", "to": "everyone" })).then([sent("bob", Audience::Everyone)]);
        send(json!({ "text": "Hello", "to": "staff" })).then([sent("bob", Audience::Staff)]);
        send(json!({ "text": "Hello", "to": { "identities": ["ann", "mod"] } }))
            .then([sent("bob", named(&["ann", "mod"]))]);
        let body = json!({ "text": "Hello", "identity": "ann" });
        room.when(server(), "send-message", body).then([sent("ann", Audience::Everyone)]);
    }

    #[test]
    fn its_text_is_the_authors_and_personal() {
        let outcome = room_with(json!({})).when(person("ann"), "send-message", json!({ "text": "Hello" }));
        let events = outcome.events();
        let personal = events[0].personal.as_ref().unwrap();
        assert_eq!((personal.subject.as_str(), personal.fields.text.as_deref()), ("ann", Some("Hello")));
        assert!(!events[0].event.to_json().unwrap().contains("Hello"));
    }

    #[test]
    fn with_chat_for_staff_others_write_to_staff_only() {
        let room = room_with(json!({ "chat": "staff" }));
        let send = |who: &str, to: Value| room.when(person(who), "send-message", json!({ "text": "Hello", "to": to }));
        assert_eq!(send("mod", json!("everyone")).events().len(), 1);
        assert_eq!(send("mod", json!({ "identities": ["ann"] })).events().len(), 1);
        assert_eq!(send("ann", json!("staff")).events().len(), 1);
        assert_eq!(send("ann", json!({ "identities": ["mod"] })).events().len(), 1);
        send("ann", json!("everyone")).refused(RefusalCode::ChatOff);
        send("ann", json!({ "identities": ["mod", "bob"] })).refused(RefusalCode::ChatOff);
    }

    #[test]
    fn with_chat_off_nobody_writes() {
        let room = room_with(json!({ "chat": "off" }));
        let body = json!({ "text": "Hello", "to": "staff" });
        room.when(person("ann"), "send-message", body.clone()).refused(RefusalCode::ChatOff);
        room.when(person("mod"), "send-message", body).refused(RefusalCode::ChatOff);
    }

    #[test]
    fn with_direct_messages_off_nobody_writes_to_named_people() {
        let room = room_with(json!({ "direct_messages": false }));
        let body = json!({ "text": "Hello", "to": { "identities": ["ann"] } });
        room.when(person("mod"), "send-message", body.clone()).refused(RefusalCode::DirectMessagesOff);
        room.when(person("bob"), "send-message", body).refused(RefusalCode::DirectMessagesOff);
        assert_eq!(
            room.when(person("bob"), "send-message", json!({ "text": "Hello", "to": "staff" })).events().len(),
            1
        );
    }

    #[test]
    fn everybody_named_is_present() {
        let body = json!({ "text": "Hello", "to": { "identities": ["bob", "eve"] } });
        let refusal = room_with(json!({})).when(person("ann"), "send-message", body);
        assert!(refusal.refused(RefusalCode::RecipientNotPresent).detail.contains("eve"));
    }

    #[test]
    fn an_answer_is_to_a_message_that_its_author_may_read() {
        let answer = |who: &str, room: Given| {
            room.when(person(who), "send-message", json!({ "text": "Yes", "reply_to": 5 })).result.map_err(|r| r.code)
        };
        let room = room_with(json!({}));
        assert_eq!(answer("bob", room.clone()), Err(RefusalCode::MessageNotFound));
        assert!(answer("bob", room.clone().message("ann", Audience::Everyone)).is_ok());
        assert!(answer("ann", room.clone().message("ann", Audience::Staff)).is_ok());
        assert!(answer("mod", room.clone().message("ann", Audience::Staff)).is_ok());
        assert_eq!(answer("bob", room.clone().message("ann", Audience::Staff)), Err(RefusalCode::MessageNotFound));
        assert!(answer("bob", room.clone().message("ann", named(&["bob"]))).is_ok());
        assert_eq!(answer("mod", room.message("ann", named(&["bob"]))), Err(RefusalCode::MessageNotFound));
    }

    #[test]
    fn only_who_is_present_in_an_open_room_writes_and_for_themselves() {
        let body = json!({ "text": "Hello" });
        let send = |room: Given| room.when(person("eve"), "send-message", body.clone());
        send(room_with(json!({}))).refused(RefusalCode::NotPresent);
        send(room_with(json!({})).waiting("eve", Role::Viewer)).refused(RefusalCode::NotPresent);
        send(nothing()).refused(RefusalCode::RoomNotFound);
        send(scheduled()).refused(RefusalCode::RoomNotOpen);
        send(ended()).refused(RefusalCode::RoomEnded);
        let other = json!({ "text": "Hello", "identity": "bob" });
        room_with(json!({})).when(person("mod"), "send-message", other).refused(RefusalCode::NotGranted);
        room_with(json!({})).when(server(), "send-message", body.clone()).refused(RefusalCode::IdentityRequired);
    }

    #[test]
    fn texts_and_audiences_have_bounds() {
        let field = |body: Value| faults("send-message", &body.to_string())[0].field.clone();
        let text = |bytes: usize| json!({ "text": "x".repeat(bytes) }).to_string();
        assert_eq!(field(json!({})), "text");
        assert_eq!(field(json!({ "text": "" })), "text");
        assert_eq!(faults("send-message", &text(8193))[0].field, "text");
        let room = room_with(json!({}));
        assert_eq!(room.when(person("ann"), "send-message", json!({ "text": "é".repeat(4096) })).events().len(), 1);
        assert_eq!(field(json!({ "text": "é".repeat(4097) })), "text");
        assert_eq!(field(json!({ "text": "a\0b" })), "text");
        assert_eq!(field(json!({ "text": "Hello", "to": { "identities": [] } })), "to.identities");
        let many: Vec<String> = (0..101).map(|number| format!("user-{number}")).collect();
        assert_eq!(field(json!({ "text": "Hello", "to": { "identities": many } })), "to.identities");
        assert_eq!(field(json!({ "text": "Hello", "reply_to": 0 })), "reply_to");
        assert_eq!(field(json!({ "text": "Hello", "reply_to": u64::MAX })), "reply_to");
    }
}
