//! Many readers and slow ones: what they cost, and what becomes of those that do not keep up.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::statements::reader_of;
use super::{Answer, Service, server_token};
use crate::harness::{Counted, Server, eventually};

const PATIENCE: Duration = Duration::from_secs(60);

/// A connection with a stream asked for, on a socket that takes in little.
async fn connect(service: &Service, path: &str) -> TcpStream {
    connect_to(&service.server, path, "").await
}

/// `headers`: lines that end in CR LF.
async fn connect_to(server: &Server, path: &str, headers: &str) -> TcpStream {
    let address = server.url.strip_prefix("http://").unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
    let token = server_token();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nAccept: text/event-stream\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Reads on until the text holds all of `wanted`.
async fn read_until(stream: &mut TcpStream, text: &mut String, wanted: &str) {
    let reading = async {
        let mut buffer = vec![0; 64 * 1024];
        while !text.contains(wanted) {
            let read = stream.read(&mut buffer).await.unwrap();
            assert_ne!(read, 0, "the connection ended without {wanted}: {}", &text[text.len().saturating_sub(500)..]);
            text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect(wanted);
}

async fn send_messages(service: &Service, room: &str, count: usize, text: &str) {
    let line = json!({ "room": room, "command": "send-message", "data": { "identity": "alice", "text": text } });
    let request = service.server.client.post(format!("{}/v1/commands", service.server.url)).bearer_auth(server_token());
    let request = request.header("content-type", "application/x-ndjson").body(format!("{line}\n").repeat(count));
    let answer = Answer::of(request).await.is(200);
    assert!(answer.text.lines().all(|line| line.starts_with("{\"status\":200")), "{:.300}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_too_slow_is_sent_away_with_its_cursor_and_misses_nothing() {
    let service =
        Service::start_with(|run| run.with("CONVOKE_STREAMS_BUFFER", "16").with("CONVOKE_HTTP_REQUEST_TIMEOUT", "2m"))
            .await;
    let room = service.room(&json!({})).await;
    service.join(&room, "alice", "host").await;
    let path = format!("/v1/rooms/{room}/events");
    let mut slow = connect(&service, &path).await;
    let mut text = String::new();
    read_until(&mut slow, &mut text, "-v2\n").await;
    // More than the sockets between them hold.
    send_messages(&service, &room, 1_600, &"x".repeat(8 * 1024)).await;
    read_until(&mut slow, &mut text, "\"reason\":\"lagged\"").await;
    let (_, goodbye) = text.split_once("\"reason\":\"lagged\",\"cursor\":\"").unwrap();
    let (cursor, _) = goodbye.split_once('"').unwrap();
    let seen: u64 = cursor.split_once("-v").unwrap().1.parse().unwrap();
    assert_eq!(text.matches("event: room.message-sent").count() as u64, seen - 2, "all up to its cursor");
    let rest =
        service.get(&server_token(), &format!("{path}?cursor={cursor}")).header("accept", "application/x-ndjson");
    let rest = Answer::of(rest).await.is(200);
    let first: Value = serde_json::from_str(rest.text.lines().next().unwrap()).unwrap();
    assert_eq!((&first["room_version"], rest.text.lines().count() as u64), (&json!(seen + 1), 1_602 - seen));
}

/// Kilobytes of memory that a process holds.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// What a counter or gauge of the server stands at.
async fn metric(service: &Service, name: &str) -> u64 {
    let metrics = service.server.get("/metrics").await.text().await.unwrap();
    let line =
        metrics.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).unwrap_or_else(|| panic!("{metrics}"));
    line.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_rendered_once_however_many_get_it() {
    const READERS: usize = 1_000;
    convoke::http::serve::raise_file_limit();
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    service.join(&room, "alice", "host").await;
    let path = format!("/v1/rooms/{room}/events");
    let mut readers = Vec::with_capacity(READERS);
    for _ in 0..READERS {
        readers.push((connect(&service, &path).await, String::new()));
    }
    for (stream, text) in &mut readers {
        read_until(stream, text, "-v2\n").await;
    }
    // Those who come with a cursor read together what is in memory.
    let rendered = metric(&service, "convoke_events_rendered_total").await;
    for (stream, text) in &mut readers[..READERS / 2] {
        *stream = connect(&service, &format!("{path}?cursor=start")).await;
        text.clear();
    }
    for (stream, text) in &mut readers[..READERS / 2] {
        read_until(stream, text, "event: room.participant-joined").await;
    }
    let after = metric(&service, "convoke_events_rendered_total").await;
    assert_eq!(after - rendered, 2, "the room and the join, for 500 readers");
    send_messages(&service, &room, 10, "hello").await;
    for (stream, text) in &mut readers {
        read_until(stream, text, "-v12\nevent: room.message-sent").await;
        assert_eq!(text.matches("event: room.message-sent").count(), 10);
    }
    assert_eq!(metric(&service, "convoke_events_rendered_total").await - after, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_idle_readers_cost_little_and_each_hears_what_happens() {
    const READERS: usize = 2_000;
    convoke::http::serve::raise_file_limit();
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    let path = format!("/v1/rooms/{room}/events");
    let before = resident(service.server.pid);
    let mut readers = Vec::with_capacity(READERS);
    for _ in 0..READERS {
        readers.push((connect(&service, &path).await, String::new()));
    }
    for (stream, text) in &mut readers {
        read_until(stream, text, "-v1\n").await;
    }
    let each = (resident(service.server.pid).saturating_sub(before)) / READERS as u64;
    // Buffers of connections, and what the allocator keeps of the burst of requests; `cargo bench -- streams` holds a release to less.
    assert!(each < 48, "{each} kB a reader");
    let metrics = service.server.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains(&format!("streams_open {READERS}")), "{metrics}");
    service.command(&server_token(), &room, "lock-room", &json!({})).await.is(200);
    for (stream, text) in &mut readers {
        read_until(stream, text, "event: room.locked").await;
    }
    drop(readers);
    eventually("the server has let them go", PATIENCE, async || {
        let metrics = service.server.get("/metrics").await.text().await.unwrap();
        metrics.contains("streams_open 0").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_readers_who_come_back_ask_the_database_nothing_and_commands_go_on() {
    const READERS: usize = 5_000;
    /// What the server asks by itself in that time, and what the commands ask.
    const STATEMENTS: u64 = 1_000;
    convoke::http::serve::raise_file_limit();
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    service.join(&room, "alice", "host").await;
    let path = format!("/v1/rooms/{room}/events");
    let page = Answer::of(service.get(&server_token(), &format!("{path}?limit=1"))).await.is(200);
    let cursor = page.body["next_cursor"].as_str().unwrap().to_owned();
    // The node to which they come back has the room in use, as it has others.
    let counted = Counted::to(&service.db).await;
    let mut server = reader_of(&service, &counted).await;
    let mut first = (connect_to(&server, &path, &format!("Last-Event-ID: {cursor}\r\n")).await, String::new());
    read_until(&mut first.0, &mut first.1, "event: room.participant-joined").await;

    let before = counted.statements();
    let commands = async {
        for number in 0..100 {
            let name = if number % 2 == 0 { "raise-hand" } else { "lower-hand" };
            let url = format!("{}/v1/rooms/{room}/commands/{name}", server.url);
            let body = json!({ "identity": "alice" });
            Answer::of(server.client.post(url).bearer_auth(server_token()).json(&body)).await.is(200);
        }
    };
    let coming = async {
        let headers = format!("Last-Event-ID: {cursor}\r\n");
        let mut readers = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            readers.push((connect_to(&server, &path, &headers).await, String::new()));
        }
        for (stream, text) in &mut readers {
            read_until(stream, text, "event: room.participant-joined").await;
        }
        readers
    };
    let ((), mut readers) = tokio::join!(commands, coming);
    let statements = counted.statements() - before;
    assert!(statements < STATEMENTS, "{statements} statements while {READERS} readers came back");
    service.command(&server_token(), &room, "lock-room", &json!({})).await.is(200);
    for (stream, text) in &mut readers {
        read_until(stream, text, "event: room.locked").await;
        assert_eq!(text.matches("event: room.hand-").count(), 100, "each event once");
    }
    drop((first, readers));
    server.terminate().await;
}
