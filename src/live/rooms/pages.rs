//! Pages of a room that were made lately, as bytes: most who open a room ask for the same ones.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::events::envelope::RoomVersion;
use crate::security::sealing::Moment;

/// Pages of one room.
const MOST: usize = 32;
/// Bytes of them.
const MOST_BYTES: usize = 512 << 10;
/// How long a page is shown: for so long, at most, it may outlive a key whose erasure this process has not heard of.
const LIFE: Duration = Duration::from_secs(5);

/// Which page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageKey {
    pub list: &'static str,
    pub limit: usize,
    pub cursor: Option<String>,
    /// Personal fields are open in it.
    pub opened: bool,
}

/// The pages of a room at one version.
pub struct Pages {
    version: RoomVersion,
    moment: Moment,
    begun: Instant,
    pages: HashMap<PageKey, Bytes>,
    bytes: usize,
}

impl Default for Pages {
    fn default() -> Self {
        Self { version: 0, moment: Moment::default(), begun: Instant::now(), pages: HashMap::new(), bytes: 0 }
    }
}

impl Pages {
    fn are_of(&self, version: RoomVersion, moment: Moment) -> bool {
        self.version == version && self.moment == moment && self.begun.elapsed() < LIFE
    }

    pub fn get(&self, key: &PageKey, version: RoomVersion, moment: Moment) -> Option<Bytes> {
        if self.are_of(version, moment) { self.pages.get(key).cloned() } else { None }
    }

    /// Keeps a page, in place of all of another version or moment.
    pub fn keep(&mut self, key: PageKey, version: RoomVersion, moment: Moment, page: Bytes) {
        let full = self.pages.len() >= MOST || self.bytes + page.len() > MOST_BYTES;
        if full || !self.are_of(version, moment) {
            *self = Self { version, moment, ..Self::default() };
        }
        self.bytes += page.len();
        self.pages.insert(key, page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(limit: usize) -> PageKey {
        PageKey { list: "participants", limit, cursor: None, opened: true }
    }

    #[test]
    fn a_page_is_of_one_version() {
        let (mut pages, moment) = (Pages::default(), Moment::default());
        pages.keep(key(1), 7, moment, Bytes::from_static(b"seven"));
        assert_eq!(pages.get(&key(1), 7, moment).as_deref(), Some(b"seven".as_slice()));
        assert_eq!(pages.get(&key(1), 8, moment), None);
        assert_eq!(pages.get(&key(2), 7, moment), None);
        pages.keep(key(2), 8, moment, Bytes::from_static(b"eight"));
        assert_eq!(pages.get(&key(1), 7, moment), None);
    }

    #[test]
    fn pages_are_few_and_small() {
        let (mut pages, moment) = (Pages::default(), Moment::default());
        for limit in 0..1_000 {
            pages.keep(key(limit), 1, moment, Bytes::from(vec![0; 40_000]));
            assert!(pages.pages.len() <= MOST && pages.bytes <= MOST_BYTES);
            assert!(pages.get(&key(limit), 1, moment).is_some());
        }
    }
}
