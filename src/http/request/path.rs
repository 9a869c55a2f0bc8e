//! The parts of a path that name things.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use crate::http::problem::Problem;
use crate::http::rights::no_such_room;
use crate::ids::RoomId;

/// `{room}` in the path.
#[derive(Clone, Copy, Debug)]
pub struct RoomInPath(pub RoomId);

/// `{command}` in the path, to the tenant itself.
#[derive(Clone, Debug)]
pub struct CommandOfTenantInPath(pub Box<str>);

/// `{room}` and `{command}` in the path.
#[derive(Clone, Debug)]
pub struct CommandInPath(pub RoomId, pub Box<str>);

impl<S: Send + Sync> FromRequestParts<S> for RoomInPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = path(parts, state).await?;
        Ok(Self(room(&path)?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CommandInPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = path(parts, state).await?;
        Ok(Self(room(&path)?, text(&path, "command").into()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CommandOfTenantInPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = path(parts, state).await?;
        Ok(Self(text(&path, "command").into()))
    }
}

async fn path<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<RawPathParams, Problem> {
    RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| Problem::parameter("path", "has to be percent-encoded UTF-8"))
}

fn text<'p>(path: &'p RawPathParams, name: &str) -> &'p str {
    path.iter().find(|(found, _)| *found == name).map_or("", |(_, value)| value)
}

fn room(path: &RawPathParams) -> Result<RoomId, Problem> {
    let text = text(path, "room");
    text.parse().map_err(|error| {
        // What events of the tenant itself show as their room is none: not there, like any that never was.
        if text == RoomId::TENANT.to_string() { no_such_room() } else { Problem::parameter("room", error) }
    })
}
