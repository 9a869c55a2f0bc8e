//! The cached values: the view of a room or its people, with the checkpoint at which they were read.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::events::room::view::RoomView;
use crate::events::time::Timestamp;
use crate::ids::{Position, RoomKey};
use crate::projections::rooms::Participant;

/// Most people of a room that are cached; in a room of more, pages of people come from the database.
pub const MOST_PEOPLE: usize = 300;

/// Which part of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    View,
    People,
}

impl Part {
    pub const ALL: [Part; 2] = [Part::View, Part::People];

    pub fn as_str(self) -> &'static str {
        match self {
            Part::View => "view",
            Part::People => "people",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub room: RoomKey,
    pub part: Part,
}

impl Key {
    /// What a pattern is matched with: `room:ID:view`.
    pub fn name(&self) -> String {
        format!("room:{}:{}", self.room.room, self.part.as_str())
    }
}

/// Which history of the log rows were folded from, and which tables they lie in: what one lineage says at a position, another
/// may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lineage {
    pub epoch: Uuid,
    /// Counts the swaps of the model's tables.
    pub generation: u32,
}

/// Read from the database at one moment, or written to Redis by who did.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// `None`: nothing was folded yet.
    pub lineage: Option<Lineage>,
    /// The model's checkpoint at that moment: the value is what the log says up to here.
    pub position: Position,
    pub read_at: Timestamp,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub enum Value {
    View(Option<Shown>),
    People(People),
}

/// A room, and the same as it is sent.
#[derive(Clone, Debug)]
pub struct Shown {
    pub view: Arc<RoomView>,
    pub json: Bytes,
}

impl Shown {
    pub fn of(view: RoomView) -> serde_json::Result<Self> {
        Ok(Self { json: serde_json::to_vec(&view)?.into(), view: Arc::new(view) })
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum People {
    /// All who are present, by identity.
    All(Arc<Vec<Participant>>),
    /// More than [`MOST_PEOPLE`].
    Many,
}

/// Of a key, an entry and what the cache itself needs for them, roughly.
const OVERHEAD: usize = 400;

impl Value {
    /// Bytes in memory, roughly.
    pub fn weight(&self) -> usize {
        let held = match self {
            Value::View(None) | Value::People(People::Many) => 0,
            // The text, and about the same again for the value.
            Value::View(Some(shown)) => shown.json.len() * 2,
            Value::People(People::All(people)) => people.iter().map(person_weight).sum(),
        };
        held + OVERHEAD
    }

    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        match self {
            Value::View(None) => Ok(b"null".to_vec()),
            Value::View(Some(shown)) => Ok(shown.json.to_vec()),
            Value::People(people) => serde_json::to_vec(people),
        }
    }

    pub fn from_json(part: Part, json: &[u8]) -> serde_json::Result<Self> {
        Ok(match part {
            Part::View => {
                let view: Option<RoomView> = serde_json::from_slice(json)?;
                let shown = |view| Shown { view: Arc::new(view), json: Bytes::copy_from_slice(json) };
                Value::View(view.map(shown))
            }
            Part::People => Value::People(serde_json::from_slice(json)?),
        })
    }
}

fn person_weight(person: &Participant) -> usize {
    let sealed = |at: &Option<crate::events::sealed::SealedAt>| at.as_ref().map_or(0, |at| at.sealed.0.len());
    let view = &person.view;
    std::mem::size_of::<Participant>()
        + view.identity.as_str().len()
        + view.sessions.len() * 32
        + view.tracks.len() * 120
        + sealed(&person.name)
        + sealed(&person.metadata)
}
