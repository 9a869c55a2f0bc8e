//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07): the caller's name for one request, so that it can be
//! repeated without fear.
//!
//! The draft has the key as a structured-field string, `"8e03978e-40d5-43dd"`; most clients in use send it bare, so both
//! forms are taken and name the same key. Keys belong to who sends them: a person's are that person's own, those of servers
//! are shared by the tenant's servers, so that a repeat under a rotated API key still finds its outcome. What a repeat has to
//! equal is [`crate::commands::fingerprint`].

use crate::ids::Actor;

/// In characters, all of them ASCII.
pub const MAX_KEY: usize = 255;

pub const MALFORMED: &str = "an Idempotency-Key is 1 to 255 visible ASCII characters or spaces in double quotes, such as \"8e03978e-40d5-43dd\"; \
     without spaces, quotes, commas and semicolons it may stand bare";

/// A caller's key, not yet with whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    text: String,
    /// Of a list's own key: the place of the command whose share it is.
    item: Option<usize>,
}

impl IdempotencyKey {
    /// `None`: it is no key.
    pub fn new(text: String) -> Option<Self> {
        let fits = (1..=MAX_KEY).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b));
        fits.then_some(Self { text, item: None })
    }

    /// The key that the header's text holds; `None` where it is malformed.
    pub fn read(header: &[u8]) -> Option<Self> {
        let text = header.trim_ascii();
        let key = match text {
            [b'"', inner @ .., b'"'] => unquoted(inner)?,
            bare => bare
                .iter()
                .all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b',' | b';' | b'\\'))
                .then(|| bare.iter().map(|&b| char::from(b)).collect())?,
        };
        Self::new(key)
    }

    /// Of a list's own key, what stands for the command at `index`. No key that a caller can give is the same.
    pub fn share(self, index: usize) -> Self {
        Self { item: Some(index), ..self }
    }

    /// The key as it is stored: with whose it is. What may hold spaces has its length in front or stands at the end, so that
    /// no two scopes and keys give one text.
    pub fn scoped(&self, actor: &Actor) -> String {
        let scope = match actor {
            Actor::Person(identity) => format!("user:{}:{identity}", identity.as_str().len()),
            Actor::Key(_) => "servers".to_owned(),
            Actor::System(part) => format!("system:{}:{part}", part.len()),
        };
        match self.item {
            Some(index) => format!("{scope} item:{index} {}", self.text),
            None => format!("{scope} key {}", self.text),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Identity;

    #[test]
    fn a_key_may_be_quoted_or_bare() {
        for text in ["\"8e03978e-40d5\"", "8e03978e-40d5", "  8e03978e-40d5 "] {
            assert_eq!(IdempotencyKey::read(text.as_bytes()), IdempotencyKey::new("8e03978e-40d5".into()), "{text}");
        }
        assert_eq!(IdempotencyKey::read(br#""a \"b\" \\c""#), IdempotencyKey::new(r#"a "b" \c"#.into()));
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
            assert_eq!(IdempotencyKey::read(text.as_bytes()), None, "{text}");
        }
        assert_eq!(IdempotencyKey::read(b"\"a\tb\""), None);
        assert!(IdempotencyKey::read("x".repeat(255).as_bytes()).is_some());
    }

    #[test]
    fn a_key_is_its_senders_own_and_servers_share_theirs() {
        let key = IdempotencyKey::read(b"k").expect("a key");
        let (alice, bob) = (person("alice"), person("bob"));
        assert_ne!(key.scoped(&alice), key.scoped(&bob));
        assert_eq!(key.scoped(&Actor::Key("old".into())), key.scoped(&Actor::Key("new".into())));
    }

    fn person(identity: &str) -> Actor {
        Actor::Person(Identity::new(identity).expect("an identity"))
    }

    /// Senders and keys of few characters, so that any two ways to join them would meet.
    #[test]
    fn no_two_senders_and_keys_are_stored_as_one() {
        let mut seen = std::collections::HashMap::new();
        let words =
            ["a", "a b", "1", "b 1", "a key 1", "5:a", "z#0", "z", "item:0 z", "key z", "a item:0 z", "servers", "1:a"];
        let mut actors: Vec<Actor> = words.iter().map(|word| person(word)).collect();
        actors.extend(words.iter().map(|word| Actor::System((*word).into())));
        actors.push(Actor::Key("any".into()));
        for actor in &actors {
            for word in words {
                let own = IdempotencyKey::new(word.into()).expect(word);
                let shares = (0..3).map(|index| own.clone().share(index));
                for key in shares.chain([own.clone()]) {
                    let other = seen.insert(key.scoped(actor), (actor.clone(), key.clone()));
                    assert_eq!(other, None, "{actor} {key:?}");
                }
            }
        }
    }
}
