//! A trace of room activity as commands for `convoke import`:
//!
//! ```text
//! cargo run --release --example trace_to_commands -- trace.tsv.gz commands.ndjson.zst
//! convoke import --tenant trace --recorded-as-occurred commands.ndjson.zst
//! ```
//!
//! The trace has a line for each thing that happened: unix seconds, room, kind, actor, target, length; separated by tabs, in
//! the order of days, within a day room by room. Each becomes the command that it would have been, in the order of time; a
//! room is created when it is first used. What makes no sense (people leave who never came) is left for the import to refuse
//! and count. Texts are made up, of the length that the trace tells.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use chrono::{DateTime, SecondsFormat};
use flate2::bufread::MultiGzDecoder;
use serde_json::{Value, json};

const DAY: i64 = 86_400;
const WORDS: &str = "could somebody look at the minutes of last week before we go on with the next point of the agenda because \
                     the draft has changed a lot since then and not everybody may have seen what was said about it ";

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let (Some(from), Some(to), None) = (args.next(), args.next(), args.next()) else {
        return Err("usage: trace_to_commands TRACE.tsv[.gz] COMMANDS.ndjson[.zst]".into());
    };
    let trace = open(Path::new(&from))?;
    let file = BufWriter::new(File::create(&to)?);
    let lines = if Path::new(&to).extension() == Some(OsStr::new("zst")) {
        let mut packed = zstd::Encoder::new(file, 3)?;
        let lines = convert(trace, &mut packed)?;
        packed.finish()?.flush()?;
        lines
    } else {
        let mut file = file;
        let lines = convert(trace, &mut file)?;
        file.flush()?;
        lines
    };
    eprintln!("{lines} lines");
    Ok(())
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let file = BufReader::new(File::open(path)?);
    if path.extension() == Some(OsStr::new("gz")) {
        Ok(Box::new(BufReader::new(MultiGzDecoder::new(file))))
    } else {
        Ok(Box::new(file))
    }
}

/// One line of the trace.
struct Happened {
    seconds: i64,
    room: String,
    kind: String,
    actor: String,
    target: String,
    length: usize,
}

impl Happened {
    fn read(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        let mut field = || fields.next().unwrap_or_default().to_owned();
        let seconds = field().parse().ok()?;
        let (room, kind, actor, target) = (field(), field(), field(), field());
        let length = field().parse().unwrap_or_default();
        Some(Self { seconds, room, kind, actor, target, length })
    }
}

/// Days are put in order one at a time: within a minute, the order of the trace is the real one.
fn convert(trace: impl BufRead, to: &mut impl Write) -> Result<u64, Box<dyn Error>> {
    let mut commands = Commands::default();
    let (mut day, mut written): (Vec<Happened>, u64) = (Vec::new(), 0);
    for line in trace.lines() {
        let line = line?;
        let happened = Happened::read(&line).ok_or_else(|| format!("not a line of a trace: {line}"))?;
        if day.last().is_some_and(|last| happened.seconds / DAY > last.seconds / DAY) {
            written += commands.write(std::mem::take(&mut day), to)?;
        }
        day.push(happened);
    }
    Ok(written + commands.write(day, to)?)
}

#[derive(Default)]
struct Commands {
    rooms: HashSet<String>,
    moderators: HashSet<(String, String)>,
    renames: HashMap<String, u32>,
    /// The microphone of each person on the phone.
    tracks: HashMap<(String, String), String>,
    published: u64,
}

impl Commands {
    fn write(&mut self, mut day: Vec<Happened>, to: &mut impl Write) -> io::Result<u64> {
        day.sort_by_key(|happened| happened.seconds);
        let mut written = 0;
        for happened in day {
            let at = DateTime::from_timestamp(happened.seconds, 0).unwrap_or_default();
            let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
            for (command, data, id) in self.of(&happened) {
                let mut line = json!({ "occurred_at": at, "room": happened.room, "actor": "key:trace", "command": command, "data": data });
                if let Some(id) = id {
                    line["command_id"] = id.into();
                }
                serde_json::to_writer(&mut *to, &line)?;
                to.write_all(b"\n")?;
                written += 1;
            }
        }
        Ok(written)
    }

    /// Name, body, and the id of the command where a later one speaks of what it made.
    fn of(&mut self, happened: &Happened) -> Vec<(&'static str, Value, Option<String>)> {
        let Happened { room, kind, actor, target, .. } = happened;
        let (person, other) = (format!("person-{actor}"), format!("person-{target}"));
        let here = |who: &str| (room.clone(), who.to_owned());
        let mut commands = Vec::new();
        if kind != "call_ended" && self.rooms.insert(room.clone()) {
            commands.push(("create-room", json!({ "name": room }), None));
        }
        match kind.as_str() {
            "join" => {
                let name = format!("Person {actor}");
                commands.push(("join", json!({ "identity": person, "display_name": name }), None));
            }
            "leave" | "call_left" => {
                self.moderators.remove(&here(actor));
                commands.push(("leave", json!({ "identity": person }), None));
            }
            "message" => {
                let text = text(happened.length, actor);
                commands.push(("send-message", json!({ "identity": person, "text": text }), None));
            }
            "rename" => {
                let count = self.renames.entry(actor.clone()).or_default();
                *count += 1;
                let name = format!("Person {actor}, {count}");
                commands.push(("rename", json!({ "identity": person, "display_name": name }), None));
            }
            // What the role was is not told: it goes back and forth.
            "mode" => {
                let raised = self.moderators.insert(here(target)) || !self.moderators.remove(&here(target));
                let role = if raised { "moderator" } else { "speaker" };
                commands.push(("change-role", json!({ "identity": other, "role": role }), None));
            }
            "topic" => {
                let topic = json!({ "metadata": { "topic": text(happened.length, actor) } });
                commands.push(("update-settings", topic, None));
            }
            "kick" => {
                self.moderators.remove(&here(target));
                commands.push(("remove", json!({ "identity": other }), None));
            }
            "call_joined" => {
                commands.push(("join", json!({ "identity": person, "display_name": format!("Phone {actor}") }), None));
                self.published += 1;
                let track = format!("00000000-0000-7000-8000-{:012x}", self.published);
                self.tracks.insert(here(actor), track.clone());
                commands.push(("publish-track", json!({ "identity": person, "source": "microphone" }), Some(track)));
            }
            "muted" => commands.push(("mute-participant", json!({ "identity": person }), None)),
            "unmuted" => {
                commands.push(("allow-unmute", json!({ "identity": person }), None));
                if let Some(track) = self.tracks.get(&here(actor)) {
                    commands.push(("unmute-track", json!({ "track": track }), None));
                }
            }
            "recording_started" => commands.push(("start-recording", json!({}), None)),
            "call_ended" => commands.push(("end-room", json!({}), None)),
            // A call that started is the room that was created for it.
            _ => {}
        }
        commands
    }
}

/// So many characters; where they begin in the words differs from speaker to speaker.
fn text(length: usize, speaker: &str) -> String {
    let begin = speaker.parse::<usize>().unwrap_or_default() % WORDS.len();
    let text: String = WORDS.chars().cycle().skip(begin).take(length).collect();
    // A text of white space alone is none.
    if text.trim().is_empty() { "x".repeat(length) } else { text }
}
