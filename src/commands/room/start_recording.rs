//! `start-recording`: a recorder takes up its work.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::state::Room;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::RecordingStarted;
use crate::ids::RecordingId;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StartRecording {}

impl CommandSpec for StartRecording {
    const NAME: &'static str = "start-recording";
    const SUMMARY: &'static str = "Start a recording";
    const DESCRIPTION: &'static str = "Needs the grant `room_record`; who records need not be present. A room has one recording at a \
        time. The recording is the id of the command; it is over when it is stopped, fails, or the room ends.";
    const EVENTS: &'static [&'static str] = &["room.recording-started"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::AlreadyRecording,
    ];

    fn examples() -> Vec<Example> {
        vec![Example::new("Start", json!({}))]
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        if !context.caller.grants.room_record {
            return Err(Refusal::not_granted("room_record"));
        }
        if let Some(running) = &room.open()?.recording {
            let detail = format!("the recording {} has been running since {}", running.recording, running.started_at);
            return Err(Refusal::new(RefusalCode::AlreadyRecording, detail));
        }
        let recording = RecordingId::from_uuid(context.command_id.uuid());
        Ok(Decision::Events(vec![RecordingStarted { recording }.into()]))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::commands::refusal::RefusalCode;
    use crate::commands::room::testing::*;
    use crate::events::room::{RecordingStarted, Role};

    #[test]
    fn a_recording_is_named_by_its_command() {
        let outcome = given().when(recorder(), "start-recording", json!({}));
        let recording = outcome.recording();
        let room = outcome.then([RecordingStarted { recording }.into()]);
        assert_eq!(room.open().recording.as_ref().unwrap().recording, recording);
    }

    #[test]
    fn a_room_has_one_recording_at_a_time() {
        let room = given().event(RecordingStarted { recording: recording("rec") });
        room.when(recorder(), "start-recording", json!({})).refused(RefusalCode::AlreadyRecording);
    }

    #[test]
    fn it_takes_the_grant_and_no_role_stands_for_it() {
        let room = given().joined("hal", Role::Host);
        room.when(person("hal"), "start-recording", json!({})).refused(RefusalCode::NotGranted);
    }

    #[test]
    fn an_open_room_is_recorded_only() {
        nothing().when(recorder(), "start-recording", json!({})).refused(RefusalCode::RoomNotFound);
        scheduled().when(recorder(), "start-recording", json!({})).refused(RefusalCode::RoomNotOpen);
        ended().when(recorder(), "start-recording", json!({})).refused(RefusalCode::RoomEnded);
    }
}
