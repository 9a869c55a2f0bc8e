//! Compares the names of rooms in the events with the table that the append maintains.
//!
//! The table decides which room may take a name, and changes in the append's transaction. The events are authoritative: a room
//! holds its name from its creation to its end. Where table and events differ, or two rooms that have not ended hold one name,
//! [`EventLog::verify`] reports it and [`EventLog::repair_names`] rebuilds the table from the events.

use std::collections::{BTreeMap, HashMap};

use sqlx::{PgPool, Row as _};

use super::verify::ChainFault;
use super::{EventLog, LogError, rows};
use crate::events::envelope::{Envelope, UnreadableEvent};
use crate::events::room::RoomEvent;
use crate::ids::{Position, RoomId, RoomKey, TenantId};

/// Events read at a time.
const PAGE: usize = 10_000;

/// A tenant's name for a room.
type RoomName = (TenantId, String);

/// Who holds which name, after the events up to a position.
#[derive(Default)]
pub struct NameIndex {
    /// By the position at which they were created; more than one: twins. The first holds the name by right.
    holders: BTreeMap<RoomName, Vec<(Position, RoomId)>>,
    of_room: HashMap<RoomKey, String>,
}

/// Rooms that have not ended and have one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameTwins {
    pub tenant: TenantId,
    pub name: String,
    /// In the order in which they were created. The first keeps the name.
    pub rooms: Vec<RoomId>,
}

/// What a repair found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameRepair {
    /// Names that rooms hold by their events.
    pub names: usize,
    /// Rows that were missing, or named another room.
    pub set: usize,
    /// Rows of rooms that have no such name, or have ended.
    pub removed: usize,
    pub twins: Vec<NameTwins>,
}

