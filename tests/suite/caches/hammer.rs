//! Readers on two nodes beside a hammering writer, whatever happens meanwhile: what each of them saw, and what the log says of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use convoke::ids::RoomKey;

use super::nodes::{Node, Writer, version_at};
use crate::projections::Dice;

pub const READERS: usize = 8;

/// Between two writes: each makes the read model move for whoever asks for it.
const PACE: Duration = Duration::from_millis(4);

/// The whole takes about a minute on two cores.
const TOO_LONG: Duration = Duration::from_secs(240);

/// Reads of a reader between two turns of the others: a read out of memory waits for nothing.
const TURN: usize = 50;

/// How far it has come: what readers and those who make trouble know of each other.
#[derive(Default)]
pub struct Stage {
    over: AtomicBool,
    rounds: AtomicU32,
}

impl Stage {
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// All of the trouble was gone through once more.
    pub fn round(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
    }

    fn rounds(&self) -> u32 {
        self.rounds.load(Ordering::Relaxed)
    }
}

/// A read: room, position claimed, version seen.
type Read = (usize, u64, u64);

struct Reader {
    node: Arc<Node>,
    rooms: Vec<RoomKey>,
    history: Arc<Vec<std::sync::Mutex<Vec<u64>>>>,
    dice: Dice,
    stage: Arc<Stage>,
}

impl Reader {
    /// So many reads, and on until there was all of the trouble. Shows the newest position of the room now and then, and none
    /// otherwise.
    async fn run(mut self, share: usize) -> Vec<Read> {
        let mut reads = Vec::new();
        while reads.len() < share || self.stage.rounds() == 0 {
            if reads.len().is_multiple_of(TURN) {
                tokio::task::yield_now().await;
            }
            let room = self.dice.roll(self.rooms.len());
            let written = *self.history[room].lock().unwrap().last().unwrap();
            let wanted = (self.dice.roll(4) == 0).then_some(written);
            let seen = self.node.room(&self.rooms[room], wanted).await.unwrap();
            let (version, at) = (seen.value.map_or(0, |shown| shown.view.version), seen.at);
            assert!(wanted.is_none_or(|wanted| at >= wanted), "room {room}: wanted {wanted:?}, got {at}");
            reads.push((room, at, version));
        }
        reads
    }
}

/// What happened.
pub struct Hammered {
    pub reads: usize,
    pub writes: u64,
    /// What was read that is not what the log says at the position that the answer claims; a few of it.
    pub wrong: Vec<Read>,
    /// How often all of the trouble was gone through.
    pub rounds: u32,
}

/// So many reads by each of [`READERS`], half of them on each node, while somebody writes and there is trouble: that counts its
/// rounds, and ends when all is over.
pub async fn hammer<Trouble>(
    nodes: &[Arc<Node>; 2],
    mut writer: Writer,
    share: usize,
    trouble: impl FnOnce(Arc<Stage>) -> Trouble,
) -> Hammered
where
    Trouble: Future<Output = ()>,
{
    let history = writer.history.clone();
    let stage = Arc::new(Stage::default());
    let readers: Vec<_> = (0..READERS)
        .map(|number| {
            let (node, rooms) = (nodes[number % 2].clone(), writer.rooms.clone());
            let (history, stage) = (history.clone(), stage.clone());
            let reader = Reader { node, rooms, history, dice: Dice::new(number as u64), stage };
            tokio::spawn(reader.run(share))
        })
        .collect();
    let writing_stage = stage.clone();
    let writing = tokio::spawn(async move {
        let mut dice = Dice::new(99);
        let mut writes = 0u64;
        while !writing_stage.is_over() {
            // One room is hot, the others change now and then.
            let room = if dice.roll(3) == 0 { dice.roll(writer.rooms.len()) } else { 0 };
            writer.write(room).await;
            writes += 1;
            tokio::time::sleep(PACE).await;
        }
        writes
    });
    let reading = async {
        let mut reads = Vec::new();
        for reader in readers {
            reads.extend(tokio::time::timeout(TOO_LONG, reader).await.expect("the readers end").unwrap());
        }
        stage.over.store(true, Ordering::Relaxed);
        reads
    };
    let (reads, ()) = tokio::join!(reading, trouble(stage.clone()));
    let writes = writing.await.unwrap();
    let history: Vec<_> = history.iter().map(|history| history.lock().unwrap().clone()).collect();
    let wrong = reads.iter().filter(|(room, at, version)| version_at(&history[*room], *at) != *version);
    Hammered { reads: reads.len(), writes, wrong: wrong.take(5).copied().collect(), rounds: stage.rounds() }
}
