//! Finds the position after which a session continues. The topic's committed end says what was sent, and the hashes of the events
//! show whether the log has the same events. If they differ, the log was rewound: the relay stops until an operator begins a new
//! epoch, and then continues after the last common event.

use uuid::Uuid;

use super::RelayError;
use crate::events::log::{EventLog, LogHead};
use crate::events::topic::end::TopicEnd;
use crate::events::topic::record::RecordMark;
use crate::ids::Position;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResumeRefusal {
    #[error(
        "the topic holds position {topic} of a history that the log does not have: the log ends at {log}, and both agree up to \
         {common} only. Was it restored from a backup? If what was lost is to stay lost, run `convoke log fence`"
    )]
    Rewound { topic: Position, log: Position, common: Position },
    #[error(
        "the topic holds events of another log. Name another topic by CONVOKE_KAFKA_PREFIX, or delete this one and let it be \
         filled anew"
    )]
    AnotherLog,
}

/// Behind which position, and why there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumePoint {
    pub after: Position,
    pub why: &'static str,
}

/// What was found, without the looking.
#[derive(Clone, Copy, Debug)]
struct TopicFindings {
    /// Nothing was ever written to the topic.
    untouched: bool,
    /// The topic's newest record.
    newest: Option<RecordMark>,
    /// The newest position that topic and log agree on, of what the topic still has.
    common: Option<Position>,
    head: Position,
    epoch: Uuid,
    /// What an earlier session left in the database.
    known: Option<Position>,
}

/// Looks back over the topic's end until it meets what the log has too.
pub async fn find(
    log: &EventLog,
    head: &LogHead,
    known: Option<Position>,
    mut end: TopicEnd,
) -> Result<ResumePoint, RelayError> {
    let common = loop {
        let common = newest_common(log, end.marks()).await?;
        if common.is_some() {
            break common;
        }
        let (back, further) = tokio::task::spawn_blocking(move || {
            let further = end.further();
            (end, further)
        })
        .await
        .expect("looking does not panic");
        end = back;
        if !further? {
            break None;
        }
    };
    let facts = TopicFindings {
        untouched: end.untouched(),
        newest: end.newest(),
        common,
        head: head.position,
        epoch: head.epoch,
        known,
    };
    Ok(decide(facts)?)
}

async fn newest_common(log: &EventLog, marks: &[RecordMark]) -> Result<Option<Position>, RelayError> {
    let positions: Vec<Position> = marks.iter().map(|mark| mark.position).collect();
    let hashes = log.hashes(&positions).await?;
    let same = |mark: &&RecordMark| hashes.get(&mark.position) == Some(&mark.hash);
    Ok(marks.iter().find(same).map(|mark| mark.position))
}

fn decide(facts: TopicFindings) -> Result<ResumePoint, ResumeRefusal> {
    let Some(newest) = facts.newest else {
        return Ok(match facts.known {
            Some(after) if !facts.untouched => ResumePoint { after, why: "behind what the topic has let go" },
            Some(_) => ResumePoint { after: 0, why: "from the beginning: the topic is new" },
            None => ResumePoint { after: 0, why: "from the beginning" },
        });
    };
    let rewound = ResumeRefusal::Rewound { topic: newest.position, log: facts.head, common: facts.common.unwrap_or(0) };
    match (facts.common, facts.known) {
        (Some(common), _) if common == newest.position => {
            Ok(ResumePoint { after: common, why: "behind the topic's last event" })
        }
        _ if newest.epoch == facts.epoch => Err(rewound),
        (Some(after), _) => {
            Ok(ResumePoint { after, why: "behind the last event that the new epoch has in common with the topic" })
        }
        (None, Some(after)) => Ok(ResumePoint { after, why: "behind what was sent before the new epoch" }),
        (None, None) => Err(ResumeRefusal::AnotherLog),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Uuid = Uuid::from_u128(1);
    const NEW: Uuid = Uuid::from_u128(2);

    fn facts() -> TopicFindings {
        let newest = RecordMark { position: 90, epoch: OLD, hash: [0; 32] };
        TopicFindings {
            untouched: false,
            newest: Some(newest),
            common: Some(90),
            head: 100,
            epoch: OLD,
            known: Some(80),
        }
    }

    fn after(facts: TopicFindings) -> Result<Position, ResumeRefusal> {
        decide(facts).map(|resume| resume.after)
    }

    #[test]
    fn it_goes_on_behind_the_topic_whatever_the_stored_progress_says() {
        assert_eq!(after(facts()), Ok(90));
        assert_eq!(after(TopicFindings { known: None, ..facts() }), Ok(90));
        assert_eq!(after(TopicFindings { known: Some(99), ..facts() }), Ok(90));
        assert_eq!(after(TopicFindings { epoch: NEW, ..facts() }), Ok(90), "a fence that lost nothing changes nothing");
    }

    #[test]
    fn an_empty_topic_is_filled_and_one_that_let_its_records_go_is_gone_on_with() {
        let empty = TopicFindings { newest: None, common: None, ..facts() };
        assert_eq!(after(empty), Ok(80));
        assert_eq!(after(TopicFindings { untouched: true, ..empty }), Ok(0), "a topic made anew");
        assert_eq!(after(TopicFindings { untouched: true, known: None, ..empty }), Ok(0));
    }

    #[test]
    fn a_rewound_log_is_refused_until_a_new_epoch_has_begun() {
        for (head, common) in [(85, Some(85)), (200, Some(85)), (200, None)] {
            let rewound = TopicFindings { head, common, ..facts() };
            let refusal = ResumeRefusal::Rewound { topic: 90, log: head, common: common.unwrap_or(0) };
            assert_eq!(after(rewound), Err(refusal));
            assert_eq!(after(TopicFindings { epoch: NEW, ..rewound }), Ok(common.unwrap_or(80)));
        }
    }

    #[test]
    fn the_topic_of_another_log_is_refused() {
        let other = TopicFindings { common: None, known: None, epoch: NEW, ..facts() };
        assert_eq!(after(other), Err(ResumeRefusal::AnotherLog));
    }
}
