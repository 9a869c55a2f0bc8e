//! Who may read what. (Who may do what is decided by the rules of the commands.)
//!
//! | token | reads |
//! |---|---|
//! | `room_admin` | everything of the tenant, messages to others included, personal fields open |
//! | `room_list` | all rooms and the tenant's events; of messages those to everyone; personal fields withheld |
//! | `room_join`, a person's | the room as it is; while in it, its people, messages and events, personal fields open |
//! | `operator` | how the log and the read models stand, of all tenants |
//!
//! Grants add: a person with `room_join` and `room_list` reads as a person in the rooms that they are in, and as `room_list`
//! alone does in the others.
//!
//! After a room has ended, those who were in it may read it, but for whom staff put out: removed or banned, in whatever order
//! they left and were banned, and not joined again since. A token whose grant `room` names one room reads that room only. Rooms
//! of other tenants are not there: the same answer as for a room that never was.

use super::api::Api;
use super::problem::{Problem, ProblemCode};
use super::reader::Reader;
use crate::commands::context::Caller;
use crate::commands::execute::load::LoadedRoom;
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::commands::room::state::Room;
use crate::events::ids::{Identity, RoomId};
use crate::events::log::RoomKey;
use crate::events::room::Role;
use crate::json::quoted;
use crate::projections::model::ReadModel as _;
use crate::projections::sessions::Sessions;

/// What a caller sees of the events of a room, or of all rooms.
#[derive(Clone, Debug)]
pub struct Access {
    pub reader: Reader,
    /// Personal fields are opened.
    pub personal: bool,
}

impl Access {
    fn admin() -> Self {
        Self { reader: Reader::admin(), personal: true }
    }

    fn outsider() -> Self {
        Self { reader: Reader::outsider(), personal: false }
    }
}

/// The answer for a room that is not there, or not for this tenant: the one that commands give.
pub fn no_such_room() -> Problem {
    Refusal::new(RefusalCode::RoomNotFound, "there is no room with this id").into()
}

fn forbidden(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemCode::Forbidden, detail)
}

/// All rooms of the tenant.
pub fn all_rooms(caller: &Caller) -> Result<Access, Problem> {
    let grants = &caller.grants;
    if grants.room.is_some() {
        return Err(forbidden("The token is for one room only; this is about all of them."));
    }
    match (grants.room_admin, grants.room_list) {
        (true, _) => Ok(Access::admin()),
        (false, true) => Ok(Access::outsider()),
        (false, false) => Err(forbidden("The token lacks the grant room_list.")),
    }
}

/// The log and the read models, which are of all tenants.
pub fn operator(caller: &Caller) -> Result<(), Problem> {
    if caller.grants.operator { Ok(()) } else { Err(forbidden("The token lacks the grant operator.")) }
}

/// The room as such, without its people: anybody with a grant for it.
pub fn room_itself(caller: &Caller, room: RoomId, name: Option<&str>) -> Result<(), Problem> {
    let grants = &caller.grants;
    if !(grants.room_admin || grants.room_list || grants.room_join) {
        return Err(forbidden(
            "The token lacks the grants room_join, room_list and room_admin: one of them is needed.",
        ));
    }
    match &grants.room {
        Some(only) if *only != room.to_string() && name != Some(only) => {
            Err(forbidden(format!("The token is for the room {} only.", quoted(only))))
        }
        _ => Ok(()),
    }
}

/// The room as the log has it now, for those who may see it.
pub async fn room_in_log(api: &Api, caller: &Caller, key: &RoomKey) -> Result<LoadedRoom, Problem> {
    let room = api.executor.loader().now(key).await?;
    let charter = room.state.charter().ok_or_else(no_such_room)?;
    room_itself(caller, key.room, charter.name.as_deref())?;
    Ok(room)
}

/// What goes on in the room: its people, its messages, its events.
pub async fn inside_room(api: &Api, caller: &Caller, key: &RoomKey) -> Result<Access, Problem> {
    let grants = &caller.grants;
    let person = caller.identity().filter(|_| grants.room_join);
    if grants.room.is_none() && (grants.room_admin || grants.room_list && person.is_none()) {
        // No look at the room's state is needed, only whether it is there.
        if !api.cache.knows(key) {
            api.log.room_head(key).await?.ok_or_else(no_such_room)?;
        }
        return Ok(if grants.room_admin { Access::admin() } else { Access::outsider() });
    }
    let room = room_in_log(api, caller, key).await?;
    if grants.room_admin {
        return Ok(Access::admin());
    }
    let as_person = match person {
        Some(identity) => as_person(api, identity, key, &room, grants.room_list).await?,
        None => None,
    };
    match (as_person, person) {
        (Some(access), _) => Ok(access),
        (None, _) if grants.room_list => Ok(Access::outsider()),
        (None, Some(identity)) => Err(forbidden(format!("{} is not in the room: join first.", identity.quoted()))),
        (None, None) => Err(forbidden("The token is no person's: it needs room_admin or room_list.")),
    }
}

/// A person who is in the room, or was in it when it ended or before and was not put out. `lists`: the token grants `room_list` too.
async fn as_person(
    api: &Api,
    identity: &Identity,
    key: &RoomKey,
    room: &LoadedRoom,
    lists: bool,
) -> Result<Option<Access>, Problem> {
    let staff = match role(identity, room) {
        Some(role) => role.is_staff(),
        None if may_look_back(api, key, identity, room).await? => false,
        None => return Ok(None),
    };
    Ok(Some(Access { reader: Reader::person(identity.clone(), staff, room.version, lists), personal: true }))
}

/// Whether somebody was in a room that has ended, and was not put out of it. The read model of stays may not have come so far
/// yet: it is waited for.
async fn may_look_back(api: &Api, key: &RoomKey, identity: &Identity, room: &LoadedRoom) -> Result<bool, Problem> {
    if !matches!(room.state, Room::Ended(_)) || room.state.was_put_out(identity) {
        return Ok(false);
    }
    api.board.wait_for(Sessions::NAME, room.position, api.http.at_least_timeout, &api.stop).await?;
    Ok(api.models.ever_stayed(&key.tenant, key.room, identity).await?)
}

fn role(identity: &Identity, room: &LoadedRoom) -> Option<Role> {
    match &room.state {
        Room::Open(open) => Some(open.people.get(identity)?.role),
        Room::Absent | Room::Scheduled(_) | Room::Ended(_) => None,
    }
}

/// What `identity` would see, for somebody who sees everything or is that person.
pub async fn seen_by(api: &Api, access: Access, key: &RoomKey, identity: Identity) -> Result<Access, Problem> {
    if access.reader.identity.as_ref() == Some(&identity) {
        return Ok(access);
    }
    if !access.reader.admin {
        return Err(forbidden("Only room_admin reads as somebody else."));
    }
    let room = api.executor.loader().now(key).await?;
    let staff = role(&identity, &room).is_some_and(Role::is_staff);
    Ok(Access { reader: Reader::person(identity, staff, room.version, false), personal: access.personal })
}

/// Hosts and moderators of the room, and servers.
pub fn staff(access: &Access) -> Result<(), Problem> {
    if access.reader.admin || access.reader.staff {
        return Ok(());
    }
    Err(forbidden("Only hosts and moderators of the room, and servers with room_admin, see who waits."))
}
