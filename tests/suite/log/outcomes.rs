//! The life of idempotency keys.

use convoke::events::log::append::AppendBatch;

use super::conformance::keyed;
use super::{fresh, log_of, more, now, room};
use crate::harness::TestDb;

#[tokio::test]
async fn a_key_lives_as_long_as_configured_and_may_then_be_used_anew() {
    let db = TestDb::new().await;
    let log = log_of(&db);
    let key = room();
    log.append(&AppendBatch::new(now(), vec![keyed("k", &key, fresh(0, &key, 1))])).await.unwrap();
    sqlx::query("UPDATE convoke.outcomes SET stored_at = stored_at - interval '49 hours'")
        .execute(&db.owner)
        .await
        .unwrap();
    assert_eq!(log.outcome(&key.tenant, "k").await.unwrap(), None);
    let again = keyed("k", &key, more(&log, 0, &key, 1).await);
    let appended = log.append(&AppendBatch::new(now(), vec![again])).await.unwrap();
    assert!(appended.conflicts.is_empty());
    assert_eq!(log.outcome(&key.tenant, "k").await.unwrap().unwrap().position, 2);
}
