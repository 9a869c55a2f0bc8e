//! Values in PostgreSQL's binary format. A field in `COPY … WITH (FORMAT binary)`, an element of a bound array and a column in a
//! result have the same bytes, so one encoding serves all three.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Postgres;
use sqlx::postgres::PgTypeInfo;
use uuid::Uuid;

use crate::events::heap;
use crate::events::room::Settings;
use crate::events::room::view::{SessionView, TrackView};
use crate::events::sealed::Sealed;
use crate::events::time::Timestamp;
use crate::ids::{Identity, RecordingId, RoomId, SessionId, TenantId, TrackId};

/// From the Unix epoch to 2000-01-01, which PostgreSQL counts from.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// The SQL types that read models use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlType {
    Int2,
    Int8,
    Bool,
    Uuid,
    Text,
    Bytea,
    Time,
    /// `json`, not `jsonb`: it gives back the text that was stored, which the digest needs.
    Json,
}

impl SqlType {
    /// The name of the type in SQL.
    pub fn sql(self) -> &'static str {
        match self {
            SqlType::Int2 => "smallint",
            SqlType::Int8 => "bigint",
            SqlType::Bool => "boolean",
            SqlType::Uuid => "uuid",
            SqlType::Text => "text",
            SqlType::Bytea => "bytea",
            SqlType::Time => "timestamptz",
            SqlType::Json => "json",
        }
    }

    /// How an array of it is bound: JSON travels as text.
    pub fn bound(self) -> &'static str {
        match self {
            SqlType::Json => "text",
            other => other.sql(),
        }
    }

    /// The object id of [`SqlType::bound`]; fixed in every PostgreSQL.
    pub fn bound_oid(self) -> u32 {
        match self {
            SqlType::Bool => 16,
            SqlType::Bytea => 17,
            SqlType::Int8 => 20,
            SqlType::Int2 => 21,
            SqlType::Text | SqlType::Json => 25,
            SqlType::Time => 1184,
            SqlType::Uuid => 2950,
        }
    }

    pub fn bound_array(self) -> PgTypeInfo {
        use sqlx::Type;
        match self {
            SqlType::Int2 => <Vec<i16> as Type<Postgres>>::type_info(),
            SqlType::Int8 => <Vec<i64> as Type<Postgres>>::type_info(),
            SqlType::Bool => <Vec<bool> as Type<Postgres>>::type_info(),
            SqlType::Uuid => <Vec<Uuid> as Type<Postgres>>::type_info(),
            SqlType::Text | SqlType::Json => <Vec<String> as Type<Postgres>>::type_info(),
            SqlType::Bytea => <Vec<Vec<u8>> as Type<Postgres>>::type_info(),
            SqlType::Time => <Vec<chrono::DateTime<chrono::Utc>> as Type<Postgres>>::type_info(),
        }
    }
}

