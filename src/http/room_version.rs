//! `?version=` and `?at=`: a room as it was.

use super::api::Api;
use super::problem::{Problem, ProblemCode};
use super::request::query::QueryParameters;
use super::rights;
use crate::commands::execute::load::LoadedRoom;
use crate::events::time::Timestamp;
use crate::ids::{RoomKey, RoomVersion};

/// When.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomMoment {
    Now,
    Version(RoomVersion),
    /// By recorded time, that instant included.
    At(Timestamp),
}

impl RoomMoment {
    pub fn read(query: &mut QueryParameters) -> Result<Self, Problem> {
        match (query.number("version")?, query.parsed("at")?) {
            (None, None) => Ok(RoomMoment::Now),
            (Some(version), None) => Ok(RoomMoment::Version(version)),
            (None, Some(at)) => Ok(RoomMoment::At(at)),
            (Some(_), Some(_)) => Err(Problem::parameter("at", "cannot be combined with a version")),
        }
    }
}

/// The room as it was at a moment; `now`: its version now.
pub async fn load(api: &Api, key: &RoomKey, moment: RoomMoment) -> Result<LoadedRoom, Problem> {
    let version = match moment {
        RoomMoment::Now => api.log.room_head(key).await?.ok_or_else(rights::no_such_room)?.version,
        RoomMoment::Version(version) => version,
        RoomMoment::At(at) => api.log.version_at(key, at).await?,
    };
    let room = api.rooms.at_version(key, version).await?;
    if room.version > 0 {
        return Ok(room);
    }
    let head = api.log.room_head(key).await?.ok_or_else(rights::no_such_room)?;
    let detail = match moment {
        RoomMoment::At(at) => format!("The room did not exist at {at}: it was created at {}.", head.first_recorded_at),
        _ => format!("The room never had version {version}: it is at version {}.", head.version),
    };
    Err(Problem::new(ProblemCode::NoSuchVersion, detail).with("room_version", head.version))
}
