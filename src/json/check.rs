//! The guard: a text is looked through once, before anything believes it.

use serde_json::value::RawValue;

use super::scan::{BuildNothing, ScanStop, Scanner};

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct BadJson {
    /// Where, as `settings.labels.team` or `commands[3].data`; empty for the whole text.
    pub field: String,
    /// A sentence about it.
    pub detail: String,
    /// It is JSON, of a kind that is not taken.
    pub well_formed: bool,
}

/// JSON that [`check`] has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedJson<'t>(&'t str);

impl<'t> CheckedJson<'t> {
    pub const EMPTY_OBJECT: CheckedJson<'static> = CheckedJson("{}");

    pub fn text(self) -> &'t str {
        self.0
    }

    /// A part of a text that was checked as a whole.
    pub fn part(raw: &'t RawValue) -> Self {
        Self(raw.get())
    }

    pub fn is_object(self) -> bool {
        self.0.trim_start().starts_with('{')
    }
}

/// Passes a text that is one JSON value and that every reader reads alike: see `super::scan` for what is refused.
pub fn check(text: &[u8]) -> Result<CheckedJson<'_>, BadJson> {
    let (text, whole) = match std::str::from_utf8(text) {
        Ok(text) => (text, true),
        // What is valid before the fault tells in which field it lies.
        Err(error) => (std::str::from_utf8(&text[..error.valid_up_to()]).unwrap_or_default(), false),
    };
    let mut scanner = Scanner::new(text);
    let stop = match scanner.whole::<BuildNothing>() {
        Err(stop @ ScanStop::NotTaken(_)) => stop,
        _ if !whole => ScanStop::Syntax("the text is not UTF-8"),
        Ok(()) => return Ok(CheckedJson(text)),
        Err(_) if text.trim_ascii().is_empty() => {
            let detail = "there is no body; an empty one is written {}".into();
            return Err(BadJson { field: String::new(), detail, well_formed: false });
        }
        Err(stop) => stop,
    };
    let field = scanner.field();
    Err(match stop {
        ScanStop::NotTaken(detail) => BadJson { field, detail, well_formed: true },
        ScanStop::Syntax(fault) => {
            let (line, column) = scanner.place();
            let detail = format!("not JSON: {fault}, at line {line} column {column}");
            BadJson { field, detail, well_formed: false }
        }
    })
}

