//! Cursors of the lists of people in a room and in its lobby.

use crate::ids::{Identity, RoomVersion};
use crate::projections::read::{ListKind, ReadError, decode};

/// The cursor of a page of people that ends with this one.
pub fn people_cursor(last: &Identity) -> String {
    ListKind::Participants.cursor(&(last.clone(),))
}

/// The last person of the page before.
pub fn read_people_cursor(cursor: Option<&str>) -> Result<Option<Identity>, ReadError> {
    let after: Option<(Identity,)> = decode(ListKind::Participants, cursor)?;
    Ok(after.map(|(identity,)| identity))
}

/// The cursor of a page of the lobby that ends with who asked at this version.
pub fn lobby_cursor(last: RoomVersion) -> String {
    ListKind::Waiting.cursor(&(last,))
}

/// When the last of the page before asked.
pub fn read_lobby_cursor(cursor: Option<&str>) -> Result<Option<RoomVersion>, ReadError> {
    let after: Option<(RoomVersion,)> = decode(ListKind::Waiting, cursor)?;
    Ok(after.map(|(since,)| since))
}
