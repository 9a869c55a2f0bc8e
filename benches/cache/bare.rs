//! What HTTP alone costs: a server that answers every path with the bytes of one room, without routes, tokens, limits or
//! metrics, on as many threads as `convoke serve` has.

use std::net::SocketAddr;

use axum::Router;
use axum::http::header;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::fixture::{Failure, Served};

/// Ends when it is dropped.
pub struct Bare {
    runtime: Option<Runtime>,
    pub address: SocketAddr,
}

impl Bare {
    /// Answers as `served` answered this path.
    pub async fn like(served: &Served, path: &str) -> Result<Self, Failure> {
        let url = format!("http://{}{path}", served.address);
        let answer = reqwest::Client::new().get(url).bearer_auth(Served::token()?).send().await?.error_for_status()?;
        let mut head = answer.headers().clone();
        // The server below adds them by itself.
        head.remove(header::DATE);
        head.remove(header::CONTENT_LENGTH);
        let body = answer.bytes().await?;
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
