//! Personal fields, encrypted under a key of the person.
//!
//! Each person of a tenant has one key, in `convoke.person_keys` (migration 0003), wrapped by a master key that only the
//! configuration knows. Deleting the row erases the person everywhere at once: the log and its hashes stay as they are, the
//! personal part can no longer be opened. A person seen again after that gets a new key with a new id.
//!
//! **Format.** `1 ‖ key id (16) ‖ nonce (24) ‖ ciphertext ‖ tag (16)`; XChaCha20-Poly1305 over the fields as JSON, bound to
//! tenant, room, room version and key id: a sealed part copied to another place does not open.
//!
//! **Invariants.**
//! - A new key is in memory only ([`Sealer::new_key`]) until the append that writes the first thing sealed under it, which
//!   stores it in the same transaction (migration 0020): what is refused leaves no key behind.
//! - A key is held for later batches only once that append is committed ([`Sealer::keep`]).
//! - After [`Sealer::forget`] returns, this process opens nothing more of that person. Another process forgets the key when
//!   it hears of it, within milliseconds, and in any case after [`HELD`].
//! - What a process seals in that time under a key it has not yet forgotten reads as erased: the error is on the side of
//!   forgetting.
//!
//! Leaves to others: who may read (the API), when to seal (the executor).

mod cache;
pub(in crate::security) mod cipher;
mod fields;
mod master;
mod masters_in_use;
mod rewrap;
mod sealer;

use uuid::Uuid;

pub use cache::{HELD, KeyMoment};
pub use fields::{NewKey, NoKey, OpenError, OpeningKeys, PersonKeys, SealedPlace, key_id};
pub use master::{BadMasterKeys, MasterKeys};
pub use rewrap::RewrapProgress;
pub(super) use sealer::CHANNEL;
pub use sealer::Sealer;

/// Why keys could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the table of keys cannot be reached")]
    Unavailable(#[from] sqlx::Error),
    #[error("a key is wrapped under the master key {id}, which is not in the configuration: add it to the master keys")]
    UnknownMaster { id: String },
    #[error(
        "this database was written with another master key of the id {id} than the configuration has: give every process the \
         same CONVOKE_MASTER_KEYS (in development: the file development-keys.toml out of the first one's data directory)"
    )]
    ChangedMaster { id: String },
    #[error(
        "the key {id} does not unwrap: the master key {master} is another one than at the time, or the row was changed"
    )]
    Damaged { id: Uuid, master: String },
    #[error(
        "the signing key {kid} does not unwrap: the master key {master} is another one than at the time, or the row was changed"
    )]
    DamagedSigningKey { kid: String, master: String },
    #[error("other processes changed the list of master keys again and again while it was read: try again")]
    Contended,
}
