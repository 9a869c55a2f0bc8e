//! Learns of keys that other processes erased, created or revoked. Notifications only wake it, so a lost one costs a delay: keys
//! of persons are cached for [`super::sealing::HELD`] at most, and the signing keys are read every [`REFRESH`].

use std::time::Duration;

use serde::Deserialize;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::sealing::{self, Sealer};
use super::signing_keys::{self, REFRESH};
use super::tokens::TokenVerifier;
use crate::database::notifications::{Notice, Notifications, Subscription};
use crate::ids::{Identity, TenantId};

/// Between attempts to read the signing keys.
const RETRY: Duration = Duration::from_millis(250);

/// Keeps what this process holds of keys in step with the database.
pub struct KeyWatch {
    sealer: Sealer,
    verifier: TokenVerifier,
    erasures: Subscription,
    signing_keys: Subscription,
}

/// The payload on [`sealing::CHANNEL`].
#[derive(Deserialize)]
struct ErasedKey {
    tenant: TenantId,
    identity: Identity,
    key: Uuid,
}

impl KeyWatch {
    pub fn new(sealer: Sealer, verifier: TokenVerifier, notifications: &mut Notifications) -> Self {
        let erasures = notifications.subscribe(sealing::CHANNEL);
        let signing_keys = notifications.subscribe(signing_keys::CHANNEL);
        Self { sealer, verifier, erasures, signing_keys }
    }

    /// Until told to stop. Rides out a lost database.
    pub async fn run(self, stop: CancellationToken) {
        let Self { sealer, verifier, erasures, signing_keys } = self;
        // Side by side: an erasure does not wait for a database that is slow to give the signing keys.
        tokio::select! {
            () = forget_erased(sealer, erasures) => {}
            () = keep_fresh(verifier, signing_keys) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn forget_erased(sealer: Sealer, mut erasures: Subscription) {
    loop {
        let notice = erasures.next().await;
        let erased = match &notice {
            Notice::Payload(payload) => serde_json::from_str(payload).ok(),
            Notice::Missed => None,
        };
        match erased {
            Some(ErasedKey { tenant, identity, key }) => sealer.forget(tenant, identity, Some(key)),
            None => sealer.forget_all(),
        }
    }
}

async fn keep_fresh(verifier: TokenVerifier, mut changes: Subscription) {
    let mut failing = false;
    loop {
        let failed = verifier.refresh().await.err();
        if let Some(error) = failed.as_ref().filter(|_| !failing) {
            tracing::warn!(%error, "reading the signing keys failed, retrying");
        }
        failing = failed.is_some();
        // Whatever the notice says, the table is read again.
        let _ = timeout(if failing { RETRY } else { REFRESH }, changes.next()).await;
    }
}
