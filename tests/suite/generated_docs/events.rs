//! `docs/events.md`: every event in every version.

use std::collections::BTreeMap;
use std::fmt::Write;

use convoke::events::room::RoomEvent;
use serde_json::Value;

use super::schema;
use crate::golden::Golden;

const OPENING: &str = "\
# Events

What can happen in a room, or to the tenant itself, and what is stored of it. This page is generated from the code and from `tests/golden/events/`.

The name and the version of an event never change their meaning; a field never changes its shape. Where a shape had to
change, the event has a new version; older ones are brought up to it where they are read, so that readers see the newest
version only. Readers must ignore fields and accept events that they do not know.

The stored `data` of every event in every version ever written has a JSON Schema (2020-12), `kafka/schemas/NAME.vVERSION.json`.

Fields said to be *personal* (display names, the text of messages, metadata of people) are not in `data`: they lie beside
it, encrypted under a key of the person, and read as erased once that key is gone. Who may read them gets them as
`personal`.

Events whose name does not begin with `room.` are of the tenant itself. They lie in a stream of the tenant's own, with versions and
hashes as a room has them; their `room` is the nil UUID, `00000000-0000-0000-0000-000000000000`, which is no room and reads as none.
";

#[test]
fn the_page_of_events_says_what_the_code_says() {
    let mut page = String::from(OPENING);
    let mut shapes: BTreeMap<String, Value> = BTreeMap::new();
    for kind in RoomEvent::catalogue() {
        let schema = (kind.schema)().to_value();
        shapes.extend(schema::named(&schema));
        let about = schema::about(&schema).unwrap_or_else(|| panic!("{} does not say what it means", kind.name));
        write!(page, "\n## {}\n\n{about}\n\nVersion {}.\n\n{}", kind.name, kind.version, schema::fields(&schema))
            .unwrap();
        page.push_str(&examples(kind.name, kind.version));
        for version in (1..kind.version).rev() {
            write!(page, "\nVersion {version} is read as if it were version {}.\n", kind.version).unwrap();
            page.push_str(&examples(kind.name, version));
        }
    }
    page.push_str("\n## Shapes that several events use\n");
    for (name, shape) in &shapes {
        write!(page, "\n{}", schema::shape(name, shape)).unwrap();
    }
    super::check("events.md", &page);
}

/// Stored `data`, and what it reads as.
fn examples(name: &str, version: u16) -> String {
    let golden = Golden::load(name, version).unwrap_or_else(|| panic!("no golden file of {name} v{version}"));
    let mut text = String::from("\n```json\n");
    for variant in golden.variants.iter().take(2) {
        writeln!(text, "{}", variant.data.get()).unwrap();
        if let Some(newest) = &variant.reads_as {
            writeln!(text, "  reads as {}", newest.get()).unwrap();
        }
    }
    text + "```\n"
}
