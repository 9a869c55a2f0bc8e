//! A batch as the arrays that `convoke.append` takes: one array for each column.

use chrono::{DateTime, Utc};
use sqlx::Arguments as _;
use sqlx::postgres::PgArguments;
use uuid::Uuid;

use super::batch::{AppendBatch, EventData, NameChange, NewOutcome, OutcomeAt, RoomAppend};
use super::chains::{BatchChains, ChainedEvent, RoomAfterBatch};
use crate::events::time::Timestamp;
use crate::ids::SessionId;

/// One value for each parameter of `convoke.append`.
pub(super) const APPEND: &str =
    "SELECT kind, unit, room_number, at_position, at_recorded, about, actual_version, subject,
        outcome_status, outcome_fingerprint, outcome_body
     FROM convoke.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
        $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38)";

#[derive(Default)]
pub(super) struct AppendColumns<'a> {
    pub r_unit: Vec<i32>,
    pub r_tenant: Vec<&'a str>,
    pub r_room: Vec<Uuid>,
    pub r_expected: Vec<i64>,
    pub r_version: Vec<i64>,
    pub r_chain: Vec<&'a [u8]>,
    pub r_last: Vec<i32>,
    pub e_room: Vec<i32>,
    pub e_version: Vec<i64>,
    pub e_recorded: Vec<DateTime<Utc>>,
    pub e_occurred: Vec<Option<DateTime<Utc>>>,
    pub e_command: Vec<Uuid>,
    pub e_session: Vec<Option<Uuid>>,
    pub e_causation: Vec<Option<Uuid>>,
    pub e_correlation: Vec<Option<Uuid>>,
    pub e_traceparent: Vec<Option<&'a str>>,
    pub e_type: Vec<&'static str>,
    pub e_type_version: Vec<i16>,
    pub e_actor: Vec<String>,
    pub e_data: Vec<&'a str>,
    pub e_sealed: Vec<Option<&'a [u8]>>,
    pub e_chain: Vec<&'a [u8]>,
    pub n_room: Vec<i32>,
    pub n_name: Vec<&'a str>,
    pub n_claim: Vec<bool>,
    pub o_room: Vec<i32>,
    pub o_key: Vec<&'a str>,
    pub o_fingerprint: Vec<&'a [u8]>,
    pub o_status: Vec<i16>,
    pub o_body: Vec<&'a str>,
    pub o_about: Vec<Uuid>,
    pub o_event: Vec<Option<i32>>,
    pub o_position: Vec<Option<i64>>,
    pub o_recorded: Vec<Option<DateTime<Utc>>>,
}

