//! The protocol of `convoke cache`: a question to all nodes is a notification on a direct connection, and so is each answer.
//!
//! A lost answer only shows as missing in the list of nodes. The number of nodes is the number of connections that listen.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{PgExecutor, PgPool};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::stats::NodeStats;
use super::warm::Warmed;
use super::{Cache, Pattern};
use crate::database::notifications::{Notice, Notifications, Subscription};
use crate::database::timeout::with_timeout;
use crate::ids::TenantId;

const REQUESTS: &str = "convoke_cache";
const ANSWERS: &str = "convoke_cache_told";

/// The name of the listening connection of a process that answers: these connections are counted.
const LISTENER: &str = "convoke-cache";

/// Whoever is there answers sooner.
const SILENCE: Duration = Duration::from_secs(10);

/// What is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    Stats,
    Warm,
    /// A pattern, of one tenant or of all.
    Forget {
        pattern: String,
        tenant: Option<TenantId>,
    },
}

/// What a node says to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    Stats(Box<NodeStats>),
    Warmed(Warmed),
    Forgot {
        memory: u64,
        redis: Option<u64>,
    },
    /// It could not.
    Failed(String),
}

#[derive(Serialize, Deserialize)]
struct CacheRequest {
    id: Uuid,
    question: Question,
}

/// A node's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeAnswer {
    id: Uuid,
    /// Process and machine.
    pub node: String,
    pub reply: Reply,
}

/// Answers of the nodes, by name, and how many should have come.
#[derive(Debug)]
pub struct Answers {
    pub received: Vec<NodeAnswer>,
    pub nodes: usize,
}

/// Asks all nodes, and waits until all have answered, for so long at most.
pub async fn ask(options: &PgConnectOptions, question: Question, patience: Duration) -> sqlx::Result<Answers> {
    let pool = PgPoolOptions::new().max_connections(2).connect_lazy_with(options.clone());
    let answers = with_timeout(patience + SILENCE, ask_on(&pool, question, patience)).await;
    pool.close().await;
    answers
}

async fn ask_on(pool: &PgPool, question: Question, patience: Duration) -> sqlx::Result<Answers> {
    let mut listener = PgListener::connect_with(pool).await?;
    // Answers that were given while it was not connected are lost: nothing is won by listening again.
    listener.eager_reconnect(false);
    listener.listen(ANSWERS).await?;
    let nodes: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE application_name = $1 AND datname = current_database()",
    )
    .bind(LISTENER)
    .fetch_one(pool)
    .await?;
    let mut answers = Answers { received: Vec::new(), nodes: usize::try_from(nodes).unwrap_or_default() };
    let id = Uuid::new_v4();
    notify(pool, REQUESTS, &CacheRequest { id, question }).await?;
    let deadline = Instant::now() + patience;
    while answers.received.len() < answers.nodes {
        let Ok(notification) = tokio::time::timeout_at(deadline, listener.try_recv()).await else { break };
        let Some(notification) = notification? else {
            let lost =
                io::Error::new(io::ErrorKind::ConnectionAborted, "the connection on which answers come was lost");
            return Err(sqlx::Error::Io(lost));
        };
        if let Ok(answer) = serde_json::from_str::<NodeAnswer>(notification.payload())
            && answer.id == id
        {
            answers.received.push(answer);
        }
    }
    drop(listener);
    answers.received.sort_by(|a, b| a.node.cmp(&b.node));
    Ok(answers)
}

async fn notify(pool: impl PgExecutor<'_>, channel: &str, what: &impl Serialize) -> sqlx::Result<()> {
    let payload = serde_json::to_string(what).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query("SELECT pg_notify($1, $2)").bind(channel).bind(payload).execute(pool).await.map(drop)
}

/// Answers operators, for the cache of this process.
pub struct CacheAdmin {
    cache: Cache,
    node: String,
    questions: Subscription,
}

impl CacheAdmin {
    pub fn new(cache: Cache, notifications: &mut Notifications) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        notifications.set_application_name(LISTENER);
        let questions = notifications.subscribe(REQUESTS);
        Self { cache, node: format!("{}@{}", std::process::id(), host.trim()), questions }
    }

    /// Until told to stop. A lost question or answer costs the operator one more try.
    pub async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = self.answer_all() => {}
            () = stop.cancelled() => {}
        }
    }

    async fn answer_all(&mut self) {
        loop {
            let Notice::Payload(payload) = self.questions.next().await else { continue };
            // What is not of this form is not for us.
            let Ok(request) = serde_json::from_str::<CacheRequest>(&payload) else { continue };
            let answer =
                NodeAnswer { id: request.id, node: self.node.clone(), reply: self.answer(request.question).await };
            if let Err(error) = with_timeout(SILENCE, notify(&self.cache.pool, ANSWERS, &answer)).await {
                tracing::warn!(%error, "the answer to `convoke cache` was not sent");
            }
        }
    }

    async fn answer(&self, question: Question) -> Reply {
        match question {
            Question::Stats => Reply::Stats(Box::new(self.cache.stats().await)),
            Question::Warm => match self.cache.warm().await {
                Ok(warmed) => Reply::Warmed(warmed),
                Err(error) => Reply::Failed(error.to_string()),
            },
            Question::Forget { pattern, tenant } => match Pattern::new(&pattern, tenant) {
                Ok(pattern) => self.forget(&pattern).await,
                Err(bad) => Reply::Failed(bad.to_string()),
            },
        }
    }

    async fn forget(&self, pattern: &Pattern) -> Reply {
        match self.cache.forget(pattern).await {
            Ok((memory, redis)) => Reply::Forgot { memory, redis },
            Err(error) => Reply::Failed(format!("Redis still holds it: {error}")),
        }
    }
}
