//! The settings of Kafka.

use super::{Accepts, HOUR, SECOND, Setting};

pub const KAFKA_BROKERS: Setting = Setting::new(
    "KAFKA_BROKERS",
    "kafka.brokers",
    Accepts::Text,
    "",
    "Where to find the Kafka cluster: `host:port`, several separated by commas. Unset: the log is not copied to a topic.",
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
    "What the names of topics begin with, `convoke.events`, and the relay's transactional id: one for each log.",
);
pub const KAFKA_TOPICS: Setting = Setting::new(
    "CONVOKE_KAFKA_TOPICS",
    "kafka.topics",
    Accepts::Path,
    "",
    "A file in the shape of `kafka/topics.toml` that says how topics are to be: partitions, replication, retention. Unset: as there.",
);
pub const KAFKA_PERSONAL: Setting = Setting::new(
    "CONVOKE_KAFKA_PERSONAL",
    "kafka.personal",
    Accepts::OneOf(&["sealed", "omitted", "clear"]),
    "sealed",
    "How personal fields go to the topic: sealed as in the log (erasing a person erases them there too), left out, or in the clear.",
);
pub const RELAY_BATCH: Setting = Setting::new(
    "CONVOKE_RELAY_BATCH",
    "kafka.relay_batch",
    Accepts::Count(1, 20_000),
    "2000",
    "Most events that the relay puts into one transaction. What is there goes at once; it is not waited for more.",
);
pub const RELAY_LEASE: Setting = Setting::new(
    "CONVOKE_RELAY_LEASE",
    "kafka.relay_lease",
    Accepts::Time(SECOND, HOUR),
    "10s",
    "How long the relay of a log may be silent before another process takes its place.",
);
pub const FEED: Setting = Setting::new(
    "CONVOKE_FEED",
    "feed",
    Accepts::OneOf(&["log", "kafka"]),
    "log",
    "Where streams and read models take what happens from: the log's tail, or the Kafka topic, which spares the database. What the \
     topic lacks is read from the log.",
);
