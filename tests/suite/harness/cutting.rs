//! The way to the shared PostgreSQL, cut once so much of what the server says has passed. Unlike a [`super::Wire`] that is cut, it tells
//! its client, as a server does that dies.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::shared_server::{OWNER, shared_server};
use super::{Folder, TestDb, folder};

const SOCKET: &str = ".s.PGSQL.5432";

/// What it leads over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Socket,
    Tcp,
}

/// What becomes of connections, and of later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// They end, and so do later ones, at once.
    Closed,
    /// They are reset, where that can be, and later ones are refused.
    Reset,
}

/// Passes bytes on until it is cut. Ends with the value.
pub struct Cutting {
    /// What a process is given as `DATABASE_URL`.
    pub url: String,
    way: Way,
    ended: CancellationToken,
    _folder: Option<Folder>,
}

#[derive(Clone)]
struct Way {
    server: PathBuf,
    /// Bytes of the server's that pass, over all connections.
    bound: u64,
    passed: Arc<AtomicU64>,
    how: Cut,
    cut: CancellationToken,
}

impl Drop for Cutting {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

impl Cutting {
    /// Cut after so many bytes of the server's.
    pub async fn after(db: &TestDb, over: Over, bound: u64, how: Cut) -> Self {
        let server = PathBuf::from(shared_server().socket_folder()).join(SOCKET);
        let way = Way { server, bound, passed: Arc::default(), how, cut: CancellationToken::new() };
        let name = db.options.get_database().unwrap();
        let own = (over == Over::Socket).then(folder);
        let (listener, url) = match &own {
            Some(own) => {
                let listener = UnixListener::bind(own.join(SOCKET)).unwrap();
                let url = format!("postgres://{OWNER}@localhost/{name}?host={}&sslmode=disable", own.display());
                (Listener::Socket(listener), url)
            }
            None => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let url = format!("postgres://{OWNER}@{}/{name}?sslmode=disable", listener.local_addr().unwrap());
                (Listener::Tcp(listener), url)
            }
        };
        let ended = CancellationToken::new();
        tokio::spawn(ended.clone().run_until_cancelled_owned(way.clone().listen(listener)));
        Self { url, way, ended, _folder: own }
    }

    /// Bytes of the server's that have passed.
    pub fn passed(&self) -> u64 {
        self.way.passed.load(Ordering::SeqCst)
    }

    pub fn is_cut(&self) -> bool {
        self.way.cut.is_cancelled()
    }
}

enum Listener {
    Socket(UnixListener),
    Tcp(TcpListener),
}

/// A client's connection.
enum Near {
    Socket(UnixStream),
    Tcp(TcpStream),
}

impl Listener {
    async fn accept(&self) -> io::Result<Near> {
        Ok(match self {
            Self::Socket(listener) => Near::Socket(listener.accept().await?.0),
            Self::Tcp(listener) => Near::Tcp(listener.accept().await?.0),
        })
    }
}

impl Way {
    async fn listen(self, listener: Listener) {
        loop {
            tokio::select! {
                // Who waits to be accepted is turned away with the listener.
                () = self.cut.cancelled(), if self.how == Cut::Reset => return,
                near = listener.accept() => {
                    let way = self.clone();
                    tokio::spawn(async move {
                        match near {
                            Ok(Near::Socket(near)) => drop(way.serve(near).await),
                            Ok(Near::Tcp(near)) => {
                                let near = way.serve(near).await;
                                if way.how == Cut::Reset {
                                    near.set_zero_linger().unwrap();
                                }
                            }
                            Err(_) => {}
                        }
                    });
                }
            }
        }
    }

    /// Gives the connection back once it is to be ended.
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, mut near: S) -> S {
        if self.cut.is_cancelled() {
            // What was said is heard: a connection with something unread in it would be reset.
            let _ = near.read(&mut [0; 1024]).await;
            return near;
        }
        let Ok(far) = UnixStream::connect(&self.server).await else { return near };
        let (mut from_far, mut to_far) = far.into_split();
        {
            let (mut from_near, mut to_near) = tokio::io::split(&mut near);
            tokio::select! {
                _ = copy(&mut from_near, &mut to_far) => {}
                () = self.pump(&mut from_far, &mut to_near) => {}
                () = self.cut.cancelled() => {}
            }
        }
        near
    }

    /// What the server says, until it has ended or enough has passed.
    async fn pump(&self, from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) {
        let mut piece = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            let before = self.passed.fetch_add(length as u64, Ordering::SeqCst);
            let passes = usize::try_from(self.bound.saturating_sub(before)).unwrap_or(length).min(length);
            if to.write_all(&piece[..passes]).await.is_err() {
                return;
            }
            if passes < length {
                self.cut.cancel();
                return;
            }
        }
    }
}
