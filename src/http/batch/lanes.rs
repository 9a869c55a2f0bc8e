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
use super::item::Item;
use crate::commands::context::Need;
use crate::http::api::Api;
use crate::http::command_request;
use crate::http::problem::Problem;
use crate::ids::RoomId;

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

/// How far a command has come. Both tokens are cancelled also when it is dropped half-way.
#[derive(Clone, Default)]
struct Course {
    queued: CancellationToken,
    answered: CancellationToken,
}

/// Who on a way is to be waited for.
#[derive(Default)]
struct Lane {
    last: Option<Course>,
    last_with_need: Option<Course>,
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
                let course = Course::default();
                let mut before = self.turn(Way::Room(request.room), need != Need::Nothing, &course);
                if let Need::NameHolder(name) = need {
                    before.extend(self.turn(Way::Name(name), true, &course));
                }
                let (executor, minimal) = (self.api.executor.clone(), self.minimal);
                let mut command = async move {
                    let Course { queued, answered } = course;
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
                    Poll::Ready(told) => ready(told).boxed(),
                    Poll::Pending => command,
                });
            }
        }
    }

    /// Whom to wait for.
    fn turn(&mut self, way: Way, needs: bool, course: &Course) -> Vec<CancellationToken> {
        if self.lanes.len() >= MANY {
            self.lanes.retain(|_, lane| lane.last.as_ref().is_some_and(|last| !last.answered.is_cancelled()));
        }
        let lane = self.lanes.entry(way).or_default();
        let before = if needs {
            vec![lane.last.as_ref().map(|last| last.answered.clone())]
        } else {
            vec![
                lane.last_with_need.as_ref().map(|last| last.answered.clone()),
                lane.last.as_ref().map(|last| last.queued.clone()),
            ]
        };
        lane.last = Some(course.clone());
        if needs {
            lane.last_with_need = Some(course.clone());
        }
        before.into_iter().flatten().collect()
    }

    /// What became of the next command, in the order in which they were pushed.
    pub async fn next(&mut self) -> Option<String> {
        self.running.next().await
    }
}
