//! Verifies that the log is as it was written: positions and room versions have no gaps, recorded time never goes back, and every
//! hash matches its event and its predecessors in the room. Also verifies that the heads and the names of rooms agree with the
//! events.
//!
//! Memory: about 100 bytes for each room in the log.

use super::chain_check::ChainCheck;
pub use super::chain_check::ChainFault;
use super::names::NameIndex;
use super::{EventLog, LogError};
use crate::ids::{Position, RoomKey, RoomVersion};

/// Events read at a time.
const PAGE: usize = 10_000;

/// How a proof ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerifyResult {
    /// Everything up to here is as it was written.
    Whole {
        events: u64,
        rooms: u64,
    },
    Broken(ChainFault),
}

impl EventLog {
    /// Proves the whole log up to its present end. `progress` is told of each position reached and of the end; it stops
    /// the verification by answering `false`, which gives the result for what was verified.
    pub async fn verify(&self, mut progress: impl FnMut(Position, Position) -> bool) -> Result<VerifyResult, LogError> {
        let end = self.head().await?.position;
        let (mut check, mut names) = (ChainCheck::default(), NameIndex::default());
        let mut limit = PAGE;
        while check.position < end {
            let expected = check.position + 1;
            let events = match self.read(check.position, limit).await {
                Err(LogError::BadRow { position, what }) if position == expected => {
                    return Ok(VerifyResult::Broken(ChainFault { position, room: None, what }));
                }
                // What lies before it is proven first: something may be wrong there too.
                Err(LogError::BadRow { position, .. }) if position > expected => {
                    limit = usize::try_from(position - expected).unwrap_or(PAGE).min(PAGE);
                    continue;
                }
                read => read?,
            };
            if events.is_empty() {
                return Ok(VerifyResult::Broken(ChainFault {
                    position: expected,
                    room: None,
                    what: format!("the log ends here, its head stands at {end}"),
                }));
            }
            for event in events.iter().take_while(|event| event.position <= end) {
                if event.position != check.position + 1 {
                    let what = "no event has this position".to_owned();
                    return Ok(VerifyResult::Broken(ChainFault { position: check.position + 1, room: None, what }));
                }
                if let Err(fault) = check.step(event) {
                    return Ok(VerifyResult::Broken(fault));
                }
                names.step(event)?;
            }
            if !progress(check.position, end) {
                return Ok(whole(&check));
            }
        }
        match self.verify_heads(check, end).await? {
            broken @ VerifyResult::Broken(_) => Ok(broken),
            whole => Ok(self.contradiction(&names, end).await?.map_or(whole, VerifyResult::Broken)),
        }
    }

    /// Every room must have a head, and it must be where the verification ended, none beyond the log's own; a cut-off
    /// tail shows here. Of rooms that went on meanwhile only that there is one.
    async fn verify_heads(&self, mut check: ChainCheck, end: Position) -> Result<VerifyResult, LogError> {
        use futures_util::TryStreamExt;
        use sqlx::Row;
        let verdict = whole(&check);
        let mut heads = sqlx::query(
            "SELECT
                version,
                last_position,
                first_recorded_at,
                last_recorded_at,
                chain,
                tenant,
                room,
                last_position > $1 AND last_position <= (SELECT position FROM convoke.log_head) AS went_on
             FROM convoke.room_heads
             ORDER BY last_position",
        )
        .bind(i64::try_from(end).unwrap_or(i64::MAX))
        .fetch(&self.pool);
        while let Some(row) = heads.try_next().await? {
            let tenant: &str = row.try_get("tenant")?;
            let key = RoomKey {
                tenant: tenant.parse().map_err(|error| LogError::Damaged(format!("a room's tenant: {error}")))?,
                room: crate::ids::RoomId::from_uuid(row.try_get("room")?),
            };
            let went_on: bool = row.try_get("went_on")?;
            if !went_on && let Err(fault) = check.ends_at(&key, &super::rows::room_head(&row)?) {
                return Ok(VerifyResult::Broken(fault));
            }
            check.rooms.remove(&key);
        }
        let headless = check.rooms.into_iter().min_by_key(|(_, reached)| reached.position);
        Ok(headless.map_or(verdict, |(room, reached)| {
            let what = "the room's head is gone: its events are there, and nobody finds them".into();
            VerifyResult::Broken(ChainFault { position: reached.position, room: Some(room), what })
        }))
    }

    /// Proves one room, from its first event to its head. A room that is not there is whole and has no events.
    pub async fn verify_room(
        &self,
        key: &RoomKey,
        mut progress: impl FnMut(RoomVersion, RoomVersion) -> bool,
    ) -> Result<VerifyResult, LogError> {
        let Some(head) = self.room_head(key).await? else {
            return Ok(VerifyResult::Whole { events: 0, rooms: 0 });
        };
        let mut check = ChainCheck::default();
        let mut limit = PAGE;
        while check.events < head.version {
            let events = match self.read_room(key, check.events, None, limit).await {
                Err(LogError::BadRow { position, what }) if limit == 1 => {
                    return Ok(VerifyResult::Broken(ChainFault { position, room: Some(key.clone()), what }));
                }
                Err(LogError::BadRow { .. }) => {
                    limit = (limit / 2).max(1);
                    continue;
                }
                read => read?,
            };
            if events.is_empty() {
                break;
            }
            for event in events.iter().take_while(|event| event.room_version <= head.version) {
                if let Err(fault) = check.step(event) {
                    return Ok(VerifyResult::Broken(fault));
                }
            }
            if !progress(check.events, head.version) {
                return Ok(whole(&check));
            }
        }
        Ok(match check.ends_at(key, &head) {
            Ok(()) => whole(&check),
            Err(fault) => VerifyResult::Broken(fault),
        })
    }
}

fn whole(check: &ChainCheck) -> VerifyResult {
    VerifyResult::Whole { events: check.events, rooms: check.rooms.len() as u64 }
}
