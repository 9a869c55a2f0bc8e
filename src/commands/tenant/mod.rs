//! What may be asked of a tenant itself, outside its rooms. Each command has a file of its own and one line in the list of
//! [`super::room`], since it goes the same way: queue, rule, append, answer. In place of a room stands
//! [`RoomId::TENANT`](crate::ids::RoomId::TENANT).

mod erase_person;

pub use erase_person::ErasePerson;
