//! What the commands on messages share: who may write to whom, and who may read.

use super::state::{OpenState, PresentPerson};
use crate::commands::context::{DecisionContext, SentMessage};
use crate::commands::fault::FieldFaults;
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::{Audience, Chat, Role};
use crate::ids::{Identity, RoomVersion};

/// Of a message's text, as UTF-8.
const MAX_TEXT_BYTES: usize = 8 * 1024;
/// Versions that the log can hold.
const MAX_VERSION: RoomVersion = i64::MAX as RoomVersion;

pub fn validate_text(text: &str, faults: &mut FieldFaults) {
    faults.text("text", text, MAX_TEXT_BYTES);
}

/// A message is named by a version of the room.
pub fn validate_message(field: &str, message: RoomVersion, faults: &mut FieldFaults) {
    faults.range(field, message, 1, MAX_VERSION);
}

/// Refused where the settings do not let somebody present write to these. With `chat` `staff`, others still may write to
/// staff.
pub fn may_write(open: &OpenState, author: &PresentPerson, to: &Audience) -> Result<(), Refusal> {
    let settings = &open.config.settings;
    let is_staff = |identity: &Identity| open.people.get(identity).is_some_and(|person| person.role.is_staff());
    let chat_off = |detail| Err(Refusal::new(RefusalCode::ChatOff, detail));
    match (settings.chat, to) {
        (Chat::Off, _) => return chat_off("chat is off in this room"),
        (Chat::Staff, _) if author.role.is_staff() => {}
        (Chat::Staff, Audience::Staff) => {}
        (Chat::Staff, Audience::Identities(named)) if named.iter().all(is_staff) => {}
        (Chat::Staff, _) => return chat_off("only staff may write to others than staff in this room"),
        (Chat::Everyone, _) => {}
    }
    if matches!(to, Audience::Identities(_)) && !settings.direct_messages {
        return Err(Refusal::new(RefusalCode::DirectMessagesOff, "nobody may write to named people in this room"));
    }
    Ok(())
}

/// The message, if it is there and the reader may read it: to anybody else it is as if it were not.
pub fn readable<'c>(
    message: RoomVersion,
    reader: &Identity,
    role: Role,
    context: &DecisionContext<'c>,
) -> Result<&'c SentMessage, Refusal> {
    let sent = context.external.message.as_ref().filter(|sent| match &sent.to {
        _ if sent.author == *reader || context.caller.grants.room_admin => true,
        Audience::Everyone => true,
        Audience::Staff => role.is_staff(),
        Audience::Identities(named) => named.contains(reader),
    });
    sent.ok_or_else(|| no_message(message))
}

pub fn no_message(message: RoomVersion) -> Refusal {
    Refusal::new(RefusalCode::MessageNotFound, format!("there is no message at version {message} of the room"))
}
