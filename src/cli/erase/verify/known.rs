//! The texts that are known of a person, one a line.

use std::io::BufRead;

use crate::events::ids::Identity;

use super::needles::SHORTEST;

/// Texts that are searched for at once.
pub const MOST: usize = 10_000;

/// What is to be searched for, and what cannot be.
#[derive(Debug, Default, PartialEq)]
pub struct Known {
    /// In the order given.
    texts: Vec<String>,
    wanted: Vec<usize>,
    /// Too short to be told from chance.
    pub short: usize,
    /// Part of the identity, which is not personal and stays.
    pub in_identity: usize,
}

impl Known {
    pub fn add(&mut self, text: &str, identity: &Identity) {
        if text.is_empty() {
            return;
        }
        if text.len() < SHORTEST {
            self.short += 1;
        } else if identity.as_str().contains(text) {
            self.in_identity += 1;
        } else {
            self.wanted.push(self.texts.len());
        }
        self.texts.push(text.into());
    }

    /// A line that is a JSON string is the text in it, as `convoke erase texts` writes them; any other is the text itself.
    pub fn read(&mut self, lines: impl BufRead, identity: &Identity) -> std::io::Result<()> {
        for line in lines.lines() {
            let line = line?;
            let line = line.trim();
            match serde_json::from_str::<String>(line) {
                Ok(text) => self.add(&text, identity),
                Err(_) => self.add(line, identity),
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

    #[test]
    fn lines_are_texts_or_json_strings_and_what_cannot_be_searched_for_is_counted() {
        let alice = Identity::new("alice-7").unwrap();
        let mut known = Known::default();
        known.read("The alice\n\n\"two\\nlines\"\n  Bob\nalice\n\"open\n{\"a\":1}\n".as_bytes(), &alice).unwrap();
        let wanted: Vec<_> = known.wanted().collect();
        assert_eq!(wanted, [(0, "The alice"), (1, "two\nlines"), (4, "\"open"), (5, "{\"a\":1}")]);
        assert_eq!((known.short, known.in_identity), (1, 1));
    }
}
