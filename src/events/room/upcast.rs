//! Old shapes brought up to the newest, one step a version, at the boundary where events are read. Consumers see the
//! newest shape only.

use serde_json::{Map, Value};

use super::RoomEvent;
use crate::events::envelope::DecodeError;

type Step = fn(Map<String, Value>) -> Map<String, Value>;

/// The step that brings `name` from `version` to `version + 1`.
fn step(name: &str, version: u16) -> Option<Step> {
    match (name, version) {
        ("room.track-published", 1) => Some(track_published_1),
        _ => None,
    }
}

pub(super) fn decode(name: &str, version: u16, newest: u16, json: &str) -> Result<RoomEvent, DecodeError> {
    let mut data: Map<String, Value> = serde_json::from_str(json)?;
    for version in version..newest {
        data = step(name, version).ok_or(DecodeError::UnknownVersion { newest })?(data);
    }
    RoomEvent::decode_newest(name, &Value::Object(data).to_string())
}

/// `resolution: "1280x720"` became `width` and `height`. A resolution that does not read as two numbers is left out.
fn track_published_1(mut data: Map<String, Value>) -> Map<String, Value> {
    let resolution = data.remove("resolution");
    let sides = resolution
        .as_ref()
        .and_then(Value::as_str)
        .and_then(|text| text.split_once('x'))
        .and_then(|(width, height)| Some((width.parse::<u32>().ok()?, height.parse::<u32>().ok()?)));
    if let Some((width, height)) = sides {
        data.insert("width".into(), width.into());
        data.insert("height".into(), height.into());
    }
    data
}
