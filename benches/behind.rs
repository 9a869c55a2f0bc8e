//! What a hundred times more events behind it cost a command and the read of a room: two logs on servers of their own, measured
//! in turns.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::fixture::{Failure, Postgres, Promise, Served, machine, median, tell};
use crate::load::{Load, Report, Until, Work};

const FEW: usize = 10_000;
const MANY: usize = 1_000_000;
const CONNECTIONS: usize = 200;
/// Of each connection, while the log is filled.
const ROOMS: usize = 5;
const ROUNDS: usize = 5;
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURE: Duration = Duration::from_secs(4);

const COST: f64 = 1.2;

/// One log and what was measured on it.
struct Side {
    postgres: Postgres,
    rooms: Arc<Vec<String>>,
    commands: Vec<Report>,
    reads: Vec<Report>,
}

pub async fn run() -> Result<Vec<Promise>, Failure> {
    let mut few = Side::filled("behind-few", FEW).await?;
    let mut many = Side::filled("behind-many", MANY).await?;
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        few.measure().await?;
        many.measure().await?;
    }
    let ratio = |of: fn(&Side) -> &[Report]| p50(of(&many)) / p50(of(&few));
    let promises = vec![
        Promise::at_most("a command, 1,000,000 events behind it to 10,000", ratio(|side| &side.commands), COST),
        Promise::at_most("the read of a room, likewise", ratio(|side| &side.reads), COST),
    ];
    tell("behind", &summary(&few, &many), &promises)?;
    few.postgres.stop().await;
    many.postgres.stop().await;
    Ok(promises)
}

impl Side {
    async fn filled(name: &str, events: usize) -> Result<Self, Failure> {
        let postgres = Postgres::fresh(name).await?;
        let served = Served::start(&postgres).await?;
        eprintln!("writing {events} events");
        let until = Until::Requests(events / CONNECTIONS);
        let work = Work::RoomsEach(ROOMS);
        let load = Load { address: served.address, token: Served::token()?, connections: CONNECTIONS, work, until };
        load.run().await?.clean()?;
        served.stop().await?;
        let owner = postgres.owner().await?;
        let rooms: Vec<uuid::Uuid> =
            sqlx::query_scalar("SELECT room FROM convoke.room_heads").fetch_all(&owner).await?;
        let rooms = rooms.iter().map(|room| format!("/v1/rooms/{room}")).collect();
        Ok(Self { postgres, rooms: Arc::new(rooms), commands: Vec::new(), reads: Vec::new() })
    }

    async fn measure(&mut self) -> Result<(), Failure> {
        let served = Served::start(&self.postgres).await?;
        let until = Until::Time { warm_up: WARM_UP, measure: MEASURE };
        let one = |work: Work| -> Result<Load, Failure> {
            Ok(Load { address: served.address, token: Served::token()?, connections: 1, work, until })
        };
        self.commands.push(one(Work::RoomsEach(64))?.run().await?.clean()?);
        self.reads.push(one(Work::Get(Arc::clone(&self.rooms)))?.run().await?.clean()?);
        served.stop().await
    }
}

fn p50(runs: &[Report]) -> f64 {
    median(runs.iter().map(|run| run.p50_ms).collect())
}

fn summary(few: &Side, many: &Side) -> String {
    let mut text = format!(
        "## A hundred times more events behind it\n\n`cargo bench -- behind`: {}. {FEW} events against {MANY}, in {} rooms; \
         one connection, commands to new rooms and reads of all rooms in turn; median of {ROUNDS} rounds of {} s, in \
         turns.\n\n| events behind | command, median ms | read of a room, median ms |\n|---|---|---|\n",
        machine(),
        CONNECTIONS * ROOMS,
        MEASURE.as_secs(),
    );
    for (events, side) in [(FEW, few), (MANY, many)] {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {events} | {:.3} | {:.3} |", p50(&side.commands), p50(&side.reads));
    }
    text
}
