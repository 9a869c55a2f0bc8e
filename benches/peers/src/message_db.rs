//! message-db: its function `write_message`, called as a program in Rust would.

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

use crate::load::{Append, Failure};

pub struct Store {
    pool: PgPool,
    /// Between the category and the name of a room.
    separator: &'static str,
}

impl Store {
    /// In the database of the URL message-db is installed.
    pub async fn connect(url: &str, pool: u32, separator: &'static str) -> Result<Self, Failure> {
        let options = PgPoolOptions::new().max_connections(pool).after_connect(|connection, _| {
            Box::pin(async move {
                sqlx::query("SET search_path = message_store, public").execute(connection).await?;
                Ok(())
            })
        });
        Ok(Self { pool: options.connect(url).await?, separator })
    }
}

impl Append for Store {
    async fn append(&self, stream: Uuid, after: Option<u64>) -> Result<u64, Failure> {
        let expected = after.map_or(-1, |after| after as i64);
        let name = format!("room{}{}", self.separator, stream.simple());
        let written: i64 = sqlx::query_scalar("SELECT write_message($1, $2, 'HandRaised', $3::text::jsonb, NULL, $4)")
            .bind(Uuid::new_v4().to_string())
            .bind(name)
            .bind(r#"{"identity":"person-100"}"#)
            .bind(expected)
            .fetch_one(&self.pool)
            .await?;
        Ok(written as u64)
    }
}
