//! What benchmarks stand on: a PostgreSQL with durable settings, one with PostgreSQL's own, the release server on them, a Kafka, the page the results go to.

mod defaults;
mod history;
mod kafka;
mod page;
mod peer;
mod postgres;
mod promise;
mod redis;
mod served;

pub use defaults::DefaultPostgres;
pub use history::fill;
pub use kafka::Kafka;
pub use page::{machine, tell};
pub use peer::Peer;
pub use postgres::Postgres;
pub use promise::Promise;
pub use redis::Redis;
pub use served::Served;

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The middle one of several runs.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
