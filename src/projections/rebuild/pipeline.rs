//! Reads the log once and distributes its chunks to the rebuilds of all models.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::model_rebuild::AnyModelRebuild;
use super::scan::{self, EventChunk};
use super::{Rebuild, RebuildError, RebuildProgress};
use crate::events::feed::from_log::LogFeed;
use crate::ids::Position;

/// Events folded at a time; a transaction takes many such chunks.
const CHUNK: usize = 8_192;

/// How far each rebuild is.
type FoldPositions = Arc<Mutex<Vec<(&'static str, Position)>>>;

impl Rebuild {
    /// Folds all models up to a position, from wherever each of them is.
    pub(super) async fn fold(
        &self,
        rebuilds: Vec<Box<dyn AnyModelRebuild>>,
        through: Position,
        stop: &CancellationToken,
    ) -> Result<Vec<Box<dyn AnyModelRebuild>>, RebuildError> {
        let after = rebuilds.iter().map(|rebuild| rebuild.state().position).min().unwrap_or(through);
        self.progress.send_modify(|progress| (progress.position, progress.target) = (after, through));
        let positions: Vec<_> =
            rebuilds.iter().map(|rebuild| (rebuild.state().model.name, rebuild.state().position)).collect();
        let positions: FoldPositions = Arc::new(Mutex::new(positions));
        let mut workers = JoinSet::new();
        let mut senders = Vec::new();
        for (number, mut rebuild) in rebuilds.into_iter().enumerate() {
            let (sender, chunks) = mpsc::channel(1);
            senders.push(sender);
            let (positions, progress) = (positions.clone(), self.progress.clone());
            workers.spawn(async move {
                let moved = move |name, position| report_progress(&positions, &progress, name, position);
                let folded = rebuild.consume(chunks, &moved).await;
                (number, folded.map(|()| rebuild))
            });
        }
        let (sender, chunks) = mpsc::channel(1);
        let sharing = tokio::spawn(share(chunks, senders));
        let read = self.read(after, through, sender, stop).await;
        _ = sharing.await;
        let mut rebuilds = Vec::new();
        while let Some(ended) = workers.join_next().await {
            match ended {
                Ok((number, rebuild)) => rebuilds.push((number, rebuild?)),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => return Err(RebuildError::Interrupted),
            }
        }
        read?;
        if stop.is_cancelled() {
            return Err(RebuildError::Interrupted);
        }
        rebuilds.sort_by_key(|(number, _)| *number);
        Ok(rebuilds.into_iter().map(|(_, rebuild)| rebuild).collect())
    }
}

impl Rebuild {
    async fn read(
        &self,
        after: Position,
        through: Position,
        chunks: mpsc::Sender<EventChunk>,
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

/// Gives each chunk to every rebuild, until there are no more or a rebuild takes none.
async fn share(mut chunks: mpsc::Receiver<EventChunk>, rebuilds: Vec<mpsc::Sender<Arc<EventChunk>>>) {
    while let Some(chunk) = chunks.recv().await {
        let chunk = Arc::new(chunk);
        for rebuild in &rebuilds {
            if rebuild.send(chunk.clone()).await.is_err() {
                return;
            }
        }
    }
}

/// Notes where a model stands and tells the least of them.
fn report_progress(
    positions: &FoldPositions,
    progress: &watch::Sender<RebuildProgress>,
    name: &'static str,
    position: Position,
) {
    let mut positions = positions.lock().unwrap_or_else(PoisonError::into_inner);
    for (model, at) in positions.iter_mut() {
        if *model == name {
            *at = position;
        }
    }
    let least = positions.iter().map(|(_, at)| *at).min().unwrap_or(position);
    progress.send_modify(|progress| progress.position = least);
}
