//! The last layer: PostgreSQL. It reads rows and the checkpoint that they belong to from one database snapshot.

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::entry::{Key, Lineage, Loaded, MOST_PEOPLE, Part, People, Shown, Value};
use crate::events::time::Timestamp;
use crate::ids::Position;
use crate::projections::checkpoint::position;
use crate::projections::model::ReadModel as _;
use crate::projections::read::{ReadError, ReadModels, fetch};
use crate::projections::rooms::{HANDS, Participant, ParticipantRow, RoomRow, Rooms, view};
use crate::projections::rows::{Fields, Row, columns};

/// Columns of the checkpoint `p`, in front of those of the rows.
const CHECKPOINT: &str = "p.position AS checkpoint, p.epoch, p.generation";
const CHECKPOINT_COLUMNS: usize = 3;

impl ReadModels {
    /// What a part of a room is now.
    pub(super) async fn load(&self, key: &Key, now: Timestamp) -> Result<Loaded, ReadError> {
        let statement = match key.part {
            Part::View => format!(
                "SELECT {CHECKPOINT}, {}, {HANDS}
                 FROM convoke.projections p
                 LEFT JOIN convoke.rm_rooms r ON r.room = $1 AND r.tenant = $2
                 WHERE p.name = $3",
                RoomRow::TABLE.list("r.")
            ),
            Part::People => format!(
                "SELECT {CHECKPOINT}, {}
                 FROM convoke.projections p
                 LEFT JOIN LATERAL (
                    SELECT {}
                    FROM convoke.rm_participants q
                    WHERE q.room = $1 AND q.tenant = $2
                    ORDER BY q.identity
                    LIMIT {}
                 ) m ON true
                 WHERE p.name = $3
                 ORDER BY m.identity",
                ParticipantRow::TABLE.list("m."),
                ParticipantRow::TABLE.list("q."),
                fetch(MOST_PEOPLE)
            ),
        };
        let statement = sqlx::query(AssertSqlSafe(statement))
            .bind(key.room.room.uuid())
            .bind(key.room.tenant.as_str())
            .bind(Rooms::NAME);
        let rows = self.rows(&key.room.tenant, statement).await?;
        let value = match key.part {
            Part::View => Value::View(rows.first().map(room).transpose()?.flatten()),
            Part::People => Value::People(people(&rows)?),
        };
        let (position, lineage) = rows.first().map(checkpoint).transpose()?.unzip();
        Ok(Loaded { lineage, position: position.unwrap_or_default(), read_at: now, value })
    }
}

fn checkpoint(row: &PgRow) -> sqlx::Result<(Position, Lineage)> {
    let generation = u32::try_from(row.try_get::<i32, _>("generation")?).unwrap_or_default();
    Ok((position(row.try_get("checkpoint")?), Lineage { epoch: row.try_get("epoch")?, generation }))
}

/// The first column of a row that was joined is the room, which is never null.
fn joined(row: &PgRow) -> sqlx::Result<bool> {
    Ok(row.try_get::<Option<uuid::Uuid>, _>(CHECKPOINT_COLUMNS)?.is_some())
}

fn room(row: &PgRow) -> Result<Option<Shown>, ReadError> {
    if !joined(row)? {
        return Ok(None);
    }
    let shown = Shown::of(view(row, CHECKPOINT_COLUMNS)?);
    Ok(Some(shown.map_err(|error| sqlx::Error::Decode(error.into()))?))
}

fn people(rows: &[PgRow]) -> Result<People, ReadError> {
    if rows.len() > MOST_PEOPLE {
        return Ok(People::Many);
    }
    let mut people = Vec::with_capacity(rows.len());
    for row in rows {
        if joined(row)? {
            let row = ParticipantRow::get(&mut Fields(columns(row).skip(CHECKPOINT_COLUMNS)))?;
            people.push(Participant::from(row));
        }
    }
    Ok(People::All(people.into()))
}
