//! A writer that is gone between its decision and its answer: dropped wherever it happens to be. What it wrote is whole, and
//! whoever asks again under the same key learns which it was.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use convoke::events::log::LogError;
use convoke::events::log::append::{AppendBatch, Appended, Conflict};
use convoke::events::log::verify::VerifyResult;

use super::super::{fresh, now, room};
use super::port::Log;
use super::{Engine, keyed};

const WRITERS: usize = 60;

/// More steps than a writer takes that nobody cuts off.
const STEPS: usize = 8;

/// Cuts the writers off one step later than the other, by turns: half of them as soon as they wait, half of them when what they
/// wait for is there and they have not seen it. The first one has not begun, and the last one is not cut off at all. `true`: it
/// had its answer.
async fn cut_off(number: usize, writing: impl Future<Output = Result<Appended, LogError>>) -> bool {
    if number + 1 == WRITERS {
        return writing.await.is_ok();
    }
    let (mut steps, waits) = (number / 2 % STEPS, number % 2 == 1);
    let mut writing = pin!(writing);
    let answered = poll_fn(|context| {
        if steps == 0 {
            return Poll::Ready(false);
        }
        steps -= 1;
        match writing.as_mut().poll(context) {
            Poll::Ready(answered) => Poll::Ready(answered.is_ok()),
            Poll::Pending if steps == 0 && !waits => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    });
    answered.await
}

/// Goes on with a writer until what it writes is there, and not to its answer. `false`: the answer was there as soon.
async fn gone_once_written(log: &impl Log, writing: impl Future) -> bool {
    let before = log.head().await.unwrap().position;
    let mut writing = pin!(writing);
    loop {
        // One step; then whatever it waits for, of which it does not learn.
        let mut waits = false;
        let step = poll_fn(|context| {
            if waits {
                return Poll::Ready(false);
            }
            waits = true;
            writing.as_mut().poll(context).map(|_| true)
        });
        if step.await {
            return false;
        }
        if log.head().await.unwrap().position > before {
            return true;
        }
    }
}

pub async fn a_writer_that_is_gone_before_its_answer_has_written_once_or_not_at_all(engine: impl Engine) {
    let (writing, asking_again) = (engine.process().await, engine.process().await);
    let (mut answered, mut written_before, mut unheard) = (0, 0, 0);
    let mut number = 0;
    // And on until one has written and not heard of it for certain.
    while number < WRITERS || (unheard == 0 && number < 2 * WRITERS) {
        let key = room();
        let id = format!("key-{number}");
        let append = keyed(&id, &key, fresh(0, &key, 3));
        let batch = AppendBatch::new(now(), vec![append.clone()]);
        let done = if number < WRITERS {
            cut_off(number, writing.append(&batch)).await
        } else {
            !gone_once_written(&asking_again, writing.append(&batch)).await
        };
        number += 1;
        answered += usize::from(done);

        let again = asking_again.append(&AppendBatch::new(now(), vec![append])).await.unwrap();
        let first = match again.conflicts.get(&0) {
            None => {
                assert!(!done, "what was acknowledged is there");
                again.rooms[0].as_ref().unwrap().first_position
            }
            Some(conflicts) => {
                written_before += 1;
                unheard += usize::from(number > WRITERS && !done);
                let stored = conflicts.iter().find_map(|conflict| match conflict {
                    Conflict::KeyUsed { outcome, .. } => Some(outcome.position),
                    _ => None,
                });
                stored.expect("a room that was written to has its outcome") - 2
            }
        };
        let events = asking_again.read_room(&key, 0, 100).await.unwrap();
        let places: Vec<_> = events.iter().map(|event| (event.room_version, event.position)).collect();
        assert_eq!(places, [(1, first), (2, first + 1), (3, first + 2)]);
    }
    assert!(written_before > answered && written_before < number, "{answered} answered, {written_before} written");
    let verdict = asking_again.verify().await.unwrap();
    assert_eq!(verdict, VerifyResult::Whole { events: 3 * number as u64, rooms: number as u64 });
}

pub async fn a_group_of_rooms_survives_its_writer_whole_or_not_at_all(engine: impl Engine) {
    let (writing, reading) = (engine.process().await, engine.process().await);
    let mut groups = Vec::new();
    for number in 0..WRITERS {
        let (first, second) = (room(), room());
        let batch = AppendBatch::new(now(), vec![fresh(0, &first, 2), fresh(0, &second, 1)]);
        cut_off(number, writing.append(&batch)).await;
        groups.push((first.room, second.room));
    }
    let events = reading.read(0, 4 * WRITERS).await.unwrap();
    let count = |room| events.iter().filter(|event| event.room == room).count();
    let written: Vec<_> = groups.into_iter().map(|(first, second)| (count(first), count(second))).collect();
    assert!(written.iter().all(|counts| matches!(counts, (0, 0) | (2, 1))), "{written:?}");
    assert!(written.contains(&(0, 0)) && written.contains(&(2, 1)), "some were cut off, some were not: {written:?}");
    assert!(matches!(reading.verify().await.unwrap(), VerifyResult::Whole { .. }));
}
