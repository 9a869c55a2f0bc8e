//! `stop-recording`: a recording is ended as asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::state::Room;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::RecordingStopped;
use crate::ids::RecordingId;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StopRecording {
    /// Absent: the one that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<RecordingId>,
}

impl CommandSpec for StopRecording {
    const NAME: &'static str = "stop-recording";
    const SUMMARY: &'static str = "Stop the recording";
    const DESCRIPTION: &'static str =
        "Needs the grant `room_record`. Name the recording where another may have begun meanwhile.";
    const EVENTS: &'static [&'static str] = &["room.recording-stopped"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::NotRecording,
    ];

    fn examples() -> Vec<Example> {
        vec![
            Example::new("The one that runs", json!({})),
            Example::new("This one", json!({ "recording": "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11" })),
        ]
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let recording = running(room, self.recording, context)?;
        Ok(Decision::Events(vec![RecordingStopped { recording }.into()]))
    }
}

/// The recording that runs, if it is the one that is named.
pub(super) fn running(
    room: &Room,
    named: Option<RecordingId>,
    context: &DecisionContext<'_>,
) -> Result<RecordingId, Refusal> {
    if !context.caller.grants.room_record {
        return Err(Refusal::not_granted("room_record"));
    }
    let refused = |detail: String| Err(Refusal::new(RefusalCode::NotRecording, detail));
    match (&room.open()?.recording, named) {
        (None, _) => refused("the room is not being recorded".into()),
        (Some(running), Some(named)) if running.recording != named => {
            refused(format!("the current recording is {}", running.recording))
        }
        (Some(running), _) => Ok(running.recording),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::commands::refusal::RefusalCode;
    use crate::commands::room::testing::*;
    use crate::events::room::{RecordingStarted, RecordingStopped, Role};

    fn room() -> Given {
        given().joined("hal", Role::Host).event(RecordingStarted { recording: recording("rec") })
    }

    #[test]
    fn the_recording_that_runs_is_stopped() {
        let stopped = RecordingStopped { recording: recording("rec") };
        let named = json!({ "recording": recording("rec") });
        room().when(recorder(), "stop-recording", named).then([stopped.clone().into()]);
        let room = room().when(recorder(), "stop-recording", json!({})).then([stopped.into()]);
        assert_eq!(room.open().recording, None);
        room.when(recorder(), "stop-recording", json!({})).refused(RefusalCode::NotRecording);
    }

    #[test]
    fn another_recording_than_the_named_one_goes_on() {
        let named = json!({ "recording": recording("old") });
        room().when(recorder(), "stop-recording", named).refused(RefusalCode::NotRecording);
    }

    #[test]
    fn it_takes_the_grant_and_no_role_stands_for_it() {
        room().when(person("hal"), "stop-recording", json!({})).refused(RefusalCode::NotGranted);
    }

    #[test]
    fn an_open_room_is_recorded_only() {
        nothing().when(recorder(), "stop-recording", json!({})).refused(RefusalCode::RoomNotFound);
        scheduled().when(recorder(), "stop-recording", json!({})).refused(RefusalCode::RoomNotOpen);
        ended().when(recorder(), "stop-recording", json!({})).refused(RefusalCode::RoomEnded);
    }
}
