//! The way to the shared PostgreSQL, on which the statements that pass are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, UnixStream};

use super::TestDb;
use super::shared_server::{OWNER, shared_server};

/// Passes bytes on. Ends with the test.
pub struct Counted {
    /// What a process is given as `DATABASE_URL`.
    pub url: String,
    statements: Arc<AtomicU64>,
}

impl Counted {
    pub async fn to(db: &TestDb) -> Self {
        let socket = format!("{}/.s.PGSQL.5432", shared_server().socket_folder());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let statements = Arc::new(AtomicU64::new(0));
        let counter = statements.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = UnixStream::connect(&socket).await.unwrap();
                let (mut from_near, mut to_near) = near.into_split();
                let (mut from_far, mut to_far) = far.into_split();
                let counter = counter.clone();
                tokio::spawn(async move {
                    let mut frames = Frames::default();
                    let mut chunk = vec![0; 64 * 1024];
                    while let Ok(read @ 1..) = from_near.read(&mut chunk).await {
                        counter.fetch_add(frames.statements(&chunk[..read]), Ordering::SeqCst);
                        if to_far.write_all(&chunk[..read]).await.is_err() {
                            break;
                        }
                    }
                });
                tokio::spawn(async move { copy(&mut from_far, &mut to_near).await });
            }
        });
        let name = db.options.get_database().unwrap();
        Self { url: format!("postgres://{OWNER}@{address}/{name}?sslmode=disable"), statements }
    }

    /// How many statements have been executed over it so far.
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::SeqCst)
    }
}

/// Where in the stream of a client's messages we are: each is a letter, a length that counts itself, and so much more. The
/// first one has no letter.
#[derive(Default)]
struct Frames {
    begun: bool,
    head: Vec<u8>,
    rest: usize,
}

impl Frames {
    /// Executions (`E`) and simple queries (`Q`) that begin in the bytes that came.
    fn statements(&mut self, mut bytes: &[u8]) -> u64 {
        let mut found = 0;
        while !bytes.is_empty() {
            let skipped = self.rest.min(bytes.len());
            self.rest -= skipped;
            bytes = &bytes[skipped..];
            let wanted = if self.begun { 5 } else { 4 };
            if let Some((byte, later)) = bytes.split_first().filter(|_| self.rest == 0) {
                self.head.push(*byte);
                bytes = later;
            }
            if self.head.len() == wanted {
                found += u64::from(self.begun && matches!(self.head[0], b'E' | b'Q'));
                let length = u32::from_be_bytes(self.head[wanted - 4..].try_into().unwrap());
                self.rest = length as usize - 4;
                self.begun = true;
                self.head.clear();
            }
        }
        found
    }
}
