//! Readers of a busy day, run as fast as it goes. The shape is that of the busiest day of a trace of public chat rooms and phone
//! conferences (17,547 events): eight rooms in which something happens, one of them with five sixths of it, and others that are
//! quiet; who is there looks at the room once a minute, and who does something reads what became of it, showing its position.

use uuid::Uuid;

use crate::fixture::{Failure, Postgres, Served};
use crate::load::{Connection, make_room};

/// Events of the day and people present at its end, by room.
const DAY: [(u32, u32); 20] = [
    (14_511, 147),
    (1_127, 304),
    (1_051, 188),
    (333, 26),
    (202, 44),
    (177, 34),
    (113, 33),
    (33, 15),
    (0, 306),
    (0, 29),
    (0, 23),
    (0, 22),
    (0, 13),
    (0, 13),
    (0, 11),
    (0, 11),
    (0, 11),
    (0, 11),
    (0, 10),
    (0, 10),
];

/// Of the day, this many events are run.
const EVENTS: u32 = 1_000;

/// How the day went.
pub struct Mixed {
    pub hit_rate: f64,
    reads: u64,
    memory: u64,
    database: u64,
}

impl Mixed {
    pub fn told(&self) -> String {
        format!(
            "A busy day, run as fast as one connection goes: {EVENTS} events in {} rooms, {} reads; {} out of memory, {} looks at \
             the database.",
            DAY.len(),
            self.reads,
            self.memory,
            self.database
        )
    }
}

/// SplitMix64: the same day each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn weighted(&mut self, weight: fn(&(u32, u32)) -> u32) -> usize {
        let whole: u32 = DAY.iter().map(weight).sum();
        let mut at = self.roll(u64::from(whole));
        DAY.iter()
            .position(|room| {
                let weight = u64::from(weight(room));
                let here = at < weight;
                at = at.saturating_sub(weight);
                here
            })
            .unwrap_or(0)
    }
}

struct Reader {
    connection: Connection,
    headers: String,
}

impl Reader {
    async fn ask(&mut self, request: &str) -> Result<(), Failure> {
        match self.connection.exchange(request.as_bytes()).await? {
            200..300 => Ok(()),
            status => Err(format!("answered {status}: {}", String::from_utf8_lossy(self.connection.body())).into()),
        }
    }

    async fn read(&mut self, room: &Uuid, position: Option<u64>) -> Result<(), Failure> {
        let query = position.map_or_else(String::new, |position| format!("?at_least={position}"));
        let request = format!("GET /v1/rooms/{room}{query}{}\r\n", self.headers);
        self.ask(&request).await
    }

    /// Something happens; its position.
    async fn write(&mut self, room: &Uuid, command: &str) -> Result<u64, Failure> {
        let body = r#"{"identity":"ann"}"#;
        let length = body.len();
        let path = format!("/v1/rooms/{room}/commands/{command}");
        self.ask(&format!("POST {path}{}content-length: {length}\r\n\r\n{body}", self.headers)).await?;
        let answer: serde_json::Value = serde_json::from_slice(self.connection.body())?;
        answer["position"].as_u64().ok_or_else(|| "an answer names its position".into())
    }

    /// Reads by layer, as `/metrics` tells them.
    async fn counted(&mut self, layer: &str, outcome: &str) -> Result<u64, Failure> {
        let request = format!("GET /metrics{}\r\n", self.headers);
        self.ask(&request).await?;
        let text = String::from_utf8_lossy(self.connection.body()).into_owned();
        let name = format!("convoke_cache_reads_total{{layer=\"{layer}\",outcome=\"{outcome}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name)).ok_or("the cache is counted")?;
        Ok(line.parse()?)
    }
}

pub async fn run(postgres: &Postgres) -> Result<Mixed, Failure> {
    let served = Served::start(postgres).await?;
    let token = Served::token()?;
    let headers = format!(
        " HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n",
        served.address
    );
    let mut reader = Reader { connection: Connection::open(served.address).await?, headers };
    let mut rooms = Vec::with_capacity(DAY.len());
    for _ in DAY {
        let room = make_room(served.address, &token).await?;
        reader.write(&room, "join").await?;
        rooms.push((room, false));
    }
    let (hits, looks) = (reader.counted("memory", "hit").await?, reader.counted("database", "hit").await?);
    let (events, present): (u32, u32) = DAY.iter().fold((0, 0), |(e, p), room| (e + room.0, p + room.1));
    // Each of those present looks once a minute.
    let looks_of_an_event = present * 24 * 60 / events;
    let (mut dice, mut reads) = (Dice(7), 0);
    for _ in 0..EVENTS {
        let (room, raised) = &mut rooms[dice.weighted(|room| room.0)];
        *raised = !*raised;
        let (room, command) = (*room, if *raised { "raise-hand" } else { "lower-hand" });
        let position = reader.write(&room, command).await?;
        reader.read(&room, Some(position)).await?;
        for _ in 0..looks_of_an_event {
            let room = rooms[dice.weighted(|room| room.1)].0;
            reader.read(&room, None).await?;
        }
        reads += 1 + u64::from(looks_of_an_event);
    }
    let memory = reader.counted("memory", "hit").await? - hits;
    let database = reader.counted("database", "hit").await? - looks;
    served.stop().await?;
    Ok(Mixed { hit_rate: 1.0 - database as f64 / reads as f64, reads, memory, database })
}
