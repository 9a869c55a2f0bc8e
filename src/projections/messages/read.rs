//! Reads the messages that a reader may see.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Row as _};

use super::{AudienceKind, MessageRow};
use crate::events::room::Audience;
use crate::events::sealed::SealedAt;
use crate::events::time::Timestamp;
use crate::ids::{Identity, RoomId, RoomVersion, TenantId};
use crate::projections::checkpoint::{bigint, position};
use crate::projections::read::{ListKind, ModelPage, PageRequest, ReadError, ReadModels, decode, fetch};
use crate::projections::rows::ModelRow as _;

/// Who reads.
#[derive(Clone, Copy, Debug)]
pub enum MessageReader<'a> {
    /// An administrator: everything.
    All,
    /// What is for everyone, and: for staff what is for staff, for a person what they wrote or were named in.
    Person { identity: Option<&'a Identity>, staff: bool },
}

/// A message, and the part of the rows that it is found in.
#[derive(Clone, Copy, Debug)]
pub struct MessageName {
    pub room: RoomId,
    pub audience: AudienceKind,
    pub message: RoomVersion,
}

/// Where the text of a message lies now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrentText {
    /// Room version of the event that holds it.
    pub text_at: Option<RoomVersion>,
    pub deleted: bool,
}

impl MessageReader<'_> {
    /// Whether the message is for this reader.
    pub fn reads(self, message: &Message) -> bool {
        let Self::Person { identity, staff } = self else { return true };
        match &message.to {
            Audience::Everyone => true,
            Audience::Staff => staff || identity == Some(&message.author),
            Audience::Identities(named) => {
                identity.is_some_and(|identity| *identity == message.author || named.contains(identity))
            }
        }
    }
}

/// A message, and where its text lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Room version of the event that sent it: its name in the room.
    pub version: RoomVersion,
    pub author: Identity,
    pub to: Audience,
    pub reply_to: Option<RoomVersion>,
    pub sent_at: Timestamp,
    pub edited_at: Option<Timestamp>,
    pub deleted_at: Option<Timestamp>,
    /// Deleted by staff rather than by its author.
    pub deleted_by_staff: bool,
    /// Its `text`; absent once the message is deleted.
    pub text: Option<SealedAt>,
}

impl From<MessageRow> for Message {
    fn from(row: MessageRow) -> Self {
        let to = match row.audience {
            AudienceKind::Everyone => Audience::Everyone,
            AudienceKind::Staff => Audience::Staff,
            AudienceKind::Identities => Audience::Identities(row.named.map(|named| named.0).unwrap_or_default()),
        };
        Self {
            version: row.version,
            author: row.author,
            to,
            reply_to: row.reply_to,
            sent_at: row.sent_at,
            edited_at: row.edited_at,
            deleted_at: row.deleted_at,
            deleted_by_staff: row.deleted_by_staff,
            text: row.text_at.zip(row.text).map(|(room_version, sealed)| SealedAt { room_version, sealed }),
        }
    }
}

fn list(newest_first: bool) -> ListKind {
    if newest_first { ListKind::NewestMessages } else { ListKind::Messages }
}

/// The cursor behind a message, in one direction.
pub fn cursor(newest_first: bool, version: RoomVersion) -> String {
    list(newest_first).cursor(&(version,))
}

/// The message that a cursor of this direction lies behind.
pub fn read_cursor(newest_first: bool, cursor: Option<&str>) -> Result<Option<RoomVersion>, ReadError> {
    let from: Option<(RoomVersion,)> = decode(list(newest_first), cursor)?;
    Ok(from.map(|(version,)| version))
}

