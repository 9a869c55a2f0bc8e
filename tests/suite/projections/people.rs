//! The rows of people and of rooms, read as they lie in the tables of the read model: for comparing them with the rules' states.

use std::collections::{BTreeSet, HashMap};

use convoke::commands::room::state::{ShownParticipant, ShownWaiter};
use convoke::database::pool::Pool;
use convoke::events::room::view::{ParticipantView, RoomView, WaitingView};
use convoke::events::sealed::{Sealed, SealedAt};
use convoke::ids::{RoomKey, RoomVersion, TenantId};
use convoke::projections::read::ReadModels;
use convoke::projections::rooms::{ParticipantRow, RoomFilter, WaitingRow};
use convoke::projections::rows::{ModelRow, RowFields, columns};
use sqlx::AssertSqlSafe;

use super::reads::pages;

async fn rows<R: ModelRow>(pool: &Pool, key: &RoomKey, condition: &str) -> Vec<R> {
    let statement = format!(
        "SELECT {} FROM convoke.{} r WHERE r.room = $1 AND r.tenant = $2 AND {condition}",
        R::TABLE.list("r."),
        R::TABLE.name
    );
    let rows = sqlx::query(AssertSqlSafe(statement)).bind(key.room.uuid()).bind(key.tenant.as_str());
    let rows = rows.fetch_all(pool).await.unwrap();
    rows.iter().map(|row| R::get(&mut RowFields(columns(row))).unwrap()).collect()
}

fn sealed_at(at: Option<RoomVersion>, sealed: Option<Sealed>) -> Option<SealedAt> {
    let (room_version, sealed) = at.zip(sealed)?;
    Some(SealedAt { room_version, sealed })
}

pub fn participant(row: ParticipantRow) -> ShownParticipant {
    let joined = sealed_at(row.joined_personal_at, row.joined_personal);
    let renamed = sealed_at(row.renamed_at, row.renamed);
    let metadata_set = sealed_at(row.metadata_set_at, row.metadata_set);
    ShownParticipant {
        view: ParticipantView {
            identity: row.identity,
            role: row.role.0,
            present_since: row.present_since,
            sessions: row.sessions.0,
            hand_raised: row.hand.is_some(),
            tracks: row.tracks.0,
        },
        name: renamed.or_else(|| joined.clone()),
        metadata: metadata_set.or(joined),
    }
}

pub fn waiter(row: WaitingRow) -> ShownWaiter {
    ShownWaiter {
        view: WaitingView {
            identity: row.identity,
            session: row.session,
            role: row.role.0,
            waiting_since: row.waiting_since,
        },
        personal: sealed_at(row.personal_at, row.personal),
    }
}

/// Who is present, by identity.
pub async fn participants(pool: &Pool, key: &RoomKey) -> Vec<ShownParticipant> {
    rows(pool, key, "true ORDER BY r.identity").await.into_iter().map(participant).collect()
}

/// Who is in the lobby, in the order in which they asked.
pub async fn waiting(pool: &Pool, key: &RoomKey) -> Vec<ShownWaiter> {
    rows(pool, key, "NOT r.admitted ORDER BY r.since").await.into_iter().map(waiter).collect()
}

/// Rooms as the lists have them, of the tenants of these.
pub async fn rooms(models: &ReadModels, keys: impl IntoIterator<Item = &RoomKey>) -> HashMap<RoomKey, RoomView> {
    let tenants: BTreeSet<TenantId> = keys.into_iter().map(|key| key.tenant.clone()).collect();
    let mut rooms = HashMap::new();
    for tenant in tenants {
        let views = pages(async |page| models.rooms(&tenant, &RoomFilter::default(), page).await).await;
        rooms.extend(views.into_iter().map(|view| (RoomKey { tenant: tenant.clone(), room: view.id }, view)));
    }
    rooms
}
