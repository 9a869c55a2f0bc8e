//! The inputs of a rule besides the room: the caller, the time, and the data that are not part of the room's state.

use uuid::Uuid;

use crate::events::room::Audience;
use crate::events::room::RoomEvent;
use crate::events::sealed::NewPersonal;
use crate::events::time::Timestamp;
use crate::ids::{CommandId, Identity, RoomId};
pub use crate::security::caller::Caller;

/// What `decide` is given besides the room and the command.
#[derive(Clone, Debug)]
pub struct DecisionContext<'a> {
    pub caller: &'a Caller,
    /// The room that the command is for; [`RoomId::TENANT`] for a command to the tenant itself.
    pub room: RoomId,
    /// When it happens: the clock's time, or the occurred time of imported history.
    pub now: Timestamp,
    /// It is history that is moved in: the ids of rooms may be of any time.
    pub history: bool,
    /// What the command creates (a session, a track, a recording) takes this id.
    pub command_id: CommandId,
    /// What [`super::command::CommandSpec::lookup`] asked for.
    pub external: &'a ExternalData,
}

/// Data from outside the room's state, looked up before the decision. Names are checked once more inside the append.
#[derive(Clone, Debug, Default)]
pub struct ExternalData {
    /// The room that holds the wanted name now.
    pub name_holder: Option<RoomId>,
    /// The message that the command speaks of; `None` where the room has no such message.
    pub message: Option<SentMessage>,
    /// Of whom the command erases: the id of the key that what is personal of them is sealed under; `None`: there is none.
    pub person_key: Option<Uuid>,
}

/// What never changes about a message that was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct SentMessage {
    pub author: Identity,
    pub to: Audience,
}

impl SentMessage {
    /// Of the event by which a message was sent; `None` of any other.
    pub fn of(event: &RoomEvent) -> Option<Self> {
        match event {
            RoomEvent::MessageSent(sent) => Some(Self { author: sent.author.clone(), to: sent.to.clone() }),
            _ => None,
        }
    }
}

/// What has to be looked up for a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup {
    Nothing,
    /// Who holds this name among the tenant's rooms that have not ended.
    NameHolder(String),
    /// The message sent at this room version.
    Message(u64),
}

/// A new event, before it is sealed and numbered.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    pub event: RoomEvent,
    pub personal: Option<NewPersonal>,
}

impl<E: Into<RoomEvent>> From<E> for NewEvent {
    fn from(event: E) -> Self {
        NewEvent { event: event.into(), personal: None }
    }
}

/// What a rule decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// These events; none if the command has no effect.
    Events(Vec<NewEvent>),
    /// Another room answers in this one's place (`create-room` with `"if_exists": "return"`).
    Existing(RoomId),
}

impl Decision {
    /// The command has no effect: nothing to write.
    pub fn nothing() -> Self {
        Decision::Events(Vec::new())
    }
}
