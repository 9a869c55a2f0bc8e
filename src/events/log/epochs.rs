//! The epochs of the log. After a restore that lost events, `convoke log fence` begins a new epoch, in which other events take
//! the lost positions.

use uuid::Uuid;

use super::{EventLog, LogError, rows};
use crate::ids::Position;

/// All epochs of a log, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Epochs(Vec<(Uuid, Position)>);

impl Epochs {
    pub fn present(&self) -> Option<Uuid> {
        self.0.last().map(|(epoch, _)| *epoch)
    }

    pub fn knows(&self, epoch: Uuid) -> bool {
        self.0.iter().any(|(known, _)| *known == epoch)
    }

    /// Whether what was sent out in an epoch, with this position, is part of the log as it is: no later epoch began before it.
    pub fn holds(&self, epoch: Uuid, position: Position) -> bool {
        let Some(at) = self.0.iter().position(|(known, _)| *known == epoch) else { return false };
        self.0[at + 1..].iter().all(|(_, began_after)| position <= *began_after)
    }
}

impl EventLog {
    pub async fn epochs(&self) -> Result<Epochs, LogError> {
        let found: Vec<(Uuid, i64)> =
            sqlx::query_as("SELECT epoch, began_after FROM convoke.log_epochs ORDER BY number")
                .fetch_all(&self.pool)
                .await?;
        found
            .into_iter()
            .map(|(epoch, began_after)| Ok((epoch, rows::position(began_after)?)))
            .collect::<Result<_, LogError>>()
            .map(Epochs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_before_a_later_epoch_began_is_still_part_of_the_log() {
        let [first, second, third] = [1, 2, 3].map(Uuid::from_u128);
        let epochs = Epochs(vec![(first, 0), (second, 100), (third, 80)]);
        assert!(epochs.holds(third, 500) && epochs.holds(second, 80) && epochs.holds(first, 80));
        assert!(!epochs.holds(second, 81) && !epochs.holds(first, 90));
        assert!(!epochs.holds(Uuid::from_u128(9), 1), "an epoch that the log never had");
        assert_eq!(epochs.present(), Some(third));
    }
}
