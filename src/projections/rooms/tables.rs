//! The tables of the model.

use crate::events::room::view::{RoomStatus, SessionView, TrackView};
use crate::events::room::{EndReason, Role, Settings};
use crate::events::sealed::Sealed;
use crate::events::time::Timestamp;
use crate::ids::{Identity, RecordingId, RoomId, RoomVersion, SessionId, TenantId, TrackId};
use crate::projections::rows::{EnumText, JsonText, read_model_table};

read_model_table! {
    /// A room, without its people: what changes with each of its events is small.
    pub struct RoomRow in "rm_rooms", kept while (row: row.status.0 != RoomStatus::Ended) {
        key { room: RoomId, tenant: TenantId, }
        version: RoomVersion,
        status: EnumText<RoomStatus>,
        name: Option<std::sync::Arc<str>>,
        created_at: Timestamp,
        opens_at: Option<Timestamp>,
        opened_at: Option<Timestamp>,
        ended_at: Option<Timestamp>,
        empty_since: Option<Timestamp>,
        due_at: Option<Timestamp>,
        end_reason: Option<EnumText<EndReason>>,
        settings: JsonText<Settings>,
        locked: bool,
        participant_count: u64,
        waiting_count: u64,
        spotlight: Option<Identity>,
        recording: Option<RecordingId>,
        recording_started_at: Option<Timestamp>,
    }
}

read_model_table! {
    /// A label of a room, for lists that filter by it.
    pub struct LabelRow in "rm_room_labels", kept while (row: row.status.0 != RoomStatus::Ended) {
        key { room: RoomId, tenant: TenantId, label: std::sync::Arc<str>, }
        value: std::sync::Arc<str>,
        status: EnumText<RoomStatus>,
        created_at: Timestamp,
    }
}

read_model_table! {
    /// Somebody present. The personal parts are those of `commands::room::state`: what came with the join, and what replaced
    /// the name and the metadata since.
    pub struct ParticipantRow in "rm_participants", kept while (_row: true) {
        key { room: RoomId, tenant: TenantId, identity: Identity, }
        role: EnumText<Role>,
        present_since: Timestamp,
        sessions: JsonText<Vec<SessionView>>,
        /// By id.
        tracks: JsonText<Vec<TrackView>>,
        /// Room version at which the hand went up.
        hand: Option<RoomVersion>,
        joined_personal_at: Option<RoomVersion>,
        joined_personal: Option<Sealed>,
        renamed_at: Option<RoomVersion>,
        renamed: Option<Sealed>,
        metadata_set_at: Option<RoomVersion>,
        metadata_set: Option<Sealed>,
    }
}

read_model_table! {
    /// Somebody in the lobby, or let in by the event before their join.
    pub struct WaitingRow in "rm_waiting", kept while (_row: true) {
        key { room: RoomId, tenant: TenantId, identity: Identity, }
        session: SessionId,
        role: EnumText<Role>,
        /// Room version of the request.
        since: RoomVersion,
        waiting_since: Timestamp,
        admitted: bool,
        personal_at: Option<RoomVersion>,
        personal: Option<Sealed>,
    }
}

read_model_table! {
    /// Whose a track is.
    pub struct TrackRow in "rm_tracks", kept while (_row: true) {
        key { room: RoomId, track: TrackId, tenant: TenantId, }
        identity: Identity,
    }
}
