//! Learns of keys that other processes erased, created or revoked. Notifications only wake it, so a lost one costs a delay: keys
//! of persons are cached for [`super::sealing::HELD`] at most, and the signing keys are read every [`REFRESH`].

use std::time::Duration;

use serde::Deserialize;
use sqlx::postgres::{PgListener, PgNotification};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::sealing::{self, Sealer};
use super::signing_keys::{self, REFRESH, RingUnavailable};
use super::tokens::Verifier;
use crate::database::pool::Pool;
use crate::ids::{Identity, TenantId};

/// Between attempts to listen again after the database went away.
const RETRY: Duration = Duration::from_millis(250);

/// Keeps what this process holds of keys in step with the database.
pub struct Watch {
    pub pool: Pool,
    pub sealer: Sealer,
    pub verifier: Verifier,
}

/// The payload on [`sealing::CHANNEL`].
#[derive(Deserialize)]
struct Erased {
    tenant: TenantId,
    identity: Identity,
    key: Uuid,
}

#[derive(Debug, thiserror::Error)]
enum NotHeard {
    #[error("the connection was lost")]
    Lost,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Keys(#[from] RingUnavailable),
}

impl Watch {
    /// Until told to stop. Rides out a lost database.
    pub async fn run(self, stop: CancellationToken) {
        let mut failing = false;
        loop {
            let heard = tokio::select! {
                heard = self.listen(&mut failing) => heard,
                () = stop.cancelled() => return,
            };
            if let Err(error) = heard {
                if !failing {
                    tracing::warn!(%error, "LISTEN for changes of keys failed, retrying");
                }
                failing = true;
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn listen(&self, failing: &mut bool) -> Result<(), NotHeard> {
        let mut listener = PgListener::connect_with(self.pool.sessions()).await?;
        // A connection that is lost must be told of, since what was said meanwhile was not heard.
        listener.eager_reconnect(false);
        listener.listen_all([sealing::CHANNEL, signing_keys::CHANNEL]).await?;
        self.sealer.forget_all();
        let mut next_read = Instant::now();
        loop {
            tokio::select! {
                heard = listener.try_recv() => match heard? {
                    Some(notification) if notification.channel() == sealing::CHANNEL => self.erased(&notification),
                    Some(_) => next_read = Instant::now(),
                    None => return Err(NotHeard::Lost),
                },
                () = sleep_until(next_read) => {
                    self.verifier.refresh().await?;
                    *failing = false;
                    next_read = Instant::now() + REFRESH;
                }
            }
        }
    }

    fn erased(&self, notification: &PgNotification) {
        match serde_json::from_str(notification.payload()) {
            Ok(Erased { tenant, identity, key }) => self.sealer.forget(tenant, identity, Some(key)),
            Err(_) => self.sealer.forget_all(),
        }
    }
}
