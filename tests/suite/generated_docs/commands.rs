//! `docs/commands.md`: every command, its body, its facts, its refusals and examples.

use std::collections::BTreeMap;
use std::fmt::Write;

use convoke::commands::command::CommandKind;
use convoke::commands::room::RoomCommand;
use serde_json::Value;

use super::schema;

const OPENING: &str = "\
# Commands

What may be asked of a room, and of the tenant itself. This page is generated from the code. A command is sent with
`POST /v1/rooms/{room}/commands/{command}`, `create-room` with `POST /v1/rooms`; the body is a JSON object of the fields
below, and may be empty where none is needed. A command to the tenant goes to `POST /v1/commands/{command}`. Fields that are not listed are refused, and so are NUL characters.

**Who asks.** A person (a token with `sub`) acts as oneself with the grant `room_join`, and as staff by the role they have
in the room: `host` and `moderator` are staff. A server (a token with `room_admin`) stands above every role, need not be in
the room, and acts for others by naming them in `identity`. A token whose grant `room` names one room, by id or by name, is
refused everywhere else with `not-granted`. Staff acts on people of a lower role only: equals do not act on one another.

**Who leads.** A room with staff in it has a host. When the last host goes, the longest-present moderator becomes host in
the same append; where there is no moderator nobody does, and the next moderator to come is host at once. A returning host
joins as host again by the token; a room may have several.

**What repeats.** To ask for what is so already (to lock a locked room) is accepted, changes nothing and writes nothing. A
refusal changes nothing either, and is judged anew each time.

**What time does.** A scheduled room opens at its time, by the first join after it or by itself; an open room ends by its
settings `empty_timeout_s` and `max_duration_s`. The actor of these is `system:deadlines`: its `open-room` and `end-room`
mean \"if it is due\", take their reason from the room's own deadline, and do nothing where it has not passed.

**What follows by itself.** Somebody's tracks end with their stay; with their last stay the hand falls and the spotlight
clears. These follow from the leave and have no events of their own. An ended room has nobody in it, no lock, no bans and no
recording.
";

#[test]
fn the_page_of_commands_says_what_the_code_says() {
    let mut page = String::from(OPENING);
    let mut shapes: BTreeMap<String, Value> = BTreeMap::new();
    page.push_str("\n| command | |\n|---|---|\n");
    let all = || RoomCommand::catalogue().into_iter().chain(RoomCommand::catalogue_of_tenant());
    for kind in all() {
        writeln!(page, "| [`{}`](#{}) | {} |", kind.name, kind.name, kind.summary).unwrap();
    }
    for kind in all() {
        let schema = (kind.schema)().to_value();
        shapes.extend(schema::named(&schema));
        page.push_str(&section(&kind, &schema));
    }
    page.push_str("\n## Shapes that several commands use\n");
    for (name, shape) in &shapes {
        write!(page, "\n{}", schema::shape(name, shape)).unwrap();
    }
    super::check("commands.md", &page);
}

fn section(kind: &CommandKind, schema: &Value) -> String {
    // A body that is a named shape and nothing else.
    let named =
        schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')).and_then(|at| schema.pointer(at));
    let fields = schema::fields(named.unwrap_or(schema)).replace("No data.", "No fields.");
    let mut text = format!("\n## {}\n\n{}. {}\n\n{fields}", kind.name, kind.summary, kind.description);
    for example in (kind.examples)() {
        write!(text, "\n{}:\n\n```json\n{}\n```\n", example.about, example.body).unwrap();
    }
    let events: Vec<String> =
        kind.events.iter().map(|name| format!("[`{name}`](events.md#{})", anchor(name))).collect();
    write!(text, "\nFacts: {}.\n", events.join(", ")).unwrap();
    let refusals: Vec<String> = kind.refusals.iter().map(|code| format!("[`{code}`](problems/{code}.md)")).collect();
    write!(text, "\nRefused with {}.\n", refusals.join(", ")).unwrap();
    text
}

/// As GitHub makes it of a heading.
fn anchor(heading: &str) -> String {
    heading.chars().filter(|char| char.is_ascii_alphanumeric() || *char == '-').collect()
}
