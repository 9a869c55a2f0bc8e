//! Everything that runs for as long as the process does: spawned, named and waited for in one place.
//!
//! One token stops them all. A task that ends before it was asked to, fails or panics takes the process down, with an error
//! that names it: a server that looks alive while a part of it is gone is worse than one that is restarted. Whoever does not
//! end within the patience of [`Tasks::wait`] is aborted and named.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// Why a task ended, in its own words.
pub type TaskError = Box<dyn std::error::Error + Send + Sync>;

/// What a task may return: nothing, or a failure.
pub trait TaskEnd: Send + 'static {
    fn into_result(self) -> Result<(), TaskError>;
}

impl TaskEnd for () {
    fn into_result(self) -> Result<(), TaskError> {
        Ok(())
    }
}

impl<E: Into<TaskError> + Send + 'static> TaskEnd for Result<(), E> {
    fn into_result(self) -> Result<(), TaskError> {
        self.map_err(Into::into)
    }
}

/// Why the process stops although nobody asked it to.
#[derive(Debug, thiserror::Error)]
pub enum TaskFailure {
    #[error("the task {name} ended although nobody stopped it")]
    Ended { name: &'static str },
    #[error("the task {name} failed")]
    Failed { name: &'static str, source: TaskError },
    #[error("the task {name} panicked: {message}")]
    Panicked { name: &'static str, message: String },
    #[error("not ended {patience:?} after the stop, and aborted: {names}")]
    Overdue { names: String, patience: Duration },
}

/// The long tasks of one process.
#[derive(Debug)]
pub struct Tasks {
    token: CancellationToken,
    running: JoinSet<Result<(), TaskError>>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    /// `token` stops them all; the first failure cancels it.
    pub fn new(token: CancellationToken) -> Self {
        Self { token, running: JoinSet::new(), names: HashMap::new() }
    }

    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// `task` gets the token, and runs until it is cancelled.
    pub fn spawn<F, Fut>(&mut self, name: &'static str, task: F)
    where
        F: FnOnce(CancellationToken) -> Fut,
        Fut: Future<Output: TaskEnd> + Send + 'static,
    {
        let future = task(self.token.clone());
        let handle = self.running.spawn(async move { future.await.into_result() });
        self.names.insert(handle.id(), name);
    }

    /// Waits until the token is cancelled or a task fails, then up to `patience` for all to end. The first failure is the
    /// one that is returned.
    pub async fn wait(mut self, patience: Duration) -> Result<(), TaskFailure> {
        let mut first = self.until_stop().await;
        self.token.cancel();
        if tokio::time::timeout(patience, self.until_empty(&mut first)).await.is_err() {
            let mut names: Vec<&str> = self.names.values().copied().collect();
            names.sort_unstable();
            first.get_or_insert(TaskFailure::Overdue { names: names.join(", "), patience });
            self.running.shutdown().await;
        }
        first.map_or(Ok(()), Err)
    }

    async fn until_stop(&mut self) -> Option<TaskFailure> {
        let token = self.token.clone();
        tokio::select! {
            () = token.cancelled() => None,
            Some(ended) = self.running.join_next_with_id() => {
                let stopping = self.token.is_cancelled();
                self.failure(ended, stopping)
            }
        }
    }

    async fn until_empty(&mut self, first: &mut Option<TaskFailure>) {
        while let Some(ended) = self.running.join_next_with_id().await {
            if let Some(failure) = self.failure(ended, true) {
                if first.is_some() {
                    tracing::error!(%failure, "another task failed");
                } else {
                    *first = Some(failure);
                }
            }
        }
    }

    fn failure(
        &mut self,
        ended: Result<(Id, Result<(), TaskError>), JoinError>,
        stopping: bool,
    ) -> Option<TaskFailure> {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let name = self.names.remove(&id).unwrap_or("unnamed");
        match ended {
            Ok((_, Ok(()))) if stopping => None,
            Ok((_, Ok(()))) => Some(TaskFailure::Ended { name }),
            Ok((_, Err(source))) => Some(TaskFailure::Failed { name, source }),
            Err(error) if error.is_panic() => {
                Some(TaskFailure::Panicked { name, message: panic_message(&*error.into_panic()) })
            }
            Err(_) => None,
        }
    }
}

/// The text that a panic was raised with.
pub fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn all_tasks_end_when_the_token_is_cancelled() {
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("one", |token| async move { token.cancelled().await });
        tasks.spawn("two", |token| async move {
            token.cancelled().await;
            Ok::<(), std::io::Error>(())
        });
        let token = tasks.token().clone();
        token.cancel();
        tasks.wait(PATIENCE).await.expect("both ended as asked");
    }

    #[tokio::test]
    async fn a_task_that_ends_early_stops_the_others_and_is_named() {
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("steady", |token| async move { token.cancelled().await });
        tasks.spawn("hasty", |_| async {});
        let failure = tasks.wait(PATIENCE).await.expect_err("a task ended early");
        assert_eq!(failure.to_string(), "the task hasty ended although nobody stopped it");
    }

    #[tokio::test]
    async fn a_task_that_fails_or_panics_is_named_with_its_reason() {
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("broken", |_| async { Err(std::io::Error::other("no more disk")) });
        let failure = tasks.wait(PATIENCE).await.expect_err("a task failed");
        let source = std::error::Error::source(&failure).map(ToString::to_string);
        assert_eq!((failure.to_string().as_str(), source.as_deref()), ("the task broken failed", Some("no more disk")));

        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("wild", |token| async move {
            assert!(token.is_cancelled(), "at the disco");
        });
        let failure = tasks.wait(PATIENCE).await.expect_err("a task panicked");
        assert_eq!(failure.to_string(), "the task wild panicked: at the disco");
    }

    #[tokio::test]
    async fn a_task_that_does_not_stop_is_aborted_and_named() {
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("deaf", |_| std::future::pending::<()>());
        tasks.token().cancel();
        let failure = tasks.wait(Duration::from_millis(50)).await.expect_err("a task did not stop");
        assert_eq!(failure.to_string(), "not ended 50ms after the stop, and aborted: deaf");
    }
}
