//! Events as columns of a row group, and back.

use std::borrow::Cow;
use std::fmt::Display;

use bytes::Bytes;
use parquet::data_type::{
    AsBytes as _, ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type,
};
use parquet::errors::{ParquetError, Result as ParquetResult};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::archive_file::ColumnsIn;
use super::writing::ColumnsOut;
use crate::events::envelope::{Envelope, Hash};
use crate::events::room::RoomEvent;
use crate::events::sealed::Sealed;
use crate::events::time::Timestamp;
use crate::ids::{CommandId, Position, RoomId, RoomKey, RoomVersion, SessionId, TenantId};

/// Gives events to a row group.
pub fn give(columns: &mut ColumnsOut<'_, '_>, events: &[Envelope]) -> ParquetResult<()> {
    let text = |text: &str| ByteArray::from(Bytes::copy_from_slice(text.as_bytes()));
    let fixed = |bytes: &[u8]| FixedLenByteArray::from(ByteArray::from(Bytes::copy_from_slice(bytes)));
    let id = |id: Option<Uuid>| id.map(|id| fixed(id.as_bytes()));
    columns.required::<Int64Type>(events.iter().map(|event| event.position.cast_signed()))?;
    columns.required::<Int64Type>(events.iter().map(|event| event.room_version.cast_signed()))?;
    columns.required::<Int64Type>(events.iter().map(|event| event.recorded_at.unix_micros()))?;
    columns.optional::<Int64Type>(events.iter().map(|event| event.occurred_at.map(Timestamp::unix_micros)))?;
    columns.required::<ByteArrayType>(events.iter().map(|event| text(event.tenant.as_str())))?;
    columns.required::<FixedLenByteArrayType>(events.iter().map(|event| fixed(event.room.uuid().as_bytes())))?;
    columns.required::<ByteArrayType>(events.iter().map(|event| text(&event.event_type)))?;
    columns.required::<Int32Type>(events.iter().map(|event| i32::from(event.type_version)))?;
    columns.required::<ByteArrayType>(events.iter().map(|event| text(&event.actor.to_string())))?;
    columns.optional::<FixedLenByteArrayType>(events.iter().map(|event| id(event.session.map(SessionId::uuid))))?;
    columns.required::<FixedLenByteArrayType>(events.iter().map(|event| fixed(event.command_id.uuid().as_bytes())))?;
    columns.optional::<FixedLenByteArrayType>(events.iter().map(|event| id(event.causation_id)))?;
    columns.optional::<FixedLenByteArrayType>(events.iter().map(|event| id(event.correlation_id)))?;
    columns.optional::<ByteArrayType>(events.iter().map(|event| event.traceparent.as_deref().map(text)))?;
    columns.required::<ByteArrayType>(events.iter().map(|event| text(event.data.get())))?;
    columns.optional::<ByteArrayType>(
        events.iter().map(|event| event.sealed.as_ref().map(|sealed| ByteArray::from(sealed.0.clone()))),
    )?;
    columns.required::<FixedLenByteArrayType>(events.iter().map(|event| fixed(&event.hash)))
}

/// A row group unpacked: an event is made of its row when it is asked for.
pub struct EventColumns {
    position: Vec<i64>,
    room_version: Vec<i64>,
    recorded_at: Vec<i64>,
    occurred_at: Vec<Option<i64>>,
    tenant: Vec<ByteArray>,
    room: Vec<FixedLenByteArray>,
    event_type: Vec<ByteArray>,
    type_version: Vec<i32>,
    actor: Vec<ByteArray>,
    session: Vec<Option<FixedLenByteArray>>,
    command_id: Vec<FixedLenByteArray>,
    causation_id: Vec<Option<FixedLenByteArray>>,
    correlation_id: Vec<Option<FixedLenByteArray>>,
    traceparent: Vec<Option<ByteArray>>,
    data: Vec<ByteArray>,
    sealed: Vec<Option<ByteArray>>,
    hash: Vec<FixedLenByteArray>,
}

