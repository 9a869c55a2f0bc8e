//! Determines the result of each submission from the result of its batch: a response, or another attempt.

use super::error::ExecuteError;
use super::pending_commands::{ExecutionResult, PendingCommands};
use super::planned::{PlannedCommands, PlannedOutcome};
use super::request::CommandRequest;
use super::response::{self, CommandOutcome};
use crate::commands::context::Lookup;
use crate::events::log::append::{Appended, Conflict, OutcomeAt};

/// What became of a batch.
pub struct ResolvedBatch<T> {
    pub answered: Vec<(T, ExecutionResult)>,
    /// To be submitted again, in this order, before anything later to the same rooms.
    pub deferred: Vec<PendingCommands<T>>,
}

/// Answers what was written, and what was left out for a reason of its own; the rest of what was left out is deferred.
pub fn resolve<T>(
    answers: Vec<PlannedCommands<T>>,
    deferred: Vec<PendingCommands<T>>,
    appended: &Appended,
    conflict_retries: u32,
) -> ResolvedBatch<T> {
    let nothing = !appended.conflicts.is_empty() && appended.rooms.iter().all(Option::is_none);
    let mut committed = ResolvedBatch { answered: Vec::with_capacity(answers.len()), deferred: Vec::new() };
    for planned in answers {
        let PlannedCommands { mut submission, unit, result } = planned;
        let Some(conflicts) = appended.conflicts.get(&unit) else {
            if nothing {
                committed.deferred.push(submission);
                continue;
            }
            let verdict = match result {
                Ok(outcomes) => {
                    ExecutionResult::Done(outcomes.into_iter().map(|outcome| placed(outcome, appended)).collect())
                }
                Err((index, error)) => ExecutionResult::Failed { index, error },
            };
            committed.answered.push((submission.reply_to, verdict));
            continue;
        };
        if let Some(verdict) = own_conflict(&submission, conflicts) {
            committed.answered.push((submission.reply_to, verdict));
            continue;
        }
        if conflicts.iter().any(|conflict| matches!(conflict, Conflict::Version { .. })) {
            submission.attempts += 1;
        }
        if submission.attempts > conflict_retries {
            let verdict = ExecutionResult::Failed { index: 0, error: ExecuteError::Conflict };
            committed.answered.push((submission.reply_to, verdict));
        } else {
            committed.deferred.push(submission);
        }
    }
    committed.deferred.extend(deferred);
    committed
}

/// The outcome at its place in the log.
fn placed(outcome: PlannedOutcome, appended: &Appended) -> CommandOutcome {
    let (position, recorded_at) = match (outcome.at, &appended.rooms[outcome.room]) {
        (OutcomeAt::Event(index), Some(written)) => (written.position_of(index), written.recorded_at),
        (OutcomeAt::Event(_), None) => (appended.position, appended.recorded_at),
        (OutcomeAt::Already { position, recorded_at }, _) => (position, recorded_at),
    };
    CommandOutcome {
        status: outcome.status,
        room: outcome.about,
        room_version: outcome.room_version,
        position,
        recorded_at,
        body: response::render(position, recorded_at, &outcome.kept),
        replayed: false,
    }
}

/// A conflict over something that this submission itself brought: its keys, its names.
fn own_conflict<T>(submission: &PendingCommands<T>, conflicts: &[Conflict]) -> Option<ExecutionResult> {
    let stored = |request: &CommandRequest| {
        let given = request.idempotency.as_ref()?;
        conflicts.iter().find_map(|conflict| match conflict {
            Conflict::KeyUsed { key, outcome } if *key == given.key => Some(outcome.clone()),
            _ => None,
        })
    };
    let found: Vec<_> = submission.requests.iter().map(|request| (request, stored(request))).collect();
    if found.iter().any(|(_, stored)| stored.is_some()) {
        let mut outcomes = Vec::with_capacity(found.len());
        for (index, (request, stored)) in found.into_iter().enumerate() {
            // A group is answered again as a whole or not at all.
            let replayed = stored.ok_or(ExecuteError::KeyReused).and_then(|stored| response::replay(request, stored));
            match replayed {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => return Some(ExecutionResult::Failed { index, error }),
            }
        }
        return Some(ExecutionResult::Done(outcomes));
    }
    let wants = |wanted: &str| {
        submission.requests.iter().any(|request| request.command.lookup() == Lookup::NameHolder(wanted.to_owned()))
    };
    let stale = |conflict: &Conflict| matches!(conflict, Conflict::NameTaken { name, .. } if wants(name));
    conflicts.iter().any(stale).then_some(ExecutionResult::StaleLookups)
}
