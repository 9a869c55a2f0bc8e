//! The way to a PostgreSQL, a Redis or a Kafka, which a test can slow down, and cut: this end is not told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;

use super::shared_server::{OWNER, shared_server};
use super::{Redis, TestDb};

/// Passes bytes on until it is cut. Ends with the test.
pub struct Wire {
    /// What a process is given as `DATABASE_URL` or `REDIS_URL`.
    pub url: String,
    pub address: SocketAddr,
    passing: Passing,
}

#[derive(Clone, Default)]
struct Passing {
    /// Cuts the connections made since it was mended last.
    cut: Arc<Mutex<CancellationToken>>,
    /// Milliseconds that each piece takes, one way.
    delay_ms: Arc<AtomicU64>,
}

impl Wire {
    pub async fn to(db: &TestDb) -> Self {
        let socket = format!("{}/.s.PGSQL.5432", shared_server().socket_folder());
        let name = db.options.get_database().unwrap();
        let wire = Self::start(move || UnixStream::connect(socket.clone())).await;
        Self { url: format!("postgres://{OWNER}@{}/{name}?sslmode=disable", wire.address), ..wire }
    }

    /// To a PostgreSQL of the test's own.
    pub async fn to_postgres(options: &PgConnectOptions) -> Self {
        let socket = options.get_socket().unwrap().join(".s.PGSQL.5432");
        let (user, name) = (options.get_username(), options.get_database().unwrap());
        let wire = Self::start(move || UnixStream::connect(socket.clone())).await;
        Self { url: format!("postgres://{user}@{}/{name}?sslmode=disable", wire.address), ..wire }
    }

    pub async fn to_redis(redis: &Redis) -> Self {
        let wire = Self::to_port(redis.port).await;
        Self { url: format!("redis://{}/0", wire.address), ..wire }
    }

    pub async fn to_port(port: u16) -> Self {
        Self::start(move || TcpStream::connect(("127.0.0.1", port))).await
    }

    async fn start<C, F, S>(connect: C) -> Self
    where
        C: Fn() -> F + Clone + Send + Sync + 'static,
        F: Future<Output = std::io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let passing = Passing::default();
        Self { url: String::new(), address: pass(connect, passing.clone()).await, passing }
    }

    /// From now on nothing passes, and no new connection is answered.
    pub fn cut(&self) {
        self.passing.cut.lock().unwrap().cancel();
    }

    /// From now on everything takes so long, one way.
    pub fn slow(&self, delay: Duration) {
        self.passing.delay_ms.store(u64::try_from(delay.as_millis()).unwrap(), Ordering::Relaxed);
    }

    /// New connections pass again, as quickly as ever; what was cut stays so, and is not told.
    pub fn mend(&self) {
        *self.passing.cut.lock().unwrap() = CancellationToken::new();
        self.slow(Duration::ZERO);
    }
}

/// Listens, and connects whoever comes with what `connect` reaches.
async fn pass<C, F, S>(connect: C, passing: Passing) -> SocketAddr
where
    C: Fn() -> F + Clone + Send + Sync + 'static,
    F: Future<Output = std::io::Result<S>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let (connect, cut) = (connect.clone(), passing.cut.lock().unwrap().clone());
            let passing = passing.clone();
            tokio::spawn(async move {
                if cut.is_cancelled() {
                    // Who comes meanwhile is not answered, and turned away once the wire is mended.
                    while passing.cut.lock().unwrap().is_cancelled() {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    return;
                }
                let (mut near_in, mut near_out) = split(near);
                let between = async {
                    // Who is not there yet, or no longer, does not answer.
                    let Ok(far) = connect().await else { return };
                    let (mut far_in, mut far_out) = split(far);
                    tokio::select! {
                        () = pump(&mut near_in, &mut far_out, &passing.delay_ms) => {}
                        () = pump(&mut far_in, &mut near_out, &passing.delay_ms) => {}
                    }
                };
                tokio::select! {
                    () = between => return,
                    () = cut.cancelled() => {}
                }
                // The server has noticed by itself that the client is gone; the client knows of nothing.
                let _near = (near_in, near_out);
                std::future::pending::<()>().await;
            });
        }
    });
    address
}

/// Until one side has ended.
async fn pump<R: AsyncRead, W: AsyncWrite>(from: &mut ReadHalf<R>, to: &mut WriteHalf<W>, delay_ms: &AtomicU64) {
    let mut piece = vec![0; 64 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut piece).await else { return };
        let delay = Duration::from_millis(delay_ms.load(Ordering::Relaxed));
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}
