//! Reads the log once and distributes its chunks to the rebuilds of all models.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::lane::Lane;
use super::scan::{self, Chunk};
use super::{Progress, Rebuild, RebuildError};
use crate::events::feed::from_log::LogFeed;
use crate::ids::Position;

/// Events folded at a time; a transaction takes many such chunks.
const CHUNK: usize = 8_192;

/// Where each lane is.
type Standing = Arc<Mutex<Vec<(&'static str, Position)>>>;

impl Rebuild {
    /// Folds all models up to a position, from wherever each of them is.
    pub(super) async fn fold(
        &self,
        lanes: Vec<Box<dyn Lane>>,
        through: Position,
        stop: &CancellationToken,
    ) -> Result<Vec<Box<dyn Lane>>, RebuildError> {
        let after = lanes.iter().map(|lane| lane.fresh().position).min().unwrap_or(through);
        self.progress.send_modify(|progress| (progress.position, progress.target) = (after, through));
        let standing: Vec<_> = lanes.iter().map(|lane| (lane.fresh().model.name, lane.fresh().position)).collect();
        let standing: Standing = Arc::new(Mutex::new(standing));
        let mut workers = JoinSet::new();
        let mut senders = Vec::new();
        for (number, mut lane) in lanes.into_iter().enumerate() {
            let (sender, chunks) = mpsc::channel(1);
            senders.push(sender);
            let (standing, progress) = (standing.clone(), self.progress.clone());
            workers.spawn(async move {
                let moved = move |name, position| told(&standing, &progress, name, position);
                let folded = lane.consume(chunks, &moved).await;
                (number, folded.map(|()| lane))
            });
        }
        let (sender, chunks) = mpsc::channel(1);
        let sharing = tokio::spawn(share(chunks, senders));
        let read = self.read(after, through, sender, stop).await;
        _ = sharing.await;
        let mut lanes = Vec::new();
        while let Some(ended) = workers.join_next().await {
            match ended {
                Ok((number, lane)) => lanes.push((number, lane?)),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => return Err(RebuildError::Interrupted),
            }
        }
        read?;
        if stop.is_cancelled() {
            return Err(RebuildError::Interrupted);
        }
        lanes.sort_by_key(|(number, _)| *number);
        Ok(lanes.into_iter().map(|(_, lane)| lane).collect())
    }
}

impl Rebuild {
    async fn read(
        &self,
        after: Position,
        through: Position,
        chunks: mpsc::Sender<Chunk>,
        stop: &CancellationToken,
    ) -> Result<(), RebuildError> {
        let size = self.bounds.batch.min(CHUNK);
        if let Some(source) = &self.source {
            return scan::follow(source.open(after), through, size, chunks, stop).await;
        }
        let mut after = after;
        loop {
            let archived = self.log.archived_through().await?.min(through);
            if after < archived {
                let feed = Box::new(LogFeed::new(self.log.clone(), after));
                scan::follow(feed, archived, size, chunks.clone(), stop).await?;
                after = archived;
            }
            // A scan that is broken off leaves rows on its connection, which ends here.
            let mut reader = self.connect.open().await?;
            match scan::scan(&mut reader, after, through, size, chunks.clone(), stop).await {
                // The partition went to an archive before it was come to.
                Err(RebuildError::Gap { after: gap, found: 0, .. }) if self.log.archived_through().await? > gap => {
                    after = gap;
                }
                ended => return ended,
            }
        }
    }
}

/// Gives each chunk to every lane, until there are no more or a lane takes none.
async fn share(mut chunks: mpsc::Receiver<Chunk>, lanes: Vec<mpsc::Sender<Arc<Chunk>>>) {
    while let Some(chunk) = chunks.recv().await {
        let chunk = Arc::new(chunk);
        for lane in &lanes {
            if lane.send(chunk.clone()).await.is_err() {
                return;
            }
        }
    }
}

/// Notes where a model stands and tells the least of them.
fn told(standing: &Standing, progress: &watch::Sender<Progress>, name: &'static str, position: Position) {
    let mut standing = standing.lock().unwrap_or_else(PoisonError::into_inner);
    for (model, at) in standing.iter_mut() {
        if *model == name {
            *at = position;
        }
    }
    let least = standing.iter().map(|(_, at)| *at).min().unwrap_or(position);
    progress.send_modify(|progress| progress.position = least);
}
