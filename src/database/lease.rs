//! A lease in the database for work that only one process may do, fenced by a number that increases with every new holder.
//!
//! A silent holder loses the lease when it expires, by the database's clock. By its own clock the holder stops no later, since
//! its time begins before it sends the request. A process that was suspended past its lease may use it for an instant: so the
//! effects of the work must also be rejected by the fence.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::pool::Pool;

/// A lease that is held. Kept by [`Lease::keep`].
#[derive(Clone)]
pub struct Lease {
    pool: Pool,
    name: String,
    holder: Uuid,
    pub fence: i64,
    length: Duration,
    until: Arc<Mutex<Instant>>,
}

impl Lease {
    /// Takes the lease if nobody holds it.
    pub async fn take(pool: &Pool, name: &str, length: Duration) -> sqlx::Result<Option<Self>> {
        let holder = Uuid::new_v4();
        let asked = Instant::now();
        let fence: Option<i64> = sqlx::query_scalar(
            "INSERT INTO convoke.leases AS l (name, holder, fence, until)
             VALUES ($1, $2, 1, clock_timestamp() + make_interval(secs => $3))
             ON CONFLICT (name) DO UPDATE
             SET holder = $2,
                 fence = l.fence + 1,
                 until = clock_timestamp() + make_interval(secs => $3)
             WHERE l.until < clock_timestamp()
             RETURNING l.fence",
        )
        .bind(name)
        .bind(holder)
        .bind(length.as_secs_f64())
        .fetch_optional(pool)
        .await?;
        Ok(fence.map(|fence| Self {
            pool: pool.clone(),
            name: name.to_owned(),
            holder,
            fence,
            length,
            until: Arc::new(Mutex::new(asked + length)),
        }))
    }

    /// Whether it has not run out, by our own clock.
    pub fn holds(&self) -> bool {
        Instant::now() < self.until()
    }

    /// Renews it until it is lost.
    pub async fn keep(&self) {
        loop {
            tokio::time::sleep(self.length / 3).await;
            let asked = Instant::now();
            match tokio::time::timeout_at(self.until(), self.renew()).await {
                Ok(Ok(true)) => *self.until.lock().unwrap_or_else(PoisonError::into_inner) = asked + self.length,
                Ok(Ok(false)) => return,
                // The database may come back before the lease has run out.
                Ok(Err(_)) | Err(_) if self.holds() => {}
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }

    /// Does `work` while the lease holds; `None`: it was lost, and the work given up where it stood.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.keep() => None,
        }
    }

    async fn renew(&self) -> sqlx::Result<bool> {
        let renewed = sqlx::query(
            "UPDATE convoke.leases
             SET until = clock_timestamp() + make_interval(secs => $4)
             WHERE name = $1 AND holder = $2 AND fence = $3",
        )
        .bind(&self.name)
        .bind(self.holder)
        .bind(self.fence)
        .bind(self.length.as_secs_f64())
        .execute(&self.pool)
        .await?;
        Ok(renewed.rows_affected() == 1)
    }

    /// Lets the next one have it at once.
    pub async fn release(self) -> sqlx::Result<()> {
        sqlx::query("UPDATE convoke.leases SET until = '-infinity' WHERE name = $1 AND holder = $2 AND fence = $3")
            .bind(&self.name)
            .bind(self.holder)
            .bind(self.fence)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    fn until(&self) -> Instant {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until `stop` or until the time has passed; `false`: stopped.
pub async fn pause(time: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = tokio::time::sleep(time) => true,
        () = stop.cancelled() => false,
    }
}
