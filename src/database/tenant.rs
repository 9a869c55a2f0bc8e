//! Transactions that see one tenant only.

use super::pool::{Pool, Transaction};
use crate::ids::TenantId;

/// A read-only transaction in which row-level security shows the rows of `tenant` and no other, in one round trip. What it
/// reads is one snapshot of the database.
pub async fn begin(pool: &Pool, tenant: &TenantId) -> sqlx::Result<Transaction> {
    // A tenant's name is of a-z, 0-9, '-' and '_' only: nothing in it can end a quoted text.
    let first = format!("SET LOCAL ROLE convoke_tenant; SET LOCAL convoke.tenant = '{tenant}'");
    pool.begin_with("ISOLATION LEVEL REPEATABLE READ, READ ONLY", &first).await
}