impl NameIndex {
    /// Takes the next event in.
    pub fn step(&mut self, event: &Envelope) -> Result<(), UnreadableEvent> {
        if !RoomEvent::changes_names(&event.event_type) {
            return Ok(());
        }
        let key = RoomKey { tenant: event.tenant.clone(), room: event.room };
        match event.event()? {
            RoomEvent::RoomCreated(created) => {
                if let Some(name) = created.name {
                    let holders = self.holders.entry((key.tenant.clone(), name.clone())).or_default();
                    holders.push((event.position, key.room));
                    self.of_room.insert(key, name);
                }
            }
            RoomEvent::RoomEnded(_) => {
                let Some(name) = self.of_room.remove(&key) else { return Ok(()) };
                let name = (key.tenant, name);
                if let Some(holders) = self.holders.get_mut(&name) {
                    holders.retain(|(_, room)| *room != key.room);
                    if holders.is_empty() {
                        self.holders.remove(&name);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn twins(&self) -> impl Iterator<Item = NameTwins> {
        self.holders.iter().filter(|(_, holders)| holders.len() > 1).map(|((tenant, name), holders)| NameTwins {
            tenant: tenant.clone(),
            name: name.clone(),
            rooms: holders.iter().map(|(_, room)| *room).collect(),
        })
    }

    fn holder(&self, name: &RoomName) -> Option<(Position, RoomId)> {
        self.holders.get(name).and_then(|holders| holders.first()).copied()
    }
}

/// A row of the table.
struct NameRow {
    name: RoomName,
    room: RoomId,
}

async fn entries(on: impl sqlx::PgExecutor<'_>) -> Result<Vec<NameRow>, LogError> {
    let rows = sqlx::query("SELECT tenant, name, room FROM convoke.room_names").fetch_all(on).await?;
    let entry = |row: &sqlx::postgres::PgRow| {
        let tenant: &str = row.try_get("tenant")?;
        let tenant = TenantId::new(tenant).map_err(|error| LogError::Damaged(format!("a name's tenant: {error}")))?;
        Ok(NameRow { name: (tenant, row.try_get("name")?), room: RoomId::from_uuid(row.try_get("room")?) })
    };
    rows.iter().map(entry).collect()
}

impl EventLog {
    /// The first contradiction between what the events up to `end` say of names and the table. Rooms that went on since are left
    /// out.
    pub(super) async fn contradiction(&self, names: &NameIndex, end: Position) -> Result<Option<ChainFault>, LogError> {
        let fault = |position, tenant: &TenantId, room, what| ChainFault {
            position,
            room: Some(RoomKey { tenant: tenant.clone(), room }),
            what,
        };
        for NameTwins { tenant, name, rooms } in names.twins() {
            let [first, second, ..] = rooms[..] else { continue };
            if self.went_on(&tenant, first, end).await? || self.went_on(&tenant, second, end).await? {
                continue;
            }
            let position = names.holders[&(tenant.clone(), name.clone())][1].0;
            let what = format!("the room \"{name}\" was created while room {first} of that name had not ended");
            return Ok(Some(fault(position, &tenant, second, what)));
        }
        let mut table: HashMap<RoomName, RoomId> = HashMap::new();
        for NameRow { name, room } in entries(&self.pool).await? {
            let held = names.holder(&name);
            if held.is_none_or(|(_, holder)| holder != room) && !self.went_on(&name.0, room, end).await? {
                let what = format!("the table of names gives it \"{}\", its events do not", name.1);
                return Ok(Some(fault(held.map_or(0, |(position, _)| position), &name.0, room, what)));
            }
            table.insert(name, room);
        }
        for name in names.holders.keys() {
            let Some((position, room)) = names.holder(name) else { continue };
            if !table.contains_key(name) && !self.went_on(&name.0, room, end).await? {
                let what = format!("its name \"{}\" is missing in the table of names", name.1);
                return Ok(Some(fault(position, &name.0, room, what)));
            }
        }
        Ok(None)
    }

    async fn went_on(&self, tenant: &TenantId, room: RoomId, end: Position) -> Result<bool, LogError> {
        let head = self.room_head(&RoomKey { tenant: tenant.clone(), room }).await?;
        Ok(head.is_some_and(|head| head.last_position > end))
    }

    /// Writes the table of names as the events have it; of twins the first keeps the name. Appends wait for as long as it takes
    /// to read what was appended during the check, and to compare. `change`: whether to write; if not, only tells what
    /// it would do.
    pub async fn repair_names(
        &self,
        owner: &PgPool,
        change: bool,
        mut progress: impl FnMut(Position, Position) -> bool,
    ) -> Result<Option<NameRepair>, LogError> {
        let mut names = NameIndex::default();
        let mut position = 0;
        let end = self.head().await?.position;
        while position < end {
            position = self.take_names(&mut names, position, end).await?;
            if !progress(position, end) {
                return Ok(None);
            }
        }
        let mut transaction = owner.begin().await?;
        // While this row is locked nothing is appended.
        let head: i64 = sqlx::query_scalar("SELECT position FROM convoke.log_head WHERE id = 1 FOR UPDATE")
            .fetch_one(&mut *transaction)
            .await?;
        let head = rows::position(head)?;
        while position < head {
            position = self.take_names(&mut names, position, head).await?;
        }
        let mut repaired =
            NameRepair { names: names.holders.len(), twins: names.twins().collect(), ..NameRepair::default() };
        let mut right: HashMap<RoomName, RoomId> = HashMap::new();
        for NameRow { name, room } in entries(&mut *transaction).await? {
            if names.holder(&name).is_some_and(|(_, holder)| holder == room) {
                right.insert(name, room);
                continue;
            }
            repaired.removed += usize::from(names.holder(&name).is_none());
            sqlx::query("DELETE FROM convoke.room_names WHERE tenant = $1 AND name = $2")
                .bind(name.0.as_str())
                .bind(&name.1)
                .execute(&mut *transaction)
                .await?;
        }
        for name in names.holders.keys().filter(|name| !right.contains_key(*name)) {
            let Some((_, room)) = names.holder(name) else { continue };
            repaired.set += 1;
            sqlx::query("INSERT INTO convoke.room_names (room, tenant, name) VALUES ($1, $2, $3)")
                .bind(room.uuid())
                .bind(name.0.as_str())
                .bind(&name.1)
                .execute(&mut *transaction)
                .await?;
        }
        if change {
            transaction.commit().await?;
        } else {
            transaction.rollback().await?;
        }
        Ok(Some(repaired))
    }

    /// The position that was reached.
    async fn take_names(&self, names: &mut NameIndex, after: Position, end: Position) -> Result<Position, LogError> {
        let wanted = usize::try_from(end - after).unwrap_or(PAGE).min(PAGE);
        let events = self.read(after, wanted).await?;
        events.iter().try_for_each(|event| names.step(event))?;
        let last = events.last().ok_or_else(|| LogError::Damaged(format!("no event at position {}", after + 1)))?;
        Ok(last.position)
    }
}
