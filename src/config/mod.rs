//! The only reader of the environment and of the configuration file.
//!
//! [`settings`] is the table of all settings; [`Config`] is the checked and typed result. All errors are reported at once, each
//! with the name of its setting and a remedy. `Debug` does not show secrets.

mod archive;
mod cache;
mod database;
mod database_url;
mod development;
pub mod document;
mod errors;
mod fault;
mod kafka;
mod keys;
mod options;
mod reader;
mod retention;
pub mod settings;
#[cfg(test)]
mod tests;
mod values;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use archive::{ArchiveConfig, ArchivePlace};
pub use cache::{CacheConfig, RedisUrl};
pub use database::DatabaseConfig;
pub use database_url::DatabaseUrl;
pub use development::DevelopmentKeysError;
pub use errors::{ConfigError, ConfigErrors};
pub use fault::{FaultAction, FaultPoint, InjectedFault};
pub use kafka::{FeedFrom, KafkaConfig, PersonalInTopic};
pub use keys::{JwksSource, KeysConfig, MIN_SIGNING_SECRET_BYTES, MasterKey, SigningKey};
pub use options::ClientOptions;
pub use reader::EffectiveSetting;
use reader::SettingsReader;
pub use retention::RetentionConfig;
pub use values::time as duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    Development,
    Production,
}

#[derive(Clone, Debug)]
pub struct Config {
    pub environment: Environment,
    pub roles: Roles,
    pub data_dir: PathBuf,
    pub shutdown_timeout: Duration,
    pub http: HttpConfig,
    pub streams: StreamsConfig,
    pub database: DatabaseConfig,
    pub log: LogConfig,
    pub kafka: KafkaConfig,
    pub feed: FeedFrom,
    /// For tests of what a crash leaves.
    pub fault: Option<InjectedFault>,
    pub projections: ProjectionsConfig,
    pub retention: RetentionConfig,
    pub archive: ArchiveConfig,
    pub cache: CacheConfig,
    pub keys: KeysConfig,
    pub telemetry: TelemetryConfig,
    /// What is odd but does not stop the program; to be logged at start-up.
    pub warnings: Vec<String>,
}

/// What this process does. At least one is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    pub api: bool,
    pub projector: bool,
    pub relay: bool,
    pub maintenance: bool,
}

#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// `host:port`; port 0 takes a free one.
    pub listen: String,
    pub max_connections: usize,
    /// Bytes.
    pub body_limit: usize,
    /// Bytes of request line and headers.
    pub header_limit: usize,
    pub request_timeout: Duration,
    pub at_least_timeout: Duration,
    /// Where answers to long lists wait for their clients.
    pub spool_dir: PathBuf,
    /// Bytes that all of them may take there; 0: none.
    pub spool_limit: usize,
}

#[derive(Clone, Debug)]
pub struct StreamsConfig {
    pub limit: usize,
    /// Events that may wait for one reader.
    pub buffer: usize,
    pub heartbeat: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionUnit {
    Month,
    Week,
    Day,
}

impl PartitionUnit {
    /// As PostgreSQL's `date_trunc` names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Week => "week",
            Self::Day => "day",
        }
    }
}

#[derive(Clone, Debug)]
pub struct LogConfig {
    pub partition_unit: PartitionUnit,
    pub partition_runway: Duration,
    /// Whole seconds.
    pub idempotency_ttl: Duration,
    pub append_batch: usize,
    pub append_queue: usize,
    pub conflict_retries: u32,
    pub room_memory: usize,
    pub snapshot_interval: u64,
}

#[derive(Clone, Debug)]
pub struct ProjectionsConfig {
    pub batch: usize,
    pub rebuild_batch: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Human,
    Json,
}

#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    pub format: LogFormat,
    /// A level or a filter of `tracing_subscriber::EnvFilter`.
    pub level: String,
}

impl Config {
    /// From the process's environment and the file it names.
    pub fn load() -> Result<Self, ConfigErrors> {
        Self::load_over(&[])
    }

    /// The same, with settings given otherwise (on the command line) over it.
    pub fn load_over(settings: &[(&str, &str)]) -> Result<Self, ConfigErrors> {
        let mut environment = process_environment();
        environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Self::from_environment(&environment)
    }

    /// Every setting as the process's environment and file give it, faulty or not.
    pub fn in_force() -> Vec<EffectiveSetting> {
        let environment = process_environment();
        let reader = SettingsReader::new(&environment);
        settings::all().map(|setting| reader.in_force(setting)).collect()
    }

    pub fn from_environment(environment: &HashMap<String, String>) -> Result<Self, ConfigErrors> {
        let mut reader = SettingsReader::new(environment);
        let config = Self::read(&mut reader, environment);
        if reader.errors.is_empty() {
            Ok(Self { warnings: reader.warnings, ..config })
        } else {
            Err(ConfigErrors(reader.errors))
        }
    }

