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
use crate::commands::context::Caller;
use crate::commands::execute::load::LoadedRoom;
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::commands::room::state::{PresentPerson, Room};
use crate::ids::{Identity, Position, RoomId, RoomKey, RoomVersion};
use crate::json::quoted;
use crate::live::rooms::CurrentRoom;
use crate::live::viewer::Viewer;
use crate::projections::model::ReadModel as _;
use crate::projections::sessions::SessionsModel;

/// What a caller sees of the events of a room, or of all rooms.
#[derive(Clone, Debug)]
pub struct ReadAccess {
    pub viewer: Viewer,
    /// Personal fields are opened.
    pub personal: bool,
}

impl ReadAccess {
    fn admin() -> Self {
        Self { viewer: Viewer::admin(), personal: true }
    }

    fn outsider() -> Self {
        Self { viewer: Viewer::outsider(), personal: false }
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
pub fn all_rooms(caller: &Caller) -> Result<ReadAccess, Problem> {
    let grants = &caller.grants;
    if grants.room.is_some() {
        return Err(forbidden("The token is for one room only; this is about all of them."));
    }
    match (grants.room_admin, grants.room_list) {
        (true, _) => Ok(ReadAccess::admin()),
        (false, true) => Ok(ReadAccess::outsider()),
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

/// Refuses who may not see the room itself.
pub async fn see_room(api: &Api, caller: &Caller, key: &RoomKey) -> Result<(), Problem> {
    let room = api.rooms.current(key, None).await?;
    room.read(|room| itself(caller, key, room))
}

fn itself(caller: &Caller, key: &RoomKey, room: &LoadedRoom) -> Result<(), Problem> {
    let config = room.state.config().ok_or_else(no_such_room)?;
    room_itself(caller, key.room, config.name.as_deref())
}

/// The content of a room: its people, its messages, its events.
pub async fn inside_room(api: &Api, caller: &Caller, key: &RoomKey) -> Result<ReadAccess, Problem> {
    Ok(look_inside(api, caller, key, None, |_, _, _| ()).await?.access)
}

/// What somebody who may look inside a room took of it, all at one version.
pub struct InsideRoom<T> {
    pub access: ReadAccess,
    pub taken: T,
    pub room: CurrentRoom,
    /// A position at which the log has the room as it was taken.
    pub position: Position,
}

/// Takes something of the room as it is now, for a caller who may see what goes on in it.
pub async fn look_inside<T>(
    api: &Api,
    caller: &Caller,
    key: &RoomKey,
    wanted: Option<Position>,
    take: impl Fn(&LoadedRoom, &ReadAccess, &CurrentRoom) -> T,
) -> Result<InsideRoom<T>, Problem> {
    let current = api.rooms.current(key, wanted).await?;
    let looked = current.read(|room| match rights(caller, key, room)? {
        ReadRights::Sees(access) => Ok(LookResult::At(take(room, &access, &current), access, current.position(room))),
        ReadRights::IfEverIn(identity) => Ok(LookResult::Ended(identity, room.position, room.version)),
        ReadRights::None(problem) => Err(problem),
    })?;
    let (identity, position, version) = match looked {
        LookResult::At(taken, access, position) => return Ok(InsideRoom { access, taken, room: current, position }),
        LookResult::Ended(identity, position, version) => (identity, position, version),
    };
    // A room that has ended stays as it is: what is taken now is of the same version.
    let access = if ever_in(api, key, &identity, position).await? {
        let lists = caller.grants.room_list;
        ReadAccess { viewer: Viewer::person(identity, false, version, lists), personal: true }
    } else if caller.grants.room_list {
        ReadAccess::outsider()
    } else {
        return Err(not_in_room(&identity));
    };
    let (taken, position) = current.read(|room| (take(room, &access, &current), current.position(room)));
    Ok(InsideRoom { access, taken, room: current, position })
}

enum LookResult<T> {
    At(T, ReadAccess, Position),
    Ended(Identity, Position, RoomVersion),
}

/// What the state of a room says of a caller's rights.
enum ReadRights {
    Sees(ReadAccess),
    /// The room has ended: its people may look back.
    IfEverIn(Identity),
    None(Problem),
}

fn rights(caller: &Caller, key: &RoomKey, room: &LoadedRoom) -> Result<ReadRights, Problem> {
    itself(caller, key, room)?;
    let grants = &caller.grants;
    if grants.room_admin {
        return Ok(ReadRights::Sees(ReadAccess::admin()));
    }
    let person = caller.identity().filter(|_| grants.room_join);
    if let Some(identity) = person {
        if let Some(person) = present(identity, room) {
            let staff = person.role.is_staff();
            let viewer = Viewer::person(identity.clone(), staff, room.version, grants.room_list);
            let viewer = viewer.with_stays(person.sessions.iter().map(|stay| stay.session));
            return Ok(ReadRights::Sees(ReadAccess { viewer, personal: true }));
        }
        if matches!(room.state, Room::Ended(_)) && !room.state.was_put_out(identity) {
            return Ok(ReadRights::IfEverIn(identity.clone()));
        }
    }
    if grants.room_list {
        return Ok(ReadRights::Sees(ReadAccess::outsider()));
    }
    Ok(ReadRights::None(match person {
        Some(identity) => not_in_room(identity),
        None => forbidden("The token names no person: it needs room_admin or room_list."),
    }))
}

fn not_in_room(identity: &Identity) -> Problem {
    forbidden(format!("{} is not in the room: join first.", identity.quoted()))
}

/// Whether somebody was ever in a room. The read model of stays may not have come so far yet: it is waited for.
async fn ever_in(api: &Api, key: &RoomKey, identity: &Identity, position: Position) -> Result<bool, Problem> {
    api.progress.wait_for(SessionsModel::NAME, position, api.http.at_least_timeout, &api.stop).await?;
    Ok(api.models.ever_stayed(&key.tenant, key.room, identity).await?)
}

fn present<'r>(identity: &Identity, room: &'r LoadedRoom) -> Option<&'r PresentPerson> {
    match &room.state {
        Room::Open(open) => open.people.get(identity),
        Room::Absent | Room::Scheduled(_) | Room::Ended(_) => None,
    }
}

/// What `identity` would see, for somebody who sees everything or is that person.
pub async fn seen_by(api: &Api, access: ReadAccess, key: &RoomKey, identity: Identity) -> Result<ReadAccess, Problem> {
    if access.viewer.identity.as_ref() == Some(&identity) {
        return Ok(access);
    }
    if !access.viewer.admin {
        return Err(forbidden("Only room_admin can read as another person."));
    }
    let room = api.rooms.current(key, None).await?;
    let (staff, version) = room.read(|room| {
        let staff = present(&identity, room).is_some_and(|person| person.role.is_staff());
        (staff, room.version)
    });
    Ok(ReadAccess { viewer: Viewer::person(identity, staff, version, false), personal: access.personal })
}

/// Hosts and moderators of the room, and servers.
pub fn staff(access: &ReadAccess) -> Result<(), Problem> {
    if access.viewer.admin || access.viewer.staff {
        return Ok(());
    }
    Err(forbidden("Only hosts and moderators of the room, and servers with room_admin, see the lobby."))
}
