//! `set-participant-metadata`: the caller's own data on a person is replaced.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::join::MAX_PERSON_METADATA_BYTES;
use super::rights::oneself_or_below;
use super::state::Room;
use crate::commands::command::{Command, Example};
use crate::commands::context::{Context, Decision, Fact};
use crate::commands::fault::Faults;
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::ids::Identity;
use crate::events::room::ParticipantMetadataSet;
use crate::events::sealed::{Personal, PersonalFields};

#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetParticipantMetadata {
    /// Whose metadata; absent: the caller's.
    pub identity: Option<Identity>,
    /// Any JSON, at most 16 KiB as text; replaces all there was. Personal: sealed in the log.
    pub metadata: Value,
}

impl Command for SetParticipantMetadata {
    const NAME: &'static str = "set-participant-metadata";
    const SUMMARY: &'static str = "Replace a person's metadata";
    const DESCRIPTION: &'static str = "One's own; that of somebody of a lower role, for staff; anybody's, for servers with \
        `room_admin`. Metadata is sealed, so that no rule can see whether it is new: each call is a fact.";
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::IdentityRequired,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::NotPresent,
        RefusalCode::StaffOnly,
        RefusalCode::RankTooLow,
    ];

    fn examples() -> Vec<Example> {
        vec![
            Example::new("One's own", json!({ "metadata": { "seat": "12A" } })),
            Example::new("Somebody else's", json!({ "identity": "user-17", "metadata": null })),
        ]
    }

    fn validate(&self, faults: &mut Faults) {
        faults.metadata("metadata", &self.metadata, MAX_PERSON_METADATA_BYTES);
    }

    fn decide(&self, room: &Room, context: &Context<'_>) -> Result<Decision, Refusal> {
        let identity = oneself_or_below(room, self.identity.as_ref(), context)?.clone();
        let fields = PersonalFields { metadata: Some(self.metadata.clone()), ..PersonalFields::default() };
        let personal = Some(Personal { subject: identity.clone(), fields });
        Ok(Decision::Facts(vec![Fact { event: ParticipantMetadataSet { identity }.into(), personal }]))
    }
}
