//! The way to the shared PostgreSQL, which a test can cut: this end is not told.

use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::TestDb;
use super::shared_server::{OWNER, shared_server};

/// Passes bytes on until it is cut. Ends with the test.
pub struct Wire {
    /// What a process is given as `DATABASE_URL`.
    pub url: String,
    /// Cuts the connections made since it was mended last.
    cut: Arc<Mutex<CancellationToken>>,
}

impl Wire {
    pub async fn to(db: &TestDb) -> Self {
        let socket = format!("{}/.s.PGSQL.5432", shared_server().socket_folder());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cut = Arc::new(Mutex::new(CancellationToken::new()));
        let of_new = cut.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (socket, cut) = (socket.clone(), of_new.lock().unwrap().clone());
                tokio::spawn(async move {
                    let passing = async {
                        let mut far = UnixStream::connect(socket).await.unwrap();
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
        let name = db.options.get_database().unwrap();
        Self { url: format!("postgres://{OWNER}@{address}/{name}?sslmode=disable"), cut }
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
