//! Where the database is, and how it is used.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::reader::Reader;
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

/// Holds a password, so it shows only when asked to.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(secret)")
    }
}

impl DatabaseConfig {
    pub(super) fn read(reader: &mut Reader<'_>, environment: &HashMap<String, String>) -> Self {
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

fn one(reader: &mut Reader<'_>, setting: &settings::Setting) -> Option<DatabaseUrl> {
    reader.text(setting).and_then(|text| database_url(reader, setting, &text))
}

fn read_urls(reader: &mut Reader<'_>) -> Vec<DatabaseUrl> {
    let text = reader.text(&settings::DATABASE_READ_URLS).unwrap_or_default();
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.filter_map(|part| database_url(reader, &settings::DATABASE_READ_URLS, part)).collect()
}

fn database_url(reader: &mut Reader<'_>, setting: &settings::Setting, text: &str) -> Option<DatabaseUrl> {
    let scheme = ["postgres://", "postgresql://"].iter().any(|scheme| text.trim().starts_with(scheme));
    match text.trim().parse::<sqlx::postgres::PgConnectOptions>() {
        Ok(_) if scheme => Some(DatabaseUrl(text.trim().to_owned())),
        _ => {
            // The parser's own words may repeat the password.
            let remedy =
                "write postgres://USER:PASSWORD@HOST:PORT/DATABASE (percent-encode what is special in a password)";
            reader.fault(setting, "it is not the URL of a PostgreSQL database", remedy);
            None
        }
    }
}
