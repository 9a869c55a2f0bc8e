//! Settings of the archives.

use super::{Accepts, Duration, HOUR, Setting, SettingGroup};

pub(super) const GROUP: SettingGroup =
    SettingGroup { title: "Archives", settings: &[&ARCHIVE_URL, &ARCHIVE_OPTIONS, &ARCHIVE_RETENTION] };

const DAY: Duration = Duration::from_secs(24 * HOUR.as_secs());

pub const ARCHIVE_URL: Setting = Setting::new(
    "CONVOKE_ARCHIVE_URL",
    "archive.url",
    Accepts::Text,
    "",
    "The location of archived partitions (Parquet files): `file:///FOLDER`, visible to all processes, or `s3://BUCKET/PREFIX`. Default: \
     `archive` in the data directory with the private database, none otherwise.",
);
pub const ARCHIVE_OPTIONS: Setting = Setting::new(
    "CONVOKE_ARCHIVE_OPTIONS",
    "archive.options",
    Accepts::Keys,
    "",
    "Options of the object store, `name=value` separated by `;` or line breaks, such as \
     `region=eu-central-1;access_key_id=…;secret_access_key=…`; for other servers with the S3 API also `endpoint=https://…`. Without keys \
     the machine's role is used.",
);
pub const ARCHIVE_RETENTION: Setting = Setting::new(
    "CONVOKE_ARCHIVE_RETENTION",
    "archive.retention",
    Accepts::Time(HOUR, Duration::from_secs(100 * 366 * DAY.as_secs())),
    "400d",
    "How long events stay in PostgreSQL before `convoke archive run` archives their partition, from the partition's end.",
);
