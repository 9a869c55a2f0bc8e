//! `mute-all`: staff mutes everybody.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::media::{audible_kinds, is_audible_kinds, is_over, muted_by_staff};
use super::rights::staff;
use super::state::Room;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext};
use crate::commands::fault::FieldFaults;
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::TrackKind;
use crate::ids::Identity;
use crate::json::is_default;

/// People left out by name.
const MAX_EXCEPT: usize = 100;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MuteAll {
    /// What is muted; absent: all that is heard.
    #[serde(default = "audible_kinds", skip_serializing_if = "is_audible_kinds")]
    pub kinds: BTreeSet<TrackKind>,
    /// Who is left out, at most 100; need not be present.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(length(max = 100))]
    pub except: BTreeSet<Identity>,
}

impl CommandSpec for MuteAll {
    const NAME: &'static str = "mute-all";
    const SUMMARY: &'static str = "Mute everybody";
    const DESCRIPTION: &'static str = "For staff and servers. As mute-participant, for everybody whose role is below the caller's, but \
        for those in `except`. Who publishes later is not muted by it: see the setting `mute_on_entry`.";
    const EVENTS: &'static [&'static str] = &["room.track-muted"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::StaffOnly,
    ];

    fn examples() -> Vec<Example> {
        vec![
            Example::new("All that is heard", json!({})),
            Example::new("But for the one who speaks", json!({ "except": ["user-17"] })),
        ]
    }

    fn validate(&self, faults: &mut FieldFaults) {
        faults.count("except", self.except.len(), MAX_EXCEPT);
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let open = room.open()?;
        let rank = staff(room, context)?;
        let below =
            open.people.iter().filter(|(identity, person)| is_over(rank, person) && !self.except.contains(identity));
        Ok(Decision::Events(below.flat_map(|(identity, _)| muted_by_staff(open, identity, &self.kinds)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::commands::refusal::RefusalCode;
    use crate::commands::room::testing::*;
    use crate::events::room::{Role, RoomEvent, TrackMuted, TrackSource};

    fn muted(name: &str) -> RoomEvent {
        TrackMuted { track: track(name), by_staff: true }.into()
    }

    fn room() -> Given {
        let room = given().joined("ann", Role::Speaker).joined("bob", Role::Viewer);
        let room = room.joined("mod", Role::Moderator).joined("hal", Role::Host);
        room.track("s1", "ann", TrackSource::Microphone)
            .track("s2", "bob", TrackSource::Microphone)
            .track("s3", "bob", TrackSource::Camera)
            .track("s4", "mod", TrackSource::Microphone)
            .track("s5", "hal", TrackSource::Microphone)
    }

    #[test]
    fn staff_mutes_everybody_below_it() {
        room().when(server(), "mute-all", json!({})).then([muted("s1"), muted("s2"), muted("s5"), muted("s4")]);
        room().when(person("hal"), "mute-all", json!({})).then([muted("s1"), muted("s2"), muted("s4")]);
        let room = room().when(person("mod"), "mute-all", json!({})).then([muted("s1"), muted("s2")]);
        room.when(person("mod"), "mute-all", json!({})).then_nothing();
    }

    #[test]
    fn some_are_left_out_and_other_kinds_named() {
        let body = json!({ "except": ["ann", "eve"], "kinds": ["audio", "video"] });
        room().when(person("mod"), "mute-all", body).then([muted("s2"), muted("s3")]);
    }

    #[test]
    fn others_do_not() {
        room().when(person("ann"), "mute-all", json!({})).refused(RefusalCode::StaffOnly);
        room().when(person("eve"), "mute-all", json!({})).refused(RefusalCode::StaffOnly);
    }

    #[test]
    fn people_are_muted_in_an_open_room_only() {
        nothing().when(server(), "mute-all", json!({})).refused(RefusalCode::RoomNotFound);
        scheduled().when(server(), "mute-all", json!({})).refused(RefusalCode::RoomNotOpen);
        ended().when(server(), "mute-all", json!({})).refused(RefusalCode::RoomEnded);
    }

    #[test]
    fn a_hundred_are_left_out_at_most() {
        let names: Vec<String> = (0..101).map(|number| format!("user-{number}")).collect();
        assert_eq!(faults("mute-all", &json!({ "except": names }).to_string())[0].field, "except");
    }
}
