//! All sessions: when somebody joined, when and why they left, and the duration by occurred time.
//!
//! A session is written when it begins and once more when it ends.

mod attendance;
mod read;

pub use attendance::{AttendedSession, Attendee, MAX_SESSIONS_LISTED};

use super::decoded_event::DecodedEvent;
use super::model::ReadModel;
use super::rows::{AnyWorkingSet, EnumText, ModelRow, ModelTable, WorkingSet, read_model_table};
use crate::events::room::{LeaveReason, Role, RoomEvent};
use crate::events::time::Timestamp;
use crate::ids::{Identity, RoomId, SessionId, TenantId};

read_model_table! {
    /// A stay.
    pub struct SessionRow in "rm_sessions", kept while (row: row.left_at.is_none()) {
        key { room: RoomId, session: SessionId, tenant: TenantId, }
        identity: Identity,
        /// At the join.
        role: EnumText<Role>,
        joined_at: Timestamp,
        /// `None`: they are still there.
        left_at: Option<Timestamp>,
        /// Whole seconds stayed, by the times at which join and leave happened.
        seconds: Option<u64>,
        reason: Option<EnumText<LeaveReason>>,
    }
}

#[derive(Default)]
pub struct SessionsModel {
    sessions: WorkingSet<SessionRow>,
}

impl ReadModel for SessionsModel {
    const NAME: &'static str = "sessions";
    const SHAPE: u16 = 1;
    const TABLES: &'static [&'static ModelTable] = &[SessionRow::TABLE];

    fn need(&mut self, entry: &DecodedEvent) {
        match &entry.event {
            RoomEvent::ParticipantJoined(joined) => {
                self.sessions.make((&entry.room, &joined.session, &entry.tenant));
            }
            RoomEvent::ParticipantLeft(left) => self.sessions.need((&entry.room, &left.session, &entry.tenant)),
            _ => {}
        }
    }

    fn fold(&mut self, entry: &DecodedEvent) {
        match &entry.event {
            RoomEvent::ParticipantJoined(joined) => self.sessions.put(SessionRow {
                room: entry.room,
                tenant: entry.tenant.clone(),
                session: joined.session,
                identity: joined.identity.clone(),
                role: EnumText(joined.role),
                joined_at: entry.happened_at,
                left_at: None,
                seconds: None,
                reason: None,
            }),
            RoomEvent::ParticipantLeft(left) => {
                self.sessions.change((&entry.room, &left.session, &entry.tenant), |row| {
                    row.left_at = Some(entry.happened_at);
                    row.seconds = Some(left.seconds);
                    row.reason = Some(EnumText(left.reason));
                });
            }
            _ => {}
        }
    }

    fn sets(&mut self) -> Vec<&mut dyn AnyWorkingSet> {
        vec![&mut self.sessions]
    }
}
