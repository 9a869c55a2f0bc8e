//! The parts of a path that name things.

use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use crate::events::ids::RoomId;
use crate::http::problem::Problem;

/// `{room}` in the path.
#[derive(Clone, Copy, Debug)]
pub struct RoomInPath(pub RoomId);

/// `{room}` and `{command}` in the path.
#[derive(Clone, Debug)]
pub struct CommandInPath(pub RoomId, pub Box<str>);

impl<S: Send + Sync> FromRequestParts<S> for RoomInPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = path(parts, state).await?;
        Ok(Self(parsed(&path, "room")?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CommandInPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = path(parts, state).await?;
        Ok(Self(parsed(&path, "room")?, text(&path, "command").into()))
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

fn parsed<T: FromStr<Err: std::fmt::Display>>(path: &RawPathParams, name: &str) -> Result<T, Problem> {
    text(path, name).parse().map_err(|error| Problem::parameter(name, error))
}
