//! Topics as code: made where they are missing, compared where they are there, never changed.

use crate::harness::kafka::{Broker, prefix};
use crate::harness::{Run, TestDb, eventually};

use super::{PATIENCE, process};

#[tokio::test]
async fn a_missing_topic_is_made_as_declared_and_then_found_so() {
    let (broker, prefix) = (Broker::shared().await, prefix());
    let kafka = |word: &str| broker.under(Run::new(), &prefix).args(["kafka", word]).run();
    let missing = kafka("check").await;
    assert_eq!(missing.status, 1, "{missing:?}");
    assert!(missing.stdout.contains("run `convoke kafka ensure`"), "{missing:?}");
    let made = kafka("ensure").await;
    assert_eq!(made.status, 0, "{made:?}");
    assert_eq!(made.stdout, format!("created {prefix}.events\n{prefix}.events is as declared: 12 partitions\n"));
    let again = kafka("ensure").await;
    assert_eq!(again.stdout, format!("{prefix}.events is as declared: 12 partitions\n"));
    assert_eq!(kafka("check").await.status, 0);
}

#[tokio::test]
async fn a_topic_of_another_shape_is_told_and_left_as_it_is() {
    let (db, broker, prefix) = (TestDb::new().await, Broker::shared().await, prefix());
    let made = broker.under(Run::new(), &prefix).args(["kafka", "ensure"]).run().await;
    assert_eq!(made.status, 0, "{made:?}");
    let declared = crate::harness::folder();
    let file = declared.join("topics.toml");
    let text = "[events]\npartitions = 6\nreplication = 0\n[events.config]\n\"retention.ms\" = \"1000\"\n";
    std::fs::write(&file, text).unwrap();
    let other = |run: Run| run.with("CONVOKE_KAFKA_TOPICS", file.to_str().unwrap());
    for word in ["check", "ensure"] {
        let told = other(broker.under(Run::new(), &prefix)).args(["kafka", word]).run().await;
        assert_eq!(told.status, 1, "{told:?}");
        assert!(told.stdout.contains("partitions is 12, and is to be 6"), "{told:?}");
        assert!(told.stdout.contains("retention.ms is 604800000, and is to be 1000"), "{told:?}");
    }
    let server = other(process(&db, broker, &prefix, "api,relay")).serve().await;
    eventually("the relay refuses it and health says why", PATIENCE, async || {
        let health = server.get("/health/ready").await;
        assert_eq!(health.status(), 200, "the API goes on");
        health.text().await.unwrap().contains("partitions is 12, and is to be 6").then_some(())
    })
    .await;
    let unchanged = broker.under(Run::new(), &prefix).args(["kafka", "check"]).run().await;
    assert_eq!(unchanged.status, 0, "{unchanged:?}");
}

#[tokio::test]
async fn without_kafka_the_command_line_says_what_to_set_and_with_a_silent_one_that_it_is_silent() {
    let none = Run::new().args(["kafka", "check"]).run().await;
    assert_eq!(none.status, 1, "{none:?}");
    assert!(none.stderr.contains("set KAFKA_BROKERS"), "{none:?}");
    let silent = Run::new().with("KAFKA_BROKERS", "127.0.0.1:1").args(["kafka", "check"]).run().await;
    assert_eq!(silent.status, 1, "{silent:?}");
    assert!(silent.stderr.contains("Kafka does not answer"), "{silent:?}");
    assert!(silent.stderr.contains("Connection refused"), "it says why: {silent:?}");
}
