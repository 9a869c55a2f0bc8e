//! What is searched, and what was found of it: places are told, texts never.

use serde::Serialize;

use super::needles::TextNeedles;

/// Findings that are told of one place; of more, the rest is only counted.
const LISTED: usize = 20;

/// What zstd begins with: snapshots of rooms are packed.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Of what is unpacked to be searched.
const LARGEST_UNPACKED: usize = 256 * 1024 * 1024;

/// A table, the keys of Redis, a topic.
#[derive(Debug, Serialize)]
pub struct SearchedPlace {
    pub place: String,
    /// What is counted: rows, keys, records, events.
    pub unit: &'static str,
    pub searched: u64,
    pub bytes: u64,
    /// Values in which a text was found.
    pub found: u64,
    pub findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
pub struct Finding {
    /// The row, the key, the offset.
    pub at: String,
    /// Which of the texts given, from 1, each counted once.
    pub text: usize,
}

/// One search over all places.
pub struct TextSearch {
    needles: TextNeedles,
    pub places: Vec<SearchedPlace>,
}

impl TextSearch {
    pub fn new(needles: TextNeedles) -> Self {
        Self { needles, places: Vec::new() }
    }

    /// What comes now lies there.
    pub fn enter(&mut self, place: impl Into<String>, unit: &'static str) -> PlaceSearch<'_> {
        let place = SearchedPlace { place: place.into(), unit, searched: 0, bytes: 0, found: 0, findings: Vec::new() };
        let index = self.places.len();
        self.places.push(place);
        PlaceSearch { needles: &self.needles, place: &mut self.places[index] }
    }

    pub fn found(&self) -> u64 {
        self.places.iter().map(|place| place.found).sum()
    }
}

/// The search in one place.
pub struct PlaceSearch<'s> {
    needles: &'s TextNeedles,
    pub place: &'s mut SearchedPlace,
}

impl PlaceSearch<'_> {
    /// A row, a key, a record.
    pub fn count(&mut self) {
        self.place.searched += 1;
    }

    /// A name as it may be told.
    pub fn shown(&self, name: &[u8]) -> String {
        self.needles.shown(name)
    }

    /// Looks into one value; `at` says where it lies.
    pub fn look(&mut self, bytes: &[u8], at: impl Fn() -> String) {
        self.place.bytes += bytes.len() as u64;
        let unpacked = bytes.starts_with(&ZSTD).then(|| zstd::bulk::decompress(bytes, LARGEST_UNPACKED).ok()).flatten();
        let found = self.needles.find(bytes).or_else(|| self.needles.find(unpacked.as_deref()?));
        let Some(text) = found else { return };
        self.place.found += 1;
        if self.place.findings.len() < LISTED {
            self.place.findings.push(Finding { at: at(), text: text + 1 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_searched_too_and_findings_are_bounded() {
        let mut search = TextSearch::new(TextNeedles::new([(4, "said by alice")]).unwrap());
        let mut hunt = search.enter("somewhere", "rows");
        let packed =
            zstd::bulk::compress(b"[\"said by alice\", \"and more, and more, and more, and more\"]", 19).unwrap();
        hunt.look(&packed, || "packed".into());
        hunt.look(b"said by bob", || unreachable!());
        for number in 0..100 {
            hunt.count();
            hunt.look(b"said by alice", || number.to_string());
        }
        let place = &search.places[0];
        assert_eq!((place.searched, place.found, place.findings.len()), (100, 101, LISTED));
        assert_eq!((place.findings[0].at.as_str(), place.findings[0].text), ("packed", 5));
        assert_eq!(search.found(), 101);
    }
}
