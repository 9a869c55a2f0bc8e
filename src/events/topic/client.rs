//! How this program speaks to Kafka, whatever for.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::config::KafkaConfig;

/// Any question to the cluster is answered sooner, or it is away.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Who is asked, and how. `None`: no Kafka is configured.
pub fn client(config: &KafkaConfig) -> Option<ClientConfig> {
    let brokers = config.brokers.as_deref()?;
    let mut client = ClientConfig::new();
    for (name, value) in config.properties.reveal() {
        client.set(name, value);
    }
    client
        .set("bootstrap.servers", brokers)
        .set("client.id", "convoke")
        .set("socket.timeout.ms", PATIENCE.as_millis().to_string())
        // A broker that comes back is found within a second.
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set_log_level(RDKafkaLogLevel::Error);
    Some(client)
}

/// A reader of committed records, which is told where partitions end. It belongs to no group: what has been read is kept by
/// who reads.
pub fn reader(client: &ClientConfig) -> ClientConfig {
    let mut reader = client.clone();
    reader
        .set("group.id", "convoke")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "100")
        .set("fetch.queue.backoff.ms", "5")
        .set("queued.min.messages", "20000")
        .set("queued.max.messages.kbytes", "32768");
    reader
}
