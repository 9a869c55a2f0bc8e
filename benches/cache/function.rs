//! The read itself, without HTTP.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use convoke::config::Config;
use convoke::database::pool;
use convoke::events::feed::{EventWindow, FeedSource};
use convoke::events::log::EventLog;
use convoke::events::time::Clock;
use convoke::ids::{RoomId, RoomKey, TenantId};
use convoke::live::hub::{self, EventHub};
use convoke::live::rooms::{RoomStates, RoomStatesParts};
use convoke::projections::MODELS;
use convoke::projections::live::ProjectionProgress;
use convoke::projections::read::ReadModels;
use convoke::telemetry::metrics::Metrics;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::fixture::{Failure, Postgres};

/// Who read at the same time.
pub const CALLERS: usize = 64;

const WARM_UP: Duration = Duration::from_secs(2);

/// Reads of a caller between two turns of the others: out of memory it waits for nothing.
const TURN: usize = 64;

/// Reads a second.
pub async fn rate(postgres: &Postgres, settings: &[(&'static str, String)], measure: Duration) -> Result<f64, Failure> {
    let settings: HashMap<String, String> =
        settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let config = Config::from_environment(&settings)?;
    let pool = pool::system(postgres.url().parse()?, &config.database);
    let (log, metrics, window) = (EventLog::new(pool.clone()), Metrics::new(), EventWindow::default());
    let stop = CancellationToken::new();
    let states = RoomStates::new(RoomStatesParts {
        log: log.clone(),
        window: window.clone(),
        models: ReadModels::new(pool.clone()),
        progress: ProjectionProgress::new(pool.clone(), MODELS),
        snapshot_interval: config.log.snapshot_interval,
        snapshots: None,
        metrics: metrics.cache().clone(),
        clock: Clock::system(),
        memory: config.cache.memory,
        patience: Duration::from_secs(5),
        stop: stop.clone(),
    });
    let mut work = JoinSet::new();
    let (publisher, published) = hub::publisher();
    work.spawn(EventHub::new(config.streams.buffer).run(published, stop.clone()));
    work.spawn(states.clone().run(publisher, stop.clone()));
    work.spawn(window.run(FeedSource::log(log, metrics), stop.clone()));
    while !states.is_following() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let rooms: Vec<uuid::Uuid> = sqlx::query_scalar("SELECT room FROM convoke.room_heads").fetch_all(&pool).await?;
    let tenant = TenantId::new("bench")?;
    let key = |room: &uuid::Uuid| RoomKey { tenant: tenant.clone(), room: RoomId::from_uuid(*room) };
    let rooms: Arc<Vec<RoomKey>> = Arc::new(rooms.iter().map(key).collect());
    let (done, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let (states, rooms, done, over) = (states.clone(), rooms.clone(), done.clone(), over.clone());
        callers.spawn(Caller { states, rooms, done, over, number }.run());
    }
    tokio::time::sleep(WARM_UP).await;
    let (begun, before) = (Instant::now(), done.load(Ordering::Relaxed));
    tokio::time::sleep(measure).await;
    let rate = (done.load(Ordering::Relaxed) - before) as f64 / begun.elapsed().as_secs_f64();
    over.store(true, Ordering::Relaxed);
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    stop.cancel();
    while let Some(ended) = work.join_next().await {
        ended?;
    }
    pool::close(pool).await;
    Ok(rate)
}

struct Caller {
    states: RoomStates,
    rooms: Arc<Vec<RoomKey>>,
    done: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    number: usize,
}

impl Caller {
    async fn run(self) -> Result<(), Failure> {
        let mut turn = self.number * 7919;
        while !self.over.load(Ordering::Relaxed) {
            for _ in 0..TURN {
                let room = &self.rooms[turn % self.rooms.len()];
                self.states.current(room, None).await?.view(room.room).ok_or("the room is there")??;
                turn += 1;
            }
            self.done.fetch_add(TURN as u64, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}
