//! The server: accepts connections up to a limit, serves HTTP/1.1 on each, drains when stopped.
//!
//! On a stop it accepts no connection, closes idle ones and finishes requests in flight (with `Connection: close`).
//! [`Server::run`] returns when the last connection has ended; its caller bounds that time and drops it, which closes the rest.
//! Live streams end by their own stop token.
//!
//! Limits protect against clients that occupy a connection: on connections, on the head in bytes and time, and on silence between
//! requests, within a body and while reading a response. Each is a constant here or a setting.

mod connection;
mod listen;
#[cfg(test)]
mod tests;
mod timed_stream;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::middleware;
use super::problem::{Problem, ProblemCode};
use crate::config::HttpConfig;
use crate::telemetry::metrics::Metrics;
pub use listen::{ReservedAddress, raise_file_limit, reserve, use_small_pages};

/// The head of a request has to be there this long after its first byte.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// A connection without a request is closed after this long.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// A client that does not read its answer for this long is given up.
const WRITE_STALL: Duration = Duration::from_secs(30);
/// How long a client may go on sending a body that was refused, until it reads why.
const LINGER: Duration = Duration::from_secs(5);
/// The same for one whose connection is not served at all.
const TURNED_AWAY_LINGER: Duration = Duration::from_secs(1);
/// How many clients beyond the bound are told so at once; the others are just closed.
const REFUSALS_AT_ONCE: usize = 64;
/// After a failed accept (out of file descriptors), before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One listening socket and what answers on it.
pub struct Server {
    listener: TcpListener,
    service: connection::ConnectionService,
    slots: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    metrics: Metrics,
    limit: usize,
}

impl Server {
    /// Puts the guard around `router` and serves it, once [`Server::run`].
    pub fn new(listener: TcpListener, router: Router, config: &HttpConfig, metrics: &Metrics) -> Self {
        let router = middleware::wrap(router, config, metrics);
        Self {
            listener,
            service: connection::ConnectionService::new(router, config),
            slots: Arc::new(Semaphore::new(config.max_connections)),
            refusals: Arc::new(Semaphore::new(REFUSALS_AT_ONCE)),
            metrics: metrics.clone(),
            limit: config.max_connections,
        }
    }

    /// Serves until `stop` is cancelled and every connection has ended.
    pub async fn run(self, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => self.take(stream, &stop, &mut connections),
                    Err(error) => pause(&error).await,
                },
                Some(ended) = connections.join_next(), if !connections.is_empty() => settle(ended),
            }
        }
        let Self { listener, .. } = self;
        drop(listener);
        tracing::info!(open = connections.len(), "no longer accepting connections; finishing the requests in flight");
        while let Some(ended) = connections.join_next().await {
            settle(ended);
        }
    }

    fn take(&self, stream: TcpStream, stop: &CancellationToken, connections: &mut JoinSet<()>) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            self.refuse(stream, connections);
            return;
        };
        let serving = self.service.clone().serve(stream, stop.clone());
        let open = OpenConnection::new(&self.metrics, slot);
        connections.spawn(async move {
            serving.await;
            drop(open);
        });
    }

    fn refuse(&self, stream: TcpStream, connections: &mut JoinSet<()>) {
        self.metrics.connection_refused();
        if let Ok(turn) = Arc::clone(&self.refusals).try_acquire_owned() {
            let detail = format!("The server has {} connections open and takes no more.", self.limit);
            let problem = Problem::new(ProblemCode::TooManyConnections, detail);
            connections.spawn(async move {
                connection::tell_and_close(stream, &problem).await;
                drop(turn);
            });
        }
    }
}

/// A connection in the count of those that are open.
struct OpenConnection {
    metrics: Metrics,
    _slot: OwnedSemaphorePermit,
}

impl OpenConnection {
    fn new(metrics: &Metrics, slot: OwnedSemaphorePermit) -> Self {
        metrics.connections_open().inc();
        Self { metrics: metrics.clone(), _slot: slot }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.metrics.connections_open().dec();
    }
}

/// Ignores a client that disconnected before it was accepted; logs any other error (no file descriptors left) and waits before the
/// next accept.
async fn pause(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionReset) {
        tracing::error!(%error, "accept failed");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

fn settle(ended: Result<(), tokio::task::JoinError>) {
    // A panic in the body of an answer: the hook has logged it, the connection is closed.
    if let Err(error) = ended
        && !error.is_cancelled()
    {
        tracing::error!(%error, "connection closed after an error of the server");
    }
}
