//! What the routes of the API use.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::commands::execute::Executor;
use crate::config::{HttpConfig, StreamsConfig};
use crate::events::log::{EventLog, LogError};
use crate::events::time::Clock;
use crate::http::spool::SpoolSpace;
use crate::ids::CommandId;
use crate::live::Live;
use crate::live::rooms::RoomStates;
use crate::projections::live::ProjectionProgress;
use crate::projections::read::ReadModels;
use crate::projections::replicas::Replicas;
use crate::security::random;
use crate::security::sealing::Sealer;
use crate::security::tokens::TokenVerifier;
use crate::telemetry::metrics::Metrics;

/// How long the log's epoch is used before it is asked for again: it changes only after a lossy restore.
const EPOCH_FRESH: Duration = Duration::from_secs(1);

/// The parts of the program that answer callers.
pub struct ApiParts {
    pub verifier: TokenVerifier,
    pub executor: Executor,
    pub log: EventLog,
    pub live: Live,
    pub sealer: Sealer,
    pub models: ReadModels,
    /// Of the database, to read from.
    pub replicas: Replicas,
    /// Where the read models stand.
    pub progress: ProjectionProgress,
    /// Rooms in use on this node, as the log has them.
    pub rooms: RoomStates,
    pub clock: Clock,
    pub metrics: Metrics,
    /// Cancelled when the server drains: streams then end.
    pub stop: CancellationToken,
    pub http: HttpConfig,
    pub streams: StreamsConfig,
}

struct ApiInner {
    parts: ApiParts,
    spool: Arc<SpoolSpace>,
    epoch: Mutex<Option<(Instant, Uuid)>>,
    streams: Arc<Semaphore>,
}

/// Shared by all routes. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<ApiInner>);

impl std::ops::Deref for Api {
    type Target = ApiParts;

    fn deref(&self) -> &ApiParts {
        &self.0.parts
    }
}

impl Api {
    pub fn new(parts: ApiParts) -> Self {
        let streams = Arc::new(Semaphore::new(parts.streams.limit));
        let spool = Arc::new(SpoolSpace::new(&parts.http.spool_dir, parts.http.spool_limit as u64));
        Self(Arc::new(ApiInner { parts, spool, epoch: Mutex::default(), streams }))
    }

    /// Which history the log's numbers belong to.
    pub async fn epoch(&self) -> Result<Uuid, LogError> {
        let mut known = self.0.epoch.lock().await;
        if let Some((asked, epoch)) = *known
            && asked.elapsed() < EPOCH_FRESH
        {
            return Ok(epoch);
        }
        let epoch = self.log.head().await?.epoch;
        *known = Some((Instant::now(), epoch));
        Ok(epoch)
    }

    /// An id for a command that comes in now.
    pub fn command_id(&self) -> CommandId {
        CommandId::from_uuid(random::uuid_v7(self.clock.now()))
    }

    /// Where answers wait that nobody reads yet.
    pub(super) fn spool(&self) -> &Arc<SpoolSpace> {
        &self.0.spool
    }

    /// One permit for each open stream.
    pub(super) fn stream_permits(&self) -> &Arc<Semaphore> {
        &self.0.streams
    }
}
