//! The texts that are known of a person, one a line.

use std::collections::HashSet;
use std::io::BufRead;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::needles::SHORTEST;
use crate::cli::erase::texts;
use crate::events::sealed::PersonalFields;
use crate::ids::{Identity, TenantId};

/// Texts that are searched for at once.
pub const MOST: usize = 10_000;

enum KnownLine {
    Text(String),
    Event(ExportedLine),
}

/// An event as `convoke export --open` writes it.
#[derive(Deserialize)]
struct ExportedLine {
    tenant: Option<TenantId>,
    #[serde(rename = "position")]
    _position: u64,
    #[serde(rename = "hash")]
    _hash: IgnoredAny,
    data: EventSubject,
    personal: Option<PersonalFields>,
}

impl KnownLine {
    /// `None`: it is neither.
    fn read(line: &str) -> Option<Self> {
        match line.as_bytes().first() {
            Some(b'"') => serde_json::from_str(line).ok().map(Self::Text),
            Some(b'{') => serde_json::from_str(line).ok().map(Self::Event),
            _ => None,
        }
    }
}

/// Of whom an event's personal fields are.
#[derive(Deserialize)]
struct EventSubject {
    identity: Option<Identity>,
    author: Option<Identity>,
}

/// What is to be searched for, and what cannot be.
#[derive(Debug, PartialEq)]
pub struct KnownTexts<'p> {
    tenant: &'p TenantId,
    identity: &'p Identity,
    /// In the order given, each once.
    texts: Vec<String>,
    seen: HashSet<String>,
    wanted: Vec<usize>,
    /// Too short to be told from chance.
    pub short: usize,
    /// Part of the identity, which is not personal and stays.
    pub in_identity: usize,
}

impl<'p> KnownTexts<'p> {
    pub fn of(tenant: &'p TenantId, identity: &'p Identity) -> Self {
        let (texts, seen, wanted) = (Vec::new(), HashSet::new(), Vec::new());
        Self { tenant, identity, texts, seen, wanted, short: 0, in_identity: 0 }
    }

    pub fn add(&mut self, text: &str) {
        if text.is_empty() || !self.seen.insert(text.into()) {
            return;
        }
        if text.len() < SHORTEST {
            self.short += 1;
        } else if self.identity.as_str().contains(text) {
            self.in_identity += 1;
        } else {
            self.wanted.push(self.texts.len());
        }
        self.texts.push(text.into());
    }

    /// A line that is a JSON string is the text in it, as `convoke erase texts` writes them. Of an event, as `convoke export --open`
    /// writes it, it is what the event says of the person. Any other line is the text itself.
    pub fn read(&mut self, lines: impl BufRead) -> std::io::Result<()> {
        for line in lines.lines() {
            let line = line?;
            let line = line.trim();
            match KnownLine::read(line) {
                Some(KnownLine::Text(text)) => self.add(&text),
                Some(KnownLine::Event(ExportedLine {
                    tenant,
                    personal,
                    data: EventSubject { identity, author },
                    ..
                })) => {
                    // Lines of one tenant's export do not say whose they are.
                    let theirs = tenant.is_none_or(|tenant| tenant == *self.tenant);
                    if theirs && identity.or(author).as_ref() == Some(self.identity) {
                        personal.iter().flat_map(texts::of).for_each(|text| self.add(&text));
                    }
                }
                None => self.add(line),
            }
        }
        Ok(())
    }

    pub fn wanted(&self) -> impl ExactSizeIterator<Item = (usize, &str)> {
        self.wanted.iter().map(|&place| (place, self.texts[place].as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acme_and(identity: &str) -> (TenantId, Identity) {
        (TenantId::new("acme").unwrap(), Identity::new(identity).unwrap())
    }

    #[test]
    fn lines_are_texts_or_json_strings_and_what_cannot_be_searched_for_is_counted() {
        let (acme, alice) = acme_and("alice-7");
        let mut known = KnownTexts::of(&acme, &alice);
        known.read("The alice\n\n\"two\\nlines\"\n  Bob\nalice\n\"open\n{\"a\":1}\n".as_bytes()).unwrap();
        let wanted: Vec<_> = known.wanted().collect();
        assert_eq!(wanted, [(0, "The alice"), (1, "two\nlines"), (4, "\"open"), (5, "{\"a\":1}")]);
        assert_eq!((known.short, known.in_identity), (1, 1));
    }

    #[test]
    fn of_the_lines_of_an_open_export_those_texts_are_taken_that_are_of_the_person() {
        let (acme, alice) = acme_and("alice");
        let line = |data: &str, more: &str| {
            format!(r#"{{"tenant":"acme","position":4,"type":"room.x","data":{data}{more},"hash":"ab"}}"#)
        };
        let lines = [
            line(r#"{"identity":"alice","session":"s"}"#, r#","personal":{"display_name":"The alice"}"#),
            line(r#"{"author":"alice","to":"everyone"}"#, r#","personal":{"text":"said by alice"}"#),
            line(r#"{"author":"alice","to":"everyone"}"#, r#","personal":{"text":"said by alice"}"#),
            line(r#"{"identity":"bob"}"#, r#","personal":{"metadata":{"seat":"of bob"}}"#),
            line(r#"{"identity":"alice"}"#, r#","personal":{"metadata":{"seats":["of alice",4],"so":true}}"#),
            line(r#"{"identity":"alice"}"#, r#","erased":true"#),
            line("{}", ""),
            line(r#"{"identity":"alice"}"#, r#","personal":{"display_name":"Of globex"}"#).replace("acme", "globex"),
            line(r#"{"identity":"alice"}"#, r#","personal":{"display_name":"Of ours"}"#)
                .replace(r#""tenant":"acme","#, ""),
        ];
        let mut known = KnownTexts::of(&acme, &alice);
        known.read(lines.join("\n").as_bytes()).unwrap();
        let wanted: Vec<_> = known.wanted().map(|(_, text)| text).collect();
        assert_eq!(wanted, ["The alice", "said by alice", "of alice", "Of ours"]);
    }
}
