//! JSON from a caller, looked through once before anything believes it: what is refused here is what JSON allows and the
//! log, or a reader after us, does not take. Names the field at fault, as `settings.labels.team` or `commands[3].data`.
//!
//! Refused are: nesting deeper than [`MAX_DEPTH`]; a field given twice (which of the two would hold depends on the reader);
//! U+0000 (PostgreSQL's text has none); half of a surrogate pair (no UTF-8 for it); text that is not UTF-8.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::{self, Write as _};

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

/// Objects and arrays within one another, the outermost counted. Well below what the parser's stack takes, and enough for
/// a batch of commands that hold the deepest metadata of their own.
pub const MAX_DEPTH: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct BadJson {
    /// Where; empty for the whole body.
    pub field: String,
    pub detail: String,
    /// It is JSON, of a kind that is not taken.
    pub well_formed: bool,
}

/// Passes a body that is JSON and holds nothing of the above.
pub fn check(body: &[u8]) -> Result<(), BadJson> {
    let mut look = Look { path: Vec::new(), refused: None };
    let mut parser = serde_json::Deserializer::from_slice(body);
    let parsed = Any(&mut look).deserialize(&mut parser).and_then(|()| parser.end());
    parsed.map_err(|error| {
        let refused = look.refused.take();
        BadJson {
            field: look.field(),
            well_formed: refused.is_some(),
            detail: refused.unwrap_or_else(|| match body.trim_ascii() {
                [] => "there is no body; an empty one is written {}".into(),
                _ => format!("not JSON: {error}"),
            }),
        }
    })
}

/// What has been seen on the way. The path is left standing where parsing stopped.
struct Look<'de> {
    path: Vec<Step<'de>>,
    refused: Option<String>,
}

enum Step<'de> {
    Field(Cow<'de, str>),
    Item(usize),
}

impl Look<'_> {
    fn field(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            // Writing to a string cannot fail.
            let _ = match step {
                Step::Field(name) if text.is_empty() => write!(text, "{name}"),
                Step::Field(name) => write!(text, ".{name}"),
                Step::Item(index) => write!(text, "[{index}]"),
            };
        }
        text
    }

    fn refuse<E: serde::de::Error>(&mut self, detail: String) -> E {
        self.refused = Some(detail);
        E::custom("refused")
    }

    fn text<E: serde::de::Error>(&mut self, text: &str) -> Result<(), E> {
        if text.contains('\0') { Err(self.refuse("text may not hold U+0000".into())) } else { Ok(()) }
    }
}

/// Any value.
struct Any<'a, 'de>(&'a mut Look<'de>);

impl<'de> DeserializeSeed<'de> for Any<'_, 'de> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.0.text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let look = self.0;
        for index in 0.. {
            look.path.push(Step::Item(index));
            if look.path.len() > MAX_DEPTH {
                return Err(look.refuse(too_deep()));
            }
            if items.next_element_seed(Any(look))?.is_none() {
                look.path.pop();
                break;
            }
            look.path.pop();
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let look = self.0;
        let mut seen = HashSet::new();
        if look.path.len() >= MAX_DEPTH {
            return Err(look.refuse(too_deep()));
        }
        while let Some(name) = fields.next_key_seed(Name)? {
            look.path.push(Step::Field(name.clone()));
            look.text::<A::Error>(&name)?;
            if !seen.insert(name) {
                return Err(look.refuse("given twice".into()));
            }
            fields.next_value_seed(Any(look))?;
            look.path.pop();
        }
        Ok(())
    }
}

fn too_deep() -> String {
    format!("nested deeper than {MAX_DEPTH} levels")
}

/// The name of a field, borrowed from the body where it holds no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: &str) -> BadJson {
        check(body.as_bytes()).expect_err(body)
    }

    #[test]
    fn plain_json_passes() {
        for body in [
            "{}",
            " {\"a\": [1, -2, 3.5, true, null, \"\\ud83d\\ude00 \\\"x\\\"\"], \"b\": {\"a\": {}}} ",
            "[]",
            "\"text\"",
            "12",
        ] {
            assert_eq!(check(body.as_bytes()), Ok(()), "{body}");
        }
    }

    #[test]
    fn what_is_not_json_is_told_where() {
        let refusal = refusal("{\"a\": {\"b\": tru }}");
        assert_eq!(refusal.field, "a.b");
        assert!(refusal.detail.contains("line 1 column"), "{refusal}");
        assert!(!refusal.well_formed);
        for body in ["{", "{}}", "{} {}", "nul", "{\"a\":1,}", "{'a':1}", "\u{1}", "1e999", "{\"a\":\"\u{1}\"}"] {
            assert!(check(body.as_bytes()).is_err(), "{body}");
        }
        assert!(check(b"{\"a\": \"\xff\"}").is_err());
        assert!(check(b"").expect_err("nothing").detail.contains("no body"));
    }

    #[test]
    fn deep_nesting_is_refused() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(check(nested(MAX_DEPTH).as_bytes()), Ok(()));
        assert!(refusal(&nested(MAX_DEPTH + 1)).detail.contains("64 levels"));
        assert!(refusal(&nested(100_000)).detail.contains("64 levels"));
        let objects = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        assert_eq!(check(objects(MAX_DEPTH).as_bytes()), Ok(()));
        assert!(refusal(&objects(MAX_DEPTH + 1)).well_formed);
    }

    #[test]
    fn a_field_given_twice_is_refused() {
        assert_eq!(refusal("{\"a\": [{\"b\": 1, \"\\u0062\": 2}]}").field, "a[0].b");
    }

    #[test]
    fn a_nul_is_refused_in_text_and_in_names() {
        let refusal_ = refusal("{\"to\": [\"x\", \"a\\u0000b\"]}");
        assert_eq!((&*refusal_.field, &*refusal_.detail), ("to[1]", "text may not hold U+0000"));
        assert!(refusal("{\"a\\u0000\": 1}").well_formed);
    }

    #[test]
    fn half_a_surrogate_pair_is_refused() {
        for half in ["\\ud800", "\\udc00", "\\ud800x", "\\ud800\\ud800", "\\udc00\\ud800"] {
            let body = format!("{{\"settings\": {{\"name\": \"{half}\"}}}}");
            assert_eq!(refusal(&body).field, "settings.name", "{body}");
        }
    }
}
