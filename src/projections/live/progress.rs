//! The checkpoints of the models as this process knows them. Workers of this process report theirs at once; checkpoints of other
//! processes are read from the database, only while a reader waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::database::pool::Pool;
use crate::ids::Position;
use crate::projections::checkpoint::{self, ModelStatus};
use crate::projections::model::ModelInfo;

/// Between two looks at the checkpoints while somebody waits for a model that another process works on.
const LOOK: Duration = Duration::from_millis(10);

/// How long a waiter relies on this process's worker before it asks whether it still works.
const RECHECK: Duration = Duration::from_millis(250);

/// Why a model did not come to a position in time.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    #[error("the read model {name} is at position {at}, not yet at {wanted}")]
    TimedOut { name: &'static str, at: Position, wanted: Position },
    /// It will not come there by itself.
    #[error("the read model {name} stopped at position {at}: {error}")]
    Stopped { name: &'static str, at: Position, error: String },
    #[error("the process is stopping")]
    Stopping,
    #[error("the database does not answer: {0}")]
    Unavailable(#[from] sqlx::Error),
}

#[derive(Clone, Debug, Default, PartialEq)]
struct ModelPosition {
    position: Position,
    stopped: Option<String>,
}

pub(super) struct ModelProgress {
    reached: watch::Sender<ModelPosition>,
    /// A worker of this process has the model: no need to look.
    here: AtomicBool,
    /// How many wait for a later position.
    waiting: watch::Sender<usize>,
}

impl ModelProgress {
    pub fn moved(&self, position: Position) {
        self.reached.send_if_modified(|reached| {
            let new = ModelPosition { position, stopped: None };
            std::mem::replace(reached, new.clone()) != new
        });
    }

    pub fn stopped(&self, position: Position, error: &str) {
        self.reached.send_replace(ModelPosition { position, stopped: Some(error.to_owned()) });
    }

    /// What is known may be more than the database has: a server that crashed takes back commits that did not wait for the disk.
    pub fn forget(&self) {
        self.reached.send_replace(ModelPosition::default());
    }

    pub fn set_here(&self, here: bool) {
        self.here.store(here, Ordering::Release);
    }

    /// Resolves at once while somebody waits, else when somebody begins to.
    pub async fn hurried(&self) {
        // The sender lives as long as this place: waiting cannot fail.
        _ = self.waiting.subscribe().wait_for(|waiting| *waiting > 0).await;
    }
}

/// Somebody waits, for as long as this lives.
struct WaitGuard<'a>(&'a ModelProgress);

impl<'a> WaitGuard<'a> {
    fn at(progress: &'a ModelProgress) -> Self {
        progress.waiting.send_modify(|waiting| *waiting += 1);
        Self(progress)
    }
}

impl Drop for WaitGuard<'_> {
    fn drop(&mut self) {
        self.0.waiting.send_modify(|waiting| *waiting -= 1);
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct ProjectionProgress(Arc<ProgressInner>);

struct ProgressInner {
    pool: Pool,
    models: BTreeMap<&'static str, ModelProgress>,
    looking: Mutex<Option<Instant>>,
}

impl ProjectionProgress {
    pub fn new(pool: Pool, models: &[ModelInfo]) -> Self {
        let progress = || ModelProgress {
            reached: watch::channel(ModelPosition::default()).0,
            here: AtomicBool::new(false),
            waiting: watch::channel(0).0,
        };
        let models = models.iter().map(|model| (model.name, progress())).collect();
        Self(Arc::new(ProgressInner { pool, models, looking: Mutex::new(None) }))
    }

    pub(super) fn of(&self, name: &str) -> Option<&ModelProgress> {
        self.0.models.get(name)
    }

    /// Waits until a model (one of [`crate::projections::MODELS`]) contains the event at `position`, for at most `patience`.
    pub async fn wait_for(
        &self,
        name: &'static str,
        position: Position,
        patience: Duration,
        stop: &CancellationToken,
    ) -> Result<(), WaitError> {
        let Some(progress) = self.0.models.get(name) else { return Ok(()) };
        let deadline = Instant::now() + patience;
        let mut reached = progress.reached.subscribe();
        // What another process's worker did is looked up each time: it is known only as of the last look.
        if progress.here.load(Ordering::Acquire) && reached.borrow().position >= position {
            return Ok(());
        }
        let _waiting = WaitGuard::at(progress);
        loop {
            let here = progress.here.load(Ordering::Acquire);
            if !here {
                self.look().await?;
            }
            let now = reached.borrow_and_update().clone();
            if now.position >= position {
                return Ok(());
            }
            if let Some(error) = now.stopped {
                return Err(WaitError::Stopped { name, at: now.position, error });
            }
            tokio::select! {
                _ = reached.changed() => {}
                () = tokio::time::sleep(if here { RECHECK } else { LOOK }) => {}
                () = stop.cancelled() => return Err(WaitError::Stopping),
                () = tokio::time::sleep_until(deadline) => {
                    return Err(WaitError::TimedOut { name, at: now.position, wanted: position });
                }
            }
        }
    }

    /// The position that a model is known to contain.
    pub async fn position_of(&self, name: &str) -> Result<Position, WaitError> {
        let Some(progress) = self.0.models.get(name) else { return Ok(0) };
        if !progress.here.load(Ordering::Acquire) {
            self.look().await?;
        }
        Ok(progress.reached.borrow().position)
    }

    /// Looks at the checkpoints, one look at a time for the whole process.
    async fn look(&self) -> sqlx::Result<()> {
        let mut last = self.0.looking.lock().await;
        if last.is_some_and(|last| last.elapsed() < LOOK) {
            return Ok(());
        }
        for checkpoint in checkpoint::all(&self.0.pool).await? {
            let Some(progress) = self.0.models.get(checkpoint.name.as_str()) else { continue };
            if progress.here.load(Ordering::Acquire) {
                continue;
            }
            match checkpoint.status {
                ModelStatus::Running => progress.moved(checkpoint.position),
                ModelStatus::Stopped { error, .. } => progress.stopped(checkpoint.position, &error),
            }
        }
        *last = Some(Instant::now());
        Ok(())
    }
}
