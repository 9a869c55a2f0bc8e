//! The catalogue of events in the description: for every name and version the shape of its `data`. All of it comes out of
//! [`RoomEvent::catalogue`].

use serde_json::json;

use super::OpenApiDocument;
use crate::events::room::RoomEvent;
use crate::events::room::shapes::{TOLD_APART_BY, name};

/// Every event as a schema that the others refer to.
pub fn describe(document: &mut OpenApiDocument) {
    for kind in RoomEvent::catalogue() {
        let schema = (kind.schema)();
        let (name, about) = (name(&kind), schema.get("description").cloned().unwrap_or_default());
        let data = document.keep(schema);
        document.keep_as(
            name,
            json!({
                "type": "object",
                "description": about,
                "required": TOLD_APART_BY,
                "properties": {
                    "type": { "const": kind.name },
                    "type_version": { "const": kind.version },
                    "data": data,
                },
            }),
        );
    }
}
