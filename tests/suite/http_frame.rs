//! The server under the API, from outside: clients that are too many, too large, too slow or wrong, and a stop. What needs
//! a route of its own (a panic, a request in flight) is tested beside the code, in `src/http/serve/tests.rs`.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Run, Server, TestDb, eventually};

const DEADLINE: Duration = Duration::from_secs(20);
const LIVE: &str = "GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n";

fn address(server: &Server) -> &str {
    server.url.strip_prefix("http://").unwrap()
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(address(server)).await.unwrap()
}

/// Sends, and reads until the server closes.
async fn response_to(server: &Server, request: &[u8]) -> String {
    let mut stream = connect(server).await;
    stream.write_all(request).await.unwrap();
    rest(&mut stream).await
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    let read = tokio::time::timeout(DEADLINE, stream.read_to_string(&mut answer));
    read.await.expect("the server closes in time").unwrap();
    answer
}

/// Sends a request and reads its answer; the connection stays open.
async fn asked(stream: &mut TcpStream) -> String {
    stream.write_all(LIVE.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(DEADLINE, stream.read(&mut answer)).await.expect("an answer").unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

async fn metric(server: &Server, name: &str) -> f64 {
    let text = server.get("/metrics").await.text().await.unwrap();
    let line = text.lines().find(|line| line.split(' ').next() == Some(name));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("no {name} in\n{text}"))
}

fn assert_problem(answer: &str, status: u16, code: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    let problem: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("no problem: {answer}"));
    assert_eq!(problem["type"], format!("/problems/{code}"), "{answer}");
}

#[tokio::test]
async fn whoever_runs_it_can_ask_for_its_health_and_its_figures() {
    let db = TestDb::new().await;
    let server = Run::on(&db).serve().await;
    let ready = server.get("/health/ready").await;
    assert_eq!(ready.status(), 200);
    let report: Value = ready.json().await.unwrap();
    assert_eq!(report["status"], "ready");
    assert!(report["checks"].as_array().unwrap().iter().any(|check| check["name"] == "database"), "{report}");
    assert_eq!(server.get("/health/live").await.json::<Value>().await.unwrap()["status"], "live");
    assert!(metric(&server, "convoke_http_connections_open").await >= 1.0);
}

#[tokio::test]
async fn every_problem_that_is_told_has_a_page_where_its_type_points() {
    let db = TestDb::new().await;
    let server = Run::on(&db).serve().await;
    let lost = server.get("/no/such/path").await;
    assert_eq!(lost.status(), 404);
    let headers = lost.headers().clone();
    assert_eq!(
        (&headers["content-type"], &headers["cache-control"]),
        (&"application/problem+json".parse().unwrap(), &"no-store".parse().unwrap())
    );
    let problem: Value = lost.json().await.unwrap();
    assert_eq!(problem["instance"], format!("urn:uuid:{}", headers["x-request-id"].to_str().unwrap()));

    let page = server.get(problem["type"].as_str().unwrap()).await;
    assert_eq!(page.status(), 200);
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    assert!(page.text().await.unwrap().contains("<code>unknown-route</code>"));
    assert_eq!(server.get("/problems/no-such-problem").await.status(), 404);
    assert!(server.get("/problems").await.text().await.unwrap().contains("/problems/room-full"));
}

