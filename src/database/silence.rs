//! A server that falls silent. A machine that lost its power, or a cable that was cut, tells nobody: whoever waits for an answer
//! waits until TCP gives up, a quarter of an hour later. So those who work for as long as the process does bound their waits,
//! and the server is asked to look after its own side sooner than by default, which is after two hours: a lock of a process
//! that is no more would stay for as long.

use std::io;
use std::time::Duration;

/// For the beginning of a connection: over TCP, a client that is gone is noticed within half a minute; a transaction that nobody
/// goes on with does not keep its locks. (Over a Unix socket the first three do nothing.)
pub const NOTICE_A_LOST_CLIENT: &str = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5;
    SET tcp_keepalives_count = 3; SET idle_in_transaction_session_timeout = '60s'";

/// What is asked, or an error where there is no answer within `patience`: longer than any statement may take.
pub async fn heard<T, E: From<sqlx::Error>>(
    patience: Duration,
    asking: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    tokio::time::timeout(patience, asking).await.unwrap_or_else(|_| {
        let silent = io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {patience:?}"));
        Err(sqlx::Error::Io(silent).into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_not_answered_is_told_so() {
        let patience = Duration::from_millis(50);
        let answered = heard(patience, async { Ok::<_, sqlx::Error>(7) }).await;
        assert_eq!(answered.unwrap(), 7);
        let silence = heard(patience, std::future::pending::<Result<(), sqlx::Error>>()).await;
        assert!(silence.unwrap_err().to_string().contains("no answer within 50ms"));
    }
}
