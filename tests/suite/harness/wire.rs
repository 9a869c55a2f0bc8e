//! The way to the shared PostgreSQL, which a test can block: as when a cable is cut, nobody is told.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::TestDb;
use super::shared_server::{OWNER, shared_server};

/// Passes bytes on until it is cut. Ends with the test.
pub struct Wire {
    /// What a process is given as `DATABASE_URL`.
    pub url: String,
    cut: CancellationToken,
}

impl Wire {
    pub async fn to(db: &TestDb) -> Self {
        let socket = format!("{}/.s.PGSQL.5432", shared_server().socket_folder());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cut = CancellationToken::new();
        let is_cut = cut.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (socket, is_cut) = (socket.clone(), is_cut.clone());
                tokio::spawn(async move {
                    let mut far = UnixStream::connect(socket).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        // Both ends stay open, and nothing passes.
                        () = is_cut.cancelled() => std::future::pending().await,
                    }
                });
            }
        });
        let name = db.options.get_database().unwrap();
        Self { url: format!("postgres://{OWNER}@{address}/{name}?sslmode=disable"), cut }
    }

    /// From now on nothing passes, and no new connection is answered.
    pub fn cut(&self) {
        self.cut.cancel();
    }
}
