//! What a record looks like to whoever reads the topic.

use std::collections::BTreeMap;
use std::time::Duration;

use convoke::events::schemas;
use convoke::security::grants::Grants;
use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Headers as _;
use serde_json::{Value, json};

use super::{audited_clean, process};
use crate::harness::kafka::{Broker, prefix};
use crate::harness::{TestDb, tokens};

pub struct Record {
    pub key: String,
    pub headers: BTreeMap<String, String>,
    pub value: Value,
}

/// All records of the topic, by position.
pub fn records(broker: &Broker, topic: &str) -> Vec<Record> {
    let mut client = broker.client();
    client.set("group.id", "test").set("isolation.level", "read_committed").set("enable.partition.eof", "true");
    client.set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = client.create().unwrap();
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_range(topic, 0, 11);
    list.set_all_offsets(rdkafka::Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let (mut records, mut ended) = (Vec::new(), 0);
    while ended < 12 {
        match consumer.poll(Duration::from_secs(20)).expect("records or the ends of partitions come") {
            Ok(message) => records.push(Record {
                key: String::from_utf8(message.key().unwrap().to_vec()).unwrap(),
                headers: message
                    .headers()
                    .unwrap()
                    .iter()
                    .map(|header| (header.key.to_owned(), String::from_utf8(header.value.unwrap().to_vec()).unwrap()))
                    .collect(),
                value: serde_json::from_slice(message.payload().unwrap()).unwrap(),
            }),
            Err(rdkafka::error::KafkaError::PartitionEOF(_)) => ended += 1,
            Err(error) => panic!("{error}"),
        }
    }
    records.sort_by(|one, other| one.headers["ce_sequence"].cmp(&other.headers["ce_sequence"]));
    records
}

/// A room in which Ann says hello, with personal fields as the setting says; and then Ann is erased.
pub async fn story(personal: &str) -> (TestDb, &'static Broker, String, Vec<Record>) {
    let (db, broker, prefix) = (TestDb::new().await, Broker::shared().await, prefix());
    let server = process(&db, broker, &prefix, "api,relay").with("CONVOKE_KAFKA_PERSONAL", personal).serve().await;
    let token = tokens::of("dev", None, Grants::everything());
    let post = async |path: &str, body: Value| {
        let sent = server.client.post(format!("{}{path}", server.url)).bearer_auth(&token).json(&body).send().await;
        let answer = sent.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        answer.json::<Value>().await.unwrap()
    };
    let room = post("/v1/rooms", json!({ "name": "lobby" })).await["room"].as_str().unwrap().to_owned();
    post(&format!("/v1/rooms/{room}/commands/join"), json!({ "identity": "ann", "display_name": "Ann" })).await;
    let hello = json!({ "identity": "ann", "text": "hello there" });
    post(&format!("/v1/rooms/{room}/commands/send-message"), hello).await;
    audited_clean(&db, broker, &prefix).await;
    let records = records(broker, &format!("{prefix}.events"));
    (db, broker, prefix, records)
}

fn of<'a>(records: &'a [Record], name: &str) -> &'a Record {
    records.iter().find(|record| record.headers["ce_type"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_is_a_cloud_event_keyed_by_its_room() {
    let (db, _, _, records) = story("sealed").await;
    let epoch: uuid::Uuid =
        sqlx::query_scalar("SELECT epoch FROM convoke.log_head").fetch_one(&db.system).await.unwrap();
    for (number, record) in (1..).zip(&records) {
        let header = |name: &str| record.headers[name].as_str();
        assert_eq!((header("ce_specversion"), header("content-type")), ("1.0", "application/json"));
        assert_eq!((header("ce_position"), header("ce_subject")), (number.to_string().as_str(), record.key.as_str()));
        assert_eq!((header("ce_source"), header("ce_epoch")), ("/tenants/dev", epoch.to_string().as_str()));
        assert_eq!(header("ce_roomversion"), number.to_string());
        assert_eq!(header("ce_id").len(), 64);
        let schema = schemas::all().into_iter().find(|schema| schema.id() == header("ce_dataschema")).unwrap();
        let schema = jsonschema::validator_for(&serde_json::from_str(&schema.text).unwrap()).unwrap();
        assert!(schema.is_valid(&record.value), "{}", record.value);
    }
    let joined = of(&records, "room.participant-joined");
    assert_eq!(joined.headers["ce_dataschema"], "urn:convoke:event:room.participant-joined:v1");
    assert_eq!(joined.value["identity"], "ann");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn personal_fields_are_sealed_left_out_or_in_the_clear_as_configured() {
    for (setting, text) in [("sealed", None), ("omitted", None), ("clear", Some("hello there"))] {
        let (_, _, _, records) = story(setting).await;
        let message = of(&records, "room.message-sent");
        assert_eq!(message.headers["ce_personal"], setting);
        assert_eq!(message.headers.contains_key("ce_sealed"), setting == "sealed");
        assert_eq!(message.value["personal"]["text"].as_str(), text);
        let told: String = records.iter().map(|record| format!("{:?} {}", record.headers, record.value)).collect();
        assert_eq!(told.contains("hello there") || told.contains("Ann"), text.is_some(), "{told}");
        assert!(!of(&records, "room.created").headers.contains_key("ce_personal"));
    }
}