/// As [`check`]; no text at all stands for `{}`.
pub fn check_or_empty(text: &[u8]) -> Result<CheckedJson<'_>, BadJson> {
    if text.trim_ascii().is_empty() { Ok(CheckedJson::EMPTY_OBJECT) } else { check(text) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::MAX_DEPTH;
    use super::*;

    fn refusal(text: &str) -> BadJson {
        check(text.as_bytes()).expect_err(text)
    }

    #[test]
    fn plain_json_passes() {
        for text in [
            "{}",
            " {\"a\": [1, -2, 3.5, true, null, \"\\ud83d\\ude00 \\\"x\\\" é\"], \"b\": {\"a\": {}}} ",
            "[]",
            "\"text\"",
            "12",
            "-0",
            "[0.0, -0e0, 0e999, 1e308, 5e-324, 12345678901234567890123, -9223372036854775809]",
        ] {
            assert_eq!(check(text.as_bytes()).map(CheckedJson::text), Ok(text));
        }
    }

    #[test]
    fn what_is_not_json_is_told_where() {
        let refusal = refusal("{\"a\": {\"b\": tru }}");
        assert_eq!(refusal.field, "a.b");
        assert_eq!(refusal.detail, "not JSON: a value was expected, at line 1 column 13");
        assert!(!refusal.well_formed);
        for text in [
            "{",
            "{}}",
            "{} {}",
            "nul",
            "{\"a\":1,}",
            "{'a':1}",
            "\u{1}",
            "{\"a\":\"\u{1}\"}",
            "[1 2]",
            "[1,]",
            "{\"a\" 1}",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "--1",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"a",
            "\u{feff}{}",
            "NaN",
            "{1:2}",
            "[",
        ] {
            assert!(check(text.as_bytes()).is_err_and(|bad| !bad.well_formed), "{text}");
        }
        let not_utf8 = check(b"{\"a\": \"\xff\"}").expect_err("it is not UTF-8");
        assert_eq!((not_utf8.field.as_str(), not_utf8.well_formed), ("a", false));
        assert!(check(b"{}\xff").is_err());
        assert!(check(b" ").expect_err("nothing").detail.contains("no body"));
        assert_eq!(check_or_empty(b" \n"), Ok(CheckedJson::EMPTY_OBJECT));
    }

    #[test]
    fn deep_nesting_is_refused() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(check(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(refusal(&nested(MAX_DEPTH + 1)).detail.contains("64 levels"));
        assert!(refusal(&nested(100_000)).well_formed);
        let objects = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        assert!(check(objects(MAX_DEPTH).as_bytes()).is_ok());
        assert!(refusal(&objects(MAX_DEPTH + 1)).well_formed);
    }

    #[test]
    fn a_field_given_twice_is_refused() {
        let twice = refusal("{\"a\": [{\"b\": 1, \"\\u0062\": 2}]}");
        assert_eq!((&*twice.field, &*twice.detail, twice.well_formed), ("a[0].b", "is given twice", true));
        let many: String = (0..40).map(|name| format!("\"{name}\": 1, ")).collect();
        assert_eq!(refusal(&format!("{{{many}\"39\": 1}}")).field, "39");
        assert!(check(format!("{{{many}\"40\": 1}}").as_bytes()).is_ok());
    }

    #[test]
    fn a_nul_is_refused_in_text_and_in_names() {
        let nul = refusal("{\"to\": [\"x\", \"a\\u0000b\"]}");
        assert_eq!((&*nul.field, nul.well_formed), ("to[1]", true));
        assert_eq!(refusal("{\"a\\u0000\": 1}").field, "a\\u0000");
        assert!(check(b"\"a\\\\u0000\"").is_ok(), "an escaped backslash before u0000");
    }

    #[test]
    fn half_a_surrogate_pair_is_refused() {
        for half in ["\\ud800", "\\udc00", "\\ud800x", "\\ud800\\ud800", "\\udc00\\ud800", "\\ud800\\n"] {
            let bad = refusal(&format!("{{\"settings\": {{\"name\": \"{half}\"}}}}"));
            assert_eq!((&*bad.field, bad.well_formed), ("settings.name", false), "{half}");
            assert!(bad.detail.contains("surrogate"), "{}", bad.detail);
        }
    }

    #[test]
    fn a_number_that_programs_cannot_read_is_refused_by_its_field() {
        for (number, read_as) in [
            ("1e999", "infinite"),
            ("-1E+400", "infinite"),
            ("1E-400", "zero"),
            ("-0.1e-399", "zero"),
            (&"9".repeat(400), "infinite"),
            (&format!("0.{}1", "0".repeat(400)), "zero"),
        ] {
            let bad = refusal(&format!("{{\"n\": [0, {number}]}}"));
            assert_eq!((&*bad.field, bad.well_formed), ("n[1]", true), "{number}");
            assert!(bad.detail.ends_with(read_as) && bad.detail.len() < 200, "{}", bad.detail);
        }
    }

    /// JSON text with odd spacing, escapes and numbers, which serde_json can write from any value.
    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
            "[^\0]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map("[^\0]{0,6}", inner, 0..6).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_a_json_library_writes_passes(value in json()) {
            prop_assert!(check(value.to_string().as_bytes()).is_ok());
            let spaced = format!("{value:#}");
            prop_assert!(check(spaced.as_bytes()).is_ok());
        }

        #[test]
        fn what_passes_is_json_to_another_reader_and_what_does_not_parse_there_does_not_pass(
            value in json(), at in any::<prop::sample::Index>(), by in any::<u8>(),
        ) {
            let mut bytes = value.to_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = by;
            let parsed = serde_json::from_slice::<Value>(&bytes);
            match check(&bytes) {
                Ok(_) => prop_assert!(parsed.is_ok(), "{parsed:?} {bytes:?}"),
                Err(bad) if !bad.well_formed => prop_assert!(parsed.is_err(), "{bad:?} {bytes:?}"),
                Err(_) => {}
            }
        }

        #[test]
        fn any_bytes_are_judged_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            _ = check(&bytes);
        }

        #[test]
        fn anything_that_looks_like_json_is_judged_as_another_reader_judges_it(text in "[\\[\\]{}:,\"\\\\u0-9a-fdtrueE.+ -]{0,24}") {
            let parsed = serde_json::from_str::<Value>(&text);
            match check(text.as_bytes()) {
                Ok(_) => prop_assert!(parsed.is_ok(), "{parsed:?}"),
                Err(bad) if !bad.well_formed => prop_assert!(parsed.is_err(), "{bad:?}"),
                Err(_) => {}
            }
        }
    }
}
