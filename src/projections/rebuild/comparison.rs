//! Compares live and new rows by digest at one position: the position of the live model at the start of the rebuild. The rebuild
//! records its digest when it passes this position.
//!
//! A rebuild, which replaces the live rows in any case, uses the digest in the live checkpoint. A verification computes the
//! digest from the live rows themselves, in a database snapshot taken at its start, while the live model continues.

use futures_util::StreamExt as _;
use sqlx::{Connection as _, PgConnection};

use super::model_rebuild::ModelRebuild;
use super::{RebuildError, RebuildPurpose};
use crate::ids::Position;
use crate::projections::checkpoint::{self, Checkpoint};
use crate::projections::model::{ModelInfo, ReadModel};
use crate::projections::rows::{CopySplitter, Digest};

/// How live and fresh rows compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// They are the same rows.
    Equal {
        at: Position,
        digest: Digest,
    },
    /// The live model folded something else.
    Different {
        at: Position,
        live: Digest,
        fold: Digest,
    },
    /// The live rows are not those that the live model wrote: somebody changed them.
    Changed {
        at: Position,
        rows: Digest,
        checkpoint: Digest,
        fold: Digest,
    },
    Impossible(String),
}

impl Comparison {
    pub fn is_equal(&self) -> bool {
        matches!(self, Comparison::Equal { .. })
    }
}

/// A snapshot of the live model: its checkpoint, and a transaction that sees its rows at that moment.
struct LiveSnapshot {
    connection: PgConnection,
    model: ModelInfo,
    checkpoint: Checkpoint,
}

impl LiveSnapshot {
    async fn take(mut connection: PgConnection, model: ModelInfo) -> Result<Self, RebuildError> {
        // Ends with the connection, which belongs to this snapshot.
        sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").execute(&mut connection).await?;
        let checkpoint = checkpoint::find(&mut connection, model.name).await?;
        Ok(Self { connection, model, checkpoint })
    }

    /// Reads all the rows.
    async fn digest(mut self) -> Result<Digest, RebuildError> {
        let mut sum = Digest::default();
        for table in self.model.tables {
            let statement =
                format!("COPY (SELECT {} FROM convoke.{}) TO STDOUT WITH (FORMAT binary)", table.list(""), table.name);
            let mut stream = self.connection.copy_out_raw(&statement).await?;
            let mut splitter = CopySplitter::default();
            while let Some(message) = stream.next().await {
                splitter.feed(message?, |row| sum.add(Digest::of_row(table.name, row)))?;
            }
            splitter.finish()?;
        }
        self.connection.close().await?;
        Ok(sum)
    }
}

impl<M: ReadModel> ModelRebuild<M> {
    /// Decides where to compare, and begins to read the live rows.
    pub(super) async fn look(&mut self) -> Result<(), RebuildError> {
        if self.state.compared.is_some_and(|compared| compared.live_rows.is_some() && compared.own.is_some()) {
            return Ok(());
        }
        let snapshot = match self.state.purpose {
            RebuildPurpose::Verify => Some(LiveSnapshot::take(self.connect.open().await?, self.state.model).await?),
            RebuildPurpose::Rebuild => None,
        };
        let live = match &snapshot {
            Some(snapshot) => snapshot.checkpoint.clone(),
            None => checkpoint::find(&mut self.connection, M::NAME).await?,
        };
        self.incomparable = if live.shape != i32::from(M::SHAPE) {
            Some(format!("the live rows have shape {}, these have shape {}", live.shape, M::SHAPE))
        } else if live.epoch != self.state.epoch {
            Some("the live rows were folded from another epoch of the log".into())
        } else if live.position < self.state.position {
            Some(format!("the live model is at position {}, this fold is past it", live.position))
        } else {
            None
        };
        if self.incomparable.is_some() {
            return Ok(());
        }
        self.state.compare_at(&mut self.connection, &live).await?;
        match snapshot {
            Some(snapshot) => self.looking = Some(tokio::spawn(snapshot.digest())),
            None => self.state.looked(&mut self.connection, live.digest).await?,
        }
        Ok(())
    }

    /// Waits until they are read.
    pub(super) async fn compare(&mut self) -> Result<Comparison, RebuildError> {
        if let Some(looking) = self.looking.take() {
            let rows = match looking.await {
                Ok(rows) => rows?,
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => return Err(RebuildError::Interrupted),
            };
            self.state.looked(&mut self.connection, rows).await?;
        }
        if let Some(why) = &self.incomparable {
            return Ok(Comparison::Impossible(why.clone()));
        }
        let Some((compared, live_rows, own)) =
            self.state.compared.and_then(|compared| Some((compared, compared.live_rows?, compared.own?)))
        else {
            return Ok(Comparison::Impossible("this fold did not come to the position of the live model".into()));
        };
        let at = compared.position;
        Ok(if live_rows != compared.live_digest {
            Comparison::Changed { at, rows: live_rows, checkpoint: compared.live_digest, fold: own }
        } else if live_rows != own {
            Comparison::Different { at, live: live_rows, fold: own }
        } else {
            Comparison::Equal { at, digest: own }
        })
    }
}
