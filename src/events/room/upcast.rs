//! Old shapes brought up to the newest, one step a version, at the boundary where events are read. Consumers see the
//! newest shape only.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::RoomEvent;

/// The members of an event's data, each as it was written: a step leaves alone what it does not know.
type Data = BTreeMap<String, Box<RawValue>>;

type UpcastStep = fn(Data) -> Data;

/// Why the data of an event was not read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("this program does not know the event")]
    UnknownType,
    #[error("this program knows the event up to version {newest}")]
    UnknownVersion { newest: u16 },
    #[error("its data has another shape: {0}")]
    Shape(#[from] serde_json::Error),
}

/// The step that brings `name` from `version` to `version + 1`.
fn step(name: &str, version: u16) -> Option<UpcastStep> {
    match (name, version) {
        ("room.track-published", 1) => Some(track_published_1),
        _ => None,
    }
}

pub(super) fn decode(name: &str, version: u16, newest: u16, json: &str) -> Result<RoomEvent, DecodeError> {
    let mut data: Data = serde_json::from_str(json)?;
    for version in version..newest {
        data = step(name, version).ok_or(DecodeError::UnknownVersion { newest })?(data);
    }
    RoomEvent::decode_newest(name, &serde_json::to_string(&data)?)
}

/// `resolution: "1280x720"` became `width` and `height`. A resolution that does not read as two numbers is left out.
fn track_published_1(mut data: Data) -> Data {
    let resolution = data.remove("resolution");
    let resolution = resolution.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    let sides = resolution.as_deref().and_then(|text| {
        let (width, height) = text.split_once('x')?;
        Some((width.parse::<u32>().ok()?, height.parse::<u32>().ok()?))
    });
    if let Some((width, height)) = sides {
        let number = |side: u32| RawValue::from_string(side.to_string());
        data.extend(number(width).ok().map(|width| ("width".to_owned(), width)));
        data.extend(number(height).ok().map(|height| ("height".to_owned(), height)));
    }
    data
}