impl EventColumns {
    pub fn take(columns: &mut ColumnsIn<'_>) -> ParquetResult<Self> {
        let events = Self {
            position: columns.required::<Int64Type>()?,
            room_version: columns.required::<Int64Type>()?,
            recorded_at: columns.required::<Int64Type>()?,
            occurred_at: columns.optional::<Int64Type>()?,
            tenant: columns.required::<ByteArrayType>()?,
            room: columns.required::<FixedLenByteArrayType>()?,
            event_type: columns.required::<ByteArrayType>()?,
            type_version: columns.required::<Int32Type>()?,
            actor: columns.required::<ByteArrayType>()?,
            session: columns.optional::<FixedLenByteArrayType>()?,
            command_id: columns.required::<FixedLenByteArrayType>()?,
            causation_id: columns.optional::<FixedLenByteArrayType>()?,
            correlation_id: columns.optional::<FixedLenByteArrayType>()?,
            traceparent: columns.optional::<ByteArrayType>()?,
            data: columns.required::<ByteArrayType>()?,
            sealed: columns.optional::<ByteArrayType>()?,
            hash: columns.required::<FixedLenByteArrayType>()?,
        };
        // Rows are found by counting.
        let follows = |pair: &[i64]| pair[1] == pair[0] + 1;
        if !events.position.windows(2).all(follows) {
            return Err(ParquetError::General("its positions do not follow one another".into()));
        }
        Ok(events)
    }

    pub fn len(&self) -> usize {
        self.position.len()
    }

    pub fn is_empty(&self) -> bool {
        self.position.is_empty()
    }

    /// Bytes in memory, or thereabouts.
    pub fn weight(&self) -> usize {
        let texts = |column: &[Option<ByteArray>]| column.iter().flatten().map(ByteArray::len).sum::<usize>();
        // Of the fixed columns, and of what holds the others.
        const ROW: usize = 700;
        self.len() * ROW + self.data.iter().map(ByteArray::len).sum::<usize>() + texts(&self.sealed)
    }

    /// The row of a position, or of the first one after it; [`EventColumns::len`]: all are before it.
    pub fn row_at(&self, position: Position) -> usize {
        self.position.partition_point(|at| at.cast_unsigned() < position)
    }

    /// How many of them were recorded before a time.
    pub fn recorded_before(&self, at: Timestamp) -> usize {
        let micros = at.unix_micros();
        self.recorded_at.partition_point(|recorded| *recorded < micros)
    }

    pub fn position(&self, row: usize) -> Position {
        self.position[row].cast_unsigned()
    }

    pub fn version(&self, row: usize) -> RoomVersion {
        self.room_version[row].cast_unsigned()
    }

    pub fn recorded_at(&self, row: usize) -> i64 {
        self.recorded_at[row]
    }

    pub fn is_of_tenant(&self, row: usize, tenant: &TenantId) -> bool {
        self.tenant[row].data() == tenant.as_str().as_bytes()
    }

    pub fn is_of(&self, row: usize, key: &RoomKey) -> bool {
        self.room[row].data() == key.room.uuid().as_bytes() && self.is_of_tenant(row, &key.tenant)
    }

    pub fn hash(&self, row: usize) -> Result<Hash, String> {
        self.hash[row].data().try_into().map_err(said)
    }

    pub fn event(&self, row: usize) -> Result<Envelope, String> {
        let uuid = |id: &FixedLenByteArray| Uuid::from_slice(id.data()).map_err(said);
        let maybe = |id: &Option<FixedLenByteArray>| id.as_ref().map(uuid).transpose();
        let time =
            |micros: i64| Timestamp::from_unix_micros(micros).ok_or_else(|| format!("time {micros} is out of range"));
        let event_type = text(&self.event_type[row])?;
        let event_type =
            RoomEvent::static_name(event_type).map_or_else(|| Cow::Owned(event_type.to_owned()), Cow::Borrowed);
        let sealed = self.sealed[row].as_ref();
        Ok(Envelope {
            position: self.position(row),
            tenant: TenantId::new(text(&self.tenant[row])?).map_err(said)?,
            room: RoomId::from_uuid(uuid(&self.room[row])?),
            room_version: self.version(row),
            event_type,
            type_version: u16::try_from(self.type_version[row]).map_err(said)?,
            recorded_at: time(self.recorded_at[row])?,
            occurred_at: self.occurred_at[row].map(time).transpose()?,
            actor: text(&self.actor[row])?.parse().map_err(said)?,
            session: maybe(&self.session[row])?.map(SessionId::from_uuid),
            command_id: CommandId::from_uuid(uuid(&self.command_id[row])?),
            causation_id: maybe(&self.causation_id[row])?,
            correlation_id: maybe(&self.correlation_id[row])?,
            traceparent: self.traceparent[row].as_ref().map(text).transpose()?.map(Into::into),
            data: RawValue::from_string(text(&self.data[row])?.to_owned()).map_err(said)?.into(),
            // Its own bytes: a slice would keep all of the row group's in memory.
            sealed: sealed.map(|sealed| Sealed(Bytes::copy_from_slice(sealed.as_bytes()))),
            hash: self.hash(row)?,
        })
    }
}

fn text(bytes: &ByteArray) -> Result<&str, String> {
    std::str::from_utf8(bytes.data()).map_err(said)
}

fn said(what: impl Display) -> String {
    what.to_string()
}
