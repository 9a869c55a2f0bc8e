//! Entity tags (RFC 9110, 8.8.3 and 13.1): `"12"` is a room at version 12.

use crate::ids::RoomVersion;

/// What `If-Match` or `If-None-Match` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntityTags {
    /// `*`: whatever is there.
    Any,
    /// In the order given.
    Listed(Vec<EntityTag>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag {
    pub weak: bool,
    /// `None` for a tag that is none of ours: it equals no version, which is what a tag of something else should do.
    pub version: Option<RoomVersion>,
}

/// What is wrong with an `If-Match` that names no tags: a command that is to be done under a condition is not done without it.
pub const MALFORMED: &str =
    "give the ETag that came with the room, quotes included, such as \"12\"; or a list of them; or *";

/// The text of the `ETag` header of a room at `version`.
pub fn etag(version: RoomVersion) -> String {
    format!("\"{version}\"")
}

impl EntityTags {
    /// What a command asks for: every member of the list is a tag, and there is one at least. `None`: that is not so.
    pub fn read_strictly(header: &[u8]) -> Option<Self> {
        let read = TagList::of(header);
        (read.malformed == 0 && !matches!(&read.tags, EntityTags::Listed(tags) if tags.is_empty())).then_some(read.tags)
    }

    /// What a reader has: a member that is no tag equals nothing, and the others count.
    pub fn read_leniently(header: &[u8]) -> Self {
        TagList::of(header).tags
    }
}

/// A list of tags (RFC 9110, 5.6.1.2: empty members are passed over).
struct TagList {
    tags: EntityTags,
    /// Members that are no tags.
    malformed: usize,
}

impl TagList {
    fn of(header: &[u8]) -> Self {
        if header.trim_ascii() == b"*" {
            return Self { tags: EntityTags::Any, malformed: 0 };
        }
        let (mut tags, mut malformed, mut rest) = (Vec::new(), 0, header);
        loop {
            rest = rest.trim_ascii_start();
            match rest.first() {
                None => break,
                Some(b',') => rest = &rest[1..],
                Some(_) => match tag(rest) {
                    Some((tag, after)) => {
                        tags.push(tag);
                        rest = after;
                    }
                    None => {
                        malformed += 1;
                        let end = rest.iter().position(|&byte| byte == b',').unwrap_or(rest.len());
                        rest = &rest[end..];
                    }
                },
            }
        }
        Self { tags: EntityTags::Listed(tags), malformed }
    }
}

/// The tag at the beginning of a list, and what follows it: nothing, or a comma.
fn tag(text: &[u8]) -> Option<(EntityTag, &[u8])> {
    let weak = text.starts_with(b"W/");
    let inner = text[if weak { 2 } else { 0 }..].strip_prefix(b"\"")?;
    let end = inner.iter().position(|&byte| byte == b'"')?;
    let (opaque, after) = (&inner[..end], inner[end + 1..].trim_ascii_start());
    let valid = opaque.iter().all(|&byte| byte == b'!' || (b'#'..=b'~').contains(&byte) || byte >= 0x80);
    (valid && matches!(after, [] | [b',', ..])).then(|| (EntityTag { weak, version: version(opaque) }, after))
}

/// A version as [`etag`] writes it.
fn version(opaque: &[u8]) -> Option<RoomVersion> {
    let text = std::str::from_utf8(opaque).ok()?;
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    plain.then(|| text.parse().ok()).flatten()
}

impl EntityTags {
    /// `If-None-Match` on something at `version`: weak comparison, as 13.1.2 has it.
    pub fn matches_weakly(&self, version: RoomVersion) -> bool {
        match self {
            EntityTags::Any => true,
            EntityTags::Listed(tags) => tags.iter().any(|tag| tag.version == Some(version)),
        }
    }

    /// `If-Match` on something at `version`: strong comparison, as 13.1.1 has it.
    pub fn matches_strongly(&self, version: RoomVersion) -> bool {
        match self {
            EntityTags::Any => true,
            EntityTags::Listed(tags) => tags.iter().any(|tag| !tag.weak && tag.version == Some(version)),
        }
    }

    /// The versions that `If-Match` would let pass, newest first.
    pub fn strong_versions(&self) -> Vec<RoomVersion> {
        let EntityTags::Listed(tags) = self else { return Vec::new() };
        let mut versions: Vec<_> = tags.iter().filter(|tag| !tag.weak).filter_map(|tag| tag.version).collect();
        versions.sort_unstable_by(|a, b| b.cmp(a));
        versions.dedup();
        versions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(text: &str) -> EntityTags {
        EntityTags::read_strictly(text.as_bytes()).expect(text)
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
    fn a_list_may_be_long_and_have_empty_members() {
        let many: String = (1..=40).map(|version| format!("\"{version}\", ")).collect();
        for text in [&many, "\"40\",", ",\"40\"", "\"1\",, ,\"40\" , ", "W/\"3\",\"40\""] {
            assert!(tags(text).matches_strongly(40), "{text}");
        }
    }

    #[test]
    fn what_is_no_tag_is_not_taken_for_a_command_and_equals_nothing_for_a_reader() {
        for text in ["40", "\"12", "12\"", "\"1\" \"40\"", "*, \"1\"", "w/\"40\"", "\"4 0\"", "\"40\"x", "\"1\", 40"] {
            assert_eq!(EntityTags::read_strictly(text.as_bytes()), None, "{text}");
            assert!(!EntityTags::read_leniently(text.as_bytes()).matches_weakly(40), "{text}");
        }
        for text in ["40, \"40\"", "\"40\", 41", "\"4 0\", W/\"40\"", "\"40\",*", "x\"y,\"40\""] {
            assert_eq!(EntityTags::read_strictly(text.as_bytes()), None, "{text}");
            assert!(EntityTags::read_leniently(text.as_bytes()).matches_weakly(40), "{text}");
        }
        for text in ["", " ", ",", " , ,"] {
            assert_eq!(EntityTags::read_strictly(text.as_bytes()), None, "no tags: {text:?}");
            assert!(!EntityTags::read_leniently(text.as_bytes()).matches_weakly(40), "{text:?}");
        }
    }
}
