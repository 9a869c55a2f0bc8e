//! Commands to a tenant, outside of its rooms. Each command has a file and a line in the list of [`super::room`], since it takes
//! the same path: queue, rule, append, response. [`RoomId::TENANT`](crate::ids::RoomId::TENANT) takes the place of a
//! room.

mod erase_person;

pub use erase_person::ErasePerson;
