//! Commands that run beside one another, those of one room in the order in which they came.
//!
//! The executor's queue keeps the order in which commands are put into it. A command is put in as soon as the one before it in
//! its room has been, and need not wait for that one's answer: many to one room are committed together. A command for which
//! something has to be looked up is put in later: it waits for the answers to those before it in its room, and those after it
//! wait for its answer. Commands that want the same name wait for one another.

use std::collections::HashMap;
use std::task::Poll;

use futures_util::future::{BoxFuture, ready};
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt, poll};
use tokio_util::sync::CancellationToken;

use super::CommandResult;
use super::item::BatchItem;
use crate::commands::context::Lookup;
use crate::http::api::Api;
use crate::http::command_request;
use crate::http::problem::Problem;
use crate::ids::RoomId;

/// The commands in flight, answered in the order in which they came.
pub struct OrderedBatch {
    api: Api,
    /// Short answers are preferred.
    minimal: bool,
    running: FuturesOrdered<BoxFuture<'static, String>>,
    last_by_key: HashMap<OrderingKey, LastCommands>,
}

/// What commands with the same value keep their order by.
#[derive(PartialEq, Eq, Hash)]
enum OrderingKey {
    Room(RoomId),
    Name(String),
}

/// How far a command has come. Both tokens are cancelled also when it is dropped half-way.
#[derive(Clone, Default)]
struct CommandProgress {
    queued: CancellationToken,
    answered: CancellationToken,
}

/// Which commands with a key are to be waited for.
#[derive(Default)]
struct LastCommands {
    last: Option<CommandProgress>,
    last_with_lookup: Option<CommandProgress>,
}

/// Keys beyond which those that nobody waits for are dropped.
const MANY: usize = 1_024;

impl OrderedBatch {
    pub fn new(api: Api, minimal: bool) -> Self {
        Self { api, minimal, running: FuturesOrdered::new(), last_by_key: HashMap::new() }
    }

    /// Commands pushed and not yet answered.
    pub fn len(&self) -> usize {
        self.running.len()
    }

    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Adds a command, or what was wrong with it.
    pub async fn push(&mut self, item: Result<BatchItem, Problem>) {
        match item {
            Err(problem) => self.running.push_back(ready(CommandResult::text(Err(problem), self.minimal)).boxed()),
            Ok(BatchItem { request }) => {
                let lookup = request.command.lookup();
                let progress = CommandProgress::default();
                let mut before =
                    self.predecessors(OrderingKey::Room(request.room), lookup != Lookup::Nothing, &progress);
                if let Lookup::NameHolder(name) = lookup {
                    before.extend(self.predecessors(OrderingKey::Name(name), true, &progress));
                }
                let (executor, minimal) = (self.api.executor.clone(), self.minimal);
                let mut command = async move {
                    let CommandProgress { queued, answered } = progress;
                    let (queued, _answered) = (queued.drop_guard(), answered.drop_guard());
                    for before in before {
                        before.cancelled().await;
                    }
                    let answer = command_request::enqueue(&executor, request).await;
                    drop(queued);
                    CommandResult::text(answer.await.map_err(Problem::from), minimal)
                }
                .boxed();
                // It begins now, not when somebody asks for its answer.
                self.running.push_back(match poll!(&mut command) {
                    Poll::Ready(answer) => ready(answer).boxed(),
                    Poll::Pending => command,
                });
            }
        }
    }

    /// Which commands to wait for.
    fn predecessors(
        &mut self,
        key: OrderingKey,
        has_lookup: bool,
        progress: &CommandProgress,
    ) -> Vec<CancellationToken> {
        if self.last_by_key.len() >= MANY {
            self.last_by_key.retain(|_, last_commands| {
                last_commands.last.as_ref().is_some_and(|last| !last.answered.is_cancelled())
            });
        }
        let last_commands = self.last_by_key.entry(key).or_default();
        let before = if has_lookup {
            vec![last_commands.last.as_ref().map(|last| last.answered.clone())]
        } else {
            vec![
                last_commands.last_with_lookup.as_ref().map(|last| last.answered.clone()),
                last_commands.last.as_ref().map(|last| last.queued.clone()),
            ]
        };
        last_commands.last = Some(progress.clone());
        if has_lookup {
            last_commands.last_with_lookup = Some(progress.clone());
        }
        before.into_iter().flatten().collect()
    }

    /// What became of the next command, in the order in which they were pushed.
    pub async fn next(&mut self) -> Option<String> {
        self.running.next().await
    }
}
