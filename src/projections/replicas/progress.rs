//! The checkpoints of the read models in a database, and the decision whether a replica may be read. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::ids::Position;

/// What a database said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatabaseProgress {
    /// Of its log.
    pub epoch: Uuid,
    /// How far each read model is.
    pub positions: BTreeMap<String, Position>,
}

impl DatabaseProgress {
    pub fn of(&self, model: &str) -> Position {
        self.positions.get(model).copied().unwrap_or(0)
    }

    /// The first model that is further elsewhere than here, and how far it is there and here.
    fn lacks(&self, elsewhere: &BTreeMap<String, Position>) -> Option<(String, Position, Position)> {
        let mut lacking = elsewhere.iter().filter(|(model, position)| **position > self.of(model));
        lacking.next().map(|(model, position)| (model.clone(), *position, self.of(model)))
    }
}

/// Why a replica is not to be read from, if it is not. `before`: what it said in an earlier round, before `primary` said this.
pub fn unfit(
    before: &DatabaseProgress,
    now: &DatabaseProgress,
    primary: &DatabaseProgress,
    due: &BTreeMap<String, Position>,
) -> Option<String> {
    if now.epoch != primary.epoch {
        let (here, there) = (now.epoch, primary.epoch);
        return Some(format!(
            "its log is of epoch {here}, the primary's of {there}: it is to be made anew of the primary"
        ));
    }
    if let Some((model, ahead, behind)) = primary.lacks(&before.positions) {
        return Some(format!(
            "its {model} stood at position {ahead} when the primary's stood at {behind}: the primary was restored, or is another"
        ));
    }
    let (model, wanted, reached) = now.lacks(due)?;
    Some(format!(
        "its {model} is at position {reached}, and the primary's was at {wanted} for longer than a replica may lag"
    ))
}

/// What the primary had, and when.
#[derive(Default)]
pub struct PrimaryHistory(VecDeque<(Instant, BTreeMap<String, Position>)>);

impl PrimaryHistory {
    pub fn note(&mut self, now: Instant, positions: BTreeMap<String, Position>, lag: Duration) {
        self.0.push_back((now, positions));
        // The newest of those that are old enough stays.
        while self.0.get(1).is_some_and(|(at, _)| now - *at >= lag) {
            self.0.pop_front();
        }
    }

    /// What a replica has to have by now.
    pub fn due(&self) -> BTreeMap<String, Position> {
        self.0.front().map(|(_, positions)| positions.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(rooms: Position, usage: Position) -> BTreeMap<String, Position> {
        [("rooms".to_owned(), rooms), ("usage".to_owned(), usage)].into()
    }

    fn at(rooms: Position, usage: Position) -> DatabaseProgress {
        DatabaseProgress { epoch: Uuid::nil(), positions: positions(rooms, usage) }
    }

    #[test]
    fn what_is_due_is_what_the_primary_had_a_while_ago() {
        let (mut history, lag, begun) = (PrimaryHistory::default(), Duration::from_secs(5), Instant::now());
        for (seconds, position) in [(0, 10), (2, 20), (4, 30), (6, 40), (8, 50)] {
            history.note(begun + Duration::from_secs(seconds), positions(position, 1), lag);
        }
        assert_eq!(history.due(), positions(20, 1), "of six seconds ago");
        history.note(begun + Duration::from_secs(68), positions(60, 1), lag);
        assert_eq!(history.due(), positions(50, 1));
    }

    #[test]
    fn a_replica_is_fit_that_has_what_is_due_and_nothing_that_the_primary_had_not() {
        assert_eq!(unfit(&at(7, 7), &at(9, 8), &at(8, 7), &positions(9, 8)), None);
        assert_eq!(
            unfit(&at(0, 0), &at(9, 8), &at(8, 7), &positions(0, 0)),
            None,
            "it may be asked later than the primary"
        );
        let late = unfit(&at(7, 7), &at(9, 8), &at(20, 8), &positions(10, 8)).unwrap();
        assert!(late.contains("its rooms is at position 9, and the primary's was at 10"), "{late}");
        let ahead = unfit(&at(30, 7), &at(30, 7), &at(20, 7), &positions(10, 7)).unwrap();
        assert!(ahead.contains("its rooms stood at position 30 when the primary's stood at 20"), "{ahead}");
        let other = DatabaseProgress { epoch: Uuid::max(), ..at(9, 8) };
        assert!(unfit(&other, &other, &at(8, 7), &positions(0, 0)).unwrap().contains("epoch"));
        // One that is told of nothing knows nothing.
        assert!(unfit(&at(0, 0), &DatabaseProgress::default(), &at(8, 7), &positions(1, 0)).is_some());
    }
}
