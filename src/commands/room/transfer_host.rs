//! `transfer-host`: a host hands the room over.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::rights::{Rank, staff};
use super::state::{Open, Room};
use super::succession::tracks_lost;
use crate::commands::command::{Command, Example};
use crate::commands::context::{Context, Decision, Fact};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::ids::Identity;
use crate::events::room::{HostTransferred, Role};

#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferHost {
    /// Who becomes host; somebody present.
    pub identity: Identity,
}

impl Command for TransferHost {
    const NAME: &'static str = "transfer-host";
    const SUMMARY: &'static str = "Hand the room over to another host";
    const DESCRIPTION: &'static str = "For hosts, who become moderators by it, and for servers with `room_admin`: these take it from \
        the longest-present host, and change nothing where the person is host already. To oneself changes nothing. Tracks \
        that a new role may not publish end in the same append.";
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::StaffOnly,
        RefusalCode::RankTooLow,
        RefusalCode::NotPresent,
    ];

    fn examples() -> Vec<Example> {
        vec![Example::new("To somebody present", json!({ "identity": "user-17" }))]
    }

    fn decide(&self, room: &Room, context: &Context<'_>) -> Result<Decision, Refusal> {
        let open = room.open()?;
        let rank = staff(room, context)?;
        if rank < Rank::Of(Role::Host) {
            return Err(Refusal::new(RefusalCode::RankTooLow, "only a host can hand the room over"));
        }
        let person = open.present(&self.identity)?;
        let own = context.caller.identity().filter(|own| is_host(open, own));
        if own == Some(&self.identity) || (own.is_none() && person.role == Role::Host) {
            return Ok(Decision::nothing());
        }
        let from = own.or_else(|| open.people.hosts().next());
        let mut facts: Vec<Fact> = vec![HostTransferred { from: from.cloned(), to: self.identity.clone() }.into()];
        if let Some(from) = from {
            facts.extend(tracks_lost(open, from, Role::Moderator));
        }
        facts.extend(tracks_lost(open, &self.identity, Role::Host));
        Ok(Decision::Facts(facts))
    }
}

fn is_host(open: &Open, identity: &Identity) -> bool {
    open.people.get(identity).is_some_and(|person| person.role == Role::Host)
}
