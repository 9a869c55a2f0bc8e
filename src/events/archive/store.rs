//! The location of archives: a folder, or a bucket with the S3 API.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt as _, RetryConfig};

use super::ArchiveError;
use crate::config::{ArchiveConfig, ArchivePlace};

/// Of one call.
const PATIENCE: Duration = Duration::from_secs(30);
const CONNECTING: Duration = Duration::from_secs(5);
/// With its repetitions.
const RETRYING: Duration = Duration::from_secs(60);

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct ArchiveStore {
    objects: Arc<dyn ObjectStore>,
    place: Arc<ArchivePlace>,
    /// What all names begin with.
    prefix: Path,
}

/// A place for archives that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("archives cannot lie at {place}: {cause}")]
pub struct BadArchivePlace {
    place: String,
    cause: String,
}

impl ArchiveStore {
    /// Nothing is asked of it yet. `None`: no place is configured.
    pub fn configured(config: &ArchiveConfig) -> Result<Option<Self>, BadArchivePlace> {
        let Some(place) = &config.place else { return Ok(None) };
        let bad = |cause: String| BadArchivePlace { place: place.to_string(), cause };
        let (objects, prefix): (Arc<dyn ObjectStore>, Path) = match place {
            ArchivePlace::Folder(folder) => {
                let folder = std::path::absolute(folder).map_err(|error| bad(error.to_string()))?;
                let prefix = Path::from_absolute_path(folder).map_err(|error| bad(error.to_string()))?;
                // A partition is dropped for what is written here: it has to outlive a loss of power.
                (Arc::new(LocalFileSystem::new().with_fsync(true)), prefix)
            }
            ArchivePlace::S3 { bucket, prefix } => {
                let prefix = Path::parse(prefix).map_err(|error| bad(error.to_string()))?;
                (Arc::new(s3(bucket, config).map_err(|error| bad(error.to_string()))?), prefix)
            }
        };
        Ok(Some(Self { objects, place: Arc::new(place.clone()), prefix }))
    }

    /// The full name of a file, for people.
    pub fn shown(&self, name: &str) -> String {
        format!("{}/{name}", self.place)
    }

    pub async fn get(&self, name: &str, range: Range<u64>) -> Result<Bytes, ArchiveError> {
        let wanted = range.end - range.start;
        let found = self.objects.get_range(&self.path(name), range).await.map_err(|error| self.failed(name, error))?;
        if found.len() as u64 != wanted {
            let what = format!("{} bytes where {wanted} were asked for", found.len());
            return Err(ArchiveError::Damaged { file: self.shown(name), what });
        }
        Ok(found)
    }

    /// A file that is there, whole and durable, once it was shut down, and not before.
    pub(super) fn put(&self, name: &str) -> BufWriter {
        BufWriter::new(self.objects.clone(), self.path(name))
    }

    /// Takes a file away, and what a writer that was killed left of it. One that is not there is no error.
    pub async fn remove(&self, name: &str) -> Result<(), ArchiveError> {
        match self.objects.delete(&self.path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(self.failed(name, error)),
        }
        if let ArchivePlace::Folder(folder) = &*self.place {
            self.remove_staged(folder.clone(), name).await?;
        }
        Ok(())
    }

    /// A file that was being written in a folder lies beside its name, with `#` and a number.
    async fn remove_staged(&self, folder: PathBuf, name: &str) -> Result<(), ArchiveError> {
        let staged = format!("{name}#");
        let failed = |error: std::io::Error| ArchiveError::Unreachable {
            file: self.shown(name),
            cause: error.to_string().into(),
        };
        let mut entries = match tokio::fs::read_dir(&folder).await {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        while let Some(entry) = entries.next_entry().await.map_err(failed)? {
            if entry.file_name().to_str().is_some_and(|found| found.starts_with(&staged)) {
                tokio::fs::remove_file(entry.path()).await.map_err(failed)?;
            }
        }
        Ok(())
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }

    pub(super) fn failed(&self, name: &str, error: object_store::Error) -> ArchiveError {
        let file = self.shown(name);
        match error {
            object_store::Error::NotFound { .. } => ArchiveError::Missing { file },
            other => match error_chain(&other) {
                // What ends before the wanted bytes is no trouble of the way.
                cause if cause.contains("Requested range was invalid") || cause.contains("InvalidRange") => {
                    ArchiveError::Damaged { file, what: "it is shorter than it was".into() }
                }
                cause => ArchiveError::Unreachable { file, cause: cause.into() },
            },
        }
    }
}

/// The error and its causes.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

fn s3(bucket: &str, config: &ArchiveConfig) -> object_store::Result<object_store::aws::AmazonS3> {
    // One provider of cryptography for all of the process; a second call finds it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = ClientOptions::new().with_timeout(PATIENCE).with_connect_timeout(CONNECTING);
    let retry = RetryConfig { max_retries: 5, retry_timeout: RETRYING, backoff: BackoffConfig::default() };
    let mut builder = AmazonS3Builder::new().with_bucket_name(bucket).with_client_options(options).with_retry(retry);
    for (name, value) in config.options.reveal() {
        let key: AmazonS3ConfigKey = name.parse()?;
        // A server without TLS is meant where its address says so.
        if key == AmazonS3ConfigKey::Endpoint && value.starts_with("http://") {
            builder = builder.with_allow_http(true);
        }
        builder = builder.with_config(key, value);
    }
    builder.build()
}
