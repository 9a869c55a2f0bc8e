//! Where archives lie, and when the log goes there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::options::ClientOptions;
use super::reader::SettingsReader;
use super::settings;

#[derive(Clone, Debug)]
pub struct ArchiveConfig {
    /// None: nothing is archived.
    pub place: Option<ArchivePlace>,
    pub options: ClientOptions,
    /// How long events stay in PostgreSQL.
    pub retention: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchivePlace {
    Folder(PathBuf),
    S3 {
        bucket: String,
        /// Without slashes at its ends; may be empty.
        prefix: String,
    },
}

impl fmt::Display for ArchivePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl ArchiveConfig {
    /// `private`: the data directory of the private database, if it is used.
    pub(super) fn read(reader: &mut SettingsReader<'_>, private: Option<&Path>) -> Self {
        let place = match reader.text(&settings::ARCHIVE_URL) {
            Some(text) => place(reader, text.trim()),
            None => private.map(|folder| ArchivePlace::Folder(folder.join("archive"))),
        };
        let options = ClientOptions::read(reader, &settings::ARCHIVE_OPTIONS, refused);
        Self { place, options, retention: reader.time(&settings::ARCHIVE_RETENTION) }
    }
}

fn place(reader: &mut SettingsReader<'_>, text: &str) -> Option<ArchivePlace> {
    let found = if let Some(path) = text.strip_prefix("file://") {
        path.starts_with('/').then(|| ArchivePlace::Folder(path.into()))
    } else if let Some(rest) = text.strip_prefix("s3://") {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_matches('/').to_owned();
        (!bucket.is_empty()).then(|| ArchivePlace::S3 { bucket: bucket.to_owned(), prefix })
    } else {
        None
    };
    if found.is_none() {
        let remedy = "write file:///FOLDER (an absolute path) or s3://BUCKET/PREFIX";
        reader.fault(&settings::ARCHIVE_URL, format!("{text:?} is no place for archives"), remedy);
    }
    found
}

fn refused(name: &str) -> Option<(String, &'static str)> {
    let unknown = name.parse::<object_store::aws::AmazonS3ConfigKey>().is_err();
    let remedy = "use the names of object_store, such as region, endpoint, access_key_id, secret_access_key";
    unknown.then(|| (format!("there is no option {name}"), remedy))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::config::Config;

    fn read(settings: &[(&str, &str)]) -> Result<ArchiveConfig, String> {
        let environment: HashMap<String, String> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::from_environment(&environment).map(|config| config.archive).map_err(|errors| errors.to_string())
    }

    #[test]
    fn archives_lie_beside_the_private_database_or_where_it_is_said() {
        let folder = |path: &str| Some(ArchivePlace::Folder(path.into()));
        assert_eq!(read(&[("CONVOKE_DATA_DIR", "/d")]).unwrap().place, folder("/d/archive"));
        let database = ("DATABASE_URL", "postgres://localhost/convoke");
        assert_eq!(read(&[database]).unwrap().place, None, "other processes would not see a folder of this one");
        assert_eq!(read(&[database, ("CONVOKE_ARCHIVE_URL", "file:///srv/a")]).unwrap().place, folder("/srv/a"));
        let s3 = ArchivePlace::S3 { bucket: "rooms".into(), prefix: "a/b".into() };
        let found =
            read(&[("CONVOKE_ARCHIVE_URL", "s3://rooms/a/b/"), ("CONVOKE_ARCHIVE_OPTIONS", "secret_access_key=hush")]);
        let found = found.unwrap();
        assert_eq!(found.place, Some(s3));
        assert!(!format!("{found:?}").contains("hush"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_remedy() {
        for (name, value, told) in [
            ("CONVOKE_ARCHIVE_URL", "file://folder", "absolute"),
            ("CONVOKE_ARCHIVE_URL", "ftp://there", "s3://BUCKET"),
            ("CONVOKE_ARCHIVE_OPTIONS", "colour=red", "no option colour"),
            ("CONVOKE_ARCHIVE_OPTIONS", "secret", "name=value"),
            ("CONVOKE_ARCHIVE_RETENTION", "soon", "with its unit"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.contains(told) && error.contains(name), "{error}");
        }
    }
}
