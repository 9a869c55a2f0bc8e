//! Time-outs for statements to a server that has fallen silent.
//!
//! A machine that lost power or a cut cable sends no notice: without a time-out, a client waits until TCP gives up, after a
//! quarter of an hour. So long-running tasks bound each wait. In addition, the session settings make the server check its clients
//! sooner than its default of two hours, because the locks of a lost process would stay for that long.

use std::io;
use std::time::Duration;

/// For the beginning of a connection: over TCP, a client that is gone is noticed within half a minute; a transaction that nobody
/// goes on with does not keep its locks. (Over a Unix socket the first three do nothing.)
pub const NOTICE_A_LOST_CLIENT: &str = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5;
    SET tcp_keepalives_count = 3; SET idle_in_transaction_session_timeout = '60s'";

/// What is asked, or an error where there is no answer within `patience`: longer than any statement may take.
pub async fn with_timeout<T, E: From<sqlx::Error>>(
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
        let answered = with_timeout(patience, async { Ok::<_, sqlx::Error>(7) }).await;
        assert_eq!(answered.unwrap(), 7);
        let silence = with_timeout(patience, std::future::pending::<Result<(), sqlx::Error>>()).await;
        assert!(silence.unwrap_err().to_string().contains("no answer within 50ms"));
    }
}