/// Positions, versions and counts of a batch are far below the ends of bigint and integer.
pub(super) fn big(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn int(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

impl<'a> AppendColumns<'a> {
    pub fn of(batch: &'a AppendBatch, chains: &'a BatchChains) -> Self {
        let mut columns = Self::default();
        for chained in &chains.events {
            columns.event(&batch.rooms[chained.room].events[chained.index], chained);
        }
        for (number, (room, after)) in batch.rooms.iter().zip(&chains.rooms).enumerate() {
            columns.room(number, room, after);
        }
        columns.names(batch, &chains.rooms);
        columns.trim();
        columns
    }

    fn event(&mut self, event: &'a EventData, chained: &'a ChainedEvent) {
        self.e_room.push(int(chained.room + 1));
        self.e_version.push(big(chained.version));
        self.e_recorded.extend(chained.recorded_at.map(Timestamp::utc));
        self.e_occurred.push(event.occurred_at.map(Timestamp::utc));
        self.e_command.push(event.command_id.uuid());
        self.e_session.push(event.session.map(SessionId::uuid));
        self.e_causation.push(event.causation_id);
        self.e_correlation.push(event.correlation_id);
        self.e_traceparent.push(event.traceparent.as_deref());
        self.e_type.push(event.event_type);
        self.e_type_version.push(i16::try_from(event.type_version).unwrap_or(i16::MAX));
        self.e_actor.push(event.actor.to_string());
        self.e_data.push(event.data.get());
        self.e_sealed.push(event.sealed.as_ref().map(|sealed| &*sealed.0));
        self.e_chain.push(&chained.chain);
    }

    fn room(&mut self, number: usize, room: &'a RoomAppend, after: &'a RoomAfterBatch) {
        self.r_unit.push(i32::try_from(room.unit).unwrap_or(i32::MAX));
        self.r_tenant.push(room.key.tenant.as_str());
        self.r_room.push(room.key.room.uuid());
        self.r_expected.push(big(room.expected));
        self.r_version.push(big(room.expected + room.events.len() as u64));
        self.r_chain.push(&after.chain);
        self.r_last.push(after.events.last().copied().unwrap_or_default());
        for outcome in &room.outcomes {
            self.outcome(int(number + 1), after, outcome);
        }
    }

    /// In the order of the events that change them: a room takes its name with its first, and lets it go with its last.
    fn names(&mut self, batch: &'a AppendBatch, after: &[RoomAfterBatch]) {
        let mut changes: Vec<(i32, i32, &'a str, bool)> = Vec::new();
        for ((number, room), after) in (1..).zip(&batch.rooms).zip(after) {
            changes.extend(
                room.names
                    .iter()
                    .map(|name| match name {
                        NameChange::Claim(text) => (after.events.first().copied(), number, text.as_str(), true),
                        NameChange::Release(text) => (after.events.last().copied(), number, text.as_str(), false),
                    })
                    .map(|(event, number, text, claim)| (event.unwrap_or_default(), number, text, claim)),
            );
        }
        changes.sort_by_key(|(event, ..)| *event);
        for (_, number, text, claim) in changes {
            self.n_room.push(number);
            self.n_name.push(text);
            self.n_claim.push(claim);
        }
    }

    fn outcome(&mut self, number: i32, after: &RoomAfterBatch, outcome: &'a NewOutcome) {
        self.o_room.push(number);
        self.o_key.push(&outcome.key);
        self.o_fingerprint.push(&outcome.fingerprint);
        self.o_status.push(i16::try_from(outcome.status).unwrap_or(i16::MAX));
        self.o_body.push(&outcome.body);
        self.o_about.push(outcome.about.uuid());
        let (event, position, recorded) = match outcome.at {
            OutcomeAt::Event(index) => (Some(after.events[index]), None, None),
            OutcomeAt::Already { position, recorded_at } => (None, Some(big(position)), Some(recorded_at.utc())),
        };
        self.o_event.push(event);
        self.o_position.push(position);
        self.o_recorded.push(recorded);
    }

    /// Columns that hold nothing at all are sent as empty arrays: the function reads what is missing as absent.
    fn trim(&mut self) {
        fn empty<T>(column: &mut Vec<Option<T>>) {
            if column.iter().all(Option::is_none) {
                column.clear();
            }
        }
        empty(&mut self.e_occurred);
        empty(&mut self.e_session);
        empty(&mut self.e_causation);
        empty(&mut self.e_correlation);
        empty(&mut self.e_traceparent);
        empty(&mut self.e_sealed);
    }

    /// In the order of the parameters, without those of the progress.
    pub fn arguments(&self, now: Timestamp) -> sqlx::Result<PgArguments> {
        let mut arguments = PgArguments::default();
        arguments.add(now.utc()).map_err(sqlx::Error::Encode)?;
        macro_rules! add {
            ($($column:ident)*) => {
                $(arguments.add(&self.$column).map_err(sqlx::Error::Encode)?;)*
            };
        }
        add!(r_unit r_tenant r_room r_expected r_version r_chain r_last);
        add!(e_room e_version e_recorded e_occurred e_command e_session e_causation e_correlation e_traceparent e_type
            e_type_version e_actor e_data e_sealed e_chain);
        add!(n_room n_name n_claim);
        add!(o_room o_key o_fingerprint o_status o_body o_about o_event o_position o_recorded);
        Ok(arguments)
    }
}
