//! The fingerprint that a repeated request under an idempotency key must match: the parsed command and its room.
//!
//! White space, the order of members, the case of an id in the path or in the body, a missing body or `{}`, `5` or `5.0` make no
//! difference, and neither does whether a command comes alone, in a list or in a line of an import.

use sha2::{Digest, Sha256};

use super::room::RoomCommand;
use crate::events::envelope::Hash;
use crate::ids::RoomId;

/// `room`: the one that the request names; `None` where the server makes its id.
pub fn of(room: Option<RoomId>, command: &RoomCommand) -> Hash {
    let hasher = Sha256::new().chain_update("convoke request 1\0");
    let hasher = match room {
        Some(room) => hasher.chain_update([1]).chain_update(room.uuid()),
        None => hasher.chain_update([0]),
    };
    hasher.chain_update(command.name()).chain_update([0]).chain_update(command.canonical()).finalize().into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;

    fn command(name: &str, body: &str) -> RoomCommand {
        RoomCommand::parse(name, body.as_bytes()).expect(body)
    }

    fn room(text: &str) -> Option<RoomId> {
        Some(text.parse().expect("an id"))
    }

    const ROOM: &str = "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11";

    #[test]
    fn one_request_has_one_fingerprint_however_it_is_written() {
        let upper = ROOM.to_uppercase();
        for (name, bodies) in [
            ("mute-all", &["", "{}", " { } ", "{\"except\": []}"][..]),
            (
                "create-room",
                &[
                    "{\"name\": \"a\", \"settings\": {\"max_participants\": 5, \"metadata\": {\"b\": 1, \"a\": [\"é\"]}}}",
                    "{\"settings\":{\"metadata\":{\"a\":[\"\\u00e9\"],\"b\":1},\"max_participants\":5.0},\"name\":\"\\u0061\"}",
                ],
            ),
            (
                "create-room",
                &["{\"opens_at\": \"2030-01-01T00:00:00Z\"}", "{\"opens_at\": \"2030-01-01T01:00:00.000+01:00\"}"],
            ),
            ("leave", &[&format!("{{\"session\": \"{ROOM}\"}}"), &format!("{{\"session\": \"{upper}\"}}")]),
        ] {
            let first = of(room(ROOM), &command(name, bodies[0]));
            for body in bodies {
                assert_eq!(of(room(&upper), &command(name, body)), first, "{name} {body}");
            }
        }
    }

    #[test]
    fn other_requests_have_others() {
        let mut seen = std::collections::HashSet::new();
        let other = "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c12";
        for (room, name, body) in [
            (room(ROOM), "lock-room", "{}"),
            (room(ROOM), "unlock-room", "{}"),
            (room(other), "lock-room", "{}"),
            (None, "create-room", "{}"),
            (room(ROOM), "create-room", "{}"),
            (None, "create-room", "{\"name\": \"a\"}"),
            (None, "create-room", "{\"settings\": {\"metadata\": 1}}"),
            (None, "create-room", "{\"settings\": {\"metadata\": 1.0}}"),
            (None, "create-room", "{\"settings\": {\"metadata\": 12345678901234567.89}}"),
            (None, "create-room", "{\"settings\": {\"metadata\": 12345678901234567.88}}"),
            (room(ROOM), "update-settings", "{\"max_participants\": null}"),
            (room(ROOM), "update-settings", "{}"),
        ] {
            assert!(seen.insert(of(room, &command(name, body))), "{name} {body}");
        }
    }

    /// A field that a later program adds must not change the fingerprints of requests that do not name it.
    #[test]
    fn what_a_body_does_not_say_is_not_in_it() {
        fn is_within(written: &Value, body: &Value, path: &str) {
            let (Value::Object(written), Value::Object(body)) = (written, body) else { return };
            for (name, value) in written {
                let said = body.get(name).unwrap_or_else(|| panic!("{path}.{name} was not said: {body:?}"));
                is_within(value, said, &format!("{path}.{name}"));
            }
        }
        for kind in RoomCommand::catalogue() {
            for example in (kind.examples)() {
                let command = command(kind.name, &example.body.to_string());
                let written: Value = serde_json::from_slice(&command.canonical()).expect("JSON");
                is_within(&written, &example.body, kind.name);
                // A body of nothing but what is required says nothing else either.
                let schema = (kind.schema)().to_value();
                let required = schema["required"].as_array().cloned().unwrap_or_default();
                let least: Map<String, Value> = example
                    .body
                    .as_object()
                    .expect("an object")
                    .iter()
                    .filter(|(name, _)| required.iter().any(|required| required == *name))
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
                let least = Value::Object(least);
                if let Ok(command) = RoomCommand::parse(kind.name, least.to_string().as_bytes()) {
                    is_within(&serde_json::from_slice(&command.canonical()).expect("JSON"), &least, kind.name);
                }
            }
        }
    }
}
