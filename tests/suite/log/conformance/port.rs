//! The operations of a log that the conformance tests use. [`EventLog`] is the only implementation; the server uses it directly.
//!
//! The tests check these promises: positions are gapless and in commit order; recorded time never goes back; (room, version) is
//! unique and gapless; a unit of a batch is written whole or not at all; an outcome is stored together with its events and
//! returned for its key; an acknowledged event is durable, visible to every later read of any process, and never changes.

use convoke::events::envelope::Envelope;
use convoke::events::log::append::{AppendBatch, Appended, StoredOutcome};
use convoke::events::log::read::TenantPage;
use convoke::events::log::verify::VerifyResult;
use convoke::events::log::{EventLog, LogError, LogHead, RoomHead};
use convoke::events::time::Timestamp;
use convoke::ids::{Position, RoomId, RoomKey, RoomVersion, TenantId};
use tokio::sync::watch;

/// Handles are cheap to clone. Each method is described where [`EventLog`] has it.
pub trait Log: Clone + Send + Sync + 'static {
    fn append(&self, batch: &AppendBatch) -> impl Future<Output = Result<Appended, LogError>> + Send;
    fn compare(&self, batch: &AppendBatch) -> impl Future<Output = Result<Appended, LogError>> + Send;

    fn head(&self) -> impl Future<Output = Result<LogHead, LogError>> + Send;
    fn head_watch(&self) -> watch::Receiver<Position>;
    fn room_head(&self, key: &RoomKey) -> impl Future<Output = Result<Option<RoomHead>, LogError>> + Send;
    fn room_named(
        &self,
        tenant: &TenantId,
        name: &str,
    ) -> impl Future<Output = Result<Option<RoomId>, LogError>> + Send;
    fn outcome(
        &self,
        tenant: &TenantId,
        key: &str,
    ) -> impl Future<Output = Result<Option<StoredOutcome>, LogError>> + Send;

    fn read(&self, after: Position, limit: usize) -> impl Future<Output = Result<Vec<Envelope>, LogError>> + Send;
    fn read_tenant(
        &self,
        tenant: &TenantId,
        after: Position,
        limit: usize,
    ) -> impl Future<Output = Result<TenantPage, LogError>> + Send;
    fn read_room(
        &self,
        key: &RoomKey,
        after: RoomVersion,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Envelope>, LogError>> + Send;
    fn position_before(&self, at: Timestamp) -> impl Future<Output = Result<Position, LogError>> + Send;
    fn version_at(&self, key: &RoomKey, at: Timestamp) -> impl Future<Output = Result<RoomVersion, LogError>> + Send;

    fn verify(&self) -> impl Future<Output = Result<VerifyResult, LogError>> + Send;
}

impl Log for EventLog {
    async fn append(&self, batch: &AppendBatch) -> Result<Appended, LogError> {
        self.append(batch).await
    }

    async fn compare(&self, batch: &AppendBatch) -> Result<Appended, LogError> {
        self.compare(batch).await
    }

    async fn head(&self) -> Result<LogHead, LogError> {
        self.head().await
    }

    fn head_watch(&self) -> watch::Receiver<Position> {
        self.head_watch()
    }

    async fn room_head(&self, key: &RoomKey) -> Result<Option<RoomHead>, LogError> {
        self.room_head(key).await
    }

    async fn room_named(&self, tenant: &TenantId, name: &str) -> Result<Option<RoomId>, LogError> {
        self.room_named(tenant, name).await
    }

    async fn outcome(&self, tenant: &TenantId, key: &str) -> Result<Option<StoredOutcome>, LogError> {
        self.outcome(tenant, key).await
    }

    async fn read(&self, after: Position, limit: usize) -> Result<Vec<Envelope>, LogError> {
        self.read(after, limit).await
    }

    async fn read_tenant(&self, tenant: &TenantId, after: Position, limit: usize) -> Result<TenantPage, LogError> {
        self.read_tenant(tenant, after, limit).await
    }

    async fn read_room(&self, key: &RoomKey, after: RoomVersion, limit: usize) -> Result<Vec<Envelope>, LogError> {
        self.read_room(key, after, None, limit).await
    }

    async fn position_before(&self, at: Timestamp) -> Result<Position, LogError> {
        self.position_before(at).await
    }

    async fn version_at(&self, key: &RoomKey, at: Timestamp) -> Result<RoomVersion, LogError> {
        self.version_at(key, at).await
    }

    async fn verify(&self) -> Result<VerifyResult, LogError> {
        self.verify(|_, _| true).await
    }
}
