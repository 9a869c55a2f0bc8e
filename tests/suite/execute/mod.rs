//! The executor on a real log: many at once, more than one process, answers that stay.

mod atomic;
mod collisions;
mod concurrency;
mod idempotency;
mod loading;
mod names;
mod person_keys;
mod room_memory;
mod snapshots;

use std::sync::Arc;

use convoke::commands::context::Caller;
use convoke::commands::execute::{
    CommandOutcome, CommandRequest, ExecuteError, Executor, ExecutorLimits, ExecutorServices, Idempotency,
};
use convoke::commands::refusal::RefusalCode;
use convoke::commands::room::RoomCommand;
use convoke::database::pool;
use convoke::events::log::EventLog;
use convoke::events::time::Clock;
use convoke::ids::{Actor, RoomId, RoomKey, TenantId};
use convoke::security::grants::Grants;
use convoke::security::sealing::{MasterKeys, Sealer};
use convoke::telemetry::metrics::Metrics;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{TestDb, database_config};

pub const LIMITS: ExecutorLimits =
    ExecutorLimits { batch: 512, queue: 20_000, conflict_retries: 20, room_memory: 16 << 20, snapshot_interval: 100 };

/// An executor as a process of its own has one: with its own connections and its own memory.
pub struct Process {
    pub executor: Executor,
    pub log: EventLog,
}

pub fn process(db: &TestDb) -> Process {
    process_with(db, LIMITS)
}

pub fn process_with(db: &TestDb, limits: ExecutorLimits) -> Process {
    let pool = pool::system(db.options.clone(), &database_config());
    let masters = MasterKeys::new([("test".to_owned(), zeroize::Zeroizing::new([9; 32]))]).unwrap();
    let log = EventLog::new(pool.clone());
    let on = ExecutorServices {
        log: log.clone(),
        sealer: Sealer::new(pool, masters),
        clock: Clock::system(),
        metrics: Metrics::new(),
    };
    let (executor, work) = Executor::new(on, limits);
    tokio::spawn(work);
    Process { executor, log }
}

fn server_of(tenant: &str) -> Arc<Caller> {
    Arc::new(Caller {
        tenant: TenantId::new(tenant).unwrap(),
        actor: Actor::Key("server".into()),
        grants: Grants::everything(),
    })
}

pub fn new_room() -> RoomId {
    RoomId::from_uuid(Uuid::now_v7())
}

pub fn key_of(room: RoomId) -> RoomKey {
    RoomKey { tenant: TenantId::new("acme").unwrap(), room }
}

pub fn request(room: RoomId, name: &str, body: Value) -> CommandRequest {
    request_of("acme", room, name, &body)
}

pub fn request_of(tenant: &str, room: RoomId, name: &str, body: &Value) -> CommandRequest {
    let command = RoomCommand::parse(name, body.to_string().as_bytes()).unwrap();
    let caller = server_of(tenant);
    let key = RoomKey { tenant: caller.tenant.clone(), room };
    CommandRequest { caller, ..CommandRequest::by_system("tests", key, command, Clock::system().now()) }
}

pub fn keyed(request: CommandRequest, key: &str) -> CommandRequest {
    let fingerprint = [u8::try_from(request.command.name().len()).unwrap(); 32];
    CommandRequest { idempotency: Some(Idempotency { key: key.into(), fingerprint }), ..request }
}

pub fn join(room: RoomId, who: &str) -> CommandRequest {
    request(room, "join", json!({ "identity": who, "display_name": format!("Name of {who}") }))
}

impl Process {
    pub async fn run(&self, room: RoomId, name: &str, body: Value) -> Result<CommandOutcome, ExecuteError> {
        self.executor.execute(request(room, name, body)).await
    }

    pub async fn create(&self, settings: Value) -> RoomId {
        let room = new_room();
        self.run(room, "create-room", json!({ "settings": settings })).await.unwrap();
        room
    }
}

pub fn refusal(outcome: Result<CommandOutcome, ExecuteError>) -> RefusalCode {
    match outcome {
        Err(ExecuteError::Refused(refusal)) => refusal.code,
        other => panic!("not refused: {other:?}"),
    }
}
