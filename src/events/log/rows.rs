//! Decodes rows of the log's tables.

use std::borrow::Cow;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::{LogError, RoomHead};
use crate::events::envelope::{Envelope, Hash};
use crate::events::room::RoomEvent;
use crate::events::sealed::Sealed;
use crate::events::time::Timestamp;
use crate::ids::{CommandId, Position, RoomId, SessionId, TenantId};

/// The columns that [`envelope`] reads, as a literal; of a table by its short name (`"l."`), or of the only one.
macro_rules! columns {
    () => {
        columns!("")
    };
    ($of:literal) => {
        concat!(
            $of,
            "position, ",
            $of,
            "room_version, ",
            $of,
            "recorded_at, ",
            $of,
            "occurred_at, ",
            $of,
            "room, ",
            $of,
            "command_id, ",
            $of,
            "session, ",
            $of,
            "causation_id, ",
            $of,
            "correlation_id, ",
            $of,
            "type_version, ",
            $of,
            "tenant, ",
            $of,
            "event_type, ",
            $of,
            "actor, ",
            $of,
            "traceparent, ",
            $of,
            "data::text AS data, ",
            $of,
            "sealed, ",
            $of,
            "hash"
        )
    };
}
pub(super) use columns;

fn damaged(what: impl std::fmt::Display) -> LogError {
    LogError::Damaged(what.to_string())
}

pub(super) fn position(number: i64) -> Result<Position, LogError> {
    Position::try_from(number).map_err(damaged)
}

pub(super) fn timestamp(at: DateTime<Utc>) -> Result<Timestamp, LogError> {
    Timestamp::new(at).ok_or_else(|| damaged(format!("time {at} is out of range")))
}

pub(super) fn hash(bytes: &[u8]) -> Result<Hash, LogError> {
    Hash::try_from(bytes).map_err(|_| damaged(format!("a hash of {} bytes", bytes.len())))
}

pub(super) fn room_head(row: &PgRow) -> Result<RoomHead, LogError> {
    Ok(RoomHead {
        version: position(row.try_get("version")?)?,
        last_position: position(row.try_get("last_position")?)?,
        first_recorded_at: timestamp(row.try_get("first_recorded_at")?)?,
        last_recorded_at: timestamp(row.try_get("last_recorded_at")?)?,
        chain: hash(row.try_get("chain")?)?,
    })
}

/// The envelope in a row of the columns that `columns!` lists, by their order.
pub(super) fn envelope(row: &PgRow) -> Result<Envelope, LogError> {
    let position = position(row.try_get(0)?)?;
    read_envelope(position, row).map_err(|error| LogError::BadRow { position, what: error.to_string() })
}

fn read_envelope(position: Position, row: &PgRow) -> Result<Envelope, LogError> {
    let event_type: &str = row.try_get(11)?;
    let actor: &str = row.try_get(12)?;
    let tenant: &str = row.try_get(10)?;
    let type_version: i16 = row.try_get(9)?;
    let data: String = row.try_get(14)?;
    let sealed: Option<&[u8]> = row.try_get(15)?;
    let occurred_at: Option<DateTime<Utc>> = row.try_get(3)?;
    Ok(Envelope {
        position,
        room_version: self::position(row.try_get(1)?)?,
        recorded_at: timestamp(row.try_get(2)?)?,
        occurred_at: occurred_at.map(timestamp).transpose()?,
        room: RoomId::from_uuid(row.try_get(4)?),
        command_id: CommandId::from_uuid(row.try_get(5)?),
        session: row.try_get::<Option<_>, _>(6)?.map(SessionId::from_uuid),
        causation_id: row.try_get(7)?,
        correlation_id: row.try_get(8)?,
        type_version: u16::try_from(type_version).map_err(damaged)?,
        tenant: TenantId::new(tenant).map_err(damaged)?,
        event_type: RoomEvent::static_name(event_type).map_or_else(|| Cow::Owned(event_type.to_owned()), Cow::Borrowed),
        actor: actor.parse().map_err(damaged)?,
        traceparent: row.try_get::<Option<&str>, _>(13)?.map(Into::into),
        data: RawValue::from_string(data).map_err(damaged)?.into(),
        sealed: sealed.map(|bytes| Sealed(Bytes::copy_from_slice(bytes))),
        hash: hash(row.try_get(16)?)?,
    })
}
