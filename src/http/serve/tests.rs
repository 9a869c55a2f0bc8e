//! The server on a socket of its own, against clients that misbehave.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::http::body::WholeBody;

const DEADLINE: Duration = Duration::from_secs(10);

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
}

fn limits() -> HttpConfig {
    HttpConfig {
        listen: "127.0.0.1:0".to_owned(),
        max_connections: 100,
        body_limit: 1000,
        header_limit: 2000,
        request_timeout: Duration::from_millis(300),
        at_least_timeout: Duration::from_millis(100),
        spool_dir: std::env::temp_dir(),
        spool_limit: 0,
    }
}

async fn start(config: &HttpConfig, router: Router) -> Running {
    let listener = reserve(&config.listen).await.unwrap().listen().unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let server = Server::new(listener, router, config, &Metrics::new());
    let ended = tokio::spawn(server.run(stop.clone()));
    Running { address, stop, ended }
}

fn routes() -> Router {
    Router::new()
        .route("/echo", post(|WholeBody(body): WholeBody| async move { body }))
        .route("/back", post(|request: Request| async { Body::from_stream(request.into_body().into_data_stream()) }))
        .route("/hello/{name}", get(|Path(name): Path<String>| async move { name }))
        .route("/panic", get(|| async { assert!(std::hint::black_box(false), "with reason") }))
        .route("/never", get(std::future::pending::<()>))
}

/// Sends `request` and reads to the end of the connection.
async fn response_to(address: SocketAddr, request: &[u8]) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    tokio::time::timeout(DEADLINE, exchange).await.expect("the connection is closed in time")
}

fn get_request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").into_bytes()
}

fn assert_problem(answer: &str, status: u16, code: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {answer:?}"));
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(head.contains("content-type: application/problem+json"), "{answer}");
    assert!(head.contains("x-content-type-options: nosniff"), "{answer}");
    let problem: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON in {answer}"));
    assert_eq!(problem["type"], format!("/problems/{code}"), "{answer}");
    assert_eq!(problem["status"], status, "{answer}");
}

#[tokio::test]
async fn what_no_route_answers_is_told_as_a_problem() {
    let server = start(&limits(), routes()).await;
    assert_problem(&response_to(server.address, &get_request("/nowhere")).await, 404, "unknown-route");
    let wrong = response_to(server.address, &get_request("/echo")).await;
    assert_problem(&wrong, 405, "method-not-allowed");
    assert!(wrong.contains("allow: POST"), "{wrong}");
    assert_problem(&response_to(server.address, &get_request("/hello/%ff")).await, 400, "malformed-request");
}

