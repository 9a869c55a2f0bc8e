//! Pages of a room that were made lately, as bytes: most who open a room ask for the same ones.

use std::collections::HashMap;

use bytes::Bytes;

use crate::ids::RoomVersion;
use crate::live::opened_at::OpenedAt;
use crate::security::sealing::KeyMoment;

/// Pages of one room.
const MOST: usize = 32;
/// Bytes of them.
const MOST_BYTES: usize = 512 << 10;

/// Which page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageKey {
    pub list: &'static str,
    pub limit: usize,
    pub cursor: Option<String>,
    /// Personal fields are open in it.
    pub opened: bool,
}

/// A page as it was made.
#[derive(Clone, Debug)]
pub struct RenderedPage {
    pub version: RoomVersion,
    /// From before keys were loaded for it.
    pub moment: KeyMoment,
    pub page: Bytes,
}

/// The pages of a room at one version.
#[derive(Default)]
pub struct RoomPages {
    version: RoomVersion,
    opened: Option<OpenedAt>,
    pages: HashMap<PageKey, Bytes>,
    bytes: usize,
}

impl RoomPages {
    /// Bytes that they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn are_of(&self, version: RoomVersion, moment: KeyMoment) -> bool {
        self.version == version && self.opened.is_some_and(|opened| opened.holds(moment))
    }

    pub fn get(&self, key: &PageKey, version: RoomVersion, moment: KeyMoment) -> Option<Bytes> {
        if self.are_of(version, moment) { self.pages.get(key).cloned() } else { None }
    }

    /// Keeps a page, in place of all of another version or moment.
    pub fn keep(&mut self, key: PageKey, made: RenderedPage) {
        let RenderedPage { version, moment, page } = made;
        let full = self.pages.len() >= MOST || self.bytes + page.len() > MOST_BYTES;
        if full || !self.are_of(version, moment) {
            *self = Self { version, opened: Some(OpenedAt::now(moment)), ..Self::default() };
        }
        self.bytes += page.len();
        if let Some(before) = self.pages.insert(key, page) {
            self.bytes -= before.len();
        }
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
        let (mut pages, moment) = (RoomPages::default(), KeyMoment::default());
        pages.keep(key(1), RenderedPage { version: 7, moment, page: Bytes::from_static(b"seven") });
        assert_eq!(pages.get(&key(1), 7, moment).as_deref(), Some(b"seven".as_slice()));
        assert_eq!(pages.get(&key(1), 8, moment), None);
        assert_eq!(pages.get(&key(2), 7, moment), None);
        pages.keep(key(2), RenderedPage { version: 8, moment, page: Bytes::from_static(b"eight") });
        assert_eq!(pages.get(&key(1), 7, moment), None);
    }

    #[test]
    fn pages_are_few_and_small() {
        let (mut pages, moment) = (RoomPages::default(), KeyMoment::default());
        for limit in 0..1_000 {
            pages.keep(key(limit), RenderedPage { version: 1, moment, page: Bytes::from(vec![0; 40_000]) });
            assert!(pages.pages.len() <= MOST && pages.bytes <= MOST_BYTES);
            assert!(pages.get(&key(limit), 1, moment).is_some());
        }
    }
}
