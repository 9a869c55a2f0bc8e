//! The made-up history as rows of the log, chained by the program's own code, in the format of binary COPY.

use chrono::{DateTime, Utc};
use convoke::events::envelope::Hash;
use convoke::events::log::chain::{self, ChainLink};
use convoke::events::time::Timestamp;
use convoke::ids::{Position, RoomKey, RoomVersion};
use convoke::projections::rows::{BadField, Field, SqlType, Tuples};
use tokio::sync::mpsc;

use super::story::{Story, StoryEvent};
use crate::fixture::Failure;

/// In the order in which [`Teller::write`] writes them.
pub const COLUMNS: &str = "position, room_version, recorded_at, room, command_id, session, type_version, tenant, event_type, \
                           actor, data, sealed, hash";
pub const HEAD_COLUMNS: &str = "version, last_position, first_recorded_at, last_recorded_at, room, tenant, chain";

/// Rows sent at a time.
const ROWS: usize = 8_192;

/// Where a room stands.
struct Head {
    key: RoomKey,
    version: RoomVersion,
    chain: Hash,
    position: Position,
    first_recorded_at: Timestamp,
    recorded_at: Timestamp,
}

/// What comes out of the teller.
pub struct Part {
    /// Which partition the rows belong to.
    pub partition: usize,
    pub rows: Tuples,
    pub last: Position,
    /// Of rooms that are over; with the last part, of all others.
    pub heads: Tuples,
}

/// Tells `events` events into the channel, each part of one partition only; `ends`: where the partitions end.
pub fn tell(
    events: u64,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    ends: &[DateTime<Utc>],
    parts: &mpsc::Sender<Part>,
) -> Result<(), Failure> {
    let mut story = Story::new(events, from.timestamp_micros(), until.timestamp_micros());
    let mut teller = Teller::default();
    let mut partition = 0;
    for position in 1..=events {
        let told = story.tell()?;
        let at = Timestamp::from_unix_micros(told.at_us).ok_or("a time that cannot be written")?;
        let inside = ends.iter().skip(partition).take_while(|end| at.utc() >= **end).count();
        if inside > 0 || teller.rows.len() == ROWS {
            if !teller.rows.is_empty() && parts.blocking_send(teller.part(partition)).is_err() {
                return Ok(());
            }
            partition += inside;
        }
        teller.write(&told, position, at)?;
    }
    teller.close();
    // An error: nobody is there who would take it.
    let _ = parts.blocking_send(teller.part(partition));
    Ok(())
}

#[derive(Default)]
struct Teller {
    rows: Tuples,
    heads: Tuples,
    /// By the number of the room.
    rooms: Vec<Option<Head>>,
    last: Position,
}

impl Teller {
    fn part(&mut self, partition: usize) -> Part {
        let next = self.rows.another();
        let rows = std::mem::replace(&mut self.rows, next);
        Part { partition, rows, last: self.last, heads: std::mem::take(&mut self.heads) }
    }

    fn write(&mut self, told: &StoryEvent, position: Position, at: Timestamp) -> Result<(), Failure> {
        if self.rooms.len() <= told.room {
            self.rooms.resize_with(told.room + 1, || None);
        }
        let slot = &mut self.rooms[told.room];
        if let Some(key) = &told.begins {
            let (key, chain) = (key.clone(), chain::START);
            *slot = Some(Head { key, version: 0, chain, position, first_recorded_at: at, recorded_at: at });
        }
        let head = slot.as_mut().ok_or("a room that did not begin")?;
        let data = told.event.to_json()?;
        head.version += 1;
        (head.position, head.recorded_at) = (position, at);
        head.chain = chain::link(
            &head.chain,
            &ChainLink {
                key: &head.key,
                room_version: head.version,
                event_type: told.event.name(),
                type_version: told.event.version(),
                happened_at: at,
                actor: &told.actor,
                session: told.session,
                command_id: told.command_id,
                causation_id: None,
                correlation_id: None,
                traceparent: None,
                data: &data,
                sealed: told.sealed.as_deref(),
            },
        );
        let hash = chain::seal(&head.chain, position, at);
        self.rows.push(13, |row| {
            row.put(&position);
            row.put(&head.version);
            row.put(&at);
            row.put(&head.key.room);
            row.put(&told.command_id.uuid());
            row.put(&told.session);
            row.put(&i16::try_from(told.event.version()).unwrap_or(i16::MAX));
            row.put(&head.key.tenant);
            row.put(&Raw(told.event.name().as_bytes()));
            row.put(&Raw(told.actor.to_string().as_bytes()));
            row.put(&Raw(data.as_bytes()));
            match &told.sealed {
                Some(sealed) => row.put(&Raw(sealed)),
                None => row.put(&None::<i64>),
            }
            row.put(&Raw(&hash));
        });
        self.last = position;
        if told.ends
            && let Some(head) = slot.take()
        {
            put(&mut self.heads, &head);
        }
        Ok(())
    }

    /// Rooms that go on have heads as well.
    fn close(&mut self) {
        for head in self.rooms.drain(..).flatten() {
            put(&mut self.heads, &head);
        }
    }
}

fn put(heads: &mut Tuples, head: &Head) {
    heads.push(7, |row| {
        row.put(&head.version);
        row.put(&head.position);
        row.put(&head.first_recorded_at);
        row.put(&head.recorded_at);
        row.put(&head.key.room);
        row.put(&head.key.tenant);
        row.put(&Raw(&head.chain));
    });
}

/// Bytes that are written and never read.
struct Raw<'a>(&'a [u8]);

impl Field for Raw<'_> {
    const KIND: SqlType = SqlType::Bytea;

    fn put(&self, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(self.0);
        true
    }

    fn get(_: Option<&[u8]>) -> Result<Self, BadField> {
        Err(BadField("anything"))
    }
}
