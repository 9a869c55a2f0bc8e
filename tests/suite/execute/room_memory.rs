//! The states of rooms in memory are bounded in bytes, and whoever waits for a room gets it.

use std::sync::Arc;

use convoke::commands::execute::{CommandRequest, ExecutorLimits};
use serde_json::json;
use tokio::task::JoinSet;

use super::{LIMITS, process_with, request};
use crate::harness::TestDb;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_of_more_rooms_than_there_is_memory_for_are_carried_out_beside_others() {
    const ROOMS: usize = 24;
    let db = TestDb::new().await;
    // Hardly one of them.
    let process = Arc::new(process_with(&db, ExecutorLimits { room_memory: 64 << 10, ..LIMITS }));
    let mut rooms = Vec::new();
    for _ in 0..ROOMS {
        rooms.push(process.create(json!({ "metadata": "x".repeat(60_000) })).await);
    }
    let mut tasks = JoinSet::new();
    for number in 0..12 {
        let (process, rooms) = (process.clone(), rooms.clone());
        tasks.spawn(async move {
            for round in 0..5 {
                let of_group = (0..8).map(|n| rooms[(number * 5 + round * 3 + n) % ROOMS]);
                let group: Vec<CommandRequest> =
                    of_group.map(|room| request(room, "lower-all-hands", json!({}))).collect();
                process.executor.execute_atomic(group).await.unwrap();
                let alone = rooms[(number + round) % ROOMS];
                process.run(alone, "join", json!({ "identity": format!("p{number}") })).await.unwrap();
                process.run(alone, "leave", json!({ "identity": format!("p{number}") })).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
}
