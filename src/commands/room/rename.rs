//! `rename`: somebody gets another display name.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::join::MAX_DISPLAY_NAME_CHARS;
use super::rights::{Rank, oneself_or_below, rank};
use super::state::Room;
use crate::commands::command::{Command, Example};
use crate::commands::context::{Context, Decision, Fact};
use crate::commands::fault::Faults;
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::ids::Identity;
use crate::events::room::{ParticipantRenamed, Role};
use crate::events::sealed::{Personal, PersonalFields};

#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// Who is renamed; absent: the caller.
    pub identity: Option<Identity>,
    /// The name to show, 1 to 256 characters. Personal: sealed in the log.
    #[schemars(length(min = 1, max = 256))]
    pub display_name: String,
}

impl Command for Rename {
    const NAME: &'static str = "rename";
    const SUMMARY: &'static str = "Change a display name";
    const DESCRIPTION: &'static str = "One's own, where the setting `self_rename` is on or one is staff; that of somebody of a lower \
        role, for staff; anybody's, for servers with `room_admin`. Names are sealed, so that no rule can see whether one is \
        new: each call is a fact.";
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::IdentityRequired,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::NotPresent,
        RefusalCode::StaffOnly,
        RefusalCode::RankTooLow,
        RefusalCode::SelfRenameOff,
    ];

    fn examples() -> Vec<Example> {
        vec![
            Example::new("Oneself", json!({ "display_name": "Ann" })),
            Example::new("Somebody else", json!({ "identity": "user-17", "display_name": "Bob" })),
        ]
    }

    fn validate(&self, faults: &mut Faults) {
        faults.line("display_name", &self.display_name, MAX_DISPLAY_NAME_CHARS);
    }

    fn decide(&self, room: &Room, context: &Context<'_>) -> Result<Decision, Refusal> {
        let identity = oneself_or_below(room, self.identity.as_ref(), context)?.clone();
        let open = room.open()?;
        let staff = rank(Some(open), context) >= Some(Rank::Of(Role::Moderator));
        if !open.charter.settings.self_rename && !staff {
            return Err(Refusal::new(RefusalCode::SelfRenameOff, "people cannot rename themselves in this room"));
        }
        let fields = PersonalFields { display_name: Some(self.display_name.clone()), ..PersonalFields::default() };
        let personal = Some(Personal { subject: identity.clone(), fields });
        Ok(Decision::Facts(vec![Fact { event: ParticipantRenamed { identity }.into(), personal }]))
    }
}
