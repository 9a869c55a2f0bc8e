//! Maps a position to offsets: where to read each partition for the events after it. Positions increase within a partition, so a
//! binary search finds the offset, in all partitions at once.

use rdkafka::message::Message as _;

use super::TopicError;
use super::partitions::{TopicPartitions, WalkControl};
use super::record;
use crate::ids::Position;

/// By partition, an offset before which all records have positions up to `after`.
pub fn behind(partitions: &TopicPartitions, after: Position) -> Result<Vec<i64>, TopicError> {
    let mut low: Vec<i64> = partitions.bounds.iter().map(|bounds| bounds.low).collect();
    let mut high: Vec<i64> = partitions.bounds.iter().map(|bounds| bounds.high).collect();
    if after == 0 {
        return Ok(low);
    }
    // All records before `low` are at or before `after`; from `high` on they are behind it.
    while low.iter().zip(&high).any(|(low, high)| low < high) {
        let middle: Vec<i64> = low.iter().zip(&high).map(|(low, high)| low + (high - low) / 2).collect();
        let starts: Vec<_> = (0..low.len()).map(|n| (low[n] < high[n]).then_some(middle[n])).collect();
        // Where no record follows the middle, there is none before the end.
        let mut found: Vec<Option<(i64, bool)>> = vec![None; low.len()];
        partitions.walk(&starts, |number, message| {
            let position = record::mark(message.headers())?.position;
            found[number] = Some((message.offset(), position <= after));
            Ok(WalkControl::Enough)
        })?;
        for number in 0..low.len() {
            match found[number] {
                Some((offset, true)) => low[number] = offset + 1,
                Some((_, false)) | None if low[number] < high[number] => high[number] = middle[number],
                Some(_) | None => {}
            }
        }
    }
    Ok(low)
}
