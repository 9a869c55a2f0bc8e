//! The role `api`: what takes commands and answers reads, and the work behind it.

use anyhow::Context as _;
use axum::Router;

use super::services::Services;
use crate::commands::deadlines::{self, DueCandidate};
use crate::commands::execute::{self, Executor, ExecutorLimits};
use crate::database::notifications::Notifications;
use crate::database::pool::Pool;
use crate::events::time::Timestamp;
use crate::http::api::{Api, ApiParts};
use crate::http::{docs, routes};
use crate::ids::RoomKey;
use crate::live::cache::Cache;
use crate::live::cache::operate::CacheAdmin;
use crate::live::hub::{self, EventHub};
use crate::live::rooms::RoomStates;
use crate::live::snapshots::{self, Snapshots};
use crate::live::{self, Live};
use crate::projections::read::ReadModels;
use crate::projections::rooms as room_model;
use crate::security::sealing::{MasterKeys, Sealer};
use crate::security::tokens::TokenVerifier;
use crate::security::watch::KeyWatch;
use crate::tasks::Tasks;

/// The routes, and what operators may ask of the rooms in memory.
pub async fn router(
    services: &Services,
    notifications: &mut Notifications,
    tasks: &mut Tasks,
) -> anyhow::Result<(Router, Cache)> {
    let Services { config, pool, reads, log, window, clock, metrics, progress, replicas, .. } = services;
    let masters = MasterKeys::configured(&config.keys).context("the master keys cannot be used")?;
    let sealer = Sealer::new(pool.clone(), masters);
    let verifier = TokenVerifier::new(&config.keys, pool.clone()).context("the signing keys cannot be used")?;
    sealer.check_masters().await?;
    let watch = KeyWatch::new(sealer.clone(), verifier.clone(), notifications);
    let base = execute::ExecutorServices {
        log: log.clone(),
        sealer: sealer.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
    };
    let (executor, queue) = Executor::new(base, ExecutorLimits::configured(&config.log));
    // Ends when the last request that may hold an executor has been answered.
    tasks.spawn("executor", |_| queue);
    tasks.spawn("keys", |stop| watch.run(stop));
    if !replicas.is_empty() {
        tasks.spawn("replicas", |stop| replicas.clone().run(stop));
    }
    let snapshots = snapshots(services, &sealer, tasks)?;
    let models = ReadModels::new(reads.clone()).counting(metrics.clone());
    let rooms = RoomStates::new(live::rooms::RoomStatesParts {
        log: log.reading_from(reads.clone()),
        window: window.clone(),
        models: models.clone(),
        progress: progress.clone(),
        snapshot_interval: config.log.snapshot_interval,
        snapshots: snapshots.clone(),
        metrics: metrics.cache().clone(),
        clock: clock.clone(),
        memory: config.cache.memory,
        patience: config.http.at_least_timeout,
        stop: tasks.token().clone(),
    });
    let hub = EventHub::new(config.streams.buffer);
    let (publisher, stretches) = hub::publisher();
    tasks.spawn("rooms", |stop| rooms.clone().run(publisher, stop));
    tasks.spawn("hub", |stop| hub.clone().run(stretches, stop));
    let cache = Cache { rooms: rooms.clone(), snapshots, metrics: metrics.cache().clone(), pool: pool.clone() };
    let admin = CacheAdmin::new(cache.clone(), notifications);
    tasks.spawn("cache-admin", |stop| admin.run(stop));
    tasks.spawn("cache-warming", |stop| cache.clone().keep_warm(config.cache.warm_interval, stop));
    let live =
        Live::new(live::LiveParts { rooms: rooms.clone(), hub, sealer: sealer.clone(), metrics: metrics.clone() });
    let (orders, hand, ask) = (executor.clone(), clock.clone(), pool.clone());
    tasks.spawn("deadlines", |stop| deadlines::run(orders, hand, move |now| due_rooms(ask.clone(), now), stop));
    let api = routes::router(Api::new(ApiParts {
        verifier,
        executor,
        log: log.reading_from(reads.clone()),
        live,
        sealer,
        models,
        replicas: replicas.clone(),
        progress: progress.clone(),
        rooms,
        clock: clock.clone(),
        metrics: metrics.clone(),
        stop: tasks.token().clone(),
        http: config.http.clone(),
        streams: config.streams.clone(),
    }));
    Ok((api.merge(docs::routes()), cache))
}

/// Snapshots of room states in Redis, if one is configured.
fn snapshots(services: &Services, sealer: &Sealer, tasks: &mut Tasks) -> anyhow::Result<Option<Snapshots>> {
    let Services { config, clock, metrics, breakers, .. } = services;
    let parts = snapshots::Parts { sealer: sealer.clone(), clock: clock.clone(), metrics: metrics.cache().clone() };
    let around_redis = || breakers.around("redis", snapshots::BREAKER);
    let made = Snapshots::new(&config.cache, parts, around_redis).context("REDIS_URL cannot be used")?;
    Ok(made.map(|(snapshots, writer)| {
        tasks.spawn("snapshots", |stop| writer.run(stop));
        snapshots
    }))
}

async fn due_rooms(pool: Pool, now: Timestamp) -> sqlx::Result<Vec<DueCandidate>> {
    let due = room_model::due(&pool, now, deadlines::AT_A_TIME).await?;
    let candidates = due
        .into_iter()
        .map(|due| DueCandidate { key: RoomKey { tenant: due.tenant, room: due.room }, scheduled: due.scheduled });
    Ok(candidates.collect())
}
