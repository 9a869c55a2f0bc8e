//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07): the caller's name for one request, so that it can be
//! repeated without fear.
//!
//! The draft has the key as a structured-field string, `"8e03978e-40d5-43dd"`; most clients in use send it bare, so both
//! forms are taken and name the same key. Keys belong to who sends them: a person's are that person's own, those of servers
//! are shared by the tenant's servers, so that a repeat under a rotated API key still finds its outcome.

use sha2::{Digest, Sha256};

use crate::events::ids::Actor;

/// In characters, all of them ASCII.
pub const MAX_KEY: usize = 255;

pub const MALFORMED: &str = "an Idempotency-Key is 1 to 255 visible ASCII characters or spaces in double quotes, such as \"8e03978e-40d5-43dd\"; \
     without spaces, quotes, commas and semicolons it may stand bare";

/// The key that the header's text holds; `None` where it is malformed.
pub fn read_key(header: &[u8]) -> Option<String> {
    let text = header.trim_ascii();
    let key = match text {
        [b'"', inner @ .., b'"'] => unquoted(inner)?,
        bare => bare
            .iter()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b',' | b';' | b'\\'))
            .then(|| bare.iter().map(|&b| char::from(b)).collect())?,
    };
    (1..=MAX_KEY).contains(&key.len()).then_some(key)
}

/// An sf-string of RFC 8941 without its quotes: only `"` and `\` are escaped, and they always are.
fn unquoted(inner: &[u8]) -> Option<String> {
    let mut key = String::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        let byte = match byte {
            b'\\' => *bytes.next().filter(|b| matches!(b, b'"' | b'\\'))?,
            b'"' => return None,
            b' '..=b'~' => byte,
            _ => return None,
        };
        key.push(char::from(byte));
    }
    Some(key)
}

/// The key as it is stored: with whose it is.
pub fn scoped(key: &str, actor: &Actor) -> String {
    match actor {
        Actor::Person(identity) => format!("user:{identity} {key}"),
        Actor::Key(_) => format!("key {key}"),
        Actor::System(part) => format!("system:{part} {key}"),
    }
}

/// What a repeat must equal: the method, the path and the body, byte for byte.
pub fn fingerprint(method: &str, path: &str, body: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(method)
        .chain_update([0])
        .chain_update(path)
        .chain_update([0])
        .chain_update(body)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::ids::Identity;

    #[test]
    fn a_key_may_be_quoted_or_bare() {
        for text in ["\"8e03978e-40d5\"", "8e03978e-40d5", "  8e03978e-40d5 "] {
            assert_eq!(read_key(text.as_bytes()).as_deref(), Some("8e03978e-40d5"), "{text}");
        }
        assert_eq!(read_key(br#""a \"b\" \\c""#).as_deref(), Some(r#"a "b" \c"#));
    }

    #[test]
    fn a_malformed_key_is_not_taken() {
        let long = "x".repeat(256);
        for text in [
            "",
            "\"\"",
            "\"",
            "\"a",
            "a\"",
            "a b",
            "a,b",
            "\"a\", \"b\"",
            "\"a\";p=1",
            "\"\\n\"",
            "\"a\\\"",
            "ключ",
            &long,
        ] {
            assert_eq!(read_key(text.as_bytes()), None, "{text}");
        }
        assert_eq!(read_key(b"\"a\tb\""), None);
        assert!(read_key("x".repeat(255).as_bytes()).is_some());
    }

    #[test]
    fn a_key_is_its_senders_own_and_servers_share_theirs() {
        let alice = Actor::Person(Identity::new("alice").expect("an identity"));
        let bob = Actor::Person(Identity::new("bob").expect("an identity"));
        assert_ne!(scoped("k", &alice), scoped("k", &bob));
        assert_eq!(scoped("k", &Actor::Key("old".into())), scoped("k", &Actor::Key("new".into())));
    }

    #[test]
    fn a_fingerprint_differs_with_each_part() {
        let one = fingerprint("POST", "/a", b"b");
        assert_eq!(one, fingerprint("POST", "/a", b"b"));
        for other in [fingerprint("PUT", "/a", b"b"), fingerprint("POST", "/ab", b""), fingerprint("POST", "/a", b"c")]
        {
            assert_ne!(one, other);
        }
    }
}
