//! Opens rooms whose opening time has come, and ends rooms that were empty or open for too long.
//!
//! The list of due rooms comes from a read model and may be outdated or be processed by several processes at once. The commands
//! check the room's own deadline and do nothing before it (see `room::state::DEADLINES`).

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::execute::{CommandRequest, ExecuteError, Executor};
use super::room::RoomCommand;
use super::room::state::DEADLINES;
use crate::events::time::{Clock, Timestamp};
use crate::ids::RoomKey;

/// How late a room may open or end by itself.
const EVERY: Duration = Duration::from_secs(1);

/// Rooms asked for at a time; more wait for the next turn.
pub const AT_A_TIME: u32 = 500;

/// Rooms that are due are found by an index: no answer for this long is none.
const QUERY_TIMEOUT: Duration = Duration::from_secs(60);

/// Orders on their way at the same time.
const AT_ONCE: usize = 32;

/// A room that may be due.
pub struct DueCandidate {
    pub key: RoomKey,
    /// To be opened; else to be ended.
    pub scheduled: bool,
}

/// Gives the orders until told to stop. `candidates`: rooms that may be due at a time, at most [`AT_A_TIME`].
pub async fn run<F, E>(executor: Executor, clock: Clock, candidates: impl Fn(Timestamp) -> F, stop: CancellationToken)
where
    F: Future<Output = Result<Vec<DueCandidate>, E>>,
    E: std::fmt::Display,
{
    let mut failing = false;
    while !stop.is_cancelled() {
        let Ok(found) = tokio::time::timeout(QUERY_TIMEOUT, candidates(clock.now())).await else {
            // The server did not answer in time; the next query uses another connection.
            continue;
        };
        match found {
            Ok(rooms) => {
                failing = false;
                futures_util::stream::iter(rooms)
                    .for_each_concurrent(AT_ONCE, |room| send_command(&executor, &clock, room))
                    .await;
            }
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "query for due rooms failed, retrying");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn send_command(executor: &Executor, clock: &Clock, DueCandidate { key, scheduled }: DueCandidate) {
    let name = if scheduled { "open-room" } else { "end-room" };
    let command = RoomCommand::parse(name, b"{}").expect("these commands take an empty body");
    let room = key.room;
    let request = CommandRequest::by_system(DEADLINES, key, command, clock.now());
    match executor.execute(request).await {
        // Another process was first.
        Ok(_) | Err(ExecuteError::Refused(_) | ExecuteError::Stopping) => {}
        Err(error) => {
            tracing::warn!(%error, %room, command = name, "command for a due room failed, retrying")
        }
    }
}
