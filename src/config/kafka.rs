//! The settings of Kafka: where it is, how it is spoken to, what goes there.

use std::path::PathBuf;
use std::time::Duration;

use super::options::ClientOptions;
use super::reader::SettingsReader;
use super::settings;

#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// `host:port`, several separated by commas; `None`: there is no Kafka.
    pub brokers: Option<String>,
    /// Of the client, in librdkafka's names.
    pub properties: ClientOptions,
    /// Of the names of topics, and of the relay's transactional id.
    pub prefix: String,
    /// What topics are to be like, where it is not as this program says.
    pub topics: Option<PathBuf>,
    pub personal: PersonalInTopic,
    /// Most events in one transaction.
    pub batch: usize,
    pub lease: Duration,
}

/// How personal fields go to the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PersonalInTopic {
    Sealed,
    Omitted,
    Clear,
}

/// Where those who live by what happens take it from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedFrom {
    Log,
    Kafka,
}

impl KafkaConfig {
    pub(super) fn read(reader: &mut SettingsReader<'_>) -> Self {
        Self {
            brokers: reader.text(&settings::KAFKA_BROKERS).and_then(|text| brokers(reader, &text)),
            properties: ClientOptions::read(reader, &settings::KAFKA_PROPERTIES, refused),
            prefix: reader.parsed(
                &settings::KAFKA_PREFIX,
                prefix,
                "up to 100 letters, digits, dots, hyphens and underscores",
            ),
            topics: reader.text(&settings::KAFKA_TOPICS).map(PathBuf::from),
            personal: match reader.word(&settings::KAFKA_PERSONAL) {
                "omitted" => PersonalInTopic::Omitted,
                "clear" => PersonalInTopic::Clear,
                _ => PersonalInTopic::Sealed,
            },
            batch: reader.count(&settings::RELAY_BATCH),
            lease: reader.time(&settings::RELAY_LEASE),
        }
    }
}

pub(super) fn feed(reader: &mut SettingsReader<'_>) -> FeedFrom {
    if reader.word(&settings::FEED) == "log" {
        return FeedFrom::Log;
    }
    if reader.text(&settings::KAFKA_BROKERS).is_none() {
        reader.fault(&settings::FEED, "there is no Kafka to take it from", "set KAFKA_BROKERS, or leave it at log");
    }
    FeedFrom::Kafka
}

fn brokers(reader: &mut SettingsReader<'_>, text: &str) -> Option<String> {
    let broker = |part: &str| {
        let (host, port) = part.rsplit_once(':')?;
        (!host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)).then(|| part.to_owned())
    };
    let found: Option<Vec<String>> = text.split(',').map(|part| broker(part.trim())).collect();
    if found.is_none() {
        reader.fault(
            &settings::KAFKA_BROKERS,
            format!("{text:?} does not name brokers"),
            "write host:port, several separated by commas, such as kafka-1:9092,kafka-2:9092",
        );
    }
    found.map(|found| found.join(","))
}

fn prefix(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    ((1..=100).contains(&text.len()) && text.chars().all(fits)).then(|| text.to_owned())
}

/// Names that the relay's promises rest on are not to be changed.
const OURS: &[&str] = &[
    "bootstrap.servers",
    "metadata.broker.list",
    "transactional.id",
    "enable.idempotence",
    "isolation.level",
    "enable.auto.commit",
    "acks",
    "request.required.acks",
    "partitioner",
];

fn refused(name: &str) -> Option<(String, &'static str)> {
    let remedy = "leave it out; brokers are named by KAFKA_BROKERS";
    OURS.contains(&name).then(|| (format!("{name} is set by the program itself"), remedy))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crate::config::Config;

    fn read(settings: &[(&str, &str)]) -> Result<Config, String> {
        let environment: HashMap<String, String> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::from_environment(&environment).map_err(|errors| errors.to_string())
    }

    #[test]
    fn brokers_and_properties_are_read_and_passwords_do_not_show() {
        let config = read(&[
            ("KAFKA_BROKERS", "one:9092, two:9093"),
            ("KAFKA_PROPERTIES", "security.protocol=SASL_SSL; sasl.password=hu=sh"),
        ])
        .unwrap()
        .kafka;
        assert_eq!(config.brokers.as_deref(), Some("one:9092,two:9093"));
        assert_eq!(config.properties.reveal()[1], ("sasl.password".into(), "hu=sh".into()));
        assert!(!format!("{config:?}").contains("hu=sh"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_remedy() {
        for (name, value, told) in [
            ("KAFKA_BROKERS", "kafka", "host:port"),
            ("KAFKA_PROPERTIES", "transactional.id=mine", "set by the program itself"),
            ("KAFKA_PROPERTIES", "secret", "name=value"),
            ("CONVOKE_KAFKA_PREFIX", "a b", "letters"),
            ("CONVOKE_FEED", "kafka", "set KAFKA_BROKERS"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.contains(told) && error.contains(name), "{error}");
        }
    }
}
