//! The settings of Kafka.

use super::{Accepts, HOUR, SECOND, Setting};

pub const KAFKA_BROKERS: Setting = Setting::new(
    "KAFKA_BROKERS",
    "kafka.brokers",
    Accepts::Text,
    "",
    "Brokers of the Kafka cluster: `host:port`, separated by commas. Unset: the log is not copied to a topic.",
);
pub const KAFKA_PROPERTIES: Setting = Setting::new(
    "KAFKA_PROPERTIES",
    "kafka.properties",
    Accepts::Keys,
    "",
    "Properties of the Kafka client as librdkafka names them, `name=value` separated by `;` or line breaks, such as \
     `security.protocol=SASL_SSL;sasl.mechanism=SCRAM-SHA-512;sasl.username=convoke;sasl.password=…`.",
);
pub const KAFKA_PREFIX: Setting = Setting::new(
    "CONVOKE_KAFKA_PREFIX",
    "kafka.prefix",
    Accepts::Text,
    "convoke",
    "The prefix of the topic (`convoke.events`) and of the relay's transactional id; unique for each log.",
);
pub const KAFKA_TOPICS: Setting = Setting::new(
    "CONVOKE_KAFKA_TOPICS",
    "kafka.topics",
    Accepts::Path,
    "",
    "A file in the format of `kafka/topics.toml` that declares the topic: partitions, replication, retention. Default: `kafka/topics.toml`.",
);
pub const KAFKA_PERSONAL: Setting = Setting::new(
    "CONVOKE_KAFKA_PERSONAL",
    "kafka.personal",
    Accepts::OneOf(&["sealed", "omitted", "clear"]),
    "sealed",
    "Personal fields in the topic: sealed as in the log (an erasure applies to them too), omitted, or in the clear.",
);
pub const RELAY_BATCH: Setting = Setting::new(
    "CONVOKE_RELAY_BATCH",
    "kafka.relay_batch",
    Accepts::Count(1, 20_000),
    "2000",
    "The largest number of events in one transaction of the relay. The relay does not wait for a batch to fill.",
);
pub const RELAY_LEASE: Setting = Setting::new(
    "CONVOKE_RELAY_LEASE",
    "kafka.relay_lease",
    Accepts::Time(SECOND, HOUR),
    "10s",
    "Lifetime of the relay's lease, after which another process takes over from a silent one.",
);
pub const FEED: Setting = Setting::new(
    "CONVOKE_FEED",
    "feed",
    Accepts::OneOf(&["log", "kafka"]),
    "log",
    "The source of events for streams and read models: the log, or the Kafka topic, which relieves the database. Events that the \
     topic lacks are read from the log.",
);
