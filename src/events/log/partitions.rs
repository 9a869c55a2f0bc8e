//! What a reader knows of the partitions: which times to ask for, given a position.
//!
//! A partition's first position never changes once it has one, so what was learned stays true; only the newest known partition
//! may meanwhile have been followed by others, which is why nothing is asked with an upper bound there.

use std::sync::{PoisonError, RwLock};

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::{LogError, rows};
use crate::events::envelope::Position;

/// A partition in use.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    first_position: Position,
    from_time: DateTime<Utc>,
    to_time: DateTime<Utc>,
}

/// Times between which an event lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    /// No later partition in use is known; there may be one by now.
    pub newest: bool,
}

#[derive(Default)]
pub(super) struct Catalogue(RwLock<Vec<Bounds>>);

impl Catalogue {
    /// Between which times the event at `position` was recorded, if it is there. `None`: the log is empty.
    pub(super) async fn times_of(&self, pool: &PgPool, position: Position) -> Result<Option<Times>, LogError> {
        if let Some(times) = self.known(position) {
            return Ok(Some(times));
        }
        self.load(pool).await?;
        Ok(self.known(position))
    }

    fn known(&self, position: Position) -> Option<Times> {
        let bounds = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let index = bounds.partition_point(|one| one.first_position <= position).checked_sub(1)?;
        let Bounds { from_time: from, to_time: to, .. } = bounds[index];
        Some(Times { from, to, newest: index + 1 == bounds.len() })
    }

    pub(super) async fn load(&self, pool: &PgPool) -> Result<(), LogError> {
        let found: Vec<(i64, DateTime<Utc>, DateTime<Utc>)> = sqlx::query_as(
            "SELECT first_position, from_time, to_time
             FROM convoke.log_partitions
             WHERE first_position IS NOT NULL
             ORDER BY first_position",
        )
        .fetch_all(pool)
        .await?;
        let mut bounds = Vec::with_capacity(found.len());
        for (first_position, from_time, to_time) in found {
            bounds.push(Bounds { first_position: rows::position(first_position)?, from_time, to_time });
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = bounds;
        Ok(())
    }
}
