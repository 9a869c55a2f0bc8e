//! Entity tags (RFC 9110, 8.8.3 and 13.1): `"12"` is a room at version 12.

use crate::events::envelope::RoomVersion;

/// What `If-Match` or `If-None-Match` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `*`: whatever is there.
    Any,
    /// At least one; in the order given.
    Listed(Vec<Tag>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    pub weak: bool,
    /// `None` for a tag that is none of ours: it equals no version, which is what a tag of something else should do.
    pub version: Option<RoomVersion>,
}

/// As many as a request may name.
pub const MAX_TAGS: usize = 16;

pub const MALFORMED: &str =
    "give the ETag that came with the room, quotes included, such as \"12\"; or a list of at most 16 of them; or *";

/// The text of the `ETag` header of a room at `version`.
pub fn etag(version: RoomVersion) -> String {
    format!("\"{version}\"")
}

/// The tags in the header's text; `None` where it is malformed.
pub fn read_tags(header: &[u8]) -> Option<Tags> {
    let mut rest = header.trim_ascii();
    if rest == b"*" {
        return Some(Tags::Any);
    }
    let mut tags = Vec::new();
    while !rest.is_empty() {
        let weak = rest.starts_with(b"W/");
        let quoted = if weak { &rest[2..] } else { rest };
        let inner = quoted.strip_prefix(b"\"")?;
        let end = inner.iter().position(|&b| b == b'"')?;
        let (opaque, after) = (&inner[..end], inner[end + 1..].trim_ascii_start());
        if !opaque.iter().all(|&b| b == b'!' || (b'#'..=b'~').contains(&b) || b >= 0x80) || tags.len() == MAX_TAGS {
            return None;
        }
        tags.push(Tag { weak, version: version(opaque) });
        rest = match after {
            [] => after,
            [b',', more @ ..] if !more.trim_ascii().is_empty() => more.trim_ascii_start(),
            _ => return None,
        };
    }
    (!tags.is_empty()).then_some(Tags::Listed(tags))
}

/// A version as [`etag`] writes it.
fn version(opaque: &[u8]) -> Option<RoomVersion> {
    let text = std::str::from_utf8(opaque).ok()?;
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    plain.then(|| text.parse().ok()).flatten()
}

impl Tags {
    /// `If-None-Match` on something at `version`: weak comparison, as 13.1.2 has it.
    pub fn matches_weakly(&self, version: RoomVersion) -> bool {
        match self {
            Tags::Any => true,
            Tags::Listed(tags) => tags.iter().any(|tag| tag.version == Some(version)),
        }
    }

    /// `If-Match` on something at `version`: strong comparison, as 13.1.1 has it.
    pub fn matches_strongly(&self, version: RoomVersion) -> bool {
        match self {
            Tags::Any => true,
            Tags::Listed(tags) => tags.iter().any(|tag| !tag.weak && tag.version == Some(version)),
        }
    }

    /// The versions that `If-Match` would let pass, newest first.
    pub fn strong_versions(&self) -> Vec<RoomVersion> {
        let Tags::Listed(tags) = self else { return Vec::new() };
        let mut versions: Vec<_> = tags.iter().filter(|tag| !tag.weak).filter_map(|tag| tag.version).collect();
        versions.sort_unstable_by(|a, b| b.cmp(a));
        versions.dedup();
        versions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(text: &str) -> Tags {
        read_tags(text.as_bytes()).expect(text)
    }

    #[test]
    fn a_tag_comes_back_as_it_was_given() {
        assert!(tags(&etag(12)).matches_strongly(12));
        assert!(!tags(&etag(12)).matches_strongly(13));
    }

    #[test]
    fn a_list_matches_any_of_its_tags() {
        let tags = tags("\"3\", W/\"7\" ,\"x,y\",\"5\"");
        assert!(tags.matches_weakly(3) && tags.matches_weakly(7) && tags.matches_weakly(5));
        assert!(!tags.matches_weakly(4));
        assert!(tags.matches_strongly(3) && !tags.matches_strongly(7));
        assert_eq!(tags.strong_versions(), [5, 3]);
    }

    #[test]
    fn a_star_matches_whatever_is_there() {
        assert!(tags(" * ").matches_weakly(1) && tags("*").matches_strongly(1));
    }

    #[test]
    fn a_tag_of_something_else_matches_nothing() {
        for text in ["\"\"", "\"012\"", "\"abc\"", "\"99999999999999999999\"", "\"é\""] {
            assert_eq!(tags(text).strong_versions(), [0; 0], "{text}");
        }
    }

    #[test]
    fn malformed_tags_are_not_taken() {
        let many = vec!["\"1\""; 17].join(",");
        for text in
            ["", " ", "12", "\"12", "12\"", "\"1\" \"2\"", "\"1\",", ",\"1\"", "*, \"1\"", "w/\"1\"", "\"a b\"", &many]
        {
            assert_eq!(read_tags(text.as_bytes()), None, "{text}");
        }
    }
}
