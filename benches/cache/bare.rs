//! What HTTP alone costs: a server that answers every path with the bytes of one room, without routes, tokens, limits or
//! metrics, on as many threads as `convoke serve` has.

use std::net::SocketAddr;

use axum::Router;
use axum::http::header::{self, HeaderMap, HeaderValue};
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::ground::{Failure, Served};
use crate::load::Connection;

/// Ends when it is dropped.
pub struct Bare {
    runtime: Option<Runtime>,
    pub address: SocketAddr,
}

impl Bare {
    /// Answers as `served` answered this path.
    pub async fn like(served: &Served, path: &str) -> Result<Self, Failure> {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {}\r\n\r\n", Served::token()?);
        let mut connection = Connection::open(served.address).await?;
        let status = connection.exchange(request.as_bytes()).await?;
        if status != 200 {
            return Err(format!("GET {path} is answered with {status}").into());
        }
        let (body, head) = (Bytes::copy_from_slice(connection.body()), headers(connection.head())?);
        let listener = TcpListener::bind("127.0.0.1:0").await?.into_std()?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.spawn(async move {
            let routes = Router::new().fallback(move || std::future::ready((head.clone(), body.clone())));
            let listener = TcpListener::from_std(listener)?;
            axum::serve(listener, routes).await
        });
        Ok(Self { runtime: Some(runtime), address })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Those that the server below adds by itself left out.
fn headers(head: &str) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for line in head.lines().skip(1) {
        let Some((name, value)) = line.split_once(": ") else { continue };
        let name: header::HeaderName = name.parse()?;
        if name != header::DATE && name != header::CONTENT_LENGTH {
            headers.append(name, HeaderValue::from_str(value)?);
        }
    }
    Ok(headers)
}
