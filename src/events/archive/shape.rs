//! The columns of an archive of events: those of the log, under the names that they have there.

use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, TypePtr};

use crate::events::envelope::Hash;

/// Of an archive of events. Times are microseconds of UTC; `data` is the text that was hashed.
pub static EVENTS: LazyLock<TypePtr> = LazyLock::new(|| {
    schema(
        "message event {
            REQUIRED INT64 position;
            REQUIRED INT64 room_version;
            REQUIRED INT64 recorded_at (TIMESTAMP(MICROS, true));
            OPTIONAL INT64 occurred_at (TIMESTAMP(MICROS, true));
            REQUIRED BYTE_ARRAY tenant (STRING);
            REQUIRED FIXED_LEN_BYTE_ARRAY (16) room (UUID);
            REQUIRED BYTE_ARRAY event_type (STRING);
            REQUIRED INT32 type_version;
            REQUIRED BYTE_ARRAY actor (STRING);
            OPTIONAL FIXED_LEN_BYTE_ARRAY (16) session (UUID);
            REQUIRED FIXED_LEN_BYTE_ARRAY (16) command_id (UUID);
            OPTIONAL FIXED_LEN_BYTE_ARRAY (16) causation_id (UUID);
            OPTIONAL FIXED_LEN_BYTE_ARRAY (16) correlation_id (UUID);
            OPTIONAL BYTE_ARRAY traceparent (STRING);
            REQUIRED BYTE_ARRAY data (JSON);
            OPTIONAL BYTE_ARRAY sealed;
            REQUIRED FIXED_LEN_BYTE_ARRAY (32) hash;
        }",
    )
});

/// Where the hashes of the row groups stand in the footer: base64 of one SHA-256 after another.
pub const GROUP_HASHES: &str = "convoke.row_groups.sha256";

/// The level that PostgreSQL's and Kafka's people call their default too: half the size of none, at hundreds of MB/s.
const LEVEL: i32 = 3;

fn schema(text: &str) -> TypePtr {
    Arc::new(parse_message_type(text).expect("the schemas of archives are valid"))
}

/// Of the index of rooms: one row for each room in each row group of the events.
pub static SPANS: LazyLock<TypePtr> = LazyLock::new(|| {
    schema(
        "message span {
            REQUIRED FIXED_LEN_BYTE_ARRAY (16) room (UUID);
            REQUIRED BYTE_ARRAY tenant (STRING);
            REQUIRED INT32 row_group;
            REQUIRED INT64 first_version;
            REQUIRED INT64 last_version;
            REQUIRED INT64 first_recorded_at (TIMESTAMP(MICROS, true));
            REQUIRED INT64 last_recorded_at (TIMESTAMP(MICROS, true));
            REQUIRED FIXED_LEN_BYTE_ARRAY (32) chain;
        }",
    )
});

/// Statistics of row groups find rooms and times; those of pages would find nothing more.
fn properties() -> WriterPropertiesBuilder {
    let level = ZstdLevel::try_new(LEVEL).expect("the level is one of zstd's");
    WriterProperties::builder()
        .set_created_by(concat!("convoke ", env!("CARGO_PKG_VERSION")).into())
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
}

pub fn events_properties() -> WriterProperties {
    let mut builder = properties();
    // Numbers that grow take a byte or two each as differences.
    for grows in ["position", "room_version", "recorded_at"] {
        builder = plain(builder, grows).set_column_encoding(grows.into(), Encoding::DELTA_BINARY_PACKED);
    }
    // What hardly ever comes twice has no use for a dictionary.
    for unique in ["occurred_at", "command_id", "data", "sealed", "hash"] {
        builder = plain(builder, unique);
    }
    for blind in ["data", "sealed", "hash", "traceparent"] {
        builder = builder.set_column_statistics_enabled(blind.into(), EnabledStatistics::None);
    }
    builder.build()
}

pub fn spans_properties() -> WriterProperties {
    plain(properties(), "chain").set_column_statistics_enabled("chain".into(), EnabledStatistics::None).build()
}

fn plain(builder: WriterPropertiesBuilder, column: &str) -> WriterPropertiesBuilder {
    builder.set_column_dictionary_enabled(ColumnPath::from(column), false)
}

pub fn write_hashes(hashes: &[Hash]) -> String {
    BASE64_STANDARD.encode(hashes.as_flattened())
}

/// `None`: it is not what [`write_hashes`] writes.
pub fn read_hashes(text: &str) -> Option<Vec<Hash>> {
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    let (hashes, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| hashes.to_vec())
}
