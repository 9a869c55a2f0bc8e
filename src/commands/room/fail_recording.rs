//! `fail-recording`: a recorder tells that its recording ended by itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::state::Room;
use super::stop_recording::running;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext};
use crate::commands::fault::FieldFaults;
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::RecordingFailed;
use crate::ids::RecordingId;

/// Characters of a reason.
const MAX_REASON_CHARS: usize = 256;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailRecording {
    /// Absent: the one that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<RecordingId>,
    /// The recorder's own words, 1 to 256 characters. Not sealed: nothing personal belongs here.
    #[schemars(length(min = 1, max = 256))]
    pub reason: String,
}

impl CommandSpec for FailRecording {
    const NAME: &'static str = "fail-recording";
    const SUMMARY: &'static str = "Report that the recording failed";
    const DESCRIPTION: &'static str = "Needs the grant `room_record`: what a recorder sends when it cannot go on. What it holds so far \
        may be incomplete.";
    const EVENTS: &'static [&'static str] = &["room.recording-failed"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::NotRecording,
    ];

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "This one",
            json!({ "recording": "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11", "reason": "disk full" }),
        )]
    }

    fn validate(&self, faults: &mut FieldFaults) {
        faults.line("reason", &self.reason, MAX_REASON_CHARS);
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let recording = running(room, self.recording, context)?;
        Ok(Decision::Events(vec![RecordingFailed { recording, reason: self.reason.clone() }.into()]))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::commands::refusal::RefusalCode;
    use crate::commands::room::testing::*;
    use crate::events::room::{RecordingFailed, RecordingStarted, Role};

    fn room() -> Given {
        given().joined("hal", Role::Host).event(RecordingStarted { recording: recording("rec") })
    }

    #[test]
    fn the_recording_that_runs_failed_for_a_reason() {
        let failed = RecordingFailed { recording: recording("rec"), reason: "disk full".into() };
        let body = json!({ "reason": "disk full" });
        let room = room().when(recorder(), "fail-recording", body.clone()).then([failed.into()]);
        assert_eq!(room.open().recording, None);
        room.when(recorder(), "fail-recording", body).refused(RefusalCode::NotRecording);
    }

    #[test]
    fn another_recording_than_the_named_one_goes_on() {
        let named = json!({ "recording": recording("old"), "reason": "disk full" });
        room().when(recorder(), "fail-recording", named).refused(RefusalCode::NotRecording);
    }

    #[test]
    fn it_takes_the_grant_and_no_role_stands_for_it() {
        let body = json!({ "reason": "disk full" });
        room().when(person("hal"), "fail-recording", body).refused(RefusalCode::NotGranted);
    }

    #[test]
    fn an_open_room_is_recorded_only() {
        let body = json!({ "reason": "disk full" });
        nothing().when(recorder(), "fail-recording", body.clone()).refused(RefusalCode::RoomNotFound);
        scheduled().when(recorder(), "fail-recording", body.clone()).refused(RefusalCode::RoomNotOpen);
        ended().when(recorder(), "fail-recording", body).refused(RefusalCode::RoomEnded);
    }

    #[test]
    fn a_reason_is_a_line_of_at_most_256_characters() {
        assert_eq!(faults("fail-recording", "{}")[0].field, "reason");
        assert_eq!(faults("fail-recording", r#"{"reason": ""}"#)[0].field, "reason");
        let long = json!({ "reason": "x".repeat(257) }).to_string();
        assert_eq!(faults("fail-recording", &long)[0].field, "reason");
    }
}
