//! Live projections: one worker for each read model among all processes, and its progress for readers.

mod board;
mod tail;
mod worker;

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use board::{Board, WaitError};
pub use tail::Tail;
use worker::Worker;

use super::activity::Activity;
use super::messages::Messages;
use super::model::ReadModel;
use super::rooms::Rooms;
use super::sessions::Sessions;
use super::usage::Usage;
use crate::telemetry::metrics::Metrics;

/// The workers of all read models of this process; a task of the role `projector`.
pub struct Runner {
    tail: Arc<Tail>,
    board: Board,
    metrics: Metrics,
    batch: usize,
}

impl Runner {
    /// `batch`: most events of one transaction.
    pub fn new(tail: Tail, board: Board, metrics: Metrics, batch: usize) -> Self {
        Self { tail: Arc::new(tail), board, metrics, batch }
    }

    /// Runs until told to stop. A model that cannot go on stops by itself; the others go on.
    pub async fn run(self, stop: CancellationToken) {
        let mut workers = JoinSet::new();
        workers.spawn(self.worker::<Rooms>().run(stop.clone()));
        workers.spawn(self.worker::<Sessions>().run(stop.clone()));
        workers.spawn(self.worker::<Messages>().run(stop.clone()));
        workers.spawn(self.worker::<Activity>().run(stop.clone()));
        workers.spawn(self.worker::<Usage>().run(stop.clone()));
        while let Some(ended) = workers.join_next().await {
            if let Err(error) = ended
                && error.is_panic()
            {
                // The process must not look alive without this worker.
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }

    fn worker<M: ReadModel>(&self) -> Worker<M> {
        Worker::new(self.tail.clone(), self.board.clone(), self.metrics.clone(), self.batch)
    }
}
