//! The newest messages of a room in use, kept current by its events. Older ones are read from the read model.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::ListPart;
use crate::events::envelope::Envelope;
use crate::events::room::RoomEvent;
use crate::events::sealed::SealedAt;
use crate::ids::RoomVersion;
use crate::live::opened_at::OpenedAt;
use crate::projections::messages::{Message, MessageReader};
use crate::security::sealing::KeyMoment;

/// Messages of a room.
pub const KEPT: usize = 1_000;

/// What a message takes beside its text, and once rendered, about.
const MESSAGE: usize = 600;

/// A message, and how it reads for those who may see its text.
pub struct SharedMessage {
    pub message: Message,
    rendered: Mutex<Option<(OpenedAt, Bytes)>>,
}

impl SharedMessage {
    fn new(message: Message) -> Arc<Self> {
        Arc::new(Self { message, rendered: Mutex::default() })
    }

    /// As it was rendered with keys of this moment.
    pub fn rendered(&self, moment: KeyMoment) -> Option<Bytes> {
        let rendered = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = rendered.as_ref().filter(|(opened, _)| opened.holds(moment));
        fresh.map(|(_, bytes)| bytes.clone())
    }

    pub fn keep(&self, moment: KeyMoment, rendered: Bytes) {
        *self.rendered.lock().unwrap_or_else(PoisonError::into_inner) = Some((OpenedAt::now(moment), rendered));
    }

    fn bytes(&self) -> usize {
        MESSAGE + self.message.text.as_ref().map_or(0, |text| 2 * text.sealed.0.len())
    }
}

/// The newest messages of a room.
#[derive(Default)]
pub struct MessagesOfRoom {
    /// By version.
    messages: VecDeque<Arc<SharedMessage>>,
    /// There are older ones.
    more: bool,
    bytes: usize,
}

impl MessagesOfRoom {
    /// `newest`: the newest first. `more`: there are older ones.
    pub fn new(newest: Vec<Message>, more: bool) -> Self {
        let messages: VecDeque<_> = newest.into_iter().rev().map(SharedMessage::new).collect();
        let bytes = messages.iter().map(|message| message.bytes()).sum();
        Self { messages, more, bytes }
    }

    /// Bytes that they take, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes in what an event says. Taken twice, it changes nothing.
    pub fn apply(&mut self, envelope: &Envelope, event: &RoomEvent) {
        let text = envelope.sealed.clone().map(|sealed| SealedAt { room_version: envelope.room_version, sealed });
        let at = envelope.happened_at();
        match event {
            RoomEvent::MessageSent(sent) => self.push(Message {
                version: envelope.room_version,
                author: sent.author.clone(),
                to: sent.to.clone(),
                reply_to: sent.reply_to,
                sent_at: at,
                edited_at: None,
                deleted_at: None,
                deleted_by_staff: false,
                text,
            }),
            RoomEvent::MessageEdited(edited) => self.change(edited.message, |message| {
                if message.deleted_at.is_none() {
                    message.edited_at = Some(at);
                    message.text = text;
                }
            }),
            RoomEvent::MessageDeleted(deleted) => self.change(deleted.message, |message| {
                // A message deleted long ago may be deleted once more: the first time counts.
                if message.deleted_at.is_none() {
                    message.deleted_at = Some(at);
                    message.deleted_by_staff = deleted.by_staff;
                }
                message.text = None;
            }),
            _ => {}
        }
    }

    fn push(&mut self, message: Message) {
        if self.messages.back().is_some_and(|last| last.message.version >= message.version) {
            return;
        }
        let message = SharedMessage::new(message);
        self.bytes += message.bytes();
        self.messages.push_back(message);
        if self.messages.len() > KEPT
            && let Some(first) = self.messages.pop_front()
        {
            self.bytes -= first.bytes();
            self.more = true;
        }
    }

    fn change(&mut self, version: RoomVersion, change: impl FnOnce(&mut Message)) {
        let Ok(index) = self.messages.binary_search_by_key(&version, |shared| shared.message.version) else { return };
        let mut message = self.messages[index].message.clone();
        self.bytes -= self.messages[index].bytes();
        change(&mut message);
        self.messages[index] = SharedMessage::new(message);
        self.bytes += self.messages[index].bytes();
    }

    /// Up to `limit` messages that `reader` may read, behind a version in the wanted direction, and whether there are more of them.
    /// `None`: some of them may be older than what is here.
    pub fn page(
        &self,
        reader: MessageReader<'_>,
        newest_first: bool,
        behind: Option<RoomVersion>,
        limit: usize,
    ) -> Option<ListPart<SharedMessage>> {
        let wanted = |shared: &&Arc<SharedMessage>| reader.reads(&shared.message);
        let mut found: Vec<_> = if newest_first {
            let end = behind.map_or(self.messages.len(), |behind| self.index_from(behind));
            self.messages.range(..end).rev().filter(wanted).take(limit + 1).cloned().collect()
        } else {
            let behind = behind.unwrap_or(0);
            let first_here = self.messages.front().map_or(0, |first| first.message.version);
            if self.more && behind + 1 < first_here {
                return None;
            }
            self.messages.range(self.index_from(behind + 1)..).filter(wanted).take(limit + 1).cloned().collect()
        };
        if newest_first && self.more && found.len() <= limit {
            return None;
        }
        let more = found.len() > limit;
        found.truncate(limit);
        Some((found, more))
    }

    /// Of the first message at a version or behind it.
    fn index_from(&self, version: RoomVersion) -> usize {
        self.messages.partition_point(|shared| shared.message.version < version)
    }
}
