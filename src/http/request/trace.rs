//! `traceparent` (W3C Trace Context, level 1): carried from the request into the events that it leads to.
//!
//! What cannot be read is dropped, as the recommendation asks of a receiver, and the request goes on without: a caller's
//! broken tracing must not break its commands. None is made up here: an id that nobody's trace holds would only take room
//! in the log.

/// `00-` with 32, 16 and 2 digits.
const LENGTH: usize = 55;

/// The trace parent, if the header's text is one. Of a later version only the part that this version knows is kept.
pub fn read_traceparent(header: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(header).ok()?;
    let known = text.get(..LENGTH)?;
    let mut parts = known.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, digits: usize| {
        text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let nonzero = |text: &str| text.bytes().any(|b| b != b'0');
    let shaped = hex(version, 2) && hex(trace, 32) && hex(parent, 16) && hex(flags, 2) && parts.next().is_none();
    let more = &text[LENGTH..];
    let versioned = if version == "00" { more.is_empty() } else { more.is_empty() || more.starts_with('-') };
    (shaped && versioned && version != "ff" && nonzero(trace) && nonzero(parent)).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_parent_is_kept() {
        assert_eq!(read_traceparent(GOOD.as_bytes()), Some(GOOD));
    }

    #[test]
    fn of_a_later_version_the_known_part_is_kept() {
        let later = GOOD.replacen("00", "cc", 1);
        assert_eq!(read_traceparent(format!("{later}-what-the-future").as_bytes()), Some(&*later));
        assert_eq!(read_traceparent(format!("{later}.x").as_bytes()), None);
    }

    #[test]
    fn what_is_not_one_is_dropped() {
        for text in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0é",
        ] {
            assert_eq!(read_traceparent(text.as_bytes()), None, "{text}");
        }
    }
}
