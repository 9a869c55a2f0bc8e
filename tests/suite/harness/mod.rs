//! What the tests stand on: a real PostgreSQL ([`TestDb`]), a real Redis ([`Redis`]), the real program ([`Run`], [`Server`]), and waiting for
//! conditions ([`eventually`]).
//!
//! Nothing is left running or lying about, also when a test panics or the test process is killed: programs and folders hang
//! on pipes that close with the process.

mod base_backup;
mod certificate;
mod counted;
mod cutting;
mod eventually;
mod folder;
mod guarded;
pub mod kafka;
mod listening;
mod other_tools;
pub mod pooler;
pub mod postgres;
mod redis;
mod run;
mod server;
mod shared_server;
pub mod standby;
mod test_db;
pub mod tokens;
mod wire;

pub use certificate::Certificate;
pub use counted::Counted;
pub use cutting::{Cut, Cutting, Over};
pub use eventually::eventually;
pub use folder::{Folder, folder};
pub use guarded::{Guarded, free_port};
pub use listening::{end_connection, follow_head, listening};
pub use other_tools::{node, python};
pub use redis::Redis;
pub use run::{Ended, Run};
pub use server::{Server, client};
pub use test_db::{TestDb, database_config};
pub use wire::Wire;
