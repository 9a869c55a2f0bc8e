//! Long lists of commands from clients that send all of a body before they read the first byte of its answer.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Answer, Service, server_token};
use crate::harness::{Folder, folder, node, python};

const LINES: usize = 400;
const METADATA: usize = 60_000;
/// Nothing takes so long, but for a list in which both sides wait for one another.
const PATIENCE: Duration = Duration::from_secs(120);

/// Many times more than sockets hold, in either direction.
fn long_list() -> String {
    let line = json!({ "command": "create-room", "data": { "settings": { "metadata": "x".repeat(METADATA) } } });
    format!("{line}\n").repeat(LINES)
}

fn client(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name).display().to_string()
}

/// What the clients of a program say of a list that they sent.
async fn answers_to(service: &Service, mut program: Command, folder: &Folder, prefer: &str) -> Vec<Value> {
    let file = folder.join("list.ndjson");
    if !file.exists() {
        std::fs::write(&file, long_list()).unwrap();
    }
    program.args([service.server.url.as_str(), &server_token()]).arg(file).arg(prefer);
    let ended = tokio::process::Command::from(program).kill_on_drop(true).output();
    let ended = tokio::time::timeout(PATIENCE, ended).await.expect("the client ends").unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let lines = String::from_utf8(ended.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_send_all_before_they_read_are_answered_whole() {
    let (service, folder) = (Service::start().await, folder());
    let mut programs: Vec<Command> = vec![Command::new(python()), node(), Command::new("java")];
    for (program, script) in programs.iter_mut().zip(["list.py", "list.mjs", "List.java"]) {
        program.arg(client(script));
    }
    let mut clients = Vec::new();
    for program in programs {
        for client in answers_to(&service, program, &folder, "").await {
            assert_eq!(client["statuses"], json!({ "201": LINES }), "{client}");
            assert!(client["bytes"].as_u64().unwrap() > (LINES * METADATA) as u64, "{client}");
            clients.push(client["client"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(clients, ["http.client", "requests", "fetch", "HttpClient"]);
    let spool = service.run.folder.join(".convoke/spool");
    assert_eq!(std::fs::read_dir(&spool).unwrap().count(), 0, "nothing is left in {}", spool.display());

    let mut program = Command::new(python());
    program.arg(client("list.py"));
    for client in answers_to(&service, program, &folder, "return=minimal").await {
        assert_eq!(client["statuses"], json!({ "201": LINES }), "{client}");
        assert!(client["bytes"].as_u64().unwrap() < (LINES * 150) as u64, "{client}");
    }
}

fn head(length: usize) -> String {
    format!(
        "POST /v1/commands HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/x-ndjson\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n",
        server_token()
    )
}

/// The answers in a chunked body.
fn results(answer: &str) -> Vec<Value> {
    let (_, mut rest) = answer.split_once("\r\n\r\n").expect(answer);
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").expect("a chunk");
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        body.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_answers_find_no_room_the_last_line_says_what_was_not_done() {
    let service = Service::start_with(|run| run.with("CONVOKE_HTTP_SPOOL_LIMIT", "2MiB")).await;
    let list = long_list();
    let exchange = async {
        let mut stream = TcpStream::connect(service.server.url.strip_prefix("http://").unwrap()).await.unwrap();
        stream.write_all(head(list.len()).as_bytes()).await.unwrap();
        stream.write_all(list.as_bytes()).await.expect("the whole list is taken off the client's hands");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = tokio::time::timeout(PATIENCE, exchange).await.expect("the list ends");
    let results = results(&answer);
    let (last, done) = results.split_last().unwrap();
    assert_eq!((&last["status"], &last["problem"]["code"]), (&json!(503), &json!("too-busy")), "{last}");
    assert!(done.len() > 40 && done.len() < LINES, "{}", done.len());
    assert!(done.iter().all(|result| result["status"] == 201));
    let position = done.last().unwrap()["result"]["position"].as_u64().unwrap();
    assert_eq!(position, done.len() as u64, "each in order");
    let after = format!("/v1/events?at_least={position}&cursor={position}");
    let events = Answer::of(service.get(&server_token(), &after)).await.is(200);
    assert_eq!(events.body["events"], json!([]), "what has no answer was not done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_kept_open_by_white_space_ends() {
    let service = Service::start_with(|run| run.with("CONVOKE_HTTP_REQUEST_TIMEOUT", "500ms")).await;
    let mut stream = TcpStream::connect(service.server.url.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(head(1 << 20).as_bytes()).await.unwrap();
    stream.write_all(b"{\"command\": \"create-room\"}\n").await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let keeping_open = async {
        // Until the server takes no more.
        while writing.write_all(b" \n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut answer = String::new();
    let read = async {
        tokio::select! {
            read = reading.read_to_string(&mut answer) => drop(read),
            () = keeping_open => {}
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the list ends");
    assert!(answer.contains("\"status\":201") && answer.contains("request-timeout"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minimal_answer_says_where_the_room_is_and_nothing_else() {
    let service = Service::start().await;
    let body = json!({ "name": "standup", "settings": { "metadata": "x".repeat(METADATA) } });
    let minimal =
        |path: &str, body: &Value| service.post(&server_token(), path, body).header("prefer", "return=minimal");
    let created = Answer::of(minimal("/v1/rooms", &body)).await.is(201);
    let room = created.body["room"].as_str().unwrap();
    assert_eq!(created.body, json!({ "room": room, "room_version": 1, "position": 1 }));
    assert_eq!(created.header("preference-applied"), "return=minimal");
    assert_eq!((created.header("etag"), created.header("location")), ("\"1\"", &*format!("/v1/rooms/{room}")));
    let path = format!("/v1/rooms/{room}/commands/raise-hand");
    Answer::of(minimal(&path, &json!({ "identity": "nobody" }))).await.is(409).problem("not-present");
    for atomic in [false, true] {
        let list = json!({ "atomic": atomic, "commands": [{ "room": room, "command": "lock-room" }] });
        let results = Answer::of(minimal("/v1/commands", &list)).await.is(200);
        let result = json!({ "status": 200, "result": { "room": room, "room_version": 2, "position": 2 } });
        assert_eq!(results.body, json!({ "results": [result] }));
        assert_eq!(results.header("preference-applied"), "return=minimal");
    }
}
