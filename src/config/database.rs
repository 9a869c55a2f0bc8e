//! Where the database is, and how it is used.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use super::database_url::{self, BadUrl, DatabaseUrl};
use super::reader::SettingsReader;
use super::settings;

#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// None: the private server in the data directory.
    pub url: Option<DatabaseUrl>,
    /// A pooler in transaction mode in front of it.
    pub pooler_url: Option<DatabaseUrl>,
    /// Replicas to read from.
    pub read_urls: Vec<DatabaseUrl>,
    /// How far behind a replica may be.
    pub replica_lag: Duration,
    /// For what is written.
    pub pool_size: u32,
    /// For what is read to answer; of each replica as well.
    pub read_pool_size: u32,
    pub acquire_timeout: Duration,
    pub statement_timeout: Duration,
    /// Statements that take longer are logged.
    pub slow_statement: Duration,
    /// Where the private server's binaries are; None: searched for.
    pub postgres_bin: Option<PathBuf>,
    /// Folders of `PATH`, where the search begins.
    pub program_folders: Vec<PathBuf>,
}

impl DatabaseConfig {
    pub(super) fn read(reader: &mut SettingsReader<'_>, environment: &HashMap<String, String>) -> Self {
        let path = environment.get("PATH").map(String::as_str).unwrap_or_default();
        let (url, pooler_url) = (one(reader, &settings::DATABASE_URL), one(reader, &settings::DATABASE_POOLER_URL));
        if url.is_none() && pooler_url.is_some() {
            let remedy = "set DATABASE_URL to the server behind it: what needs a session goes there";
            reader.fault(&settings::DATABASE_POOLER_URL, "it is the way to a database that is not named", remedy);
        }
        Self {
            url,
            pooler_url,
            read_urls: read_urls(reader),
            replica_lag: reader.time(&settings::DATABASE_REPLICA_LAG),
            pool_size: reader.count(&settings::DATABASE_POOL_SIZE),
            read_pool_size: reader.count(&settings::DATABASE_READ_POOL_SIZE),
            acquire_timeout: reader.time(&settings::DATABASE_ACQUIRE_TIMEOUT),
            statement_timeout: reader.time(&settings::DATABASE_STATEMENT_TIMEOUT),
            slow_statement: reader.time(&settings::DATABASE_SLOW_STATEMENT),
            postgres_bin: reader.text(&settings::POSTGRES_BIN).map(PathBuf::from),
            program_folders: std::env::split_paths(path).collect(),
        }
    }
}

fn one(reader: &mut SettingsReader<'_>, setting: &settings::Setting) -> Option<DatabaseUrl> {
    reader.text(setting).and_then(|text| database_url(reader, setting, &text))
}

fn read_urls(reader: &mut SettingsReader<'_>) -> Vec<DatabaseUrl> {
    let text = reader.text(&settings::DATABASE_READ_URLS).unwrap_or_default();
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.filter_map(|part| database_url(reader, &settings::DATABASE_READ_URLS, part)).collect()
}

fn database_url(reader: &mut SettingsReader<'_>, setting: &settings::Setting, text: &str) -> Option<DatabaseUrl> {
    match database_url::read(text) {
        Ok((url, without_effect)) => {
            for name in without_effect {
                reader.warnings.push(format!("{}: the parameter {name} has no effect", setting.name));
            }
            Some(url)
        }
        Err(BadUrl { problem, remedy }) => {
            reader.fault(setting, problem, remedy);
            None
        }
    }
}
