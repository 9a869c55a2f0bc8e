//! An event as one line of JSON, in the shape that the API gives it.

use std::io::{self, Write};

use serde::Serialize;

use crate::events::envelope::Envelope;
use crate::ids::TenantId;
use crate::live::event_view::{EventView, PersonalView};

/// The tenant in front: the ids of rooms are unique within one only.
#[derive(Serialize)]
struct TenantEventLine<'a> {
    tenant: &'a TenantId,
    #[serde(flatten)]
    event: EventView<'a>,
}

/// Writes an event as the API shows it.
pub fn write(output: &mut impl Write, event: &Envelope, personal: PersonalView) -> io::Result<()> {
    serde_json::to_writer(&mut *output, &EventView::new(event, personal))?;
    output.write_all(b"\n")
}

/// The same with the tenant in front, where lines may be of several.
pub fn write_with_tenant(output: &mut impl Write, event: &Envelope, personal: PersonalView) -> io::Result<()> {
    let line = TenantEventLine { tenant: &event.tenant, event: EventView::new(event, personal) };
    serde_json::to_writer(&mut *output, &line)?;
    output.write_all(b"\n")
}
