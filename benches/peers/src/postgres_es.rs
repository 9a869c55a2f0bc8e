//! postgres-es: a command to an aggregate, whose events are loaded for it, as its documentation sets it up.

use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};
use postgres_es::{PostgresCqrs, postgres_cqrs};
use serde::{Deserialize, Serialize};
use sqlx::Executor as _;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

use crate::load::{Append, Failure};

/// As its own `db/init.sql` makes it.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS events (
        aggregate_type text NOT NULL,
        aggregate_id text NOT NULL,
        sequence bigint CHECK (sequence >= 0) NOT NULL,
        event_type text NOT NULL,
        event_version text NOT NULL,
        payload json NOT NULL,
        metadata json NOT NULL,
        PRIMARY KEY (aggregate_type, aggregate_id, sequence)
    )";

#[derive(Default, Serialize, Deserialize)]
struct Room {
    raised: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum RoomEvent {
    HandRaised { identity: String },
    HandLowered { identity: String },
}

impl DomainEvent for RoomEvent {
    fn event_type(&self) -> String {
        match self {
            RoomEvent::HandRaised { .. } => "HandRaised".into(),
            RoomEvent::HandLowered { .. } => "HandLowered".into(),
        }
    }

    fn event_version(&self) -> String {
        "1.0".into()
    }
}

/// Raises the hand, or lowers it.
struct TurnHand {
    identity: String,
}

impl Aggregate for Room {
    const TYPE: &'static str = "room";
    type Command = TurnHand;
    type Event = RoomEvent;
    type Error = std::convert::Infallible;
    type Services = ();

    async fn handle(&mut self, command: TurnHand, (): &(), sink: &EventSink<Self>) -> Result<(), Self::Error> {
        let TurnHand { identity } = command;
        let event =
            if self.raised { RoomEvent::HandLowered { identity } } else { RoomEvent::HandRaised { identity } };
        sink.write(event, self).await;
        Ok(())
    }

    fn apply(&mut self, event: RoomEvent) {
        self.raised = matches!(event, RoomEvent::HandRaised { .. });
    }
}

pub struct Store {
    cqrs: PostgresCqrs<Room>,
}

impl Store {
    pub async fn connect(url: &str, pool: u32) -> Result<Self, Failure> {
        let pool = PgPoolOptions::new().max_connections(pool).connect(url).await?;
        pool.execute(SCHEMA).await?;
        Ok(Self { cqrs: postgres_cqrs(pool, Vec::new(), ()) })
    }
}

impl Append for Store {
    async fn append(&self, stream: Uuid, after: Option<u64>) -> Result<u64, Failure> {
        // It reads the version by itself.
        self.cqrs.execute(&stream.to_string(), TurnHand { identity: "person-100".into() }).await?;
        Ok(after.map_or(0, |after| after + 1))
    }
}
