//! A cluster that speaks TLS and asks for a password.

use crate::harness::kafka::{Broker, kafka_properties, prefix};
use crate::harness::{Certificate, Ended, Run, TestDb};
use crate::kills::load::Load;

use super::{audited_clean, grown, process};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_topic_is_made_written_read_and_audited_over_tls_with_a_password() {
    let certificate = Certificate::new();
    let (db, broker, prefix) = (TestDb::new().await, Broker::secured(&certificate).await, prefix());
    let made = broker.under(Run::new(), &prefix).args(["kafka", "ensure"]).run().await;
    assert_eq!(made.status, 0, "{made:?}");
    let run = process(&db, &broker, &prefix, "api,projector,relay").with("CONVOKE_FEED", "kafka");
    let server = run.serve().await;
    let load = Load::start(&[&server.url], 4).await;
    grown(&db, 200).await;
    load.stop().await;
    audited_clean(&db, &broker, &prefix).await;
    let verify = broker.under(Run::on(&db), &prefix).args(["projection", "verify", "--from", "kafka"]).run().await;
    assert_eq!(verify.status, 0, "{verify:?}");
    let from_the_topic = verify.stderr.split(" events came from the topic").next().unwrap().rsplit(' ').next().unwrap();
    assert!(from_the_topic.parse::<u64>().unwrap() > 100, "{verify:?}");

    let checked = async |name: &'static str, value: Option<&str>| -> Ended {
        let mut properties = broker.properties.clone();
        properties.retain(|(known, _)| *known != name);
        properties.extend(value.map(|value| (name, value.to_owned())));
        let run = broker.under(Run::new(), &prefix).with("KAFKA_PROPERTIES", &kafka_properties(&properties));
        run.args(["kafka", "check"]).run().await
    };
    let wrong = checked("sasl.password", Some("of-somebody")).await;
    assert_eq!(wrong.status, 1, "{wrong:?}");
    assert!(wrong.stderr.contains("SASL authentication error: Authentication failed"), "{wrong:?}");
    assert!(!wrong.stderr.contains("of-somebody"), "{wrong:?}");
    let unknown = checked("ssl.ca.location", None).await;
    assert_eq!(unknown.status, 1, "{unknown:?}");
    assert!(unknown.stderr.contains("certificate verify failed"), "{unknown:?}");
}
