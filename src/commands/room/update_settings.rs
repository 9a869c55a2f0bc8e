//! `update-settings`: some settings of a room change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rights::staff;
use super::settings_bounds;
use super::state::Room;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext};
use crate::commands::fault::FieldFaults;
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::{SettingsChanged, SettingsPatch};

/// The settings to change, each with its new value; what is missing stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct UpdateSettings(pub SettingsPatch);

impl CommandSpec for UpdateSettings {
    const NAME: &'static str = "update-settings";
    const SUMMARY: &'static str = "Change settings";
    const DESCRIPTION: &'static str = "For staff, and for servers with `room_admin`; also while the room is scheduled. The body is \
        the settings that change; `labels`, `publish` and `metadata` are replaced as a whole. The event holds the settings \
        that differ; if none differs, nothing is written.\n\n\
        New settings apply to later commands: a lower `max_participants` removes nobody, other rights to publish end no \
        track, and people in the lobby wait until they are admitted.";
    const EVENTS: &'static [&'static str] = &["room.settings-changed"];
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

    fn validate(&self, faults: &mut FieldFaults) {
        settings_bounds::validate(&self.0, "", faults);
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let config = room.unended()?;
        staff(room, context)?;
        let changed = config.settings.difference(&self.0);
        Ok(changed.map_or_else(Decision::nothing, |changed| Decision::Events(vec![SettingsChanged { changed }.into()])))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    #[test]
    fn only_what_differs_is_a_fact() {
        let room = given_with(json!({ "chat": "staff" })).joined("ann", Role::Moderator);
        let body = json!({ "chat": "staff", "mute_on_entry": true, "max_participants": null });
        let changed = SettingsPatch { mute_on_entry: Some(true), ..SettingsPatch::default() };
        room.when(person("ann"), "update-settings", body.clone())
            .then([SettingsChanged { changed }.into()])
            .when(person("ann"), "update-settings", body)
            .then_nothing();
    }

    #[test]
    fn null_takes_a_limit_away() {
        let room = given_with(json!({ "max_participants": 5 }));
        let changed = SettingsPatch { max_participants: Some(None), ..SettingsPatch::default() };
        room.when(server(), "update-settings", json!({ "max_participants": null }))
            .then([SettingsChanged { changed }.into()]);
    }

    #[test]
    fn a_scheduled_room_can_be_changed_by_a_server() {
        scheduled().when(server(), "update-settings", json!({ "chat": "off" })).and();
        scheduled().when(person("ann"), "update-settings", json!({ "chat": "off" })).refused(RefusalCode::StaffOnly);
    }

    #[test]
    fn who_is_not_staff_changes_nothing() {
        let room = given().joined("bob", Role::Speaker);
        room.when(person("bob"), "update-settings", json!({})).refused(RefusalCode::StaffOnly);
        room.when(person("eve"), "update-settings", json!({})).refused(RefusalCode::StaffOnly);
    }

    #[test]
    fn a_room_that_ended_or_never_was_is_refused() {
        let over = given().event(RoomEnded { reason: EndReason::Requested });
        over.when(server(), "update-settings", json!({})).refused(RefusalCode::RoomEnded);
        nothing().when(server(), "update-settings", json!({})).refused(RefusalCode::RoomNotFound);
    }

    #[test]
    fn nobody_is_removed_by_a_lower_limit() {
        let room = given().joined("ann", Role::Host).joined("bob", Role::Viewer);
        let room = room.when(person("ann"), "update-settings", json!({ "max_participants": 1 })).and();
        assert_eq!(room.room.participants().len(), 2);
    }

    #[test]
    fn what_is_out_of_bounds_is_told_by_field() {
        assert_eq!(faults("update-settings", r#"{"max_duration_s":0}"#)[0].field, "max_duration_s");
        assert_eq!(faults("update-settings", r#"{"chats":"off"}"#)[0].field, "chats");
        assert_eq!(faults("update-settings", r#"{"labels":{"a\u0000":"b"}}"#)[0].field, "labels.a\\u0000");
    }
}