#[tokio::test]
async fn broken_oversized_and_slow_requests_are_answered_and_harm_nobody() {
    let db = TestDb::new().await;
    let run = Run::on(&db).with("CONVOKE_HTTP_REQUEST_TIMEOUT", "1s").with("CONVOKE_HTTP_HEADER_LIMIT", "8KiB");
    let server = run.serve().await;
    assert_problem(&response_to(&server, b"\x16\x03\x01\x02\x00\r\n\r\n").await, 400, "malformed-request");
    let large = format!("GET /health/live HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(9000));
    assert_problem(&response_to(&server, large.as_bytes()).await, 431, "headers-too-large");
    assert_problem(&response_to(&server, b"GET /health/live HTTP/1.1\r\nho").await, 408, "request-timeout");
    let wrong = response_to(&server, b"DELETE /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert_problem(&wrong, 405, "method-not-allowed");
    assert!(wrong.contains("allow: GET,HEAD"), "{wrong}");
    assert!(asked(&mut connect(&server).await).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn every_request_names_its_host_once_and_its_body_is_chunked_or_plain_whatever_the_path() {
    let db = TestDb::new().await;
    let server = Run::on(&db).serve().await;
    for path in [
        "/health/live",
        "/health/ready",
        "/metrics",
        "/",
        "/docs",
        "/openapi.json",
        "/problems",
        "/v1/rooms",
        "/no/such/path",
    ] {
        for hosts in
            ["", "host: a\r\nhost: b\r\n", "host: a\r\nHost: a\r\n", "host: a b\r\n", "host: a/b\r\n", "host: u@a\r\n"]
        {
            let request = format!("GET {path} HTTP/1.1\r\n{hosts}\r\n");
            assert_problem(&response_to(&server, request.as_bytes()).await, 400, "malformed-request");
        }
        for codings in ["transfer-encoding: gzip, chunked", "transfer-encoding: gzip\r\ntransfer-encoding: chunked"] {
            let request = format!("POST {path} HTTP/1.1\r\nhost: x\r\n{codings}\r\n\r\n0\r\n\r\n");
            assert_problem(&response_to(&server, request.as_bytes()).await, 501, "transfer-coding-not-implemented");
        }
    }
    let old = response_to(&server, b"GET /health/live HTTP/1.0\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 200 ") || old.starts_with("HTTP/1.1 200 "), "HTTP/1.0 asks for no host: {old}");
}

#[tokio::test]
async fn the_root_leads_to_the_documentation() {
    let db = TestDb::new().await;
    let server = Run::on(&db).serve().await;
    let led = server.get("/").await;
    assert_eq!((led.status().as_u16(), led.url().path()), (200, "/docs"), "a browser follows");
    assert!(led.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let bare = response_to(&server, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(bare.starts_with("HTTP/1.1 307 ") && bare.contains("location: /docs"), "{bare}");
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_told_those_that_it_does() {
    let db = TestDb::new().await;
    let server = Run::on(&db).serve().await;
    for (method, path, status, allow) in [
        ("HEAD", "/health/live", 200, None),
        ("HEAD", "/v1/rooms", 401, None),
        ("OPTIONS", "/v1/rooms", 204, Some("POST,GET,HEAD")),
        ("OPTIONS", "/no/such/path", 404, None),
        ("PUT", "/v1/rooms", 405, Some("POST,GET,HEAD")),
        ("TRACE", "/v1/commands", 405, Some("POST")),
        ("BREW", "/health/live", 405, Some("GET,HEAD")),
    ] {
        let request = server.client.request(method.parse().unwrap(), format!("{}{path}", server.url));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        let told = answer.headers().get("allow").map(|allow| allow.to_str().unwrap().to_owned());
        assert_eq!(told.as_deref(), allow, "{method} {path}");
        let body = answer.text().await.unwrap();
        assert_eq!(body.is_empty(), method == "HEAD" || status == 204, "{method} {path}: {body}");
    }
}

#[tokio::test]
async fn a_connection_beyond_the_bound_is_told_so() {
    let db = TestDb::new().await;
    let server = Run::on(&db).with("CONVOKE_HTTP_MAX_CONNECTIONS", "3").serve().await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(&server).await;
        assert!(asked(&mut stream).await.starts_with("HTTP/1.1 200 "));
        held.push(stream);
    }
    assert_problem(&response_to(&server, LIVE.as_bytes()).await, 503, "too-many-connections");
    held.pop();
    eventually("a place is free again", DEADLINE, async || {
        asked(&mut connect(&server).await).await.starts_with("HTTP/1.1 200 ").then_some(())
    })
    .await;
}

#[tokio::test]
async fn sigterm_closes_what_is_idle_answers_what_has_begun_and_ends_well() {
    let db = TestDb::new().await;
    let mut server = Run::on(&db).serve().await;
    let mut begun = connect(&server).await;
    begun.write_all(b"GET /health/live HTTP/1.1\r\nho").await.unwrap();
    let mut idle = connect(&server).await;
    assert!(asked(&mut idle).await.starts_with("HTTP/1.1 200 "));
    // Those two and the one that asks: the first is accepted, and what it sent lay there before.
    eventually("both are accepted", DEADLINE, async || {
        (metric(&server, "convoke_http_connections_open").await >= 3.0).then_some(())
    })
    .await;

    server.signal(Signal::TERM);
    assert_eq!(rest(&mut idle).await, "", "the idle connection is closed");
    begun.write_all(b"st: x\r\n\r\n").await.unwrap();
    let answer = rest(&mut begun).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close"), "{answer}");
    assert!(server.ended().await.success(), "{}", server.log());
    assert!(TcpStream::connect(address(&server)).await.is_err(), "nobody listens any more");
}

/// In KiB, of the process.
fn resident(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid)).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn thousands_of_idle_connections_cost_little() {
    const MANY: usize = 3000;
    convoke::http::serve::raise_file_limit();
    let db = TestDb::new().await;
    let server = Run::on(&db).serve().await;
    assert!(asked(&mut connect(&server).await).await.starts_with("HTTP/1.1 200 "));
    let before = resident(&server);
    let mut held = Vec::with_capacity(MANY);
    for _ in 0..MANY {
        let mut stream = connect(&server).await;
        assert!(asked(&mut stream).await.starts_with("HTTP/1.1 200 "));
        held.push(stream);
    }
    let each = (resident(&server).saturating_sub(before)) as usize * 1024 / MANY;
    assert!(each < 32 * 1024, "{each} bytes for each idle connection");
    assert_eq!(server.get("/health/ready").await.status(), 200);
}

#[tokio::test]
async fn logs_are_lines_of_json_when_asked() {
    let db = TestDb::new().await;
    let run = Run::on(&db).with("CONVOKE_LOG_FORMAT", "json").with("CONVOKE_LOG_LEVEL", "info,convoke=debug");
    let mut server = run.serve().await;
    server.get("/no/such/path").await;
    assert!(server.terminate().await.success());
    let log = server.log();
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))).collect();
    let refused = lines.iter().find(|line| line["code"] == "unknown-route").unwrap_or_else(|| panic!("{log}"));
    assert_eq!((&refused["level"], &refused["method"]), (&"DEBUG".into(), &"GET".into()));
}
