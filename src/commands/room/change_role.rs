//! `change-role`: somebody may do more, or less.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::rights::{Rank, staff};
use super::state::{Open, Person, Room};
use super::succession::{first_of_staff, tracks_lost};
use crate::commands::command::{Command, Example};
use crate::commands::context::{Context, Decision, Fact};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::ids::Identity;
use crate::events::room::{Role, RoleChanged};

#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeRole {
    /// Somebody present.
    pub identity: Identity,
    pub role: Role,
}

impl Command for ChangeRole {
    const NAME: &'static str = "change-role";
    const SUMMARY: &'static str = "Change somebody's role";
    const DESCRIPTION: &'static str = "A host gives any role to people below host, `host` included: a room may have several. A \
        moderator moves people below moderator between the roles below moderator. Staff may step down. A server with \
        `room_admin` gives anybody any role. Nobody takes the last host from a room.\n\n\
        Tracks that the new role may not publish end in the same append. Who is made moderator in a room without a host \
        becomes host.";
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::StaffOnly,
        RefusalCode::RankTooLow,
        RefusalCode::NotPresent,
        RefusalCode::LastHost,
    ];

    fn examples() -> Vec<Example> {
        vec![
            Example::new("Let a viewer speak", json!({ "identity": "user-17", "role": "speaker" })),
            Example::new("A second host", json!({ "identity": "user-17", "role": "host" })),
        ]
    }

    fn decide(&self, room: &Room, context: &Context<'_>) -> Result<Decision, Refusal> {
        let open = room.open()?;
        let rank = staff(room, context)?;
        let person = open.present(&self.identity)?;
        if person.role == self.role {
            return Ok(Decision::nothing());
        }
        self.may(rank, person, context)?;
        if open.people.is_only_host(&self.identity) {
            return Err(Refusal::new(RefusalCode::LastHost, format!("{} is the only host", self.identity)));
        }
        Ok(Decision::Facts(self.facts(open, person)))
    }
}

impl ChangeRole {
    fn may(&self, rank: Rank, person: &Person, context: &Context<'_>) -> Result<(), Refusal> {
        let steps_down = context.caller.identity() == Some(&self.identity) && self.role < person.role;
        if steps_down {
            return Ok(());
        }
        rank.over(person.role, &self.identity)?;
        let gives = match rank {
            Rank::Server | Rank::Of(Role::Host) => true,
            Rank::Of(own) => self.role < own,
        };
        if gives {
            return Ok(());
        }
        let detail = format!("a moderator cannot make anybody {}", self.role.as_str());
        Err(Refusal::new(RefusalCode::RankTooLow, detail))
    }

    fn facts(&self, open: &Open, person: &Person) -> Vec<Fact> {
        let identity: Identity = self.identity.clone();
        let mut facts = vec![RoleChanged { identity, from: person.role, to: self.role }.into()];
        let host = first_of_staff(open, &self.identity, self.role);
        let role = if host.is_some() { Role::Host } else { self.role };
        facts.extend(host);
        facts.extend(tracks_lost(open, &self.identity, role));
        facts
    }
}
