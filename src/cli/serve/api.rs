//! The role `api`: what takes commands and answers reads, and the work behind it.

use anyhow::Context as _;
use axum::Router;

use super::foundation::Foundation;
use crate::commands::deadlines::{self, Candidate};
use crate::commands::execute::{self, Executor, Limits};
use crate::database::pool::Pool;
use crate::events::log::wake;
use crate::events::time::Timestamp;
use crate::http::api::{Api, Parts};
use crate::http::{docs, routes};
use crate::ids::RoomKey;
use crate::live::hub::{self, Hub};
use crate::live::rooms::RoomStates;
use crate::live::{self, Live};
use crate::projections::read::ReadModels;
use crate::projections::rooms as room_model;
use crate::security::sealing::{MasterKeys, Sealer};
use crate::security::tokens::Verifier;
use crate::security::watch::Watch;
use crate::tasks::Tasks;

pub async fn router(foundation: &Foundation, tasks: &mut Tasks) -> anyhow::Result<Router> {
    let Foundation { config, pool, reads, log, window, clock, metrics, board, cache, replicas, .. } = foundation;
    let masters = MasterKeys::configured(&config.keys).context("the master keys cannot be used")?;
    let sealer = Sealer::new(pool.clone(), masters);
    let verifier = Verifier::new(&config.keys, pool.clone()).context("the signing keys cannot be used")?;
    sealer.check_masters().await?;
    let watch = Watch { pool: pool.clone(), sealer: sealer.clone(), verifier: verifier.clone() };
    let base = execute::Foundation {
        log: log.clone(),
        sealer: sealer.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
    };
    let (executor, queue) = Executor::new(base, Limits::configured(&config.log));
    // Ends when the last request that may hold an executor has been answered.
    tasks.spawn("executor", |_| queue);
    tasks.spawn("keys", |stop| watch.run(stop));
    tasks.spawn("wake", |stop| wake::run(log.clone(), stop));
    if !replicas.is_empty() {
        tasks.spawn("replicas", |stop| replicas.clone().run(stop));
    }
    let models = ReadModels::new(reads.clone()).counting(metrics.clone());
    let rooms = RoomStates::new(live::rooms::Parts {
        log: log.reading_from(reads.clone()),
        window: window.clone(),
        models: models.clone(),
        board: board.clone(),
        snapshot_interval: config.log.snapshot_interval,
        memory: config.cache.memory,
        patience: config.http.at_least_timeout,
        stop: tasks.token().clone(),
    });
    let hub = Hub::new(config.streams.buffer);
    let (publisher, stretches) = hub::publisher();
    tasks.spawn("rooms", |stop| rooms.clone().run(publisher, stop));
    tasks.spawn("hub", |stop| hub.clone().run(stretches, stop));
    let live = Live::new(live::Parts { rooms: rooms.clone(), hub, sealer: sealer.clone(), metrics: metrics.clone() });
    let (orders, hand, ask) = (executor.clone(), clock.clone(), pool.clone());
    tasks.spawn("deadlines", |stop| deadlines::run(orders, hand, move |now| due_rooms(ask.clone(), now), stop));
    let api = routes::router(Api::new(Parts {
        verifier,
        executor,
        log: log.reading_from(reads.clone()),
        live,
        sealer,
        models,
        replicas: replicas.clone(),
        board: board.clone(),
        rooms,
        cache: cache.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
        stop: tasks.token().clone(),
        http: config.http.clone(),
        streams: config.streams.clone(),
    }));
    Ok(api.merge(docs::routes()))
}

async fn due_rooms(pool: Pool, now: Timestamp) -> sqlx::Result<Vec<Candidate>> {
    let due = room_model::due(&pool, now, deadlines::AT_A_TIME).await?;
    let candidates = due
        .into_iter()
        .map(|due| Candidate { key: RoomKey { tenant: due.tenant, room: due.room }, scheduled: due.scheduled });
    Ok(candidates.collect())
}
