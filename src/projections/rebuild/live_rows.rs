//! The digest of the live rows themselves, read from the tables as they were at one position while everything goes on.

use futures_util::StreamExt as _;
use sqlx::{Connection as _, PgConnection};

use super::RebuildError;
use crate::projections::checkpoint::{self, Checkpoint};
use crate::projections::model::ModelInfo;
use crate::projections::rows::{Digest, Splitter};

/// A picture of the live model: its checkpoint, and a transaction that sees its rows as they were then.
pub struct Picture {
    connection: PgConnection,
    model: ModelInfo,
    pub checkpoint: Checkpoint,
}

impl Picture {
    pub async fn take(mut connection: PgConnection, model: ModelInfo) -> Result<Self, RebuildError> {
        // Ends with the connection, which is this picture's own.
        sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").execute(&mut connection).await?;
        let checkpoint = checkpoint::find(&mut connection, model.name).await?;
        Ok(Self { connection, model, checkpoint })
    }

    /// Reads all the rows.
    pub async fn digest(mut self) -> Result<Digest, RebuildError> {
        let mut sum = Digest::default();
        for table in self.model.tables {
            let statement =
                format!("COPY (SELECT {} FROM convoke.{}) TO STDOUT WITH (FORMAT binary)", table.list(""), table.name);
            let mut stream = self.connection.copy_out_raw(&statement).await?;
            let mut splitter = Splitter::default();
            while let Some(message) = stream.next().await {
                splitter.feed(message?, |row| sum.add(Digest::of_row(table.name, &row)))?;
            }
            splitter.finish()?;
        }
        self.connection.close().await?;
        Ok(sum)
    }
}
