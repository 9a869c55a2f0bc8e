//! Finds the end of the topic: its newest committed records, searched backwards.
//!
//! Transaction markers and aborted records take offsets too, so the last record of a partition may be far before its end: the
//! search goes back in growing steps.

use rdkafka::message::Message as _;

use super::TopicError;
use super::partitions::{TopicPartitions, WalkControl};
use super::record::{self, RecordMark};

/// The first look back, in offsets of each partition; each further one goes back so many times as far.
const FIRST_LOOK: i64 = 64;
const FURTHER: i64 = 8;

/// The newest records, looked at step by step.
pub struct TopicEnd {
    partitions: TopicPartitions,
    /// How far back has been looked, in offsets of each partition.
    looked: i64,
    /// Newest first.
    marks: Vec<RecordMark>,
}

impl TopicEnd {
    /// Has looked back as far as there is a record, if there is any.
    pub fn look(partitions: TopicPartitions) -> Result<Self, TopicError> {
        let mut end = Self { partitions, looked: 0, marks: Vec::new() };
        while end.marks.is_empty() && end.further()? {}
        Ok(end)
    }

    /// The newest record.
    pub fn newest(&self) -> Option<RecordMark> {
        self.marks.first().copied()
    }

    /// What has been seen, newest first.
    pub fn marks(&self) -> &[RecordMark] {
        &self.marks
    }

    /// Nothing was ever written to the topic.
    pub fn untouched(&self) -> bool {
        self.partitions.untouched()
    }

    /// Looks further back; `false`: all has been seen.
    pub fn further(&mut self) -> Result<bool, TopicError> {
        if self.partitions.bounds.iter().all(|bounds| bounds.high - self.looked <= bounds.low) {
            return Ok(false);
        }
        self.looked = if self.looked == 0 { FIRST_LOOK } else { self.looked.saturating_mul(FURTHER) };
        let starts: Vec<_> =
            self.partitions.bounds.iter().map(|bounds| Some((bounds.high - self.looked).max(bounds.low))).collect();
        let mut marks = Vec::new();
        self.partitions.walk(&starts, |_, message| {
            marks.push(record::mark(message.headers())?);
            Ok(WalkControl::On)
        })?;
        // Of two records of one position the one of the newer history was written later, and is found among the newer ones.
        marks.sort_by_key(|mark| std::cmp::Reverse(mark.position));
        self.marks = marks;
        Ok(true)
    }
}
