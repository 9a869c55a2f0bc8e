//! Follows the log, so that each node determines by itself which cache entries are still true. Each process with a cache runs one
//! follower. It depends on the log alone, not on messages of other nodes. With `CONVOKE_FEED=kafka` it takes changes from the
//! topic and reads only the head from the log: until the topic reaches the head, memory does not answer.
//!
//! When the follower loses the log, it starts again and empties the memory, because it cannot know what happened meanwhile (a
//! restore, a new epoch). It does the same when the tables of the read model are swapped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Row as _;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::entry::Lineage;
use super::known::Known;
use super::layers::Layers;
use crate::database::silence::heard;
use crate::events::feed::Source;
use crate::events::log::changes::Change;
use crate::events::log::{EventLog, LogError};
use crate::ids::Position;
use crate::projections::checkpoint::position;
use crate::projections::model::ReadModel as _;
use crate::projections::rooms::Rooms;
use crate::resilience::Backoff;

/// Events read from the log at a time.
const PAGE: usize = 5_000;

/// How far before the log's end a follower begins, so that it can judge what others left in Redis.
const LOOK_BACK: Position = 50_000;

/// Between two looks at whether the log is still the one it follows.
const LOOK: Duration = Duration::from_millis(500);

/// Whoever is there answers sooner.
const SILENCE: Duration = Duration::from_secs(5);

const RETRY: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

/// Where the log and the model stand.
struct Standing {
    lineage: Lineage,
    head: Position,
}

pub struct Follower {
    source: Source,
    log: EventLog,
    layers: Arc<Layers>,
}

impl Follower {
    pub fn new(source: Source, layers: Arc<Layers>) -> Self {
        Self { log: source.its_log().clone(), source, layers }
    }

    /// Until told to stop. Rides out a lost database.
    pub async fn run(self, stop: CancellationToken) {
        let mut delays = RETRY.delays();
        let mut failing = false;
        loop {
            let ended = tokio::select! {
                ended = self.follow(&mut failing) => ended,
                () = stop.cancelled() => return,
            };
            self.layers.knowledge.lose();
            match ended {
                Ok(()) => delays.reset(),
                Err(error) => {
                    if !failing {
                        tracing::warn!(%error, "the cache cannot read the log; it is bypassed until it can");
                    }
                    failing = true;
                    if !delays.pause(&stop).await {
                        return;
                    }
                }
            }
        }
    }

    /// Until the log is another than it was, or cannot be read.
    async fn follow(&self, failing: &mut bool) -> Result<(), LogError> {
        let Standing { lineage, head } = self.standing().await?;
        let mut known = Known::from(lineage, head.saturating_sub(LOOK_BACK));
        while known.through() < head {
            let page = heard(SILENCE, self.log.changes(known.through(), PAGE)).await?;
            if page.is_empty() {
                break;
            }
            page.iter().for_each(|change| known.follow(change));
        }
        self.layers.knowledge.begin(known, &self.layers.memory);
        self.layers.metrics.began();
        self.follow_feed(lineage, failing).await
    }

    /// What the feed gives is true up to where it has come; that it has come to the end is heard from the log.
    async fn follow_feed(&self, lineage: Lineage, failing: &mut bool) -> Result<(), LogError> {
        let Layers { knowledge, memory, metrics, .. } = &*self.layers;
        let (_, mut through, _) = knowledge.span();
        let mut feed = self.source.open(through);
        let mut ended_at = 0;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asked = Instant::now();
        loop {
            tokio::select! {
                page = feed.next() => {
                    let page: Vec<_> = page?.iter().map(|event| Change::from(&**event)).collect();
                    knowledge.follow(&page, memory);
                    through = page.last().map_or(through, |last| last.position);
                }
                _ = look.tick() => {
                    asked = Instant::now();
                    let now = self.standing().await?;
                    if now.lineage != lineage || now.head < through {
                        return Ok(());
                    }
                    ended_at = now.head;
                }
            }
            if through >= ended_at {
                knowledge.heard(asked);
                metrics.position(through);
                *failing = false;
            }
        }
    }

    async fn standing(&self) -> Result<Standing, LogError> {
        let asking = sqlx::query(
            "SELECT h.position, h.epoch, coalesce(p.generation, 0) AS generation
             FROM convoke.log_head h
             LEFT JOIN convoke.projections p ON p.name = $1",
        )
        .bind(Rooms::NAME)
        .fetch_one(self.log.pool());
        let row = heard(SILENCE, asking).await?;
        let generation = u32::try_from(row.try_get::<i32, _>("generation")?).unwrap_or_default();
        Ok(Standing {
            lineage: Lineage { epoch: row.try_get("epoch")?, generation },
            head: position(row.try_get("position")?),
        })
    }
}
