//! A refused command writes nothing, anywhere: ten thousand of every kind leave every table, and Redis, as they were.
//!
//! Which kinds there are is taken from the commands themselves: rooms in every state that refuses something ([`rooms`]), callers of
//! every rank, and bodies of every command's own fields ([`bodies`]) are tried against the rules in memory. A command or a refusal
//! that is added is tried like the others, and the test fails if nothing provokes it.

mod bodies;
mod rooms;
mod sizes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use convoke::commands::context::{Caller, DecisionContext, ExternalData, Lookup};
use convoke::commands::execute::CommandRequest;
use convoke::commands::execute::lookup;
use convoke::commands::room::RoomCommand;
use convoke::commands::room::state::Room;
use convoke::events::log::EventLog;
use convoke::events::time::Clock;
use convoke::ids::{Actor, CommandId, Identity, RoomId, RoomKey, TenantId};
use convoke::security::grants::Grants;
use serde_json::{Value, json};
use uuid::Uuid;

use self::rooms::Scene;
use crate::api::{Answer, Service, claims, signed};
use crate::harness::Redis;

/// Lines that are sent.
const LINES: usize = 10_000;

/// A command that a rule refuses.
struct Refused {
    command: &'static str,
    room: RoomId,
    body: Value,
    /// Number of the caller.
    caller: usize,
    status: u16,
    code: &'static str,
}

/// Everybody who may ask: servers with and without grants, and persons of every rank, of whom some hold no grant, and some are for
/// another room.
fn callers() -> Vec<(Option<&'static str>, Grants)> {
    let join = |role| Grants { room_join: true, role, ..Grants::default() };
    let host = join(convoke::events::room::Role::Host);
    let mut callers = vec![
        (None, Grants::everything()),
        (None, Grants::default()),
        (None, Grants { room_admin: false, room_join: false, ..Grants::everything() }),
        (None, Grants { room: Some("another".into()), ..Grants::everything() }),
        (Some("zoe"), Grants::default()),
        (Some("zoe"), join(convoke::events::room::Role::Viewer)),
    ];
    callers.extend(["hanna", "mo", "sam", "vic", "wanda", "bea", "zoe"].map(|who| (Some(who), host.clone())));
    callers
}

fn caller(number: usize) -> Caller {
    let (identity, grants) = callers().swap_remove(number);
    let actor = match identity {
        Some(identity) => Actor::Person(Identity::new(identity).unwrap()),
        None => Actor::Key("main".into()),
    };
    Caller { tenant: TenantId::new("acme").unwrap(), actor, grants }
}

/// Every command to every room by everybody, as far as the rules refuse it.
async fn all_refused(log: &EventLog, scene: &Scene) -> Vec<Refused> {
    let loader = convoke::commands::execute::load::RoomLoader::new(log.clone(), 1_000_000);
    let acme = TenantId::new("acme").unwrap();
    let mut states: Vec<(RoomId, Room)> = Vec::new();
    for room in &scene.rooms {
        let key = RoomKey { tenant: acme.clone(), room: *room };
        states.push((*room, loader.now(&key).await.unwrap().state));
    }
    let everybody: Vec<Arc<Caller>> = (0..callers().len()).map(|number| Arc::new(caller(number))).collect();
    let now = Clock::system().now();
    let mut looked: BTreeMap<(RoomId, String), ExternalData> = BTreeMap::new();
    let (mut refused, nothing) = (Vec::new(), ExternalData::default());
    let to_rooms = RoomCommand::catalogue().into_iter().map(|kind| (kind, false));
    let to_tenants = RoomCommand::catalogue_of_tenant().into_iter().map(|kind| (kind, true));
    for (kind, of_tenant) in to_rooms.chain(to_tenants) {
        for body in bodies::of(&kind, scene) {
            let text = body.to_string();
            let parse = if of_tenant { RoomCommand::parse_of_tenant } else { RoomCommand::parse };
            let Ok(command) = parse(kind.name, text.as_bytes()) else { continue };
            let tenant = [(RoomId::TENANT, Room::Absent)];
            for (room, state) in if of_tenant { tenant.as_slice() } else { states.as_slice() } {
                let needs = command.lookup();
                let place = (*room, format!("{needs:?}"));
                if needs != Lookup::Nothing && !looked.contains_key(&place) {
                    let key = RoomKey { tenant: acme.clone(), room: *room };
                    let request = CommandRequest::by_system("tests", key, command.clone(), now);
                    let external = lookup::look_up(log, &[request]).await.unwrap().remove(0).external;
                    looked.insert(place.clone(), external);
                }
                for (number, caller) in everybody.iter().enumerate() {
                    let context = DecisionContext {
                        caller,
                        room: *room,
                        now,
                        history: false,
                        command_id: CommandId::from_uuid(Uuid::now_v7()),
                        external: looked.get(&place).unwrap_or(&nothing),
                    };
                    if let Err(refusal) = command.decide(state, &context) {
                        refused.push(Refused {
                            command: kind.name,
                            room: *room,
                            body: body.clone(),
                            caller: number,
                            status: refusal.code.status(),
                            code: refusal.code.as_str(),
                        });
                    }
                }
            }
        }
    }
    refused
}

