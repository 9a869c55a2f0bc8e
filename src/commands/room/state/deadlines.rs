//! The deadlines of a room: transitions that happen at a time, without a request.

use super::Room;
use crate::events::time::Timestamp;

/// The part of the system that sends `open-room` and `end-room` when a room's [`Room::deadline`] has passed. From this actor
/// the commands mean "if it is due": they look at the room's own deadline, take their reason from it, and do nothing where
/// it has not passed. So no caller can give a reason that is not so, and a late or doubled order does no harm.
pub const DEADLINES: &str = "deadlines";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DueTransition {
    /// Its opening time.
    Open,
    /// Nobody was there for `empty_timeout_s`.
    Empty,
    /// It was open for `max_duration_s`.
    TooLong,
}

impl Room {
    /// The next thing that time will do to the room: at this time or later it is due.
    pub fn deadline(&self) -> Option<(Timestamp, DueTransition)> {
        match self {
            Room::Absent | Room::Ended(_) => None,
            Room::Scheduled(room) => Some((room.opens_at, DueTransition::Open)),
            Room::Open(room) => {
                let settings = &room.config.settings;
                let after = |from: Timestamp, seconds: u32| from.plus_seconds(i64::from(seconds));
                let empty = room.people.empty_since().zip(settings.empty_timeout_s);
                let empty = empty.map(|(since, timeout)| (after(since, timeout), DueTransition::Empty));
                let too_long =
                    settings.max_duration_s.map(|most| (after(room.opened_at, most), DueTransition::TooLong));
                empty.into_iter().chain(too_long).min_by_key(|(at, _)| *at)
            }
        }
    }

    /// What is due at `now`.
    pub fn due(&self, now: Timestamp) -> Option<DueTransition> {
        self.deadline().filter(|(at, _)| *at <= now).map(|(_, due)| due)
    }
}
