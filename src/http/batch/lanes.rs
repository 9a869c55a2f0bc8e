//! Commands that run beside one another, those of one room in the order in which they came.
//!
//! A command joins the executor's queue when it is first polled, and the queue keeps its order: each is polled once as it is
//! pushed, needs no waiting for those before it, and many to one room are committed together. A command that has to look
//! something up first joins later: it waits for those before it in its room, and those after it wait for it. Commands that
//! want the same name wait for one another.

use std::collections::HashMap;
use std::task::Poll;

use futures_util::future::{BoxFuture, ready};
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt, poll};
use tokio_util::sync::CancellationToken;

use super::CommandResult;
use super::item::Item;
use crate::commands::context::Need;
use crate::events::ids::RoomId;
use crate::http::api::Api;
use crate::http::command_request;
use crate::http::problem::Problem;

/// The commands on their way.
pub struct Lanes {
    api: Api,
    /// Short answers are preferred.
    minimal: bool,
    running: FuturesOrdered<BoxFuture<'static, String>>,
    lanes: HashMap<Way, Lane>,
}

/// What commands may not overtake one another on.
#[derive(PartialEq, Eq, Hash)]
enum Way {
    Room(RoomId),
    Name(String),
}

/// Who on a way is to be waited for. A token is cancelled when its command has been answered.
#[derive(Default)]
struct Lane {
    last: Option<CancellationToken>,
    last_with_need: Option<CancellationToken>,
}

/// Lanes beyond which those that nobody waits for are forgotten.
const MANY: usize = 1_024;

impl Lanes {
    pub fn new(api: Api, minimal: bool) -> Self {
        Self { api, minimal, running: FuturesOrdered::new(), lanes: HashMap::new() }
    }

    /// Commands pushed and not yet answered.
    pub fn len(&self) -> usize {
        self.running.len()
    }

    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Adds a command, or what was wrong with it.
    pub async fn push(&mut self, item: Result<Item, Problem>) {
        match item {
            Err(problem) => self.running.push_back(ready(CommandResult::text(Err(problem), self.minimal)).boxed()),
            Ok(Item { request }) => {
                let need = request.command.needs();
                let answered = CancellationToken::new();
                let mut before = self.turn(Way::Room(request.room), need != Need::Nothing, &answered);
                if let Need::NameHolder(name) = need {
                    before.extend(self.turn(Way::Name(name), true, &answered));
                }
                let (executor, minimal) = (self.api.executor.clone(), self.minimal);
                // Unconstrained: to be put off for another task's sake would lose its place in the queue.
                let command = tokio::task::unconstrained(async move {
                    // Also wakes the waiting tasks when this is dropped half-way.
                    let _answered = answered.drop_guard();
                    for before in before {
                        before.cancelled().await;
                    }
                    let outcome = command_request::carry_out(&executor, request).await;
                    CommandResult::text(outcome.map_err(Problem::from), minimal)
                });
                let mut command = command.boxed();
                self.running.push_back(match poll!(&mut command) {
                    Poll::Ready(told) => ready(told).boxed(),
                    Poll::Pending => command,
                });
            }
        }
    }

    /// Whom to wait for.
    fn turn(&mut self, way: Way, needs: bool, answered: &CancellationToken) -> Vec<CancellationToken> {
        if self.lanes.len() >= MANY {
            self.lanes.retain(|_, lane| lane.last.as_ref().is_some_and(|last| !last.is_cancelled()));
        }
        let lane = self.lanes.entry(way).or_default();
        let before = if needs { lane.last.clone() } else { lane.last_with_need.clone() };
        lane.last = Some(answered.clone());
        if needs {
            lane.last_with_need = Some(answered.clone());
        }
        before.into_iter().collect()
    }

    /// What became of the next command, in the order in which they were pushed.
    pub async fn next(&mut self) -> Option<String> {
        self.running.next().await
    }
}
