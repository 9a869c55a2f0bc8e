//! Messages of a room and their audiences. Texts stay sealed; a deleted message keeps its row without a text.
//!
//! Rows are ordered by audience, because every reader reads by audience: one index range for each audience of the reader.

mod read;

use std::collections::BTreeSet;

pub use read::{CurrentText, Message, MessageName, MessageReader, cursor, read_cursor};

use super::decoded_event::DecodedEvent;
use super::model::ReadModel;
use super::rows::{
    AnyWorkingSet, BadField, Field, JsonText, ModelRow, ModelTable, SqlType, WorkingSet, read_model_table,
};
use crate::events::room::{Audience, MessageDeleted, MessageEdited, MessageSent, RoomEvent};
use crate::events::sealed::Sealed;
use crate::events::time::Timestamp;
use crate::ids::{Identity, RoomId, RoomVersion, TenantId};

/// The kind of an [`Audience`], without its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AudienceKind {
    Everyone,
    Staff,
    Identities,
}

impl AudienceKind {
    pub const ALL: [Self; 3] = [Self::Everyone, Self::Staff, Self::Identities];

    pub fn of(audience: &Audience) -> Self {
        match audience {
            Audience::Everyone => Self::Everyone,
            Audience::Staff => Self::Staff,
            Audience::Identities(_) => Self::Identities,
        }
    }

    /// As it is stored.
    pub fn number(self) -> i16 {
        match self {
            Self::Everyone => 0,
            Self::Staff => 1,
            Self::Identities => 2,
        }
    }
}

impl Field for AudienceKind {
    const KIND: SqlType = SqlType::Int2;

    fn put(&self, out: &mut Vec<u8>) -> bool {
        self.number().put(out)
    }

    fn get(bytes: Option<&[u8]>) -> Result<Self, BadField> {
        let number = i16::get(bytes)?;
        Self::ALL.into_iter().find(|kind| kind.number() == number).ok_or(BadField("an audience"))
    }
}

read_model_table! {
    pub struct MessageRow in "rm_messages", not kept {
        key {
            room: RoomId,
            audience: AudienceKind,
            /// Of the event that sent it: the message's name in its room.
            version: RoomVersion,
            tenant: TenantId,
        }
        author: Identity,
        named: Option<JsonText<BTreeSet<Identity>>>,
        reply_to: Option<RoomVersion>,
        sent_at: Timestamp,
        edited_at: Option<Timestamp>,
        deleted_at: Option<Timestamp>,
        deleted_by_staff: bool,
        /// Room version that the sealed text was written at.
        text_at: Option<RoomVersion>,
        text: Option<Sealed>,
    }
}

read_model_table! {
    /// Somebody who may read a message that is not for everyone.
    pub struct ReaderRow in "rm_message_readers", not kept {
        key { room: RoomId, tenant: TenantId, reader: Identity, version: RoomVersion, }
        audience: AudienceKind,
    }
}

#[derive(Default)]
pub struct MessagesModel {
    messages: WorkingSet<MessageRow>,
    readers: WorkingSet<ReaderRow>,
}

impl ReadModel for MessagesModel {
    const NAME: &'static str = "messages";
    const SHAPE: u16 = 1;
    const TABLES: &'static [&'static ModelTable] = &[MessageRow::TABLE, ReaderRow::TABLE];

    fn need(&mut self, entry: &DecodedEvent) {
        match &entry.event {
            RoomEvent::MessageEdited(edited) => {
                let audience = AudienceKind::of(&edited.to);
                self.messages.need((&entry.room, &audience, &edited.message, &entry.tenant));
            }
            RoomEvent::MessageDeleted(deleted) => {
                for audience in AudienceKind::ALL {
                    self.messages.need((&entry.room, &audience, &deleted.message, &entry.tenant));
                }
            }
            _ => {}
        }
    }

    fn fold(&mut self, entry: &DecodedEvent) {
        match &entry.event {
            RoomEvent::MessageSent(message) => self.sent(entry, message),
            RoomEvent::MessageEdited(edited) => self.edited(entry, edited),
            RoomEvent::MessageDeleted(deleted) => self.deleted(entry, deleted),
            _ => {}
        }
    }

    fn sets(&mut self) -> Vec<&mut dyn AnyWorkingSet> {
        vec![&mut self.messages, &mut self.readers]
    }
}

impl MessagesModel {
    fn sent(&mut self, entry: &DecodedEvent, message: &MessageSent) {
        let audience = AudienceKind::of(&message.to);
        let named = match &message.to {
            Audience::Everyone | Audience::Staff => None,
            Audience::Identities(named) => Some(JsonText(named.clone())),
        };
        if audience != AudienceKind::Everyone {
            let others = named.iter().flat_map(|JsonText(named)| named).filter(|named| **named != message.author);
            for reader in others.chain([&message.author]) {
                self.readers.put(ReaderRow {
                    room: entry.room,
                    tenant: entry.tenant.clone(),
                    reader: reader.clone(),
                    version: entry.room_version,
                    audience,
                });
            }
        }
        self.messages.put(MessageRow {
            room: entry.room,
            tenant: entry.tenant.clone(),
            audience,
            version: entry.room_version,
            author: message.author.clone(),
            named,
            reply_to: message.reply_to,
            sent_at: entry.happened_at,
            edited_at: None,
            deleted_at: None,
            deleted_by_staff: false,
            text_at: entry.sealed.as_ref().map(|_| entry.room_version),
            text: entry.sealed.clone(),
        });
    }

    fn edited(&mut self, entry: &DecodedEvent, edited: &MessageEdited) {
        let audience = AudienceKind::of(&edited.to);
        self.messages.change((&entry.room, &audience, &edited.message, &entry.tenant), |row| {
            row.edited_at = Some(entry.happened_at);
            row.text_at = entry.sealed.as_ref().map(|_| entry.room_version);
            row.text = entry.sealed.clone();
        });
    }

    fn deleted(&mut self, entry: &DecodedEvent, deleted: &MessageDeleted) {
        for audience in AudienceKind::ALL {
            self.messages.change((&entry.room, &audience, &deleted.message, &entry.tenant), |row| {
                // A message deleted long ago may be deleted once more: the first time counts.
                if row.deleted_at.is_none() {
                    row.deleted_at = Some(entry.happened_at);
                    row.deleted_by_staff = deleted.by_staff;
                }
                row.text_at = None;
                row.text = None;
            });
        }
    }
}
