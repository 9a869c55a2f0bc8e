//! The state of all read models, for operators on the command line and over HTTP.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::Row as _;

use super::MODELS;
use super::checkpoint::{self, ModelStatus, position};
use crate::database::pool::Pool;
use crate::events::time::Timestamp;
use crate::ids::Position;

/// A read model and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ProjectionView {
    pub name: String,
    pub status: ProjectionStatus,
    /// Of the last event that its rows contain; 0: none.
    pub position: Position,
    /// When that event was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<Timestamp>,
    /// Events in the log that it has yet to apply.
    pub lag_events: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
    /// Which shape its rows have.
    pub shape: u32,
    /// How often its tables were swapped for fresh ones.
    pub generation: u32,
    /// Over all its rows, 64 hexadecimal digits: two models with the same digest hold the same rows.
    pub digest: String,
    /// Why it stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The event that it cannot apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_position: Option<Position>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<Timestamp>,
    /// Folds under way.
    pub rebuilds: Vec<RebuildView>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProjectionStatus {
    Running,
    /// It cannot go on by itself; see `error`.
    Stopped,
}

/// A fresh fold of a model.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct RebuildView {
    /// `rebuild` or `verify`.
    pub purpose: String,
    pub position: Position,
    /// Where the log ends now.
    pub of: Position,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
}

/// All read models, by name.
pub async fn all(pool: &Pool) -> sqlx::Result<Vec<ProjectionView>> {
    let head: i64 = sqlx::query_scalar("SELECT position FROM convoke.log_head").fetch_one(pool).await?;
    let head = position(head);
    let rebuilds = rebuilds(pool, head).await?;
    let found = checkpoint::all(pool).await?;
    let mut views = Vec::with_capacity(MODELS.len());
    for model in MODELS {
        let mut view = match found.iter().find(|checkpoint| checkpoint.name == model.name) {
            Some(checkpoint) => view(checkpoint, head),
            None => ProjectionView { shape: model.shape.into(), ..unbegun(model.name, head) },
        };
        view.rebuilds = rebuilds.iter().filter(|(name, _)| name == model.name).map(|(_, view)| view.clone()).collect();
        views.push(view);
    }
    views.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(views)
}

fn unbegun(name: &str, head: Position) -> ProjectionView {
    ProjectionView {
        name: name.to_owned(),
        status: ProjectionStatus::Running,
        position: 0,
        recorded_at: None,
        lag_events: head,
        updated_at: None,
        shape: 0,
        generation: 0,
        digest: super::rows::Digest::default().to_string(),
        error: None,
        failed_position: None,
        stopped_at: None,
        rebuilds: Vec::new(),
    }
}

fn view(checkpoint: &checkpoint::Checkpoint, head: Position) -> ProjectionView {
    let mut view = ProjectionView {
        position: checkpoint.position,
        recorded_at: checkpoint.recorded_at,
        lag_events: head.saturating_sub(checkpoint.position),
        updated_at: checkpoint.updated_at,
        // Counted up from 0, never negative.
        shape: checkpoint.shape.unsigned_abs(),
        generation: checkpoint.generation.unsigned_abs(),
        digest: checkpoint.digest.to_string(),
        ..unbegun(&checkpoint.name, head)
    };
    if let ModelStatus::Stopped { error, failed_position, at } = &checkpoint.status {
        view.status = ProjectionStatus::Stopped;
        view.error = Some(error.clone());
        view.failed_position = *failed_position;
        view.stopped_at = *at;
    }
    view
}

async fn rebuilds(pool: &Pool, head: Position) -> sqlx::Result<Vec<(String, RebuildView)>> {
    let rows = sqlx::query(
        "SELECT name, purpose, position, started_at, updated_at
         FROM convoke.projection_rebuilds
         ORDER BY name, purpose",
    )
    .fetch_all(pool)
    .await?;
    let time = |at: DateTime<Utc>| Timestamp::new(at);
    rows.iter()
        .map(|row| {
            let view = RebuildView {
                purpose: row.try_get("purpose")?,
                position: position(row.try_get("position")?),
                of: head,
                started_at: time(row.try_get("started_at")?),
                updated_at: time(row.try_get("updated_at")?),
            };
            Ok((row.try_get("name")?, view))
        })
        .collect()
}
