//! What a topic is to be like: `kafka/topics.toml`, or the file that the configuration names in its place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::KafkaConfig;

const DECLARED: &str = include_str!("../../../kafka/topics.toml");

/// The largest number of partitions that makes sense for one log, and that a typing error does not exceed.
const MOST_PARTITIONS: i32 = 10_000;

/// A topic as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicShape {
    pub name: String,
    pub partitions: i32,
    /// `None`: what the cluster does by default.
    pub replication: Option<i32>,
    /// By the broker's names.
    pub config: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TopicsFile {
    events: DeclaredTopic,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclaredTopic {
    partitions: i32,
    replication: i32,
    config: BTreeMap<String, String>,
}

#[derive(Debug, thiserror::Error)]
pub enum BadTopicShape {
    #[error("{path} cannot be read: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{path} does not say what topics are to be like: {fault}")]
    Malformed { path: PathBuf, fault: String },
}

/// The name of the topic of events under a prefix.
pub fn events_topic(prefix: &str) -> String {
    format!("{prefix}.events")
}

/// The topic of events.
pub fn events(config: &KafkaConfig) -> Result<TopicShape, BadTopicShape> {
    let (path, text) = match &config.topics {
        None => (Path::new("kafka/topics.toml"), DECLARED.to_owned()),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|source| BadTopicShape::Unreadable { path: path.clone(), source })?;
            (path.as_path(), text)
        }
    };
    parse(&text, &config.prefix).map_err(|fault| BadTopicShape::Malformed { path: path.into(), fault })
}

fn parse(text: &str, prefix: &str) -> Result<TopicShape, String> {
    let TopicsFile { events } = toml::from_str(text).map_err(|error| error.to_string())?;
    if !(1..=MOST_PARTITIONS).contains(&events.partitions) {
        return Err(format!("events.partitions is {}: it is to be from 1 to {MOST_PARTITIONS}", events.partitions));
    }
    if !(0..=i32::from(i16::MAX)).contains(&events.replication) {
        return Err(format!("events.replication is {}: it is the number of copies, or 0", events.replication));
    }
    Ok(TopicShape {
        name: events_topic(prefix),
        partitions: events.partitions,
        replication: (events.replication > 0).then_some(events.replication),
        config: events.config,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_in_the_repository_is_a_shape() {
        let shape = parse(DECLARED, "convoke").unwrap();
        assert_eq!((shape.name.as_str(), shape.partitions, shape.replication), ("convoke.events", 12, None));
        assert_eq!(shape.config["message.timestamp.type"], "LogAppendTime");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let text =
            |partitions: &str| format!("[events]\npartitions = {partitions}\nreplication = 0\n[events.config]\n");
        assert!(parse(&text("0"), "p").unwrap_err().contains("events.partitions"));
        assert!(parse(&text("\"many\""), "p").unwrap_err().contains("partitions"));
        assert!(parse(&format!("{}\n[more]", text("1")), "p").unwrap_err().contains("more"));
    }
}
