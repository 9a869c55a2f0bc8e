//! A made-up history in the proportions of chat rooms over two years: of a hundred lines 31 are joins, 31 leaves, 33 messages,
//! 5 new names. Now and then somebody leaves who is not there. The same at every run.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use convoke::events::time::Timestamp;

use crate::fixture::Failure;

pub const ROOMS: usize = 12;
const PEOPLE: u64 = 20_000;
const PRESENT: usize = 300;
/// 2012-01-01.
const BEGIN_S: u64 = 1_325_376_000;
const SECONDS: u64 = 2 * 365 * 86_400;
const TEXT: &str = "could somebody look at the minutes of last week before we go on with the next point of the agenda because the \
                    draft has changed a lot since then and not everybody may have seen what was said about it";

/// Numbers that look random (Knuth's MMIX).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end.max(1)
    }
}

pub fn write(path: &Path, lines: u64) -> Result<PathBuf, Failure> {
    let mut file = zstd::Encoder::new(BufWriter::new(File::create(path)?), 3)?;
    let mut numbers = Numbers(1);
    let mut present: Vec<Vec<u64>> = vec![Vec::new(); ROOMS];
    for line in 0..lines {
        let at =
            Timestamp::from_unix_micros(((BEGIN_S + line * SECONDS / lines) * 1_000_000) as i64).ok_or("a time")?;
        let room = usize::try_from(line)?.min(numbers.below(ROOMS as u64) as usize);
        let (command, data) = if line < ROOMS as u64 {
            ("create-room", format!("{{\"name\":\"room-{line}\"}}"))
        } else {
            what(&mut numbers, &mut present[room])
        };
        let room = if line < ROOMS as u64 { line as usize } else { room };
        writeln!(
            file,
            "{{\"occurred_at\":\"{at}\",\"room\":\"room-{room}\",\"command\":\"{command}\",\"data\":{data}}}"
        )?;
    }
    file.finish()?.flush()?;
    Ok(path.into())
}

fn what(numbers: &mut Numbers, present: &mut Vec<u64>) -> (&'static str, String) {
    let kind = numbers.below(100);
    let person = numbers.below(PEOPLE);
    if kind < 31 || present.is_empty() {
        present.push(person);
        let data = format!("{{\"identity\":\"person-{person}\",\"display_name\":\"Person {person}\"}}");
        return ("join", data);
    }
    let somebody = numbers.below(present.len() as u64) as usize;
    if kind < 62 {
        // As many go as come, once the room has filled.
        let gone = if present.len() > PRESENT { present.swap_remove(somebody) } else { person };
        return ("leave", format!("{{\"identity\":\"person-{gone}\"}}"));
    }
    let somebody = present[somebody];
    if kind < 95 {
        let text = &TEXT[..20 + numbers.below(TEXT.len() as u64 - 20) as usize];
        return ("send-message", format!("{{\"identity\":\"person-{somebody}\",\"text\":\"{text}\"}}"));
    }
    ("rename", format!("{{\"identity\":\"person-{somebody}\",\"display_name\":\"Person {somebody}, again\"}}"))
}
