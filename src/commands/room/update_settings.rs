//! `update-settings`: some settings of a room change.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::rights::staff;
use super::settings_bounds;
use super::state::Room;
use crate::commands::command::{Command, Example};
use crate::commands::context::{Context, Decision};
use crate::commands::fault::Faults;
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::{SettingsChanged, SettingsPatch};

/// The settings to change, each with its new value; what is missing stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct UpdateSettings(pub SettingsPatch);

impl Command for UpdateSettings {
    const NAME: &'static str = "update-settings";
    const SUMMARY: &'static str = "Change settings";
    const DESCRIPTION: &'static str = "For staff, and for servers with `room_admin`; also while the room is scheduled. The body is \
        the settings that change; `labels`, `publish` and `metadata` are replaced whole. The fact holds what differs from \
        before; nothing differs, nothing is written.\n\n\
        New settings bear on what comes after: nobody is removed by a lower `max_participants`, no track ends by other \
        rights to publish, and who waits in the lobby waits until admitted.";
    const REFUSALS: &'static [RefusalCode] =
        &[RefusalCode::NotGranted, RefusalCode::RoomNotFound, RefusalCode::RoomEnded, RefusalCode::StaffOnly];

    fn examples() -> Vec<Example> {
        vec![
            Example::new("Chat for staff only", json!({ "chat": "staff" })),
            Example::new("No limit on the number of people", json!({ "max_participants": null })),
            Example::new(
                "Viewers may speak",
                json!({ "publish": {
                "audio": ["viewer", "speaker", "moderator", "host"], "video": ["host"], "screen": ["host"],
            } }),
            ),
        ]
    }

    fn validate(&self, faults: &mut Faults) {
        settings_bounds::validate(&self.0, "", faults);
    }

    fn decide(&self, room: &Room, context: &Context<'_>) -> Result<Decision, Refusal> {
        let charter = room.unended()?;
        staff(room, context)?;
        let changed = charter.settings.difference(&self.0);
        Ok(changed.map_or_else(Decision::nothing, |changed| Decision::Facts(vec![SettingsChanged { changed }.into()])))
    }
}
