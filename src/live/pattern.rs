//! Patterns that select rooms: `room:*`, `room:01936d2e-*`.

use crate::ids::{RoomKey, TenantId};

/// Longer ones name nothing that there is.
const LONGEST: usize = 128;

/// A name with `*` for any number of characters; of one tenant, or of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    glob: String,
    tenant: Option<TenantId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pattern is a name such as room:ID with * for any part of it: room:*")]
pub struct BadPattern;

impl Pattern {
    pub fn new(glob: &str, tenant: Option<TenantId>) -> Result<Self, BadPattern> {
        let clean = glob.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b":-*".contains(&b));
        // What can match nothing is a slip of the pen.
        let fits = glob.starts_with("room:") || glob.starts_with('*');
        if clean && fits && glob.len() <= LONGEST { Ok(Self { glob: glob.into(), tenant }) } else { Err(BadPattern) }
    }

    pub fn glob(&self) -> &str {
        &self.glob
    }

    pub fn tenant(&self) -> Option<&TenantId> {
        self.tenant.as_ref()
    }

    pub fn takes(&self, key: &RoomKey) -> bool {
        let name = format!("room:{}", key.room);
        self.tenant.as_ref().is_none_or(|tenant| *tenant == key.tenant) && matches(&self.glob, &name)
    }
}

fn matches(glob: &str, name: &str) -> bool {
    let mut parts = glob.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        let name = "room:01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11";
        for glob in ["room:*", "*", "room:01936d2e-*", "room:*2c11", "*2c11", name, "room:*-7b3e-*c*1", "room:**"] {
            assert!(matches(glob, name), "{glob}");
        }
        for glob in ["room:", "room:*:people", "room:02*", "room:*2c12", "*2c11-", "room:*2c11:*"] {
            assert!(!matches(glob, name), "{glob}");
        }
        assert!(!matches("room:a*a", "room:a"), "no character is matched twice");
    }

    #[test]
    fn what_can_name_nothing_is_refused() {
        for bad in ["", "rooms:*", "room:[ab]*", "room:?", "ROOM:*", "people:*", &format!("room:{}", "1".repeat(200))] {
            assert_eq!(Pattern::new(bad, None), Err(BadPattern), "{bad}");
        }
        assert!(Pattern::new("room:*", None).is_ok());
    }
}