impl ReadModels {
    /// Where the texts of messages lie now, by room and message; those that the model does not have are left out.
    pub async fn texts_now(
        &self,
        tenant: &TenantId,
        names: &[MessageName],
    ) -> Result<HashMap<(RoomId, RoomVersion), CurrentText>, ReadError> {
        let statement = sqlx::query(
            "SELECT n.room, n.version, t.text_at, t.deleted
             FROM unnest($2::uuid[], $3::smallint[], $4::bigint[]) AS n (room, audience, version)
             CROSS JOIN LATERAL (
                SELECT m.text_at, m.deleted_at IS NOT NULL AS deleted
                FROM convoke.rm_messages m
                WHERE m.room = n.room AND m.audience = n.audience AND m.version = n.version AND m.tenant = $1
                LIMIT 1
             ) t",
        )
        .bind(tenant.as_str())
        .bind(names.iter().map(|name| name.room.uuid()).collect::<Vec<_>>())
        .bind(names.iter().map(|name| name.audience.number()).collect::<Vec<_>>())
        .bind(names.iter().map(|name| bigint(name.message)).collect::<Vec<_>>());
        let mut found = HashMap::with_capacity(names.len());
        for row in self.rows(tenant, statement).await? {
            let text_at = row.try_get::<Option<i64>, _>("text_at")?.map(position);
            let text = CurrentText { text_at, deleted: row.try_get("deleted")? };
            let version = position(row.try_get("version")?);
            found.insert((RoomId::from_uuid(row.try_get("room")?), version), text);
        }
        Ok(found)
    }

    /// The messages of a room that `reader` may read, the oldest first or the newest first. A cursor goes on in its own
    /// direction only.
    pub async fn messages(
        &self,
        tenant: &TenantId,
        room: RoomId,
        reader: MessageReader<'_>,
        newest_first: bool,
        page: PageRequest<'_>,
    ) -> Result<ModelPage<Message>, ReadError> {
        let list = list(newest_first);
        let from = read_cursor(newest_first, page.cursor)?;
        let start = if newest_first { RoomVersion::MAX } else { 0 };
        let (audiences, identity) = match reader {
            MessageReader::All => (vec![AudienceKind::Everyone, AudienceKind::Staff, AudienceKind::Identities], None),
            MessageReader::Person { identity, staff: true } => {
                (vec![AudienceKind::Everyone, AudienceKind::Staff], identity)
            }
            MessageReader::Person { identity, staff: false } => (vec![AudienceKind::Everyone], identity),
        };
        let mut statement = sqlx::query(AssertSqlSafe(statement(&audiences, identity.is_some(), newest_first)))
            .bind(room.uuid())
            .bind(tenant.as_str())
            .bind(bigint(from.unwrap_or(start)))
            .bind(fetch(page.limit));
        if let Some(identity) = identity {
            statement = statement.bind(identity.as_str());
        }
        Ok(self.page(tenant, statement, page.limit, list, |row: &MessageRow| (row.version,)).await?.map(Message::from))
    }
}

/// A page from each audience by itself, in order by the index, merged: none of them reads more than a page.
fn statement(audiences: &[AudienceKind], named: bool, newest_first: bool) -> String {
    let columns = MessageRow::TABLE.list("m.");
    let (compare, order) = if newest_first { ("<", "DESC") } else { (">", "ASC") };
    let mut parts: Vec<String> = audiences
        .iter()
        .map(|audience| {
            format!(
                "(SELECT {columns} FROM convoke.rm_messages m
                  WHERE m.room = $1 AND m.tenant = $2 AND m.audience = {} AND m.version {compare} $3
                  ORDER BY m.version {order} LIMIT $4)",
                audience.number()
            )
        })
        .collect();
    if named {
        // What staff reads as staff is not read once more as its author.
        let besides = if audiences.contains(&AudienceKind::Staff) {
            format!(" AND a.audience = {}", AudienceKind::Identities.number())
        } else {
            String::new()
        };
        parts.push(format!(
            "(SELECT {columns} FROM convoke.rm_message_readers a
              JOIN convoke.rm_messages m ON m.room = a.room AND m.tenant = a.tenant AND m.audience = a.audience
                  AND m.version = a.version
              WHERE a.room = $1 AND a.tenant = $2 AND a.reader = $5 AND a.version {compare} $3{besides}
              ORDER BY a.version {order} LIMIT $4)"
        ));
    }
    format!("SELECT {columns} FROM ({}) m ORDER BY m.version {order} LIMIT $4", parts.join(" UNION ALL "))
}
