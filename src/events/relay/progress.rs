//! The position of the topic, stored in the database for operators, for archives, and for a topic whose last record has expired.
//! Changes by compare-and-set under the lease's fence, and only in the epoch of the session.

use uuid::Uuid;

use super::RelayError;
use crate::database::pool::Pool;
use crate::ids::Position;

pub struct RelayProgress {
    pool: Pool,
    topic: String,
    fence: i64,
    epoch: Uuid,
    pub position: Position,
}

fn bigint(position: Position) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

impl RelayProgress {
    /// Takes the progress over at the position that the topic is at. `None`: a newer holder of the lease has it.
    ///
    /// Where the log is in a new epoch, what the topic holds up to there is what the epochs have in common.
    pub async fn claim(
        pool: &Pool,
        topic: &str,
        fence: i64,
        position: Position,
        epoch: Uuid,
    ) -> sqlx::Result<Option<Self>> {
        let mut transaction = pool.begin().await?;
        sqlx::query(
            "SELECT convoke.epoch_began_after($1, $2)
             FROM convoke.relays r
             WHERE r.topic = $3 AND r.epoch <> $1",
        )
        .bind(epoch)
        .bind(bigint(position))
        .bind(topic)
        .execute(&mut *transaction)
        .await?;
        let claimed = sqlx::query(
            "INSERT INTO convoke.relays AS r (topic, position, fence, epoch)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (topic) DO UPDATE
             SET position = $2,
                 fence = $3,
                 epoch = $4,
                 moved_at = clock_timestamp()
             WHERE r.fence < $3",
        )
        .bind(topic)
        .bind(bigint(position))
        .bind(fence)
        .bind(epoch)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        let claimed = claimed.rows_affected() == 1;
        Ok(claimed.then(|| Self { pool: pool.clone(), topic: topic.to_owned(), fence, epoch, position }))
    }

    /// The topic has come further. Need not survive a crash of the database: the topic's own end is looked at after one.
    pub async fn move_to(&mut self, position: Position) -> Result<(), RelayError> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("SET LOCAL synchronous_commit = off").execute(&mut *transaction).await?;
        let moved = sqlx::query(
            "UPDATE convoke.relays r
             SET position = $4,
                 moved_at = clock_timestamp()
             WHERE r.topic = $1 AND r.fence = $2 AND r.position = $3
                 AND EXISTS (SELECT FROM convoke.log_head h WHERE h.epoch = $5)",
        )
        .bind(&self.topic)
        .bind(self.fence)
        .bind(bigint(self.position))
        .bind(bigint(position))
        .bind(self.epoch)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        if moved.rows_affected() == 1 {
            self.position = position;
            return Ok(());
        }
        self.check_epoch().await?;
        Err(RelayError::Replaced)
    }

    /// Whether the session's epoch is still the log's.
    pub async fn check_epoch(&self) -> Result<(), RelayError> {
        let epoch: Uuid = sqlx::query_scalar("SELECT epoch FROM convoke.log_head").fetch_one(&self.pool).await?;
        if epoch == self.epoch { Ok(()) } else { Err(RelayError::NewEpoch) }
    }
}

/// The position up to which a topic has the log; `None`: the log was never copied to it.
pub async fn relayed(pool: &Pool, topic: &str) -> sqlx::Result<Option<Position>> {
    let found: Option<i64> = sqlx::query_scalar("SELECT position FROM convoke.relays WHERE topic = $1")
        .bind(topic)
        .fetch_optional(pool)
        .await?;
    Ok(found.map(|position| Position::try_from(position).unwrap_or_default()))
}
