//! The description of streams and topic is one that other people's tools take.

use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::harness::{Run, node};

/// What the validator that AsyncAPI publishes says of it.
fn validated(document: &Value) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/validate.cjs");
    let mut node =
        node().arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    node.stdin.take().unwrap().write_all(document.to_string().as_bytes()).unwrap();
    node.wait_with_output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_validator_finds_nothing_to_say_of_the_description() {
    let document = Run::new().args(["asyncapi"]).json().await;
    let found = validated(&document);
    assert!(found.status.success() && found.stdout.is_empty(), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_validator_finds_what_is_wrong() {
    let document = Run::new().args(["asyncapi"]).json().await;
    let faults: [(&str, Value, &str); 3] = [
        ("/operations/stream-events/action", "publish".into(), "operations/stream-events/action"),
        ("/channels/events/messages/goodbye/$ref", "#/components/messages/nobody".into(), "messages/nobody"),
        ("/components/schemas/Goodbye/type", "sentence".into(), "components/schemas/Goodbye"),
    ];
    for (place, fault, told) in faults {
        let mut faulty = document.clone();
        *faulty.pointer_mut(place).unwrap_or_else(|| panic!("{place} in {document:#}")) = fault;
        let found = validated(&faulty);
        let said = String::from_utf8_lossy(&found.stdout);
        assert!(found.status.code() == Some(1) && said.contains(told), "{place}: {found:?}");
    }
}
