//! The known texts as they may lie somewhere: as they are, as JSON writes them, in base64, in hexadecimal.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aho_corasick::{AhoCorasick, BuildError};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Shorter texts are found by chance in what is encrypted.
pub const SHORTEST: usize = 4;
/// Bytes of a text that are looked for: its beginning is enough to know it by, and finds it where it was cut off.
const LONGEST: usize = 64;
/// Of base64, which what is sealed is written in: shorter pieces are found by chance.
const SHORTEST_BASE64: usize = 6;

/// All texts in all their forms, found in one pass.
pub struct TextNeedles {
    automaton: AhoCorasick,
    /// The text, by its place among those given, of each form.
    text_of: Vec<usize>,
    /// Texts that are looked for.
    pub texts: usize,
}

impl TextNeedles {
    /// `texts` by their places.
    pub fn new<'t>(texts: impl IntoIterator<Item = (usize, &'t str)>) -> Result<Self, BuildError> {
        let (mut forms, mut count) = (BTreeMap::new(), 0);
        for (place, text) in texts {
            count += 1;
            for form in forms_of(beginning(text)) {
                forms.entry(form).or_insert(place);
            }
        }
        let automaton = AhoCorasick::new(forms.keys())?;
        Ok(Self { automaton, text_of: forms.into_values().collect(), texts: count })
    }

    /// The first text that lies in these bytes.
    pub fn find(&self, bytes: &[u8]) -> Option<usize> {
        self.automaton.find(bytes).map(|found| self.text_of[found.pattern().as_usize()])
    }

    /// The bytes as they may be shown: up to the first text in them.
    pub fn shown(&self, bytes: &[u8]) -> String {
        match self.automaton.find(bytes) {
            Some(found) => format!("{}…", String::from_utf8_lossy(&bytes[..found.start()])),
            None => String::from_utf8_lossy(bytes).into_owned(),
        }
    }
}

fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

fn forms_of(text: &str) -> Vec<Vec<u8>> {
    let mut forms: Vec<Vec<u8>> = vec![text.into(), in_json(text).into(), hexadecimal(text).into()];
    forms.extend([ascii_json(text, false).into(), ascii_json(text, true).into()]);
    for shift in 0..3 {
        forms.extend([STANDARD_NO_PAD.encode(shifted(text, shift)), URL_SAFE_NO_PAD.encode(shifted(text, shift))].map(
            |encoded| {
                // Digits of base64 have 6 bits; those that hold bits of what stands around the text may be any.
                let from = [0, 2, 3][shift];
                let to = (shift + text.len()) * 8 / 6;
                encoded.as_bytes()[from..to.max(from)].to_vec()
            },
        ));
    }
    let [plain @ .., _, _, _, _, _, _] = &forms[..] else { return forms };
    let plain = plain.len();
    let mut number = 0;
    forms.retain(|form| {
        number += 1;
        number <= plain || form.len() >= SHORTEST_BASE64
    });
    forms
}

/// Behind some bytes, as base64 has it where it is not at the beginning.
fn shifted(text: &str, by: usize) -> Vec<u8> {
    let mut bytes = vec![0; by];
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn in_json(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("a string is JSON");
    quoted[1..quoted.len() - 1].to_owned()
}

/// As programs write it that keep JSON to ASCII: Python does by default.
fn ascii_json(text: &str, capitals: bool) -> String {
    let mut written = String::new();
    for unit in in_json(text).encode_utf16() {
        let done = match char::from_u32(unit.into()).filter(char::is_ascii) {
            Some(char) => written.write_char(char),
            None if capitals => write!(written, "\\u{unit:04X}"),
            None => write!(written, "\\u{unit:04x}"),
        };
        done.expect("a string takes what is written");
    }
    written
}

fn hexadecimal(text: &str) -> String {
    text.bytes().fold(String::new(), |mut digits, byte| {
        write!(digits, "{byte:02x}").expect("a string takes what is written");
        digits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "Jörg \"Joe\" 名前 🙂";

    fn found(hay: impl AsRef<[u8]>) -> bool {
        TextNeedles::new([(7, NAME)]).unwrap().find(hay.as_ref()) == Some(7)
    }

    #[test]
    fn a_text_is_found_as_it_is_and_as_json_writes_it() {
        assert!(found(format!("before {NAME} behind")));
        assert!(found(serde_json::json!({ "display_name": NAME }).to_string()));
        assert!(found(r#"{"name":"J\u00f6rg \"Joe\" \u540d\u524d \ud83d\ude42"}"#));
        assert!(found(r#"{"name":"J\u00F6rg \"Joe\" \u540D\u524D \uD83D\uDE42"}"#));
        assert!(found(hexadecimal(NAME)));
        assert!(!found("Jorg Joe"));
    }

    #[test]
    fn a_text_is_found_in_base64_wherever_it_stands_in_it() {
        for before in ["", "a", "ab", "abc", "abcd"] {
            for behind in ["", "x", "xy"] {
                let whole = format!("{before}{NAME}{behind}");
                assert!(found(STANDARD_NO_PAD.encode(&whole)), "{whole}");
                assert!(found(URL_SAFE_NO_PAD.encode(&whole)), "{whole}");
            }
        }
    }

    #[test]
    fn a_long_text_is_found_where_it_was_cut_off() {
        let text = "ö".repeat(4_000);
        let needles = TextNeedles::new([(0, text.as_str())]).unwrap();
        assert_eq!(needles.find(&text.as_bytes()[..200]), Some(0));
        assert_eq!(needles.find("ö".repeat(20).as_bytes()), None);
    }

    #[test]
    fn of_many_texts_the_one_that_lies_there_is_told() {
        let needles = TextNeedles::new([(0, "first text"), (3, "fourth text")]).unwrap();
        assert_eq!(needles.find(b"... fourth text ..."), Some(3));
        assert_eq!((needles.find(b"nothing"), needles.texts), (None, 2));
    }
}