/// Of each command and refusal about as many, all of those there are; fails where there is none.
fn chosen(refused: Vec<Refused>) -> Vec<Refused> {
    let kinds = RoomCommand::catalogue().into_iter().chain(RoomCommand::catalogue_of_tenant());
    let wanted: BTreeSet<(&str, &str)> =
        kinds.flat_map(|kind| kind.refusals.iter().map(move |code| (kind.name, code.as_str()))).collect();
    let mut by_kind: BTreeMap<(&str, &str), Vec<Refused>> = BTreeMap::new();
    for one in refused {
        by_kind.entry((one.command, one.code)).or_default().push(one);
    }
    let missing: Vec<_> = wanted.iter().filter(|kind| !by_kind.contains_key(*kind)).collect();
    assert!(missing.is_empty(), "nothing provokes these: {missing:?}");
    let each = LINES.div_ceil(by_kind.len());
    let mut chosen = Vec::with_capacity(LINES);
    for of_kind in by_kind.into_values() {
        let step = of_kind.len().div_ceil(each).max(1);
        chosen.extend(of_kind.into_iter().step_by(step));
    }
    chosen
}

fn token(number: usize) -> String {
    let (identity, grants) = callers().swap_remove(number);
    signed(&claims("acme", identity, grants))
}

/// Sends lines as a caller; what became of each.
async fn send(service: &Service, token: &str, lines: &[Value]) -> Vec<Value> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let request = service.server.client.post(format!("{}/v1/commands", service.server.url)).bearer_auth(token);
    let answer = Answer::of(request.header("content-type", "application/x-ndjson").body(text)).await.is(200);
    answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A line of a list. Whoever is nowhere is somebody else in every line, unless they are the caller.
fn line(refused: &Refused, number: usize) -> Value {
    let mut data = refused.body.clone();
    if callers()[refused.caller].0 != Some("zoe") {
        let text = data.to_string().replace("\"zoe\"", &format!("\"zoe-{number}\""));
        data = serde_json::from_str(&text).unwrap();
    }
    let mut line = json!({ "command": refused.command, "data": data, "idempotency_key": format!("refused-{number}") });
    if refused.room != RoomId::TENANT {
        line["room"] = json!(refused.room);
    }
    line
}

async fn refuse_all(service: &Service, chosen: &[Refused]) {
    let mut sent = 0;
    while sent < LINES {
        for number in 0..callers().len() {
            let of_caller: Vec<&Refused> = chosen.iter().filter(|refused| refused.caller == number).collect();
            let lines: Vec<Value> =
                of_caller.iter().enumerate().map(|(at, refused)| line(refused, sent + at)).collect();
            sent += lines.len();
            let answers = send(service, &token(number), &lines).await;
            for (refused, answer) in of_caller.iter().zip(&answers) {
                let told = (answer["status"].as_u64(), answer["problem"]["code"].as_str());
                let wanted = (Some(u64::from(refused.status)), Some(refused.code));
                assert_eq!(told, wanted, "{} {} {answer}", refused.command, refused.body);
            }
            assert_eq!(answers.len(), lines.len());
        }
    }
}

/// Refusals that no rule gives: what is asked does not fit the version, the key, the form, or the other commands of an atomic list.
async fn refuse_otherwise(service: &Service, scene: &Scene) {
    let plain = scene.plain;
    let mut lines = Vec::new();
    for number in 0..300 {
        let (who, key) = (format!("new-{number}"), format!("otherwise-{number}"));
        let join = json!({ "identity": who, "display_name": "Somebody" });
        lines.push(json!({ "room": plain, "command": "join", "data": join, "expected_version": 999_999, "idempotency_key": key }));
        lines.push(json!({ "room": plain, "command": "join", "data": { "identity": who, "role": "king" } }));
        lines.push(json!({ "room": plain, "command": "fly", "data": {} }));
        lines.push(json!({ "room": plain, "command": "join", "data": join, "idempotency_key": scene.used_key }));
    }
    let answers = send(service, &token(0), &lines).await;
    let told: BTreeSet<&str> = answers.iter().map(|answer| answer["problem"]["code"].as_str().unwrap_or("")).collect();
    let wanted = ["idempotency-key-reused", "invalid-fields", "unknown-command", "version-mismatch"];
    assert_eq!(told, BTreeSet::from(wanted));
    for number in 0..100 {
        let join = |who: &str| json!({ "room": plain, "command": "join", "data": { "identity": format!("{who}-{number}"), "display_name": who } });
        let last = json!({ "room": plain, "command": "rename", "data": { "identity": "zoe", "display_name": "Zoe" } });
        let list = json!({ "atomic": true, "commands": [
            { "command": "create-room", "data": { "name": format!("room-{number}") }, "idempotency_key": format!("list-{number}") },
            join("ada"), join("bob"), last
        ] });
        Answer::of(service.post(&token(0), "/v1/commands", &list)).await.is(409).problem("not-present");
    }
    let nobody = signed(&claims("acme", None, Grants::default())).replace('.', "x");
    Answer::of(service.post(&nobody, "/v1/rooms", &json!({}))).await.is(401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_refused_commands_of_every_kind_leave_every_table_and_redis_as_they_were() {
    let redis = Redis::start().await;
    let service = Service::start_with(|run| run.with("REDIS_URL", &redis.url())).await;
    let scene = rooms::prepare(&service).await;
    let log = EventLog::new(service.db.system.clone());
    let chosen = chosen(all_refused(&log, &scene).await);
    let before = sizes::at_rest(&service, &redis).await;
    refuse_all(&service, &chosen).await;
    refuse_otherwise(&service, &scene).await;
    let after = sizes::at_rest(&service, &redis).await;
    let grown = sizes::grown(&before, &after);
    assert!(grown.is_empty(), "{grown:#?}");
}
