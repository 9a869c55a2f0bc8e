//! Settings of the archives.

use super::{Accepts, Duration, Group, HOUR, Setting};

pub(super) const GROUP: Group =
    Group { title: "Archives", settings: &[&ARCHIVE_URL, &ARCHIVE_OPTIONS, &ARCHIVE_RETENTION] };

const DAY: Duration = Duration::from_secs(24 * HOUR.as_secs());

pub const ARCHIVE_URL: Setting = Setting::new(
    "CONVOKE_ARCHIVE_URL",
    "archive.url",
    Accepts::Text,
    "",
    "Where old partitions of the log go as Parquet files: `file:///FOLDER`, which all processes see, or `s3://BUCKET/PREFIX`. Unset: \
     `archive` in the data directory, where the database is the private one; else there are no archives.",
);
pub const ARCHIVE_OPTIONS: Setting = Setting::new(
    "CONVOKE_ARCHIVE_OPTIONS",
    "archive.options",
    Accepts::Keys,
    "",
    "Options of the object store, `name=value` separated by `;` or line breaks, such as \
     `region=eu-central-1;access_key_id=…;secret_access_key=…`; for another server that speaks S3 also `endpoint=https://…`. Without keys \
     those of the machine's role are used.",
);
pub const ARCHIVE_RETENTION: Setting = Setting::new(
    "CONVOKE_ARCHIVE_RETENTION",
    "archive.retention",
    Accepts::Time(HOUR, Duration::from_secs(100 * 366 * DAY.as_secs())),
    "400d",
    "How long events stay in PostgreSQL before `convoke archive run` moves their partition; counted from the partition's end.",
);
