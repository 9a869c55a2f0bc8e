//! Searches the topic from its first record to its last: keys, headers, values. Includes the records of aborted transactions,
//! because they are stored as well.

use std::sync::mpsc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rdkafka::ClientConfig;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use tokio_util::sync::CancellationToken;

use super::search::{PlaceSearch, TextSearch};
use crate::cli::progress::WorkProgress;
use crate::events::topic::TopicError;
use crate::events::topic::partitions::{TopicPartitions, WalkControl};

/// In base64; what lies under it is searched, for digits without sense hold any short text by chance.
const SEALED: &str = "ce_sealed";

/// `false`: told to stop.
pub async fn search(
    client: ClientConfig,
    topic: String,
    search: TextSearch,
    stop: &CancellationToken,
) -> anyhow::Result<(TextSearch, bool)> {
    let (give, take) = mpsc::channel();
    let stopped = stop.clone();
    // Kafka's client blocks its thread.
    let walked = tokio::task::spawn_blocking(move || {
        let mut search = search;
        let walked = walk(&client, &topic, &mut search, &stopped);
        // Who gave it waits for it.
        let _ = give.send(search);
        walked
    });
    let walked = walked.await?;
    let search = take.recv()?;
    Ok((search, walked?))
}

fn walk(
    client: &ClientConfig,
    topic: &str,
    search: &mut TextSearch,
    stop: &CancellationToken,
) -> Result<bool, TopicError> {
    let partitions = match TopicPartitions::open_for_everything(client, topic) {
        Err(TopicError::Missing(_)) => {
            search.enter(format!("topic {topic} (it is not there)"), "records");
            return Ok(true);
        }
        opened => opened?,
    };
    let mut hunt = search.enter(format!("topic {topic}"), "records");
    let total: i64 = partitions.bounds.iter().map(|bounds| bounds.high - bounds.low).sum();
    let mut progress = WorkProgress::new("topic", "records", u64::try_from(total).ok());
    let starts: Vec<_> = partitions.bounds.iter().map(|bounds| Some(bounds.low)).collect();
    partitions.walk(&starts, |partition, message| {
        // What comes after the end of now was written after the erasure.
        if stop.is_cancelled() || message.offset() >= partitions.bounds[partition].high {
            return Ok(WalkControl::Enough);
        }
        look(&mut hunt, message);
        progress.advance(1);
        Ok(WalkControl::On)
    })?;
    progress.finish();
    Ok(!stop.is_cancelled())
}

fn look(hunt: &mut PlaceSearch<'_>, message: &BorrowedMessage<'_>) {
    hunt.count();
    let at = |part: &str| format!("partition {}, offset {}, {part}", message.partition(), message.offset());
    hunt.look(message.key().unwrap_or_default(), || at("key"));
    hunt.look(message.payload().unwrap_or_default(), || at("value"));
    for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
        let value = header.value.unwrap_or_default();
        let place = || at(&format!("header {}", header.key));
        match STANDARD.decode(value) {
            Ok(bytes) if header.key == SEALED => hunt.look(&bytes, place),
            _ => hunt.look(value, place),
        }
    }
}
