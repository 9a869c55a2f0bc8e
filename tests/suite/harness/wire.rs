//! The way to the shared PostgreSQL or to a Redis, which a test can cut: this end is not told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;

use super::shared_server::{OWNER, shared_server};
use super::{Redis, TestDb};

/// Passes bytes on until it is cut. Ends with the test.
pub struct Wire {
    /// What a process is given as `DATABASE_URL` or `REDIS_URL`.
    pub url: String,
    /// Cuts the connections made since it was mended last.
    cut: Arc<Mutex<CancellationToken>>,
}

impl Wire {
    pub async fn to(db: &TestDb) -> Self {
        let socket = format!("{}/.s.PGSQL.5432", shared_server().socket_folder());
        let name = db.options.get_database().unwrap();
        let (address, cut) = pass(move || UnixStream::connect(socket.clone())).await;
        Self { url: format!("postgres://{OWNER}@{address}/{name}?sslmode=disable"), cut }
    }

    pub async fn to_redis(redis: &Redis) -> Self {
        let port = redis.port;
        let (address, cut) = pass(move || TcpStream::connect(("127.0.0.1", port))).await;
        Self { url: format!("redis://{address}/0"), cut }
    }

    /// From now on nothing passes, and no new connection is answered.
    pub fn cut(&self) {
        self.cut.lock().unwrap().cancel();
    }

    /// New connections pass again; what was cut stays so.
    pub fn mend(&self) {
        *self.cut.lock().unwrap() = CancellationToken::new();
    }
}

/// Listens, and connects whoever comes with what `connect` reaches.
async fn pass<C, F, S>(connect: C) -> (SocketAddr, Arc<Mutex<CancellationToken>>)
where
    C: Fn() -> F + Clone + Send + Sync + 'static,
    F: Future<Output = std::io::Result<S>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let cut = Arc::new(Mutex::new(CancellationToken::new()));
    let of_new = cut.clone();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let (connect, cut) = (connect.clone(), of_new.lock().unwrap().clone());
            tokio::spawn(async move {
                let passing = async {
                    let mut far = connect().await.unwrap();
                    copy_bidirectional(&mut near, &mut far).await
                };
                tokio::select! {
                    _ = passing => return,
                    () = cut.cancelled() => {}
                }
                // The server has noticed by itself that the client is gone; the client knows of nothing.
                let _near = near;
                std::future::pending::<()>().await;
            });
        }
    });
    (address, cut)
}