#[tokio::test]
async fn an_answer_that_begins_before_the_body_has_ended_takes_as_long_as_the_body() {
    let server = start(&limits(), routes()).await;
    let exchange = async {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = "POST /back HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        // Each is answered before the next one comes, all of them much later than a head may come.
        let mut answer = String::new();
        for number in 0..8 {
            tokio::time::sleep(limits().request_timeout / 3).await;
            let line = format!("line {number}\n");
            stream.write_all(format!("7\r\n{line}\r\n").as_bytes()).await.unwrap();
            while !answer.contains(&line) {
                let mut some = [0; 1024];
                let read = stream.read(&mut some).await.unwrap();
                assert_ne!(read, 0, "the connection ended after {answer}");
                answer.push_str(std::str::from_utf8(&some[..read]).unwrap());
            }
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = tokio::time::timeout(DEADLINE, exchange).await.expect("the answer ends");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n0\r\n\r\n"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
}

#[tokio::test]
async fn a_panic_is_a_problem_and_the_server_goes_on() {
    let server = start(&limits(), routes()).await;
    let panicked = response_to(server.address, &get_request("/panic")).await;
    assert_problem(&panicked, 500, "internal");
    assert!(panicked.contains("urn:uuid:") && !panicked.contains("with reason"), "{panicked}");
    assert!(response_to(server.address, &get_request("/hello/you")).await.ends_with("you"));
}

#[tokio::test]
async fn options_and_head_are_answered_without_a_body() {
    let server = start(&limits(), routes()).await;
    let request = |method: &str| format!("{method} /hello/you HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let options = response_to(server.address, request("OPTIONS").as_bytes()).await;
    assert!(options.starts_with("HTTP/1.1 204 ") && options.contains("allow: GET,HEAD"), "{options}");
    let head = response_to(server.address, request("HEAD").as_bytes()).await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(head.contains("content-length: 3"), "{head}");
    assert_problem(&response_to(server.address, request("TRACE").as_bytes()).await, 405, "method-not-allowed");
}

#[tokio::test]
async fn oversized_and_broken_heads_are_problems_too() {
    let server = start(&limits(), routes()).await;
    let large = format!("GET /hello/you HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(3000));
    assert_problem(&response_to(server.address, large.as_bytes()).await, 431, "headers-too-large");
    let endless = format!("GET /hello/you HTTP/1.1\r\nhost: x\r\nx: {}", "y".repeat(500_000));
    assert_problem(&response_to(server.address, endless.as_bytes()).await, 431, "headers-too-large");
    let many = format!("GET /hello/you HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(150));
    assert_problem(&response_to(server.address, many.as_bytes()).await, 431, "headers-too-large");
    for garbage in ["\x16\x03\x01\x02\x00\x01\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "a b c d e\r\n\r\n"] {
        assert_problem(&response_to(server.address, garbage.as_bytes()).await, 400, "malformed-request");
    }
}

#[tokio::test]
async fn an_oversized_body_is_refused_before_it_is_read_whole() {
    let server = start(&limits(), routes()).await;
    let announced = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\nabc";
    assert_problem(&response_to(server.address, announced.as_bytes()).await, 413, "payload-too-large");
    let chunk = format!("3e8\r\n{}\r\n", "y".repeat(1000));
    let chunked = format!("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{}", chunk.repeat(3));
    assert_problem(&response_to(server.address, chunked.as_bytes()).await, 413, "payload-too-large");
    // Sent whole before the answer is read: the connection stays open for it.
    let sent = format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{}", 8 << 20, "y".repeat(8 << 20));
    assert_problem(&response_to(server.address, sent.as_bytes()).await, 413, "payload-too-large");
    let whole =
        format!("POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1000\r\n\r\n{:1000}", "y");
    assert!(response_to(server.address, whole.as_bytes()).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_slow_head_a_slow_body_and_a_slow_answer_each_end() {
    let server = start(&limits(), routes()).await;
    assert_problem(&response_to(server.address, b"GET /hello/you HTTP/1.1\r\nho").await, 408, "request-timeout");
    let body = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc";
    assert_problem(&response_to(server.address, body.as_bytes()).await, 408, "request-timeout");
    assert_problem(&response_to(server.address, &get_request("/never")).await, 503, "too-busy");
    let second = "GET /hello/you HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(second.as_bytes()).await.unwrap();
    let mut answer = [0u8; 15];
    stream.read_exact(&mut answer).await.unwrap();
    stream.write_all(b"GET /hel").await.unwrap();
    let mut rest = String::new();
    tokio::time::timeout(DEADLINE, stream.read_to_string(&mut rest)).await.expect("closed in time").unwrap();
    assert!(rest.contains("HTTP/1.1 408 "), "a head after the first is bounded too: {rest}");
}

#[tokio::test]
async fn an_idle_connection_outlives_the_patience_for_a_head() {
    let server = start(&limits(), routes()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..2 {
        stream.write_all(b"GET /hello/you HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = vec![0u8; 2000];
        let read = stream.read(&mut answer).await.unwrap();
        assert!(answer[..read].ends_with(b"you"), "{}", String::from_utf8_lossy(&answer[..read]));
        // Longer than the head may take: nothing must arrive in it, not even the end.
        let silence = tokio::time::timeout(limits().request_timeout * 2, stream.read(&mut answer)).await;
        assert!(silence.is_err(), "the idle connection was closed");
    }
}

#[tokio::test]
async fn who_comes_beyond_the_bound_is_told_so_and_served_when_another_leaves() {
    let server = start(&HttpConfig { max_connections: 2, ..limits() }, routes()).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    let _second = TcpStream::connect(server.address).await.unwrap();
    let refused = response_to(server.address, &get_request("/hello/you")).await;
    assert_problem(&refused, 503, "too-many-connections");
    assert!(refused.contains("retry-after: 1"), "{refused}");
    first.shutdown().await.unwrap();
    let served = async {
        while !response_to(server.address, &get_request("/hello/you")).await.ends_with("you") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, served).await.expect("a place has become free");
}

#[tokio::test]
async fn a_stop_answers_what_is_in_flight_and_closes_what_is_idle() {
    let (entered, mut has_entered) = mpsc::channel::<oneshot::Sender<&'static str>>(1);
    let held = get(move || {
        let entered = entered.clone();
        async move {
            let (answer, wait) = oneshot::channel();
            entered.send(answer).await.unwrap();
            wait.await.unwrap()
        }
    });
    let config = HttpConfig { request_timeout: DEADLINE, ..limits() };
    let server = start(&config, routes().route("/held", held)).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /hello/you HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(idle.read(&mut [0u8; 2000]).await.unwrap() > 0);
    let address = server.address;
    let in_flight = tokio::spawn(async move { response_to(address, b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await });
    let answer = has_entered.recv().await.unwrap();

    server.stop.cancel();
    assert_eq!(idle.read(&mut [0u8; 10]).await.unwrap(), 0, "the idle connection is closed");
    assert!(!server.ended.is_finished(), "a request is in flight");
    answer.send("finished").unwrap();
    let answered = in_flight.await.unwrap();
    assert!(answered.ends_with("finished") && answered.contains("connection: close"), "{answered}");
    tokio::time::timeout(DEADLINE, server.ended).await.expect("the server ends").unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}
