//! What the tests stand on: a real PostgreSQL, the real program, and waiting for conditions.
//!
//! Nothing is left running or lying about, also when a test panics or the test process is killed: servers and folders hang
//! on pipes that close with the process.

mod shared_server;
mod test_db;

pub use test_db::TestDb;