    fn read(reader: &mut SettingsReader<'_>, environment: &HashMap<String, String>) -> Self {
        let environment_name = match reader.word(&settings::ENVIRONMENT) {
            "production" => Environment::Production,
            _ => Environment::Development,
        };
        let roles = reader.words(&settings::ROLES);
        let data_dir: PathBuf = reader.text(&settings::DATA_DIR).unwrap_or_default().into();
        let database = DatabaseConfig::read(reader, environment);
        let archive = ArchiveConfig::read(reader, database.url.is_none().then_some(data_dir.as_path()));
        Self {
            environment: environment_name,
            roles: Roles {
                api: roles.contains(&"api"),
                projector: roles.contains(&"projector"),
                relay: roles.contains(&"relay"),
                maintenance: roles.contains(&"maintenance"),
            },
            shutdown_timeout: reader.time(&settings::SHUTDOWN_TIMEOUT),
            http: HttpConfig::read(reader, &data_dir),
            data_dir,
            streams: StreamsConfig {
                limit: reader.count(&settings::STREAMS_LIMIT),
                buffer: reader.count(&settings::STREAMS_BUFFER),
                heartbeat: reader.time(&settings::STREAMS_HEARTBEAT),
            },
            database,
            archive,
            log: LogConfig::read(reader),
            kafka: KafkaConfig::read(reader),
            feed: kafka::feed(reader),
            fault: InjectedFault::read(reader, environment_name),
            projections: ProjectionsConfig {
                batch: reader.count(&settings::PROJECTION_BATCH),
                rebuild_batch: reader.count(&settings::PROJECTION_REBUILD_BATCH),
            },
            retention: RetentionConfig::read(reader),
            cache: CacheConfig::read(reader),
            keys: KeysConfig::read(reader),
            telemetry: TelemetryConfig::read(reader, environment_name),
            warnings: Vec::new(),
        }
    }

    /// What only a server needs: outside development, keys must be given.
    pub fn check_serving(&self) -> Result<(), ConfigErrors> {
        let mut errors = Vec::new();
        let mut missing = |setting: &settings::Setting, remedy: &str| {
            let problem = "a server outside development needs it, and it is not set".into();
            errors.push(ConfigError { setting: setting.name.into(), problem, remedy: remedy.into() });
        };
        if self.environment == Environment::Production {
            if self.keys.signing.is_empty() && self.keys.jwks.is_empty() {
                missing(
                    &settings::SIGNING_KEYS,
                    "set main:SECRET with a secret from `openssl rand -hex 32`, or CONVOKE_JWKS",
                );
            }
            if self.keys.master.is_empty() {
                missing(&settings::MASTER_KEYS, "set main:KEY with a key from `openssl rand -base64 32`");
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(ConfigErrors(errors)) }
    }
}

fn process_environment() -> HashMap<String, String> {
    // What is not UTF-8 is no setting of ours.
    let text = |value: std::ffi::OsString| value.into_string().ok();
    std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
}

impl HttpConfig {
    fn read(reader: &mut SettingsReader<'_>, data_dir: &Path) -> Self {
        let address = |text: &str| {
            let (host, port) = text.trim().rsplit_once(':')?;
            (!host.is_empty() && port.parse::<u16>().is_ok()).then(|| text.trim().to_owned())
        };
        Self {
            listen: reader.parsed(&settings::HTTP_LISTEN, address, "an address and a port, such as 0.0.0.0:8080"),
            max_connections: reader.count(&settings::HTTP_MAX_CONNECTIONS),
            body_limit: reader.size(&settings::HTTP_BODY_LIMIT),
            header_limit: reader.size(&settings::HTTP_HEADER_LIMIT),
            request_timeout: reader.time(&settings::HTTP_REQUEST_TIMEOUT),
            at_least_timeout: reader.time(&settings::HTTP_AT_LEAST_TIMEOUT),
            spool_dir: reader.text(&settings::HTTP_SPOOL_DIR).map_or_else(|| data_dir.join("spool"), PathBuf::from),
            spool_limit: reader.size(&settings::HTTP_SPOOL_LIMIT),
        }
    }
}

impl LogConfig {
    fn read(reader: &mut SettingsReader<'_>) -> Self {
        let ttl = reader.time(&settings::LOG_IDEMPOTENCY_TTL);
        Self {
            partition_unit: match reader.word(&settings::LOG_PARTITION_UNIT) {
                "day" => PartitionUnit::Day,
                "week" => PartitionUnit::Week,
                _ => PartitionUnit::Month,
            },
            partition_runway: reader.time(&settings::LOG_PARTITION_RUNWAY),
            idempotency_ttl: Duration::from_secs(ttl.as_secs()),
            append_batch: reader.count(&settings::LOG_APPEND_BATCH),
            append_queue: reader.count(&settings::LOG_APPEND_QUEUE),
            conflict_retries: reader.count(&settings::LOG_CONFLICT_RETRIES),
            room_memory: reader.size(&settings::LOG_ROOM_MEMORY),
            snapshot_interval: reader.count(&settings::LOG_SNAPSHOT_INTERVAL),
        }
    }
}

impl TelemetryConfig {
    fn read(reader: &mut SettingsReader<'_>, environment: Environment) -> Self {
        let format = match reader.word(&settings::LOG_FORMAT) {
            "json" => LogFormat::Json,
            "human" => LogFormat::Human,
            _ if environment == Environment::Production => LogFormat::Json,
            _ => LogFormat::Human,
        };
        let filter = |text: &str| {
            let valid = tracing_subscriber::EnvFilter::try_new(text).is_ok();
            valid.then(|| text.trim().to_owned())
        };
        Self {
            format,
            level: reader.parsed(&settings::LOG_LEVEL, filter, "a level, or a filter such as info,sqlx=warn"),
        }
    }
}
