//! Idempotency keys and names.

use convoke::events::log::append::{
    AppendBatch, Conflict, NameChange, NewOutcome, OutcomeAt, RoomAppend, StoredOutcome,
};
use convoke::ids::RoomKey;

use super::super::{fresh, more, now, room, tenant, write};
use super::Engine;
use super::port::Log;

fn outcome(key: &str, about: &RoomKey, body: &str, at: OutcomeAt) -> NewOutcome {
    NewOutcome { key: key.into(), fingerprint: [7; 32], status: 200, about: about.room, body: body.into(), at }
}

pub fn keyed(key: &str, about: &RoomKey, append: RoomAppend) -> RoomAppend {
    let at = OutcomeAt::Event(append.events.len() - 1);
    RoomAppend { outcomes: vec![outcome(key, about, r#"{"answer":1}"#, at)], ..append }
}

fn stored(conflict: &Conflict) -> &StoredOutcome {
    match conflict {
        Conflict::KeyUsed { outcome, .. } => outcome,
        other => panic!("{other:?}"),
    }
}

pub async fn a_key_gives_its_outcome_again_and_writes_nothing(engine: impl Engine) {
    let log = engine.process().await;
    let key = room();
    let appended = log.append(&AppendBatch::new(now(), vec![keyed("k1", &key, fresh(0, &key, 2))])).await.unwrap();
    let again = keyed("k1", &key, more(&log, 0, &key, 1).await);
    let refused = log.append(&AppendBatch::new(now(), vec![again])).await.unwrap();
    let found = stored(&refused.conflicts[&0][0]).clone();
    assert_eq!((found.position, found.recorded_at, found.status), (2, appended.recorded_at, 200));
    assert_eq!((found.body.as_str(), found.about, found.fingerprint), (r#"{"answer":1}"#, key.room, [7; 32]));
    assert_eq!(log.head().await.unwrap().position, 2);
    assert_eq!(log.outcome(&key.tenant, "k1").await.unwrap(), Some(found));
    assert_eq!(log.outcome(&tenant("other"), "k1").await.unwrap(), None, "keys are a tenant's own");
}

pub async fn an_outcome_of_nothing_written_is_kept_at_the_place_it_is_true_at(engine: impl Engine) {
    let log = engine.process().await;
    let key = room();
    write(&log, &key, 3).await;
    let head = log.room_head(&key).await.unwrap().unwrap();
    let at = OutcomeAt::Already { position: head.last_position, recorded_at: head.last_recorded_at };
    let mut append = more(&log, 0, &key, 0).await;
    append.outcomes = vec![outcome("noop", &key, "{}", at)];
    let appended = log.append(&AppendBatch::new(now(), vec![append])).await.unwrap();
    assert_eq!(appended.position, 3);
    let found = log.outcome(&key.tenant, "noop").await.unwrap().unwrap();
    assert_eq!((found.position, found.recorded_at), (3, head.last_recorded_at));
}

pub async fn one_key_used_by_many_at_once_gives_one_outcome(engine: impl Engine) {
    let logs = [engine.process().await, engine.process().await];
    let attempts: Vec<_> = (0..16)
        .map(|number| {
            let (log, key) = (logs[number % 2].clone(), room());
            tokio::spawn(async move {
                let batch = AppendBatch::new(now(), vec![keyed("once", &key, fresh(0, &key, 1))]);
                let appended = log.append(&batch).await.unwrap();
                match appended.conflicts.get(&0) {
                    None => appended.position,
                    Some(conflicts) => stored(&conflicts[0]).position,
                }
            })
        })
        .collect();
    for attempt in attempts {
        assert_eq!(attempt.await.unwrap(), 1);
    }
    assert_eq!(logs[0].head().await.unwrap().position, 1);
}

fn named(name: &str, append: RoomAppend) -> RoomAppend {
    RoomAppend { names: vec![NameChange::Claim(name.into())], ..append }
}

async fn claim(log: &impl Log, name: &str, key: &RoomKey) -> Result<(), Conflict> {
    let appended = log.append(&AppendBatch::new(now(), vec![named(name, fresh(0, key, 1))])).await.unwrap();
    appended.conflicts.get(&0).map_or(Ok(()), |conflicts| Err(conflicts[0].clone()))
}

pub async fn a_name_wanted_by_many_at_once_is_one_rooms(engine: impl Engine) {
    let logs = [engine.process().await, engine.process().await];
    let claims: Vec<_> = (0..16)
        .map(|number| {
            let (log, key) = (logs[number % 2].clone(), room());
            tokio::spawn(async move { (key.clone(), claim(&log, "standup", &key).await) })
        })
        .collect();
    let (mut winners, mut pointed_to) = (Vec::new(), Vec::new());
    for claim in claims {
        match claim.await.unwrap() {
            (key, Ok(())) => winners.push(key.room),
            (_, Err(Conflict::NameTaken { holder, .. })) => pointed_to.push(holder),
            (_, Err(other)) => panic!("{other:?}"),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(pointed_to, vec![winners[0]; 15]);
    assert_eq!(logs[0].room_named(&tenant("acme"), "standup").await.unwrap(), Some(winners[0]));
    assert_eq!(logs[0].room_named(&tenant("other"), "standup").await.unwrap(), None);
}

pub async fn a_name_that_was_let_go_can_be_taken(engine: impl Engine) {
    let log = engine.process().await;
    let (first, second) = (room(), room());
    claim(&log, "standup", &first).await.unwrap();
    let mut release = more(&log, 0, &first, 1).await;
    release.names = vec![NameChange::Release("standup".into())];
    log.append(&AppendBatch::new(now(), vec![release])).await.unwrap();
    assert_eq!(log.room_named(&first.tenant, "standup").await.unwrap(), None);
    claim(&log, "standup", &second).await.unwrap();
    assert_eq!(log.room_named(&first.tenant, "standup").await.unwrap(), Some(second.room));
}