/// What a column holds is not what the program expects there.
#[derive(Debug, thiserror::Error)]
#[error("a value in the database does not read as {0}")]
pub struct BadField(pub &'static str);

/// A value of one column.
pub trait Field: Sized {
    const KIND: SqlType;

    /// Appends the bytes of the value; `false` for NULL, and then nothing is appended.
    fn put(&self, out: &mut Vec<u8>) -> bool;

    fn get(bytes: Option<&[u8]>) -> Result<Self, BadField>;

    /// Bytes that it takes in memory beyond itself, at most.
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl<T: Field> Field for Option<T> {
    const KIND: SqlType = T::KIND;

    fn put(&self, out: &mut Vec<u8>) -> bool {
        self.as_ref().is_some_and(|value| value.put(out))
    }

    fn get(bytes: Option<&[u8]>) -> Result<Self, BadField> {
        match bytes {
            None => Ok(None),
            Some(_) => T::get(bytes).map(Some),
        }
    }

    fn heap_bytes(&self) -> usize {
        self.as_ref().map_or(0, T::heap_bytes)
    }
}

impl Field for i64 {
    const KIND: SqlType = SqlType::Int8;

    fn put(&self, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(&self.to_be_bytes());
        true
    }

    fn get(bytes: Option<&[u8]>) -> Result<Self, BadField> {
        let array = bytes.and_then(|b| b.try_into().ok()).ok_or(BadField("a bigint"))?;
        Ok(i64::from_be_bytes(array))
    }
}

impl Field for i16 {
    const KIND: SqlType = SqlType::Int2;

    fn put(&self, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(&self.to_be_bytes());
        true
    }

    fn get(bytes: Option<&[u8]>) -> Result<Self, BadField> {
        let array = bytes.and_then(|b| b.try_into().ok()).ok_or(BadField("a smallint"))?;
        Ok(i16::from_be_bytes(array))
    }
}

/// Positions, versions and counts: never beyond 2^63.
impl Field for u64 {
    const KIND: SqlType = SqlType::Int8;

    fn put(&self, out: &mut Vec<u8>) -> bool {
        i64::try_from(*self).unwrap_or(i64::MAX).put(out)
    }

    fn get(bytes: Option<&[u8]>) -> Result<Self, BadField> {
        u64::try_from(i64::get(bytes)?).map_err(|_| BadField("a number that is not negative"))
    }
}

impl Field for bool {
    const KIND: SqlType = SqlType::Bool;

    fn put(&self, out: &mut Vec<u8>) -> bool {
        out.push(u8::from(*self));
        true
    }

    fn get(bytes: Option<&[u8]>) -> Result<Self, BadField> {
        match bytes {
            Some([byte]) => Ok(*byte != 0),
            _ => Err(BadField("a boolean")),
        }
    }
}

impl Field for Uuid {
    const KIND: SqlType = SqlType::Uuid;

    fn put(&self, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(self.as_bytes());
        true
    }

    fn get(bytes: Option<&[u8]>) -> Result<Self, BadField> {
        bytes.and_then(|b| Uuid::from_slice(b).ok()).ok_or(BadField("a uuid"))
    }
}

impl Field for Timestamp {
    const KIND: SqlType = SqlType::Time;

    fn put(&self, out: &mut Vec<u8>) -> bool {
        (self.unix_micros() - POSTGRES_EPOCH_MICROS).put(out)
    }

    fn get(bytes: Option<&[u8]>) -> Result<Self, BadField> {
        let micros = i64::get(bytes)?.checked_add(POSTGRES_EPOCH_MICROS);
        micros.and_then(Timestamp::from_unix_micros).ok_or(BadField("a time"))
    }
}

impl Field for Sealed {
    const KIND: SqlType = SqlType::Bytea;

    fn put(&self, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(&self.0);
        true
    }

    fn get(bytes: Option<&[u8]>) -> Result<Self, BadField> {
        bytes.map(|b| Sealed(Bytes::copy_from_slice(b))).ok_or(BadField("bytes"))
    }

    fn heap_bytes(&self) -> usize {
        heap::text(self.0.len())
    }
}

fn text(bytes: Option<&[u8]>) -> Result<&str, BadField> {
    bytes.and_then(|b| std::str::from_utf8(b).ok()).ok_or(BadField("text"))
}

impl Field for Arc<str> {
    const KIND: SqlType = SqlType::Text;

    fn put(&self, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(self.as_bytes());
        true
    }

    fn get(bytes: Option<&[u8]>) -> Result<Self, BadField> {
        text(bytes).map(Arc::from)
    }

    fn heap_bytes(&self) -> usize {
        heap::text(self.len())
    }
}

macro_rules! text_field {
    ($($id:ident),*) => {$(
        impl Field for $id {
            const KIND: SqlType = SqlType::Text;

            fn put(&self, out: &mut Vec<u8>) -> bool {
                out.extend_from_slice(self.as_str().as_bytes());
                true
            }

            fn get(bytes: Option<&[u8]>) -> Result<Self, BadField> {
                $id::new(text(bytes)?).map_err(|_| BadField(stringify!($id)))
            }

            fn heap_bytes(&self) -> usize {
                heap::text(self.as_str().len())
            }
        }
    )*};
}

text_field!(TenantId, Identity);

macro_rules! uuid_field {
    ($($id:ident),*) => {$(
        impl Field for $id {
            const KIND: SqlType = SqlType::Uuid;

            fn put(&self, out: &mut Vec<u8>) -> bool {
                self.uuid().put(out)
            }

            fn get(bytes: Option<&[u8]>) -> Result<Self, BadField> {
                Uuid::get(bytes).map($id::from_uuid)
            }
        }
    )*};
}

uuid_field!(RoomId, SessionId, TrackId, RecordingId);

/// A unit-only enum under the name it has in JSON, such as `connection-lost`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnumText<T>(pub T);

impl<T: Serialize + DeserializeOwned> Field for EnumText<T> {
    const KIND: SqlType = SqlType::Text;

    fn put(&self, out: &mut Vec<u8>) -> bool {
        let before = out.len();
        let written = serde_json::to_writer(&mut *out, &self.0).is_ok();
        // The quotes go.
        if written && out.len() >= before + 2 {
            out.pop();
            out.remove(before);
        }
        written
    }

    fn get(bytes: Option<&[u8]>) -> Result<Self, BadField> {
        let word = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(text(bytes)?);
        T::deserialize(word).map(EnumText).map_err(|_| BadField("a word that this program knows"))
    }
}

/// A value kept as JSON text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JsonText<T>(pub T);

/// What takes memory beyond itself.
pub trait HeapBytes {
    /// At most.
    fn heap_bytes(&self) -> usize;
}

impl HeapBytes for Settings {
    fn heap_bytes(&self) -> usize {
        Settings::heap_bytes(self)
    }
}

impl HeapBytes for Vec<SessionView> {
    fn heap_bytes(&self) -> usize {
        heap::list(self.capacity(), size_of::<SessionView>())
    }
}

impl HeapBytes for Vec<TrackView> {
    fn heap_bytes(&self) -> usize {
        let codecs = self.iter().filter_map(|track| track.codec.as_ref()).map(|codec| heap::text(codec.len()));
        heap::list(self.capacity(), size_of::<TrackView>()) + codecs.sum::<usize>()
    }
}

impl HeapBytes for Vec<(TrackId, Timestamp)> {
    fn heap_bytes(&self) -> usize {
        heap::list(self.capacity(), size_of::<(TrackId, Timestamp)>())
    }
}

impl HeapBytes for BTreeSet<Identity> {
    fn heap_bytes(&self) -> usize {
        let names = self.iter().map(|identity| heap::text(identity.as_str().len()));
        heap::tree(self.len(), size_of::<Identity>()) + names.sum::<usize>()
    }
}

impl<T: Serialize + DeserializeOwned + HeapBytes> Field for JsonText<T> {
    const KIND: SqlType = SqlType::Json;

    fn put(&self, out: &mut Vec<u8>) -> bool {
        let before = out.len();
        let written = serde_json::to_writer(&mut *out, &self.0).is_ok();
        if !written {
            out.truncate(before);
        }
        written
    }

    fn get(bytes: Option<&[u8]>) -> Result<Self, BadField> {
        let text = bytes.ok_or(BadField("JSON"))?;
        serde_json::from_slice(text).map(JsonText).map_err(|_| BadField("JSON of the expected shape"))
    }

    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }
}
