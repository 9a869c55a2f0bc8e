//! Determines the result of each submission from the result of its batch: a response, or another attempt.

use super::answer::{self, Outcome};
use super::error::ExecuteError;
use super::planned::{Planned, PlannedOutcome};
use super::request::Request;
use super::submission::{Submission, Verdict};
use crate::commands::context::Need;
use crate::events::log::append::{Appended, Conflict, OutcomeAt};

/// What became of a batch.
pub struct Committed<T> {
    pub answered: Vec<(T, Verdict)>,
    /// To be submitted again, in this order, before anything later to the same rooms.
    pub put_off: Vec<Submission<T>>,
}

/// Answers what was written, and what was left out for a reason of its own; the rest of what was left out is put off.
pub fn resolve<T>(
    answers: Vec<Planned<T>>,
    put_off: Vec<Submission<T>>,
    appended: &Appended,
    conflict_retries: u32,
) -> Committed<T> {
    let nothing = !appended.conflicts.is_empty() && appended.rooms.iter().all(Option::is_none);
    let mut committed = Committed { answered: Vec::with_capacity(answers.len()), put_off: Vec::new() };
    for planned in answers {
        let Planned { mut submission, unit, result } = planned;
        let Some(conflicts) = appended.conflicts.get(&unit) else {
            if nothing {
                committed.put_off.push(submission);
                continue;
            }
            let verdict = match result {
                Ok(outcomes) => Verdict::Done(outcomes.into_iter().map(|outcome| placed(outcome, appended)).collect()),
                Err((index, error)) => Verdict::Failed { index, error },
            };
            committed.answered.push((submission.ticket, verdict));
            continue;
        };
        if let Some(verdict) = own_conflict(&submission, conflicts) {
            committed.answered.push((submission.ticket, verdict));
            continue;
        }
        if conflicts.iter().any(|conflict| matches!(conflict, Conflict::Version { .. })) {
            submission.attempts += 1;
        }
        if submission.attempts > conflict_retries {
            let verdict = Verdict::Failed { index: 0, error: ExecuteError::Conflict };
            committed.answered.push((submission.ticket, verdict));
        } else {
            committed.put_off.push(submission);
        }
    }
    committed.put_off.extend(put_off);
    committed
}

/// The outcome at its place in the log.
fn placed(outcome: PlannedOutcome, appended: &Appended) -> Outcome {
    let (position, recorded_at) = match (outcome.at, &appended.rooms[outcome.room]) {
        (OutcomeAt::Event(index), Some(written)) => (written.position_of(index), written.recorded_at),
        (OutcomeAt::Event(_), None) => (appended.position, appended.recorded_at),
        (OutcomeAt::Already { position, recorded_at }, _) => (position, recorded_at),
    };
    Outcome {
        status: outcome.status,
        room: outcome.about,
        room_version: outcome.room_version,
        position,
        recorded_at,
        body: answer::render(position, recorded_at, &outcome.kept),
        replayed: false,
    }
}

/// A conflict over something that this submission itself brought: its keys, its names.
fn own_conflict<T>(submission: &Submission<T>, conflicts: &[Conflict]) -> Option<Verdict> {
    let stored = |request: &Request| {
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
            let replayed = stored.ok_or(ExecuteError::KeyReused).and_then(|stored| answer::replay(request, stored));
            match replayed {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => return Some(Verdict::Failed { index, error }),
            }
        }
        return Some(Verdict::Done(outcomes));
    }
    let wants = |wanted: &str| {
        submission.requests.iter().any(|request| request.command.needs() == Need::NameHolder(wanted.to_owned()))
    };
    let stale = |conflict: &Conflict| matches!(conflict, Conflict::NameTaken { name, .. } if wants(name));
    conflicts.iter().any(stale).then_some(Verdict::StaleFacts)
}
