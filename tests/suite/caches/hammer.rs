//! Readers on two nodes beside a hammering writer, whatever happens meanwhile: what each of them saw, and what the log says of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use convoke::events::log::RoomKey;

use super::nodes::{Node, Writer, version_at};
use crate::projections::Dice;

pub const READERS: usize = 8;

/// Between two writes: each makes the read model move for whoever asks for it.
const PACE: Duration = Duration::from_millis(4);

/// The whole takes about a minute on two cores.
const TOO_LONG: Duration = Duration::from_secs(240);

/// Reads of a reader between two turns of the others: a read out of memory waits for nothing.
const TURN: u64 = 50;

/// A read: room, position claimed, version seen.
type Read = (usize, u64, u64);

struct Reader {
    node: Arc<Node>,
    rooms: Vec<RoomKey>,
    history: Arc<Vec<std::sync::Mutex<Vec<u64>>>>,
    dice: Dice,
}

impl Reader {
    /// Shows the newest position of the room now and then, and none otherwise.
    async fn run(mut self, share: u64) -> Vec<Read> {
        let mut reads = Vec::new();
        for number in 0..share {
            if number % TURN == 0 {
                tokio::task::yield_now().await;
            }
            let room = self.dice.roll(self.rooms.len());
            let written = *self.history[room].lock().unwrap().last().unwrap();
            let wanted = (self.dice.roll(4) == 0).then_some(written);
            let (version, at) = self.node.version(&self.rooms[room], wanted).await;
            assert!(wanted.is_none_or(|wanted| at >= wanted), "room {room}: wanted {wanted:?}, got {at}");
            reads.push((room, at, version));
        }
        reads
    }
}

/// What happened.
pub struct Hammered {
    pub reads: u64,
    pub writes: u64,
    /// What was read that is not what the log says at the position that the answer claims; a few of it.
    pub wrong: Vec<Read>,
    /// How often all of the trouble was gone through.
    pub rounds: u32,
}

/// So many reads by each of [`READERS`], half of them on each node, while somebody writes and there is trouble: that is to end
/// when it is told that all is over, and says how often it has gone through all of it.
pub async fn hammer<Trouble>(
    nodes: &[Arc<Node>; 2],
    mut writer: Writer,
    share: u64,
    trouble: impl FnOnce(Arc<AtomicBool>) -> Trouble,
) -> Hammered
where
    Trouble: Future<Output = u32>,
{
    let history = writer.history.clone();
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..READERS)
        .map(|number| {
            let (node, rooms) = (nodes[number % 2].clone(), writer.rooms.clone());
            let reader = Reader { node, rooms, history: history.clone(), dice: Dice::new(number as u64) };
            tokio::spawn(reader.run(share))
        })
        .collect();
    let over = done.clone();
    let writing = tokio::spawn(async move {
        let mut dice = Dice::new(99);
        let mut writes = 0u64;
        while !over.load(Ordering::Relaxed) {
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
        done.store(true, Ordering::Relaxed);
        reads
    };
    let (reads, rounds) = tokio::join!(reading, trouble(done.clone()));
    let writes = writing.await.unwrap();
    let history: Vec<_> = history.iter().map(|history| history.lock().unwrap().clone()).collect();
    let wrong = reads.iter().filter(|(room, at, version)| version_at(&history[*room], *at) != *version);
    Hammered { reads: reads.len() as u64, writes, wrong: wrong.take(5).copied().collect(), rounds }
}
