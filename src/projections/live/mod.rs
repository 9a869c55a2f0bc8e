//! Live projections: one worker for each read model among all processes, and its progress for readers.

mod progress;
mod shared_log_reader;
mod worker;

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use progress::{ProjectionProgress, WaitError};
pub use shared_log_reader::SharedLogReader;
use worker::ModelWorker;

use super::activity::ActivityModel;
use super::messages::MessagesModel;
use super::model::ReadModel;
use super::rooms::RoomsModel;
use super::sessions::SessionsModel;
use super::usage::UsageModel;
use crate::telemetry::metrics::Metrics;

/// The workers of all read models of this process; a task of the role `projector`.
pub struct ProjectionRunner {
    reader: Arc<SharedLogReader>,
    progress: ProjectionProgress,
    metrics: Metrics,
    batch: usize,
}

impl ProjectionRunner {
    /// `batch`: most events of one transaction.
    pub fn new(reader: SharedLogReader, progress: ProjectionProgress, metrics: Metrics, batch: usize) -> Self {
        Self { reader: Arc::new(reader), progress, metrics, batch }
    }

    /// Runs until told to stop. A model that cannot go on stops by itself; the others go on.
    pub async fn run(self, stop: CancellationToken) {
        let mut workers = JoinSet::new();
        workers.spawn(self.worker::<RoomsModel>().run(stop.clone()));
        workers.spawn(self.worker::<SessionsModel>().run(stop.clone()));
        workers.spawn(self.worker::<MessagesModel>().run(stop.clone()));
        workers.spawn(self.worker::<ActivityModel>().run(stop.clone()));
        workers.spawn(self.worker::<UsageModel>().run(stop.clone()));
        while let Some(ended) = workers.join_next().await {
            if let Err(error) = ended
                && error.is_panic()
            {
                // The process must not look alive without this worker.
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }

    fn worker<M: ReadModel>(&self) -> ModelWorker<M> {
        ModelWorker::new(self.reader.clone(), self.progress.clone(), self.metrics.clone(), self.batch)
    }
}
