//! Who may do what: the token's grants, and the caller's rank in the room.
//!
//! A person acts as oneself with the grant `room_join` and as staff by the role they have while present. A holder of
//! `room_admin` (a server) stands above every role, need not be present, and may act for somebody else.

use super::RoomCommand;
use super::state::{OpenState, Room};
use crate::commands::context::{DecisionContext, Lookup};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::Role;
use crate::ids::{Actor, Identity};
use crate::json::quoted;

/// How high the caller stands in the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    Of(Role),
    /// Holds `room_admin`.
    Server,
}

impl Rank {
    /// Refused unless this rank is above `role`: equals do not act on one another.
    pub fn over(self, role: Role, who: &Identity) -> Result<(), Refusal> {
        if self > Rank::Of(role) {
            return Ok(());
        }
        Err(Refusal::new(
            RefusalCode::RankTooLow,
            format!("{} is {} here, and the caller's role is not higher", who.quoted(), role.as_str()),
        ))
    }
}

/// A token whose grant `room` names another room, by id or by name, may do nothing in this one.
pub fn for_this_room(command: &RoomCommand, room: &Room, context: &DecisionContext<'_>) -> Result<(), Refusal> {
    let Some(only) = &context.caller.grants.room else { return Ok(()) };
    let named = match (room.config(), command.lookup()) {
        (Some(config), _) => config.name.as_deref() == Some(only),
        (None, Lookup::NameHolder(name)) => name == *only,
        (None, _) => false,
    };
    if named || context.room.to_string() == *only {
        return Ok(());
    }
    Err(Refusal::new(RefusalCode::NotGranted, format!("the token is for the room {} only", quoted(only))))
}

/// The person that the command acts for: the caller, or with `room_admin` whom it names.
pub fn acts_for<'a>(named: Option<&'a Identity>, context: &DecisionContext<'a>) -> Result<&'a Identity, Refusal> {
    let caller = context.caller;
    match (named, caller.identity()) {
        (Some(named), own) if own != Some(named) => {
            if caller.grants.room_admin {
                Ok(named)
            } else {
                Err(Refusal::not_granted("room_admin, needed to act for somebody else"))
            }
        }
        (_, Some(own)) => {
            if caller.grants.room_join || caller.grants.room_admin {
                Ok(own)
            } else {
                Err(Refusal::not_granted("room_join"))
            }
        }
        (_, None) => Err(Refusal::new(
            RefusalCode::IdentityRequired,
            "the token names no person: the command has to name one in `identity`",
        )),
    }
}

/// The caller's rank: a server's, or that of a person who is present; `None` for anybody else.
pub fn rank(open: Option<&OpenState>, context: &DecisionContext<'_>) -> Option<Rank> {
    let caller = context.caller;
    if caller.grants.room_admin {
        return Some(Rank::Server);
    }
    let person = open?.people.get(caller.identity()?)?;
    caller.grants.room_join.then_some(Rank::Of(person.role))
}

/// The rank of a caller who is staff. A room that is not open has no staff but servers.
pub fn staff(room: &Room, context: &DecisionContext<'_>) -> Result<Rank, Refusal> {
    let open = match room {
        Room::Open(open) => Some(&**open),
        Room::Absent | Room::Scheduled(_) | Room::Ended(_) => None,
    };
    match rank(open, context) {
        Some(rank) if rank >= Rank::Of(Role::Moderator) => Ok(rank),
        Some(Rank::Of(role)) => {
            Err(Refusal::new(RefusalCode::StaffOnly, format!("the caller is {} here", role.as_str())))
        }
        Some(Rank::Server) | None => Err(Refusal::new(RefusalCode::StaffOnly, "the caller is not in the room")),
    }
}

/// Whom the command is about: oneself, or somebody present whom the caller's rank is above.
pub fn oneself_or_below<'a>(
    room: &Room,
    named: Option<&'a Identity>,
    context: &DecisionContext<'a>,
) -> Result<&'a Identity, Refusal> {
    let open = room.open()?;
    match named {
        Some(named) if context.caller.identity() != Some(named) => {
            let rank = staff(room, context)?;
            rank.over(open.present(named)?.role, named)?;
            Ok(named)
        }
        _ => {
            let own = acts_for(named, context)?;
            open.present(own).map(|_| own)
        }
    }
}

/// Whom the command is about: oneself, or anybody where the caller is staff of whatever rank.
pub fn oneself_or_as_staff<'a>(
    room: &Room,
    named: Option<&'a Identity>,
    context: &DecisionContext<'a>,
) -> Result<&'a Identity, Refusal> {
    match named {
        Some(named) if context.caller.identity() != Some(named) => staff(room, context).map(|_| named),
        _ => acts_for(named, context),
    }
}

/// Whether it is the part of the system that carries out what time does to a room.
pub fn is_deadlines(context: &DecisionContext<'_>) -> bool {
    matches!(&context.caller.actor, Actor::System(part) if **part == *super::state::DEADLINES)
}
