//! The rooms of expired months that a model dropped. The fold ignores their events, so that a rebuild produces the remaining
//! rows.

use sqlx::PgConnection;
use uuid::Uuid;

use super::decoded_event::DecodedEvent;

/// Ranges of room ids, the second of each exclusive.
#[derive(Clone, Debug, Default)]
pub struct RetentionFilter(Vec<(Uuid, Uuid)>);

impl RetentionFilter {
    /// Of a model, as it is now: it changes under the model's checkpoint only, and counts up its generation.
    pub async fn of(connection: &mut PgConnection, model: &str) -> sqlx::Result<Self> {
        let found =
            sqlx::query_as("SELECT from_room, to_room FROM convoke.rm_forgotten WHERE model = $1 ORDER BY from_room")
                .bind(model)
                .fetch_all(connection)
                .await?;
        Ok(Self(found))
    }

    /// Of those events, the ones that a fold is given.
    pub fn kept<'a>(&self, entries: &'a [DecodedEvent]) -> impl Iterator<Item = &'a DecodedEvent> {
        entries.iter().filter(|entry| !self.excludes(entry.room.uuid()))
    }

    fn excludes(&self, room: Uuid) -> bool {
        let before = self.0.partition_point(|(from, _)| *from <= room);
        before.checked_sub(1).is_some_and(|at| room < self.0[at].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_its_beginning_and_not_its_end() {
        let [a, b, c, d] = [10, 20, 30, 40].map(Uuid::from_u128);
        let filter = RetentionFilter(vec![(a, b), (c, d)]);
        for (room, held) in [(5, false), (10, true), (19, true), (20, false), (30, true), (39, true), (40, false)] {
            assert_eq!(filter.excludes(Uuid::from_u128(room)), held, "{room}");
        }
        assert!(!RetentionFilter::default().excludes(a));
    }
}
